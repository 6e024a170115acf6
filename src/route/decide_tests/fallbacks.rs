//! Which model is asked after which failure.

use super::*;
use crate::route::Cause;

/// Models of one letter, each on a backend of its own. `lists` are rows of
/// `a general b c`: the model, the kind of failure, its fallbacks.
fn plan(models: &str, lists: &[&str]) -> RoutePlan {
    let id = |name: &str| ModelId(models.find(name).unwrap());
    let names = models.split("").filter(|name| !name.is_empty());
    let mut plan = RoutePlan {
        backends: backends(&vec![&[][..]; models.len()]),
        models: names
            .enumerate()
            .map(|(at, name)| model(name, vec![candidate(None, &[at], 1, 0)]))
            .collect(),
        ..RoutePlan::default()
    };
    for row in lists {
        let mut words = row.split(' ');
        let fallbacks = &mut plan.models[id(words.next().unwrap()).0].fallbacks;
        let list = match words.next().unwrap() {
            "general" => &mut fallbacks.general,
            "context" => &mut fallbacks.context_window,
            "policy" => &mut fallbacks.content_policy,
            kind => panic!("{kind}"),
        };
        *list = words.map(id).collect();
    }
    plan
}

/// What is asked for `a` when it and those behind it fail so, one after the
/// other: `g` in general, `c` by the context window, `p` by the policy.
#[track_caller]
fn check(plan: &RoutePlan, failures: &str, expected: &str) {
    let table = RouteTable::new(plan);
    let mut told = Told::default();
    let decision = table.decide(&named("a"), &mut told).unwrap();
    let mut at = Some(0);
    let mut asked = String::new();
    for failure in failures.chars() {
        let cause = match failure {
            'g' => Cause::General,
            'c' => Cause::ContextWindow,
            'p' => Cause::ContentPolicy,
            kind => panic!("{kind}"),
        };
        at = at.and_then(|step| decision.step_after(step, cause));
        let model = at.and_then(|step| decision.step(step).unwrap().model);
        asked.push_str(model.map_or("-", |model| table.model_word(model)));
    }
    assert_eq!(asked, expected, "{failures}");
}

#[test]
fn a_failure_asks_the_next_of_the_chain_and_what_is_there_for_its_kind() {
    let lists = ["a general b c", "b general d c", "a context d", "a policy c"];
    let plan = plan("abcd", &lists);
    for (failures, expected) in [
        ("gggg", "bdc-"),
        ("c", "d"),
        ("gc", "bd"),
        ("ggc", "bd-"), // d was asked, and has said that
        ("cg", "d-"),
        ("cc", "d-"),
        ("cp", "dc"),
        ("gp", "bc"),
        ("pg", "c-"),
        ("pc", "cd"),
        ("gpc", "bcd"),
    ] {
        check(&plan, failures, expected);
    }
    let steps = "candidate:=@0 > fallback:b@1 > fallback:d@3 > fallback:c@2 > \
                 context-window:d@3 > content-policy:c@2";
    let expected = format!("rule=none; model=a; step=candidate | {steps}");
    assert_eq!(shown(&RouteTable::new(&plan), &named("a"), &mut Told::default()), expected);
}

#[test]
fn a_fallback_for_long_prompts_has_its_own_general_fallbacks() {
    let plan = plan("alxyz", &["a context l z", "l general x y", "a general y"]);
    for (failures, expected) in [
        ("cg", "lx"),
        ("cggg", "lxyz"),
        ("cgggg", "lxyz-"),
        ("cc", "lz"),
        ("cgc", "lxz"),
        ("gcg", "ylx"),
        ("gcgg", "ylxz"), // y was asked
    ] {
        check(&plan, failures, expected);
    }
}

#[test]
fn a_general_fallback_has_its_own_for_long_prompts_before_those_of_the_first() {
    let plan = plan("aqlm", &["a general q", "q context l", "a context m"]);
    for (failures, expected) in
        [("g", "q"), ("gc", "ql"), ("gcc", "qlm"), ("gcg", "qlm"), ("c", "m"), ("cg", "m-")]
    {
        check(&plan, failures, expected);
    }
}

#[test]
fn kinds_follow_each_other_as_far_as_models_lead() {
    let plan = plan("abcde", &["a general b", "b context c", "c policy d", "d general e"]);
    check(&plan, "gcpg", "bcde");
    check(&plan, "gcpgg", "bcde-");
    check(&plan, "gcg", "bc-");
    check(&plan, "cp", "--");
}

#[test]
fn no_model_is_asked_twice_whatever_fails() {
    let lists = [
        "a general b c",
        "a context d e",
        "a policy f",
        "b context e",
        "c policy d",
        "d general f",
        "d policy e",
        "f context e",
        "e general g",
    ];
    let plan = plan("abcdefg", &lists);
    let table = RouteTable::new(&plan);
    let mut told = Told::default();
    let decision = table.decide(&named("a"), &mut told).unwrap();
    // Every way, by every failure.
    let mut ways = vec![(0, vec![ModelId(0)])];
    let mut seen = 0;
    while let Some((step, asked)) = ways.pop() {
        seen += 1;
        for cause in [Cause::General, Cause::ContextWindow, Cause::ContentPolicy] {
            let Some(next) = decision.step_after(step, cause) else { continue };
            let model = decision.step(next).unwrap().model.unwrap();
            assert!(!asked.contains(&model), "{asked:?} and {model:?} again");
            ways.push((next, [&asked[..], &[model]].concat()));
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn candidates_of_one_model_follow_each_other_only_on_a_general_failure() {
    let mut plan = plan("abl", &["a general b", "a context l"]);
    plan.models[0].candidates.push(candidate(Some("z"), &[1], 1, 1));
    plan.models[2].candidates.push(candidate(Some("z"), &[1], 1, 1));
    let table = RouteTable::new(&plan);
    let mut told = Told::default();
    let decision = table.decide(&named("a"), &mut told).unwrap();
    let second = decision.step_after(0, Cause::General).unwrap();
    assert_eq!(decision.step(second).unwrap().rename, Some("z"));
    check(&plan, "ggg", "ab-");
    check(&plan, "gc", "al");
    check(&plan, "cggg", "ll--");
}

#[test]
fn what_is_not_served_in_the_dialect_is_passed_over() {
    let mut plan = plan("abcl", &["a general b", "b general c", "a context b l"]);
    plan.backends[1] = Serves { dialect: Some(Dialect::Anthropic), ..Serves::default() };
    check(&plan, "gg", "c-");
    // Its general fallbacks are asked instead of it, as it has failed by that.
    check(&plan, "cg", "cl");
    plan.backends.swap(0, 1);
    check(&plan, "g", "c");
    check(&plan, "c", "l");
}

#[test]
fn a_step_after_none_of_the_list_is_none() {
    let plan = plan("ab", &["a general b"]);
    let table = RouteTable::new(&plan);
    let mut told = Told::default();
    let decision = table.decide(&named("a"), &mut told).unwrap();
    for step in [2, 31, 9] {
        assert_eq!((decision.step(step), decision.step_after(step, Cause::General)), (None, None));
    }
}

#[test]
fn a_chain_beyond_the_bound_is_cut_there() {
    let mut plan = plan("a", &[]);
    for at in 1..100 {
        plan.models.push(model(&format!("m{at}"), vec![candidate(None, &[0], 1, 0)]));
        plan.models[at - 1].fallbacks.general = vec![ModelId(at)];
    }
    let table = RouteTable::new(&plan);
    let mut told = Told::default();
    let decision = table.decide(&named("a"), &mut told).unwrap();
    let way = std::iter::successors(Some(0), |step| decision.step_after(*step, Cause::General));
    assert_eq!(way.count(), STEPS_MAX);
}
