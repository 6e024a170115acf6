//! A body that names a model goes to those that serve it, whatever the path, on
//! real sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::sync::{Arc, Mutex};

use support::{Proxy, backend::Backend};
use tokenring::config::{CandidateWritten, ModelWritten, RouteWritten, WhenWritten, Written};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
/// APIs of OpenAI, vLLM and SGLang that are not read along.
const PATHS: [&str; 7] = [
    "/v1/images/generations",
    "/v1/moderations",
    "/v1/responses/compact",
    "/v1/responses/input_tokens",
    "/score",
    "/generate",
    "/whatever",
];

/// A backend that says this, and the bodies that it was sent.
fn saying(answer: &'static str) -> (Backend, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let backend = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            hears.lock().unwrap().push(String::from_utf8(request.body).unwrap());
            if !conn.say(answer) {
                return;
            }
        }
    });
    (backend, heard)
}

/// `a` serves `img`, also as `painter`, and `b` serves `llama`.
fn two_kinds(written: &mut Written) {
    for (backend, (name, model)) in written.backends.iter_mut().zip([("a", "img"), ("b", "llama")])
    {
        backend.name = Some(name.to_owned());
        backend.models = vec![model.to_owned()];
    }
    let candidate = CandidateWritten { model: Some("img".to_owned()), ..Default::default() };
    written.models = vec![ModelWritten {
        name: Some("painter".to_owned()),
        candidates: vec![candidate],
        ..ModelWritten::default()
    }];
}

#[test]
fn a_model_that_an_unknown_api_names_is_answered_by_those_that_serve_it() {
    let ((a, at_a), (b, at_b)) = (saying(OK), saying(OK));
    let proxy = Proxy::with(&[a.address, b.address], two_kinds);
    let mut client = proxy.client();
    for path in PATHS {
        for (name, backend, sent) in
            [("img", "a", "img"), ("llama", "b", "llama"), ("painter", "a", "img")]
        {
            let body = |name: &str| format!(r#" {{"prompt":"x","model":"{name}"}}"#);
            // More than once, as chance must have no part in it.
            for _ in 0..4 {
                let answer = client.post(path, "", body(name));
                let told = (answer.status, answer.field("x-tokenring-backend"));
                assert_eq!(told, (200, Some(backend)), "{path} {name}");
                let heard = if backend == "a" { &at_a } else { &at_b };
                assert_eq!(heard.lock().unwrap().pop().unwrap(), body(sent), "{path} {name}");
            }
        }
        let answer = client.post(path, "", r#"{"model":"imgs"}"#);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error"]["code"], "model_not_found", "{path}");
    }
    assert!(at_a.lock().unwrap().is_empty() && at_b.lock().unwrap().is_empty());
}

#[test]
fn routes_look_at_the_model_of_an_unknown_api_too() {
    let ((a, _), (b, _)) = (saying(OK), saying(OK));
    let proxy = Proxy::with(&[a.address, b.address], |written| {
        two_kinds(written);
        let when = WhenWritten { models: vec!["draw".to_owned()], ..WhenWritten::default() };
        let to = vec![tokenring::config::ArmWritten { model: Some("painter".into()), weight: 1 }];
        let name = Some("draws".to_owned());
        written.routes = vec![RouteWritten { name, when, to, ..RouteWritten::default() }];
    });
    let answer = proxy.client().post(PATHS[0], "", r#"{"model":"draw"}"#);
    let route = "rule=draws; model=painter; step=candidate";
    assert_eq!((answer.status, answer.field("x-tokenring-route")), (200, Some(route)));
}

#[test]
fn a_body_that_names_no_model_or_is_no_json_passes_as_it_is() {
    let ((a, at_a), (b, at_b)) = (saying(OK), saying(OK));
    let proxy = Proxy::with(&[a.address, b.address], two_kinds);
    let mut client = proxy.client();
    let long = "x".repeat(100_000);
    for body in [
        "",
        "x",
        "[1]",
        r#""model""#,
        "{}",
        r#"{"model":null}"#,
        r#"{"text":"x","stream":true}"#,
        r#"{"model":"no-such""#,
        r#"--x{"model":"no-such"}"#,
        r#"{model:"no-such"}"#,
        &long,
    ] {
        let answer = client.post("/generate", "", body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        let heard = [&at_a, &at_b].map(|heard| heard.lock().unwrap().pop());
        assert_eq!(heard.into_iter().flatten().collect::<Vec<_>>(), [body]);
    }
    let named = r#"{"model":"no-such"}"#;
    assert_eq!(client.put("/generate", "", named).status, 200, "only what is posted asks a model");
}

#[test]
fn a_body_in_which_a_backend_could_find_another_model_is_refused() {
    let ((a, _), (b, _)) = (saying(OK), saying(OK));
    let proxy = Proxy::with(&[a.address, b.address], two_kinds);
    let mut client = proxy.client();
    let deep = format!(r#"{{"a":{}1{},"model":"img"}}"#, "[".repeat(200), "]".repeat(200));
    for body in [
        r#"{"model":"img","model":"llama"}"#,
        r#"{"model":"img","Model":"llama"}"#,
        r#"{"model":"img","mod\u0065l":"llama"}"#,
        r#"{"model":["img"]}"#,
        &deep,
    ] {
        assert_eq!(client.post("/generate", "", body).status, 400, "{body}");
    }
    let other = "content-type: application/json; charset=utf-16\r\n";
    assert_eq!(client.post("/generate", other, r#"{"model":"img"}"#).status, 415);
    assert_eq!(client.post("/generate", other, r#"{"text":"x"}"#).status, 200);
    assert_eq!(a.connections() + b.connections(), 1);
}

#[test]
fn an_unknown_api_is_not_asked_twice_though_it_names_a_model() {
    let ((a, at_a), (b, _)) = (saying(BROKEN), saying(OK));
    let proxy = Proxy::with(&[a.address, b.address], |written| {
        two_kinds(written);
        written.models[0].fallbacks = vec!["llama".to_owned()];
    });
    let answer = proxy.client().post(PATHS[0], "", r#"{"model":"painter"}"#);
    assert_eq!((answer.status, at_a.lock().unwrap().len(), b.connections()), (500, 1, 0));
}

#[test]
fn without_names_no_body_of_an_unknown_api_is_looked_into() {
    let (a, at_a) = saying(OK);
    let proxy = Proxy::before(a.address);
    let twice = r#"{"model":"a","model":"b"}"#;
    assert_eq!(proxy.client().post("/generate", "", twice).status, 200);
    assert_eq!(at_a.lock().unwrap().pop().unwrap(), twice);
}
