//! Which names are answered, and what becomes of those that are not.

use super::*;

/// The model `chat`, a backend that serves it, and these rules, which lead to
/// it: a name, whether the request must be a stream, and the names it asks for.
fn plan(rules: &[(&str, bool, &[&str])]) -> RoutePlan {
    let rules = rules.iter().map(|&(name, stream, models)| {
        let when = Conditions {
            models: patterns(models),
            stream: stream.then_some(true),
            ..Conditions::default()
        };
        rule(name, when, &[(0, 1)])
    });
    RoutePlan {
        backends: backends(&[&[]]),
        models: vec![model("chat", vec![candidate(Some("chat"), &[0], 1, 0)])],
        rules: rules.collect(),
        session_headers: Vec::new(),
    }
}

const BY_REST: &str = "rule=rest; model=chat; step=candidate | candidate:chat@0";

#[test]
fn a_rule_that_asks_for_no_name_answers_no_name_that_nobody_has() {
    let plan = plan(&[("auto", true, &["auto", "x-*"]), ("rest", false, &[])]);
    check(&plan, &named("chatt"), r#"Unknown { near: ["chat"] }"#);
    check(&plan, &named("chat"), BY_REST);
    // A rule has named these, though it does not apply.
    check(&plan, &named("auto"), BY_REST);
    check(&plan, &named("x-1"), BY_REST);
}

#[test]
fn a_rule_for_all_names_names_them() {
    let plan = plan(&[("never", true, &["*"]), ("rest", false, &[])]);
    check(&plan, &named("whatever"), BY_REST);
    assert!(RouteTable::new(&plan).answers(b"whatever", Dialect::OpenAi));
}

#[test]
fn a_rule_in_shadow_or_for_copies_alone_names_nothing() {
    let mut plan = plan(&[("maybe", false, &["auto", "*"]), ("rest", false, &[])]);
    plan.rules[0].shadow = true;
    check(&plan, &named("auto"), r#"Unknown { near: [] }"#);
    plan.rules[0] = Rule { shadow: false, to: Vec::new(), ..plan.rules[0].clone() };
    check(&plan, &named("auto"), r#"Unknown { near: [] }"#);
}

#[test]
fn a_name_that_only_rules_know_is_not_proposed_for_itself_where_none_applies() {
    let plan = plan(&[("auto", true, &["auto", "x-*"])]);
    check(&plan, &named("auto"), "NoRule");
    check(&plan, &named("x-1"), "NoRule");
    check(&plan, &named("aut"), r#"Unknown { near: ["auto"] }"#);
}

#[test]
fn where_a_backend_serves_every_name_none_is_unknown() {
    let mut plan = plan(&[("rest", false, &[])]);
    plan.models[0].is_named = false;
    check(&plan, &named("whatever"), BY_REST);
}

#[test]
fn what_a_rule_knows_by_a_pattern_is_found_by_its_name() {
    let table = RouteTable::new(&plan(&[("auto", true, &["auto", "x-*"])]));
    for (name, expected) in [("auto", true), ("x-1", true), ("chat", true), ("y", false)] {
        assert_eq!(table.answers(name.as_bytes(), Dialect::OpenAi), expected, "{name}");
    }
}
