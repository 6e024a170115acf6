//! Who answers, by model, rule and how hard a request looks, on real sockets.
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
    backend::{Backend, nowhere},
};
use tokenring::{
    config::{
        ArmWritten, CandidateWritten, ModelWritten, NamedWritten, RouteWritten, WhenWritten,
        Written,
    },
    llm::Dialect,
};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// A backend, and the bodies that it was sent.
fn listening() -> (Backend, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let backend = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            hears.lock().unwrap().push(String::from_utf8(request.body).unwrap());
            if !conn.say(OK) {
                return;
            }
        }
    });
    (backend, heard)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn model(name: &str, sent: &str, backend: &str) -> ModelWritten {
    let candidate = CandidateWritten {
        model: Some(sent.to_owned()),
        backends: words(&[backend]),
        ..CandidateWritten::default()
    };
    ModelWritten { name: Some(name.to_owned()), candidates: vec![candidate], ..Default::default() }
}

fn route(name: &str, when: WhenWritten, to: &[(&str, u32)]) -> RouteWritten {
    let arm = |&(model, weight): &(&str, u32)| ArmWritten { model: Some(model.to_owned()), weight };
    RouteWritten {
        name: Some(name.to_owned()),
        when,
        to: to.iter().map(arm).collect(),
        ..RouteWritten::default()
    }
}

/// Two backends, `a` and `b`: `small` is answered by the one and falls back to
/// `big`, which the other answers.
fn two_models(written: &mut Written) {
    for (backend, name) in written.backends.iter_mut().zip(["a", "b"]) {
        backend.name = Some(name.to_owned());
    }
    let mut small = model("small", "small-7b", "a");
    small.fallbacks = words(&["big"]);
    small.aliases = words(&["little", "tiny-*"]);
    written.models = vec![small, model("big", "big-70b", "b")];
}

fn ask(proxy: &Proxy, fields: &str, body: &str) -> Answer {
    proxy.client().post(CHAT, fields, body)
}

fn hello(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#)
}

#[test]
fn a_model_is_answered_by_its_backends_under_their_name_for_it() {
    let ((a, at_a), (b, at_b)) = (listening(), listening());
    let proxy = Proxy::with(&[a.address, b.address], two_models);
    for (name, backend, sent, shown) in [
        ("small", "a", "small-7b", "small"),
        ("little", "a", "small-7b", "small"),
        ("tiny-2", "a", "small-7b", "small"),
        ("big", "b", "big-70b", "big"),
    ] {
        let answer = ask(&proxy, "", &hello(name));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.field("x-tokenring-backend"), Some(backend), "{name}");
        let route = format!("rule=none; model={shown}; step=candidate");
        assert_eq!(answer.field("x-tokenring-route"), Some(&*route), "{name}");
        let heard = if backend == "a" { &at_a } else { &at_b };
        assert_eq!(heard.lock().unwrap().pop().unwrap(), hello(sent), "{name}");
    }
}

#[test]
fn a_fallback_answers_when_a_model_is_out_of_reach() {
    let (b, at_b) = listening();
    let proxy = Proxy::with(&[nowhere(), b.address], two_models);
    let answer = ask(&proxy, "", &hello("small"));
    assert_eq!((answer.status, answer.field("x-tokenring-backend")), (200, Some("b")));
    assert_eq!(answer.field("x-tokenring-route"), Some("rule=none; model=big; step=fallback"));
    assert_eq!(at_b.lock().unwrap().pop().unwrap(), hello("big-70b"));
}

#[test]
fn an_unknown_model_is_404_with_those_that_are_near() {
    let (a, b) = (listening().0, listening().0);
    let proxy = Proxy::with(&[a.address, b.address], two_models);
    let mut client = proxy.client();
    let answer = client.post(CHAT, "", hello("smal"));
    assert_eq!(answer.status, 404);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "model_not_found");
    assert!(error["message"].as_str().unwrap().contains("did you mean `small`"), "{error}");
    let answer = client.post(MESSAGES, "", hello("else"));
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (404, &"not_found_error".into()));
    assert_eq!((a.connections(), b.connections()), (0, 0));
}

/// The model's name goes to hard requests' or to easy ones' backend.
fn by_complexity(written: &mut Written) {
    two_models(written);
    written.admin = Some("127.0.0.1:0".to_owned());
    let auto = |min| WhenWritten {
        models: words(&["auto"]),
        complexity_min: min,
        ..WhenWritten::default()
    };
    let gold = WhenWritten {
        headers: vec![NamedWritten { name: "x-tier".into(), values: words(&["gold", "plat*"]) }],
        paths: words(&["/v1/chat/*"]),
        ..WhenWritten::default()
    };
    let mut shadow = route("maybe", WhenWritten::default(), &[("big", 1)]);
    shadow.shadow = true;
    shadow.when.stream = Some(false);
    written.routes = vec![
        shadow,
        route("gold", gold, &[("big", 1)]),
        route("hard", auto(Some(0.6)), &[("big", 1)]),
        route("easy", auto(None), &[("small", 1)]),
    ];
}

#[test]
fn rules_decide_by_head_and_body_and_say_so() {
    let (a, b) = (listening().0, listening().0);
    let proxy = Proxy::with(&[a.address, b.address], by_complexity);
    let task = "Refactor the parser step by step, explain why it panicked, then write tests:\\n```rust\\nfn parse(s: &str) { while at < s.len() { step(&mut at)?; } }\\n```";
    let hard = format!(
        r#"{{"model":"auto","messages":[{{"role":"user","content":"{task}"}}],"tools":[{{"type":"function","function":{{"name":"edit"}}}}]}}"#
    );
    for (fields, body, backend, rule) in [
        ("", hello("auto"), "a", "easy; model=small"),
        ("", hard, "b", "hard; model=big"),
        ("X-Tier: platinum\r\n", hello("small"), "b", "gold; model=big"),
        ("X-Tier: silver\r\n", hello("small"), "a", "none; model=small"),
    ] {
        let answer = ask(&proxy, fields, &body);
        assert_eq!(answer.field("x-tokenring-backend"), Some(backend), "{rule}");
        let expected = format!("rule={rule}; step=candidate; shadow=maybe");
        assert_eq!(answer.field("x-tokenring-route"), Some(&*expected));
    }
    let page = proxy.admin().get("/metrics").text();
    for line in [
        "tokenring_route_requests_total{rule=\"gold\"} 1",
        "tokenring_route_requests_total{rule=\"hard\"} 1",
        "tokenring_route_requests_total{rule=\"easy\"} 1",
        "tokenring_route_requests_total{rule=\"none\"} 1",
        "tokenring_route_requests_total{rule=\"maybe\"} 0",
        "tokenring_route_shadow_requests_total{rule=\"maybe\"} 4",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[test]
fn a_split_keeps_a_conversation_where_it_began() {
    let (a, b) = (listening().0, listening().0);
    let proxy = Proxy::with(&[a.address, b.address], |written| {
        two_models(written);
        let auto = WhenWritten { models: words(&["auto"]), ..WhenWritten::default() };
        written.routes = vec![route("split", auto, &[("small", 1), ("big", 1)])];
    });
    let mut client = proxy.client();
    let mut at_a = 0;
    for session in 0..40 {
        let fields = format!("x-session-id: {session}\r\n");
        let mut backend = || {
            let answer = client.post(CHAT, &fields, hello("auto"));
            answer.field("x-tokenring-backend").unwrap().to_owned()
        };
        let first = backend();
        assert_eq!(first, backend(), "session {session}");
        at_a += u32::from(first == "a");
    }
    // Hashes are stable, so this is the same in every run.
    assert!((10..30).contains(&at_a), "{at_a}");
}

#[test]
fn models_are_listed_in_the_form_of_the_asker() {
    let (a, b) = (listening().0, listening().0);
    let proxy = Proxy::with(&[a.address, b.address], two_models);
    let mut client = proxy.client();
    let list = client.get("/v1/models").json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(list["object"], "list");
    assert_eq!(ids, ["big", "little", "small"]);
    let get = |path: &str, client: &mut support::Client| {
        client.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\nanthropic-version: 1\r\n\r\n"));
        client.answer()
    };
    let page = get("/v1/models?limit=1&after_id=big", &mut client).json();
    assert_eq!((&page["first_id"], &page["has_more"]), (&"little".into(), &true.into()));
    assert_eq!(get("/v1/models?limit=no", &mut client).status, 400);
    assert_eq!(get("/v1/models/tiny-5", &mut client).json()["type"], "model");
    assert_eq!(client.get("/v1/models/small").json()["object"], "model");
    let unknown = client.get("/v1/models/none");
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (404, &"model_not_found".into())
    );
    assert_eq!((a.connections(), b.connections()), (0, 0));
}

#[test]
fn without_known_names_all_is_passed_on_and_nothing_is_told() {
    let (a, at_a) = listening();
    let proxy = Proxy::before(a.address);
    let answer = ask(&proxy, "", &hello("anything"));
    assert_eq!((answer.status, answer.field("x-tokenring-route")), (200, None));
    assert_eq!(at_a.lock().unwrap().pop().unwrap(), hello("anything"));
    assert_eq!(proxy.client().get("/v1/models").text(), "{}");
}

#[test]
fn a_request_goes_to_backends_of_its_dialect() {
    let (a, b) = (listening().0, listening().0);
    let proxy = Proxy::with(&[a.address, b.address], |written| {
        for (backend, name) in written.backends.iter_mut().zip(["a", "b"]) {
            backend.name = Some(name.to_owned());
        }
        written.backends[0].dialect = Some(Dialect::OpenAi);
        written.backends[1].dialect = Some(Dialect::Anthropic);
    });
    let mut client = proxy.client();
    for _ in 0..4 {
        for (path, backend) in [(CHAT, "a"), (MESSAGES, "b")] {
            let answer = client.post(path, "", hello("m"));
            assert_eq!(answer.field("x-tokenring-backend"), Some(backend), "{path}");
        }
    }
}
