//! Facts about what is asked of a head.

use super::{splits::split_plan, *};
use crate::http::{HeaderTable, Limits, parse_request};

#[track_caller]
fn facts(table: &RouteTable, head: &str) -> HeadFacts {
    let limits = Limits { head_bytes_max: 4096, headers_max: 16, target_bytes_max: 1024 };
    let mut room = HeaderTable::new();
    let head = format!("{head}\r\nhost: h\r\n\r\n");
    let request = parse_request(head.as_bytes(), &limits, &mut room).unwrap();
    table.head_facts(request.path, &request.fields)
}

#[test]
fn heads_are_asked_for_paths_and_headers() {
    let header = |name: &str, values: &[&str]| HeaderCondition {
        name: name.into(),
        values: patterns(values),
    };
    let gold =
        Conditions { headers: vec![header("x-tier", &["gold", "plat*"])], ..Conditions::default() };
    let both = Conditions {
        headers: vec![header("x-tier", &["silver"]), header("x-team", &["*"])],
        paths: patterns(&["/v1/chat/*"]),
        ..Conditions::default()
    };
    let plan = RoutePlan {
        backends: backends(&[&[]]),
        models: vec![model("m", vec![candidate(None, &[0], 1, 0)])],
        rules: vec![rule("gold", gold, &[(0, 1)]), rule("both", both, &[(0, 1)])],
        ..RoutePlan::default()
    };
    assert_eq!(head_conditions(&plan), 4);
    let table = RouteTable::new(&plan);
    let post = "POST /v1/chat/completions HTTP/1.1";
    for (head, expected) in [
        (post.to_owned(), "none"),
        (format!("{post}\r\nx-tier: gold"), "gold"),
        (format!("{post}\r\nX-Tier: platinum"), "gold"),
        (format!("{post}\r\nx-tier: bronze\r\nx-tier: gold"), "gold"),
        (format!("{post}\r\nx-tier: GOLD"), "none"),
        (format!("{post}\r\nx-tier: silver"), "none"),
        (format!("{post}\r\nx-tier: silver\r\nx-team: a"), "both"),
        ("GET /v1/other HTTP/1.1\r\nx-tier: silver\r\nx-team: a".to_owned(), "none"),
    ] {
        let query = Query { head: facts(&table, &head), ..named("m") };
        let shown = shown(&table, &query, &mut Told::default());
        assert!(shown.starts_with(&format!("rule={expected};")), "{head}: {shown}");
    }
}

#[test]
fn a_condition_beyond_the_bound_is_never_met() {
    let rules = (0..=HEAD_CONDITIONS_MAX).map(|n| {
        let paths = vec![pattern(&format!("/{n}"))];
        rule(&n.to_string(), Conditions { paths, ..Conditions::default() }, &[(0, 1)])
    });
    let plan = RoutePlan {
        backends: backends(&[&[]]),
        models: vec![model("m", vec![candidate(None, &[0], 1, 0)])],
        rules: rules.collect(),
        ..RoutePlan::default()
    };
    assert_eq!(head_conditions(&plan), HEAD_CONDITIONS_MAX + 1);
    let table = RouteTable::new(&plan);
    for (path, expected) in [("/255", "255"), ("/256", "none")] {
        let query = Query { head: facts(&table, &format!("GET {path} HTTP/1.1")), ..named("m") };
        let shown = shown(&table, &query, &mut Told::default());
        assert!(shown.starts_with(&format!("rule={expected};")), "{path}: {shown}");
    }
}

#[test]
fn a_session_named_in_the_head_goes_before_the_body() {
    let table = RouteTable::new(&split_plan([1, 1], true));
    let post = "POST / HTTP/1.1\r\nx-session-id: s";
    let query = Query { head: facts(&table, post), ..named("m") };
    let mut told = Told::default();
    table.decide(&query, &mut told).unwrap();
    assert_eq!(told.asked, 0);
    let other = facts(&table, "POST / HTTP/1.1\r\nX-Claude-Code-Session-Id: t");
    assert!(query.head.session.is_some() && query.head.session != other.session);
}

#[test]
fn a_header_that_an_operator_names_is_looked_for_first() {
    let session = |headers: &[&str], head: &str| {
        let session_headers = headers.iter().map(|&name| name.into()).collect();
        let table = RouteTable::new(&RoutePlan { session_headers, ..split_plan([1, 1], true) });
        facts(&table, &format!("POST / HTTP/1.1\r\n{head}")).session
    };
    assert_eq!(session(&[], "x-user-id: u"), None);
    let user = session(&["x-thread", "x-user-id"], "X-User-Id: u");
    assert!(user.is_some());
    assert_eq!(session(&["x-user-id"], "x-session-id: s\r\nx-user-id: u"), user);
    assert_eq!(session(&["x-user-id"], "x-session-id: u"), user, "a name is a name");
}
