//! A fallback that cannot answer falls back as well, each by the kind of its own
//! failure, on real sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use support::{Proxy, backend::Backend};
use tokenring::config::{CandidateWritten, ModelWritten, Written};

const CHAT: &str = "/v1/chat/completions";
const TOO_LONG: &str = r#"{"error":{"message":"x","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
const DECLINED: &str = r#"{"error":{"message":"x","type":"invalid_request_error","param":null,"code":"content_policy_violation"}}"#;
const BROKEN: &str = r#"{"error":{"message":"x","type":"server_error","param":null,"code":null}}"#;

/// What the backend of each model says: one word for each.
fn saying(word: &str) -> Backend {
    let (status, body) = match word {
        "well" => ("200 OK", "{}"),
        "long" => ("400 Bad Request", TOO_LONG),
        "declined" => ("400 Bad Request", DECLINED),
        "broken" => ("500 Internal Server Error", BROKEN),
        word => panic!("{word}"),
    };
    let length = body.len();
    let head = "content-type: application/json\r\ncontent-length";
    let answer = format!("HTTP/1.1 {status}\r\n{head}: {length}\r\n\r\n{body}");
    Backend::start(move |conn| while conn.request().is_some() && conn.say(&answer) {})
}

/// Models `m0`, `m1` and so on, whose backends say these words. `lists` are
/// rows of a model, the kind of its fallbacks, and one fallback.
fn proxy(words: &[&str], lists: &[(usize, &str, usize)]) -> (Proxy, Vec<Backend>) {
    let backends: Vec<_> = words.iter().map(|word| saying(word)).collect();
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let proxy = Proxy::with(&addresses, |written: &mut Written| {
        for (at, backend) in written.backends.iter_mut().enumerate() {
            backend.name = Some(format!("b{at}"));
            written.models.push(ModelWritten {
                name: Some(format!("m{at}")),
                candidates: vec![CandidateWritten {
                    backends: vec![format!("b{at}")],
                    ..CandidateWritten::default()
                }],
                ..ModelWritten::default()
            });
        }
        for &(from, kind, to) in lists {
            let model = &mut written.models[from];
            let list = match kind {
                "general" => &mut model.fallbacks,
                "context" => &mut model.context_window_fallbacks,
                "policy" => &mut model.content_policy_fallbacks,
                kind => panic!("{kind}"),
            };
            list.push(format!("m{to}"));
        }
    });
    (proxy, backends)
}

/// The status, and the model and step of `x-tokenring-route`.
#[track_caller]
fn check(words: &[&str], lists: &[(usize, &str, usize)], expected: (u16, &str)) {
    let (proxy, _backends) = proxy(words, lists);
    let answer = proxy.client().post(CHAT, "", r#"{"model":"m0","messages":[]}"#);
    let route = format!("rule=none; model={}", expected.1);
    let told = (answer.status, answer.field("x-tokenring-route"));
    assert_eq!(told, (expected.0, Some(&*route)), "{}", answer.text());
}

#[test]
fn a_fallback_for_long_prompts_that_fails_has_its_own_general_fallback() {
    let lists = [(0, "context", 1), (1, "general", 2)];
    check(&["long", "broken", "well"], &lists, (200, "m2; step=fallback"));
    check(&["long", "well", "well"], &lists, (200, "m1; step=context-window"));
}

#[test]
fn a_general_fallback_that_is_too_small_has_its_own_for_long_prompts() {
    let lists = [(0, "general", 1), (1, "context", 2)];
    check(&["broken", "long", "well"], &lists, (200, "m2; step=context-window"));
    // Nobody else is there for that: the first error is told.
    check(&["broken", "declined", "well"], &lists, (500, "m0; step=candidate"));
}

#[test]
fn a_prompt_that_is_too_long_and_then_declined_goes_where_it_is_answered() {
    let lists = [(0, "context", 1), (1, "policy", 2)];
    check(&["long", "declined", "well"], &lists, (200, "m2; step=content-policy"));
    check(&["long", "declined", "declined"], &lists, (400, "m0; step=candidate"));
}
