use super::complexity::{complexity, complexity_at_most};
use crate::llm::{Depth, Endpoint, Features, Reading, peek};

/// As `balance` guesses before a backend has counted.
const BYTES_PER_TOKEN: u64 = 4;

fn score(body: &str) -> f32 {
    let peek = peek(body.as_bytes(), Endpoint::ChatCompletions).unwrap();
    let reading = Reading { body: body.as_bytes(), peek: &peek };
    complexity(&reading.features(u64::from(peek.prompt_bytes) / BYTES_PER_TOKEN))
}

fn user(text: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

#[track_caller]
fn check(body: &str, range: std::ops::Range<f32>) {
    let score = score(body);
    assert!(
        range.contains(&score),
        "{score} is not in {range:?}: {}",
        &body[..body.len().min(300)]
    );
}

const TOOLS: &str = r#""tools":[{"type":"function","function":{"name":"read_file","description":"Reads.","parameters":{"type":"object"}}},{"type":"function","function":{"name":"edit_file","parameters":{"type":"object"}}},{"type":"function","function":{"name":"run","parameters":{"type":"object"}}}]"#;

#[test]
fn a_greeting_is_easy() {
    check(&user("Hello!"), 0.0..0.1);
    check(&user("你好"), 0.0..0.1);
    check(&user("Hi, how are you?"), 0.0..0.1);
    check(&user("Translate to German: good morning"), 0.0..0.2);
    check(&user("What is the capital of France?"), 0.0..0.2);
}

#[test]
fn a_plain_question_for_reasons_is_between() {
    check(&user("Explain why the sky is blue, step by step."), 0.2..0.5);
    check(&user("Erkläre ausführlich, warum der Himmel blau ist."), 0.2..0.5);
    check(&user("Write a function in Rust.\\n```rust\\nfn main() {}\\n```"), 0.15..0.5);
}

#[test]
fn a_task_of_many_steps_with_code_and_tools_is_hard() {
    let task = "Refactor the parser, then write tests and explain the trade-offs step by step. First, find out why it panicked:\\n```rust\\nfn parse(s: &str) -> Result<Tree, Fault> { let mut at = 0; while at < s.len() { step(&mut at)?; } Ok(tree) }\\n```";
    let body = user(task).replacen("\"messages\"", &format!("{TOOLS},\"messages\""), 1);
    check(&body, 0.6..1.0);
    check(
        &user(&task.repeat(40)).replacen("\"messages\"", &format!("{TOOLS},\"messages\""), 1),
        0.75..1.0,
    );
}

#[test]
fn length_alone_is_not_the_hardest() {
    check(&user(&"It was a quiet day at the sea. ".repeat(2000)), 0.3..0.55);
}

#[test]
fn effort_that_the_client_asks_for_counts() {
    let plain = user("Tell me about rivers.");
    let hard = plain.replacen("\"messages\"", "\"reasoning_effort\":\"high\",\"messages\"", 1);
    assert!(score(&hard) > score(&plain) + 0.2);
}

#[test]
fn more_of_anything_never_makes_it_easier() {
    type Set = fn(&mut Features, u32);
    let base = Features::default();
    let more: [(&str, Set); 9] = [
        ("tokens", |f, n| f.prompt_tokens = u64::from(n) * 50),
        ("turns", |f, n| f.turns = n),
        ("fences", |f, n| f.fences = n),
        ("braces", |f, n| f.braces_per_thousand = n),
        ("tools", |f, n| f.tools = n),
        ("questions", |f, n| f.questions = n),
        ("markers", |f, n| f.markers = n),
        ("output", |f, n| f.max_tokens = Some(u64::from(n) * 100)),
        ("effort", |f, n| f.effort = n),
    ];
    for (name, set) in more {
        let mut last = complexity(&base);
        for n in 0..1000 {
            let mut features = base;
            set(&mut features, n);
            let score = complexity(&features);
            assert!(score >= last && (0.0..=1.0).contains(&score), "{name} {n}: {score}");
            last = score;
        }
        assert!(last > complexity(&base), "{name} says nothing");
    }
    let schema = Features { schema: true, ..base };
    assert!(complexity(&schema) > complexity(&base));
}

#[test]
fn the_largest_numbers_stay_within_one() {
    let most = Features {
        prompt_tokens: u64::MAX,
        turns: u32::MAX,
        fences: u32::MAX,
        braces_per_thousand: u32::MAX,
        tools: u32::MAX,
        schema: true,
        questions: u32::MAX,
        markers: u32::MAX,
        max_tokens: Some(u64::MAX),
        effort: u32::MAX,
        depth: Depth::Words,
    };
    let score = complexity(&most);
    assert!((0.9..=1.0).contains(&score), "{score}");
    assert_eq!(complexity(&Features::default()), 0.0);
}

#[test]
fn what_is_not_read_yet_makes_a_request_no_easier() {
    let code = user(&r"fn main() { let a = 1; why(); }\n".repeat(60));
    let asks = user("Why is that? Explain step by step, compare, and prove it. Then plan it.");
    let tools = format!(r#"{{"model":"m",{TOOLS},"messages":[],"reasoning_effort":"high"}}"#);
    for body in [user("hi"), code, asks, tools, user(&"word ".repeat(9000))] {
        let peek = peek(body.as_bytes(), Endpoint::ChatCompletions).unwrap();
        let reading = Reading { body: body.as_bytes(), peek: &peek };
        let mut features = reading.sizes(100);
        let mut last = 1.0;
        for depth in [Depth::Sizes, Depth::Counts, Depth::Words] {
            assert_eq!(features.depth, depth);
            let most = complexity_at_most(&features);
            assert!(most <= last, "{depth:?}: {most} > {last}");
            last = most;
            reading.deepen(&mut features);
        }
        assert_eq!(features, reading.features(100));
        assert_eq!(last, complexity(&features));
    }
}

#[test]
fn an_easy_request_is_known_before_its_words_are_read() {
    let body = user("Look at the disk, the plan and the backup.");
    let peek = peek(body.as_bytes(), Endpoint::ChatCompletions).unwrap();
    let reading = Reading { body: body.as_bytes(), peek: &peek };
    let mut features = reading.sizes(20);
    reading.deepen(&mut features);
    assert!(features.depth < Depth::Words && complexity_at_most(&features) < 0.6);
}
