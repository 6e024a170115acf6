//! Facts about models: which names lead to which steps.

mod fallbacks;
mod heads;
mod rules;
mod splits;
mod unknown;
mod weights;

use super::*;
use crate::{base::BackendId, llm::Dialect};

/// A body that counts what it is asked.
#[derive(Default)]
struct Told {
    images: bool,
    complexity: f32,
    conversation: u64,
    asked: u32,
}

impl Content for Told {
    fn images(&mut self) -> bool {
        self.asked += 1;
        self.images
    }

    fn complexity(&mut self) -> f32 {
        self.asked += 1;
        self.complexity
    }

    fn conversation(&mut self) -> u64 {
        self.asked += 1;
        self.conversation
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern(text.into())
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| pattern(text)).collect()
}

fn backends(lists: &[&[&str]]) -> Vec<Serves> {
    lists.iter().map(|list| Serves { models: patterns(list), dialect: None }).collect()
}

fn candidate(model: Option<&str>, backends: &[usize], weight: u32, order: u32) -> Candidate {
    let backends = backends.iter().copied().map(BackendId).collect();
    Candidate { model: model.map(Box::from), backends, weight, order }
}

fn model(name: &str, candidates: Vec<Candidate>) -> ModelPlan {
    ModelPlan {
        name: pattern(name),
        is_named: true,
        leaves_others: false,
        aliases: Vec::new(),
        candidates,
        fallbacks: Fallbacks::default(),
        sticky: false,
    }
}

fn rule(name: &str, when: Conditions, to: &[(usize, u32)]) -> Rule {
    let to = to.iter().map(|&(model, weight)| Arm { model: ModelId(model), weight }).collect();
    Rule { name: name.into(), when, to, shadow: false, mirror: None }
}

fn named(model: &str) -> Query<'_> {
    Query {
        model: Some(model.as_bytes()),
        head: HeadFacts::default(),
        stream: false,
        tools: false,
        prompt_tokens: 0,
        dialect: Some(Dialect::OpenAi),
        dice: 0,
    }
}

/// What is decided, as `reason | step > step …`, each step as
/// `why:rename@backends`.
fn shown(table: &RouteTable, query: &Query<'_>, told: &mut Told) -> String {
    let decision = match table.decide(query, told) {
        Ok(decision) => decision,
        Err(unrouted) => return format!("{unrouted:?}"),
    };
    let mut reason = Vec::new();
    decision.write_reason(0, &mut reason);
    let steps = (0..decision.steps()).map(|index| {
        let step = decision.step(index).unwrap();
        let ids: Vec<_> = step.backends.iter().map(|id| id.0.to_string()).collect();
        format!("{}:{}@{}", step.why.word(), step.rename.unwrap_or("="), ids.join(","))
    });
    let steps: Vec<_> = steps.collect();
    format!("{} | {}", String::from_utf8(reason).unwrap(), steps.join(" > "))
}

#[track_caller]
fn check(plan: &RoutePlan, query: &Query<'_>, expected: &str) {
    assert_eq!(shown(&RouteTable::new(plan), query, &mut Told::default()), expected);
}

#[test]
fn without_a_plan_every_name_goes_to_every_backend() {
    let plan = RoutePlan { backends: backends(&[&[], &[]]), ..RoutePlan::default() };
    check(&plan, &named("any"), "rule=none; model=as-written; step=candidate | candidate:=@0,1");
    let nameless = Query { model: None, ..named("") };
    check(&plan, &nameless, "rule=none; model=as-written; step=candidate | candidate:=@0,1");
    assert!(RouteTable::new(&plan).is_plain());
    let mut told = Told::default();
    let table = RouteTable::new(&plan);
    assert!(!table.decide(&named("any"), &mut told).unwrap().is_telling());
    assert_eq!(told.asked, 0);
}

#[test]
fn a_name_goes_to_the_backends_that_serve_it() {
    let plan = RoutePlan {
        backends: backends(&[&["llama"], &["qwen*", "llama"], &[], &["qwen*", "*-7b"]]),
        ..RoutePlan::default()
    };
    let reason = "rule=none; model=as-written; step=candidate | candidate:=@";
    check(&plan, &named("llama"), &format!("{reason}0,1,2"));
    check(&plan, &named("qwen-7b"), &format!("{reason}1,2,3"));
    check(&plan, &named("mistral-7b"), &format!("{reason}2,3"));
    check(&plan, &named("mistral"), &format!("{reason}2"));
}

#[test]
fn a_name_that_nobody_has_named_is_unknown_and_its_neighbours_are_told() {
    let plan =
        RoutePlan { backends: backends(&[&["llama-3"], &["qwen*"]]), ..RoutePlan::default() };
    check(&plan, &named("llama3"), r#"Unknown { near: ["llama-3"] }"#);
    check(&plan, &named("mistral"), "Unknown { near: [] }");
    let with_models = RoutePlan {
        backends: backends(&[&[]]),
        models: vec![model("chat", vec![candidate(None, &[0], 1, 0)])],
        ..RoutePlan::default()
    };
    check(&with_models, &named("chatt"), r#"Unknown { near: ["chat"] }"#);
}

#[test]
fn a_request_without_a_name_goes_to_all_backends_however_names_are_known() {
    let plan = RoutePlan { backends: backends(&[&["a"], &["b"]]), ..RoutePlan::default() };
    let nameless = Query { model: None, ..named("") };
    check(&plan, &nameless, "rule=none; model=as-written; step=candidate | candidate:=@0,1");
}

#[test]
fn a_model_has_aliases_and_patterns_and_exact_names_go_first() {
    let mut chat = model("chat", vec![candidate(Some("llama"), &[0], 1, 0)]);
    chat.aliases = patterns(&["gpt-4*", "gpt-4o"]);
    let mini = model("gpt-4o-mini", vec![candidate(None, &[1], 1, 0)]);
    let plan = RoutePlan {
        backends: backends(&[&[], &[]]),
        models: vec![chat, mini],
        ..RoutePlan::default()
    };
    for name in ["chat", "gpt-4o", "gpt-4-turbo"] {
        check(&plan, &named(name), "rule=none; model=chat; step=candidate | candidate:llama@0");
    }
    let mini = "rule=none; model=gpt-4o-mini; step=candidate | candidate:=@1";
    check(&plan, &named("gpt-4o-mini"), mini);
}

#[test]
fn of_several_names_each_goes_to_those_that_serve_it() {
    let mut any = model("qwen-a", vec![candidate(None, &[0, 1, 2], 1, 0)]);
    any.aliases = patterns(&["qwen-b", "qwen-*"]);
    let mut plan = RoutePlan {
        backends: backends(&[&["qwen-a"], &["qwen-b", "qwen-c"], &[]]),
        models: vec![any],
        ..RoutePlan::default()
    };
    for (name, expected) in
        [("qwen-a", "0,2"), ("qwen-b", "1,2"), ("qwen-c", "1,2"), ("qwen-d", "2")]
    {
        let reason = "rule=none; model=qwen-a; step=candidate";
        check(&plan, &named(name), &format!("{reason} | candidate:=@{expected}"));
    }
    let auto = Conditions { models: patterns(&["auto"]), ..Conditions::default() };
    plan.rules = vec![rule("r", auto, &[(0, 1)])];
    let reason = "rule=r; model=qwen-a; step=candidate";
    check(&plan, &named("auto"), &format!("{reason} | candidate:qwen-a@0,2"));
    plan.backends[2].models = patterns(&["else"]);
    check(&plan, &named("qwen-d"), "OtherDialect");
}

#[test]
fn a_model_that_only_a_rule_leads_to_makes_no_name_known() {
    let auto = Conditions { models: patterns(&["auto"]), ..Conditions::default() };
    let led_to =
        ModelPlan { is_named: false, ..model("x", vec![candidate(Some("x"), &[0], 1, 0)]) };
    let plan = RoutePlan {
        backends: backends(&[&["x"], &[]]),
        models: vec![led_to],
        rules: vec![rule("r", auto, &[(0, 1)])],
        ..RoutePlan::default()
    };
    check(&plan, &named("auto"), "rule=r; model=x; step=candidate | candidate:x@0");
    check(&plan, &named("x"), "rule=none; model=as-written; step=candidate | candidate:=@0,1");
    check(&plan, &named("y"), "rule=none; model=as-written; step=candidate | candidate:=@1");
}

#[test]
fn what_a_rule_or_a_fallback_leads_to_is_asked_by_its_own_name() {
    let mut small = model("small", vec![candidate(None, &[0], 1, 0)]);
    small.fallbacks.general = vec![ModelId(1)];
    let wild = model("any-*", vec![candidate(None, &[1], 1, 0)]);
    let auto = Conditions { models: patterns(&["auto"]), ..Conditions::default() };
    let plan = RoutePlan {
        backends: backends(&[&[], &[]]),
        models: vec![small, wild],
        rules: vec![rule("easy", auto, &[(0, 1)])],
        ..RoutePlan::default()
    };
    // A pattern is no name: what the client has written is all there is.
    let steps = "candidate:small@0 > fallback:=@1";
    check(&plan, &named("auto"), &format!("rule=easy; model=small; step=candidate | {steps}"));
    let steps = "candidate:=@0 > fallback:=@1";
    check(&plan, &named("small"), &format!("rule=none; model=small; step=candidate | {steps}"));
}

#[test]
fn candidates_are_asked_in_their_order_and_those_without_weight_never() {
    let candidates = vec![
        candidate(Some("late"), &[0], 1, 7),
        candidate(Some("first"), &[1], 1, 0),
        candidate(Some("never"), &[2], 0, 0),
    ];
    let plan = RoutePlan {
        backends: backends(&[&[], &[], &[]]),
        models: vec![model("m", candidates)],
        ..RoutePlan::default()
    };
    let steps = "candidate:first@1 > candidate:late@0";
    check(&plan, &named("m"), &format!("rule=none; model=m; step=candidate | {steps}"));
}

#[test]
fn a_backend_with_the_other_dialect_is_no_candidate() {
    let mut served = backends(&[&[], &[], &[]]);
    served[0].dialect = Some(Dialect::Anthropic);
    served[1].dialect = Some(Dialect::OpenAi);
    let candidates = vec![candidate(Some("x"), &[0], 1, 0), candidate(Some("y"), &[1], 1, 1)];
    let plan = RoutePlan {
        backends: served,
        models: vec![model("m", candidates)],
        ..RoutePlan::default()
    };
    check(&plan, &named("m"), "rule=none; model=m; step=candidate | candidate:y@1");
    let anthropic = Query { dialect: Some(Dialect::Anthropic), ..named("m") };
    check(&plan, &anthropic, "rule=none; model=m; step=candidate | candidate:x@0");
    let none = Query { dialect: None, ..named("m") };
    check(&plan, &none, "rule=none; model=m; step=candidate | candidate:x@0 > candidate:y@1");

    let mut served = backends(&[&["m"]]);
    served[0].dialect = Some(Dialect::Anthropic);
    let plan = RoutePlan { backends: served, ..RoutePlan::default() };
    check(&plan, &named("m"), "OtherDialect");
}

#[test]
fn public_names_are_those_without_a_star_that_are_answered() {
    let mut chat = model("chat", vec![candidate(Some("llama"), &[0], 1, 0)]);
    chat.aliases = patterns(&["gpt-4*", "gpt-4o"]);
    let auto = Conditions { models: patterns(&["auto", "x*"]), ..Conditions::default() };
    let mut plan = RoutePlan {
        backends: backends(&[&["llama"], &["claude", "qwen*"]]),
        models: vec![chat],
        rules: vec![rule("r", auto, &[(0, 1)])],
        ..RoutePlan::default()
    };
    plan.backends[1].dialect = Some(Dialect::Anthropic);
    let table = RouteTable::new(&plan);
    let names = |dialect| table.public_names(dialect).collect::<Vec<_>>();
    assert_eq!(names(Dialect::OpenAi), ["auto", "chat", "gpt-4o", "llama"]);
    assert_eq!(names(Dialect::Anthropic), ["auto", "chat", "claude", "gpt-4o", "llama"]);
    assert!(table.names_are_known());
    for (name, expected) in [("gpt-4-x", true), ("qwen-7b", false), ("else", false)] {
        assert_eq!(table.answers(name.as_bytes(), Dialect::OpenAi), expected, "{name}");
    }
}

#[test]
fn the_reason_holds_only_what_a_header_may() {
    let odd = "a;b=c\u{e9} \"x\"";
    let long = "m".repeat(500);
    let plan = RoutePlan {
        backends: backends(&[&[]]),
        models: vec![
            model(odd, vec![candidate(None, &[0], 1, 0)]),
            model(&long, vec![candidate(None, &[0], 1, 0)]),
        ],
        ..RoutePlan::default()
    };
    let shown_as = "a_b_c____x_";
    let reason = format!("rule=none; model={shown_as}; step=candidate | candidate:=@0");
    check(&plan, &named(odd), &reason);
    let reason = format!("rule=none; model={}; step=candidate | candidate:=@0", "m".repeat(128));
    check(&plan, &named(&long), &reason);
}
