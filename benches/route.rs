//! What a decision costs: rules and a pick, and how hard a prompt looks.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tokenring::{
    balance::{Ask, Balancing, Fleet, Turn, Work},
    base::{BackendId, Chance, Instant},
    http::{HeaderTable, Limits, parse_request},
    llm::{Dialect, Endpoint, Reading, peek},
    route::{
        Arm, Candidate, Conditions, Content, Fallbacks, HeadFacts, HeaderCondition, ModelId,
        ModelPlan, Pattern, Query, RoutePlan, RouteTable, Rule, Serves, complexity,
    },
};

const BACKENDS: usize = 64;
const MODELS: usize = 20;
const RULES: usize = 200;

struct Nothing;

impl Content for Nothing {
    fn images(&mut self) -> bool {
        false
    }

    fn complexity(&mut self) -> f32 {
        0.3
    }

    fn conversation(&mut self) -> u64 {
        7
    }
}

fn pattern(text: String) -> Pattern {
    Pattern(text.into())
}

/// Rules of every kind in turn, of which only the last applies.
fn plan() -> RoutePlan {
    let all: Vec<_> = (0..BACKENDS).map(BackendId).collect();
    let model = |id| ModelPlan {
        name: pattern(format!("model-{id}")),
        is_named: true,
        leaves_others: false,
        aliases: vec![pattern(format!("alias-{id}-*"))],
        candidates: vec![Candidate {
            model: Some("sent".into()),
            backends: all.clone(),
            weight: 1,
            order: 0,
        }],
        fallbacks: Fallbacks::default(),
        sticky: false,
    };
    let rule = |id: usize| {
        let mut when = Conditions::default();
        match id % 5 {
            _ if id == RULES - 1 => {}
            0 => when.models = vec![pattern(format!("rule-{id}"))],
            1 => when.models = vec![pattern(format!("rule-{id}-*"))],
            2 => {
                let values = vec![pattern(format!("v{id}"))];
                when.headers = vec![HeaderCondition { name: "x-tier".into(), values }];
            }
            3 => when.prompt_tokens = Some(100_000 + id as u64..=u64::MAX),
            _ => when.complexity = Some(0.9..=1.0),
        }
        let to = vec![
            Arm { model: ModelId(id % MODELS), weight: 9 },
            Arm { model: ModelId((id + 1) % MODELS), weight: 1 },
        ];
        Rule { name: format!("rule-{id}").into(), when, to, shadow: false, mirror: None }
    };
    RoutePlan {
        backends: vec![Serves::default(); BACKENDS],
        models: (0..MODELS).map(model).collect(),
        rules: (0..RULES).map(rule).collect(),
        session_headers: Vec::new(),
    }
}

fn bench_decide(c: &mut Criterion) {
    let table = RouteTable::new(&plan());
    let fleet = Fleet::new(BACKENDS, Balancing::DEFAULT);
    let mut turn = Turn::new(&fleet, 0);
    let mut chance = Chance::seeded(1);
    let now = Instant::default();
    for (name, model) in [("known", "model-7"), ("alias", "alias-19-x")] {
        let query = Query {
            model: Some(model.as_bytes()),
            head: HeadFacts::default(),
            stream: true,
            tools: false,
            prompt_tokens: 500,
            dialect: Some(Dialect::OpenAi),
            dice: 1,
        };
        c.bench_function(&format!("route/200_rules_{name}"), |b| {
            b.iter(|| table.decide(black_box(&query), &mut Nothing).map(|d| d.steps()));
        });
        c.bench_function(&format!("route/200_rules_64_backends_{name}_and_pick"), |b| {
            b.iter(|| {
                let Ok(decision) = table.decide(black_box(&query), &mut Nothing) else { return };
                let Some(step) = decision.step(0) else { return };
                let ask = Ask::new(step.backends, fleet.policy(), Work::default());
                drop(black_box(fleet.pick(&mut turn, &ask, now, &mut chance)));
            });
        });
    }
}

/// What is asked of a head while it is there, beside the decision.
fn bench_head(c: &mut Criterion) {
    let table = RouteTable::new(&plan());
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
        accept: application/json\r\ncontent-type: application/json\r\n\
        user-agent: bench\r\nx-tier: v7\r\nx-request-id: 1\r\n\r\n";
    let limits = Limits { head_bytes_max: 1 << 14, headers_max: 64, target_bytes_max: 1 << 12 };
    let mut headers = HeaderTable::new();
    let Ok(request) = parse_request(head, &limits, &mut headers) else { return };
    c.bench_function("route/200_rules_head", |b| {
        b.iter(|| table.head_facts(black_box(request.path), black_box(&request.fields)));
    });
}

fn bench_complexity(c: &mut Criterion) {
    let text = r#"fn main() {\n    println!(\"hello\");\n}\nThis prints a greeting, as asked. "#;
    let message = format!(r#"{{"role":"user","content":"{}"}}"#, text.repeat(4));
    let messages = vec![message; (32 << 10) / 330].join(",");
    let body = format!(r#"{{"model":"m","messages":[{messages}],"max_tokens":1024}}"#);
    let Ok(peek) = peek(body.as_bytes(), Endpoint::ChatCompletions) else { return };
    let reading = Reading { body: body.as_bytes(), peek: &peek };
    c.bench_function("complexity/32k", |b| {
        b.iter(|| complexity(&black_box(reading).features(8000)));
    });
    c.bench_function("conversation/32k", |b| b.iter(|| black_box(reading).conversation()));
}

criterion_group!(benches, bench_decide, bench_head, bench_complexity);
criterion_main!(benches);
