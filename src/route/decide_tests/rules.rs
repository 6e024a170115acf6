//! Facts about which rule applies, and what is told of the others.

use super::*;

/// One rule for each condition, named after it, and a model for all others.
#[test]
fn a_rule_applies_when_all_its_conditions_are_met() {
    let none = Conditions::default();
    let cases: Vec<(&str, Conditions)> = vec![
        ("model", Conditions { models: patterns(&["x", "y*"]), ..none.clone() }),
        ("stream", Conditions { stream: Some(true), ..none.clone() }),
        ("tools", Conditions { tools: Some(true), ..none.clone() }),
        ("images", Conditions { images: Some(true), ..none.clone() }),
        ("long", Conditions { prompt_tokens: Some(1000..=5000), ..none.clone() }),
        ("hard", Conditions { complexity: Some(0.6..=1.0), ..none.clone() }),
    ];
    let plan = RoutePlan {
        backends: backends(&[&[]]),
        models: vec![model("m", vec![candidate(None, &[0], 1, 0)])],
        rules: cases.into_iter().map(|(name, when)| rule(name, when, &[(0, 1)])).collect(),
        ..RoutePlan::default()
    };
    let table = RouteTable::new(&plan);
    let easy = Told::default;
    for (query, mut told, expected) in [
        (named("m"), easy(), "none"),
        (named("x"), easy(), "model"),
        (named("yes"), easy(), "model"),
        (Query { stream: true, ..named("m") }, easy(), "stream"),
        (Query { stream: true, ..named("x") }, easy(), "model"),
        (Query { tools: true, ..named("m") }, easy(), "tools"),
        (named("m"), Told { images: true, ..easy() }, "images"),
        (Query { prompt_tokens: 999, ..named("m") }, easy(), "none"),
        (Query { prompt_tokens: 1000, ..named("m") }, easy(), "long"),
        (Query { prompt_tokens: 5001, ..named("m") }, easy(), "none"),
        (named("m"), Told { complexity: 0.59, ..easy() }, "none"),
        (named("m"), Told { complexity: 0.6, ..easy() }, "hard"),
    ] {
        let shown = shown(&table, &query, &mut told);
        assert!(shown.starts_with(&format!("rule={expected};")), "{query:?}: {shown}");
    }
}

#[test]
fn what_costs_is_asked_for_once_and_only_by_rules_that_get_so_far() {
    let any = Conditions { models: patterns(&["*"]), ..Conditions::default() };
    let hard = |models: &[&str]| Conditions {
        models: patterns(models),
        complexity: Some(0.9..=1.0),
        ..Conditions::default()
    };
    let plan = RoutePlan {
        backends: backends(&[&[]]),
        models: vec![model("m", vec![candidate(None, &[0], 1, 0)])],
        rules: vec![
            rule("one", hard(&["auto"]), &[(0, 1)]),
            rule("two", hard(&["auto", "m"]), &[(0, 1)]),
            rule("three", hard(&["auto", "x*"]), &[(0, 1)]),
            rule("rest", any, &[(0, 1)]),
        ],
        ..RoutePlan::default()
    };
    let table = RouteTable::new(&plan);
    for (name, expected) in [("auto", 1), ("m", 1), ("other", 0), ("xx", 1)] {
        let mut told = Told::default();
        table.decide(&named(name), &mut told).unwrap();
        assert_eq!(told.asked, expected, "{name}");
    }
}

#[test]
fn every_rule_is_told_with_the_first_condition_that_is_not_met() {
    let when = |complexity: f32| Conditions {
        complexity: Some(complexity..=1.0),
        models: patterns(&["auto"]),
        ..Conditions::default()
    };
    let other = Conditions { models: patterns(&["x", "y*"]), ..Conditions::default() };
    let tools = Conditions { tools: Some(true), ..Conditions::default() };
    let plan = RoutePlan {
        backends: backends(&[&[]]),
        models: vec![model("m", vec![candidate(None, &[0], 1, 0)])],
        rules: vec![
            rule("hard", when(0.9), &[(0, 1)]),
            rule("other", other, &[(0, 1)]),
            rule("tools", tools, &[(0, 1)]),
            rule("easy", when(0.1), &[(0, 1)]),
            rule("rest", Conditions::default(), &[(0, 1)]),
        ],
        ..RoutePlan::default()
    };
    let table = RouteTable::new(&plan);
    let mut told = Told { complexity: 0.5, ..Told::default() };
    let explanation = table.explain(&named("auto"), &mut told);
    let unmet: Vec<_> = explanation.rules.iter().map(|rule| rule.unmet.as_deref()).collect();
    assert_eq!(
        unmet,
        [
            Some("complexity is 0.500, not 0.9..=1.0"),
            Some("model auto is none of x, y*"),
            Some("tools is false, not true"),
            None,
            None,
        ]
    );
    let late: Vec<_> = explanation.rules.iter().map(|rule| rule.is_late).collect();
    assert_eq!(late, [false, false, false, false, true]);
    assert_eq!(explanation.decision.unwrap().rule, Some(RuleId(3)));
}
