//! Another model answers when the one that was asked for cannot, on real
//! sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::sync::{Arc, Mutex};

use support::{
    Answer, Proxy,
    backend::{Backend, Request},
};
use tokenring::config::{CandidateWritten, ModelWritten, Written};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

const TOO_LONG: &str = r#"{"error":{"message":"This model's maximum context length is 4096 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
const TOO_LONG_ANTHROPIC: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#;
const DECLINED: &str = r#"{"error":{"message":"The prompt was declined.","type":"invalid_request_error","param":null,"code":"content_policy_violation"}}"#;
const WRONG: &str = r#"{"error":{"message":"temperature is too high","type":"invalid_request_error","param":"temperature","code":null}}"#;

/// A backend that answers each request with these bytes, and what it was sent.
fn saying(answer: impl Into<Vec<u8>>) -> (Backend, Arc<Mutex<Vec<Request>>>) {
    let (answer, heard) = (answer.into(), Arc::new(Mutex::new(Vec::new())));
    let hears = Arc::clone(&heard);
    let backend = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            hears.lock().unwrap().push(request);
            if !conn.say(&answer) {
                return;
            }
        }
    });
    (backend, heard)
}

fn model(name: &str, backend: &str) -> ModelWritten {
    let candidate = CandidateWritten {
        model: Some(format!("{name}-at-{backend}")),
        backends: vec![backend.to_owned()],
        ..CandidateWritten::default()
    };
    ModelWritten { name: Some(name.to_owned()), candidates: vec![candidate], ..Default::default() }
}

/// `small` at the first backend falls back to a model of its own at each of
/// the others, in the order of the kinds.
fn with_fallbacks(written: &mut Written) {
    for (backend, name) in written.backends.iter_mut().zip(["a", "b", "c", "d"]) {
        backend.name = Some(name.to_owned());
    }
    let mut small = model("small", "a");
    small.fallbacks = vec!["other".to_owned()];
    small.context_window_fallbacks = vec!["long".to_owned()];
    small.content_policy_fallbacks = vec!["lenient".to_owned()];
    written.models = vec![small, model("other", "b"), model("long", "c"), model("lenient", "d")];
}

fn hello(model: &str) -> String {
    format!(
        r#"{{"messages":[{{"role":"user","content":"Hello"}}],"model":"{model}","max_tokens":9}}"#
    )
}

struct Fleet {
    proxy: Proxy,
    heard: Vec<Arc<Mutex<Vec<Request>>>>,
    _backends: Vec<Backend>,
}

impl Fleet {
    /// The first backend answers so, the others are well.
    fn first_says(first: &str, change: impl FnOnce(&mut Written)) -> Self {
        let well = answer("200 OK", "{}");
        let all = [first, &well, &well, &well].map(|answer| saying(answer.as_bytes()));
        let addresses = all.each_ref().map(|(backend, _)| backend.address);
        let (backends, heard): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let proxy = Proxy::with(&addresses, |written| {
            with_fallbacks(written);
            change(written);
        });
        Self { proxy, heard, _backends: backends }
    }

    /// The bodies that a backend was sent since it was last asked.
    fn bodies(&self, place: usize) -> Vec<String> {
        let mut heard = self.heard[place].lock().unwrap();
        heard.drain(..).map(|request| String::from_utf8(request.body).unwrap()).collect()
    }
}

fn told(answer: &Answer) -> (u16, Option<&str>, Option<&str>) {
    (answer.status, answer.field("x-tokenring-route"), answer.field("x-tokenring-attempts"))
}

/// After this first answer the backend at `place` is asked too, and answers.
#[track_caller]
fn check(path: &str, first: &str, place: usize, [model, step]: [&str; 2]) {
    let fleet = Fleet::first_says(first, |_| ());
    let answer = fleet.proxy.client().post(path, "", hello("small"));
    let route = format!("rule=none; model={model}; step={step}");
    assert_eq!(told(&answer), (200, Some(&*route), Some("2")), "{}", answer.text());
    assert_eq!(fleet.bodies(0), [hello("small-at-a")]);
    let backend = ["a", "b", "c", "d"][place];
    assert_eq!(fleet.bodies(place), [hello(&format!("{model}-at-{backend}"))]);
    let asked: usize = (1..4).map(|other| fleet.bodies(other).len()).sum();
    assert_eq!(asked, 0, "another was asked as well");
    fleet.proxy.settles();
}

#[test]
fn each_kind_of_failure_has_its_own_fallback() {
    let busy = answer("503 Service Unavailable", "{}");
    check(CHAT, &busy, 1, ["other", "fallback"]);
    check(CHAT, &answer("400 Bad Request", TOO_LONG), 2, ["long", "context-window"]);
    check(MESSAGES, &answer("400 Bad Request", TOO_LONG_ANTHROPIC), 2, ["long", "context-window"]);
    check(CHAT, &answer("400 Bad Request", DECLINED), 3, ["lenient", "content-policy"]);
}

#[test]
fn a_complaint_that_comes_as_the_first_event_counts_too() {
    let event = format!("data: {TOO_LONG}\n\n");
    let stream = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{event}\r\n0\r\n\r\n",
        event.len()
    );
    let fleet = Fleet::first_says(&stream, |_| ());
    let body = hello("small").replace("\"max_tokens\":9", "\"stream\":true");
    let answer = fleet.proxy.client().post(CHAT, "", &body);
    assert_eq!(told(&answer), (200, Some("rule=none; model=long; step=context-window"), Some("2")));
    assert_eq!(fleet.bodies(2), [body.replace("\"small\"", "\"long-at-c\"")]);
}

#[test]
fn a_fault_of_the_request_is_nobody_elses_business() {
    let fleet = Fleet::first_says(&answer("400 Bad Request", WRONG), |_| ());
    let answer = fleet.proxy.client().post(CHAT, "", hello("small"));
    assert_eq!((answer.status, answer.text()), (400, WRONG.to_owned()));
    assert_eq!((1..4).map(|other| fleet.bodies(other).len()).sum::<usize>(), 0);
}

#[test]
fn without_a_fallback_of_its_kind_a_complaint_passes_unchanged() {
    let first = answer("400 Bad Request", TOO_LONG);
    let fleet = Fleet::first_says(&first, |written| {
        written.models[0].context_window_fallbacks.clear();
    });
    let answer = fleet.proxy.client().post(CHAT, "", hello("small"));
    assert_eq!((answer.status, answer.text()), (400, TOO_LONG.to_owned()));
    assert_eq!(answer.field("x-tokenring-attempts"), Some("1"));
}

#[test]
fn the_complaint_is_told_when_its_fallback_faults_the_request() {
    let first = saying(answer("400 Bad Request", TOO_LONG));
    let third = saying(answer("422 Unprocessable Entity", WRONG));
    let well = saying(answer("200 OK", "{}"));
    let addresses = [first.0.address, well.0.address, third.0.address];
    let proxy = Proxy::with(&addresses, |written| {
        with_fallbacks(written);
        written.models.truncate(3);
        written.models[0].content_policy_fallbacks.clear();
    });
    let answer = proxy.client().post(CHAT, "", hello("small"));
    assert_eq!((answer.status, answer.text()), (400, TOO_LONG.to_owned()));
    assert_eq!(third.1.lock().unwrap().len(), 1);
}

#[test]
fn a_large_body_keeps_every_byte_but_the_name() {
    let long = "x".repeat(5 << 20);
    for before in [true, false] {
        let fleet = Fleet::first_says(&answer("503 Service Unavailable", "{}"), |_| ());
        let text = format!(r#""messages":[{{"role":"user","content":"{long}"}}]"#);
        let body = |name: &str| match before {
            true => format!(r#"{{"model" : "{name}" ,{text}}}"#),
            false => format!(r#"{{{text}, "model":"{name}", "seed":1 }}"#),
        };
        let answer = fleet.proxy.client().post(CHAT, "", body("small"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(fleet.bodies(0) == [body("small-at-a")], "the first got another body");
        assert!(fleet.bodies(1) == [body("other-at-b")], "the second got another body");
    }
}

#[test]
fn a_full_model_is_not_waited_for_while_another_may_answer() {
    let holds = Backend::start(|conn| {
        conn.request();
        conn.until_closed();
    });
    let (other, heard) = saying(answer("200 OK", "{}"));
    let proxy = Proxy::with(&[holds.address, other.address], |written| {
        written.backends[0].name = Some("a".to_owned());
        written.backends[1].name = Some("b".to_owned());
        written.backends[0].capacity = Some(1);
        let mut small = model("small", "a");
        small.fallbacks = vec!["other".to_owned()];
        written.models = vec![small, model("other", "b")];
    });
    let mut first = proxy.client();
    first.send_post(CHAT, "", hello("small"));
    support::eventually("the first is under way", || proxy.backends()[0].waiting == 1);
    let answer = proxy.client().post(CHAT, "", hello("small"));
    assert_eq!(told(&answer), (200, Some("rule=none; model=other; step=fallback"), Some("1")));
    assert_eq!(heard.lock().unwrap().len(), 1);
}
