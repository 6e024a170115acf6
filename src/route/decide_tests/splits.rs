//! Facts about requests of which each part goes its own way: splits, shadows and
//! copies.

use super::*;

/// `auto` is split nine to one; `m` has two candidates of the same order.
pub(super) fn split_plan(weights: [u32; 2], sticky: bool) -> RoutePlan {
    let [a, b] = weights;
    let auto = Conditions { models: patterns(&["auto"]), ..Conditions::default() };
    let candidates = vec![candidate(Some("p"), &[0], a, 0), candidate(Some("q"), &[0], b, 0)];
    RoutePlan {
        backends: backends(&[&[]]),
        models: vec![
            model("x", vec![candidate(None, &[0], 1, 0)]),
            model("y", vec![candidate(None, &[0], 1, 0)]),
            ModelPlan { sticky, ..model("m", candidates) },
        ],
        rules: vec![rule("split", auto, &[(0, a), (1, b)])],
        ..RoutePlan::default()
    }
}

#[test]
fn a_conversation_stays_with_its_arm_and_a_weight_moves_only_its_share() {
    let (before, after) = (RouteTable::new(&split_plan([9, 1], true)), &split_plan([9, 2], true));
    let after = RouteTable::new(after);
    let arm = |table: &RouteTable, conversation, dice| {
        let mut told = Told { conversation, ..Told::default() };
        let query = Query { dice, ..named("auto") };
        table.decide(&query, &mut told).unwrap().model.unwrap().0
    };
    let mut canary = 0;
    for key in 0..5000 {
        let was = arm(&before, key, key);
        assert_eq!(was, arm(&before, key, !key), "{key}");
        let is = arm(&after, key, key);
        assert!(was == is || is == 1, "{key} went from {was} to {is}");
        canary += was;
    }
    assert!((400..600).contains(&canary), "{canary}");
}

#[test]
fn a_sticky_model_keeps_a_conversation_with_its_candidate_and_others_roll_dice() {
    for sticky in [true, false] {
        let table = RouteTable::new(&split_plan([1, 1], sticky));
        let first = |conversation, dice| {
            let mut told = Told { conversation, ..Told::default() };
            let query = Query { dice, ..named("m") };
            let decision = table.decide(&query, &mut told).unwrap();
            assert_eq!(decision.steps(), 2);
            decision.step(0).unwrap().rename == Some("p")
        };
        let by_dice: std::collections::HashSet<_> = (0..50).map(|dice| first(1, dice)).collect();
        let by_key: std::collections::HashSet<_> = (0..50).map(|key| first(key, 1)).collect();
        assert_eq!((by_dice.len() == 1, by_key.len() == 1), (sticky, !sticky));
    }
}

#[test]
fn a_rule_in_shadow_is_told_of_and_does_nothing() {
    let mut plan = split_plan([1, 0], false);
    let mut shadow = rule("maybe", Conditions::default(), &[(1, 1)]);
    shadow.shadow = true;
    shadow.mirror = Some(Mirror { model: ModelId(2), percent: 100.0 });
    plan.rules.insert(0, shadow);
    let table = RouteTable::new(&plan);
    let expected =
        "rule=split; model=x; step=candidate; shadow=maybe; shadow-model=y | candidate:x@0";
    assert_eq!(shown(&table, &named("auto"), &mut Told::default()), expected);
    let mut told = Told::default();
    let decision = table.decide(&named("auto"), &mut told).unwrap();
    assert_eq!(&decision.shadows[..], [Shadow { rule: RuleId(0), model: Some(ModelId(1)) }]);
    assert_eq!(decision.mirror(), None);
}

#[test]
fn a_mirror_takes_its_share_and_the_next_rule_decides() {
    let mut plan = split_plan([1, 1], true);
    let mut mirror = rule("copy", Conditions::default(), &[]);
    mirror.mirror = Some(Mirror { model: ModelId(2), percent: 25.0 });
    plan.rules.insert(0, mirror);
    let table = RouteTable::new(&plan);
    let mut mirrored = 0;
    for dice in 0..4000 {
        let mut told = Told::default();
        let decision = table.decide(&Query { dice, ..named("auto") }, &mut told).unwrap();
        assert_eq!(decision.rule, Some(RuleId(1)));
        if let Some(step) = decision.mirror() {
            mirrored += 1;
            assert_eq!((step.rename.is_some(), step.backends.len()), (true, 1));
        }
    }
    assert!((900..1100).contains(&mirrored), "{mirrored}");
}
