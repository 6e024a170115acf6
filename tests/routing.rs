//! Who answers, by model, rule and how hard a request looks, on real sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use support::{
    Answer, Proxy,
    backend::{Backend, nowhere},
    eventually,
};
use tokenring::{
    config::{
        ArmWritten, CandidateWritten, Credentials, MirrorWritten, ModelWritten, NamedWritten,
        RouteWritten, WhenWritten, Written,
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
        let expected = format!("rule={rule}; step=candidate; shadow=maybe; shadow-model=big");
        assert_eq!(answer.field("x-tokenring-route"), Some(&*expected));
    }
    let page = proxy.admin().get("/metrics").text();
    for line in [
        "tokenring_route_requests_total{rule=\"gold\"} 1",
        "tokenring_route_requests_total{rule=\"hard\"} 1",
        "tokenring_route_requests_total{rule=\"easy\"} 1",
        "tokenring_route_requests_total{rule=\"none\"} 1",
        "tokenring_route_requests_total{rule=\"maybe\"} 0",
        "tokenring_route_shadow_requests_total{rule=\"maybe\",model=\"big\"} 4",
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

/// Every request for `small` goes to `a`, and a copy to `big` on `b`.
fn mirrored(written: &mut Written) {
    two_models(written);
    written.models[0].fallbacks.clear();
    let mirror = MirrorWritten { model: Some("big".to_owned()), percent: Some(100.0) };
    written.routes = vec![RouteWritten { mirror, ..route("copy", WhenWritten::default(), &[]) }];
}

/// A backend that tells of each request, and then says this.
fn telling(answer: Option<&'static str>) -> (Backend, mpsc::Receiver<support::backend::Request>) {
    let (tells, told) = mpsc::channel();
    let tells = Mutex::new(tells);
    let backend = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            // A test that is over does not listen.
            let _ = tells.lock().unwrap().send(request);
            match answer {
                Some(answer) => drop(conn.say(answer)),
                None => return conn.until_closed(),
            }
        }
    });
    (backend, told)
}

#[test]
fn a_copy_goes_to_the_mirrors_model_without_the_clients_credentials() {
    let ((a, at_a), (b, at_b)) = (listening(), telling(Some(OK)));
    let proxy = Proxy::with(&[a.address, b.address], |written| {
        mirrored(written);
        written.credentials = Credentials::Pass;
    });
    let mut client = proxy.client();
    let fields = "authorization: Bearer mine\r\ncookie: a=b\r\nX-Api-Key: k\r\nx-kept: y\r\n";
    for round in 0..3 {
        let answer = client.post(CHAT, fields, hello("small"));
        assert_eq!((answer.status, answer.field("x-tokenring-backend")), (200, Some("a")));
        let copy = at_b.recv_timeout(support::PATIENCE).unwrap();
        assert_eq!(copy.line, "POST /v1/chat/completions HTTP/1.1");
        assert_eq!(copy.body, hello("big-70b").as_bytes());
        assert_eq!(
            (copy.all("x-kept"), copy.all("host")),
            (vec!["y"], vec![&*b.address.to_string()])
        );
        for name in ["authorization", "cookie", "x-api-key"] {
            assert!(copy.all(name).is_empty(), "{name}: {copy:?}");
        }
        assert_eq!(at_a.lock().unwrap().pop().unwrap(), hello("small-7b"));
        proxy.settles();
        assert_eq!(proxy.sum(|counters| &counters.mirrored_requests), round + 1);
    }
    assert_eq!(b.connections(), 1, "a connection whose answer was whole serves again");
    assert_eq!(proxy.sum(|counters| &counters.mirrored_requests_skipped), 0);
}

#[test]
fn a_job_in_the_background_is_not_done_at_the_mirror_too() {
    let ((a, _), (b, at_b)) = (listening(), telling(Some(OK)));
    let proxy = Proxy::with(&[a.address, b.address], mirrored);
    for background in [true, false] {
        let body = format!(r#"{{"model":"small","background":{background}}}"#);
        assert_eq!(proxy.client().post("/v1/responses", "", body).status, 200);
    }
    let copy = at_b.recv_timeout(support::PATIENCE).unwrap();
    assert_eq!(copy.body, br#"{"model":"big-70b","background":false}"#, "the first of two");
    proxy.settles();
    assert_eq!(proxy.sum(|counters| &counters.mirrored_requests), 1);
}

#[test]
fn a_mirror_that_never_answers_delays_nobody_and_ends_by_its_deadline() {
    let ((a, _), (b, at_b)) = (listening(), telling(None));
    let proxy = Proxy::with(&[a.address, b.address], |written| {
        mirrored(written);
        written.deadlines.first_byte = Duration::from_millis(300);
    });
    let answer = ask(&proxy, "", &hello("small"));
    assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
    at_b.recv_timeout(support::PATIENCE).unwrap();
    assert_eq!(proxy.sum(|counters| &counters.mirrored_requests_in_flight), 1);
    assert_eq!(proxy.backends()[1].waiting, 1, "it is a request like any other there");
    proxy.settles();
    assert_eq!(proxy.backends()[1].waiting, 0);
    assert_eq!(proxy.sum(|counters| &counters.request_body_bytes_held), 0);
}

#[test]
fn what_a_mirror_says_or_does_is_no_concern_of_the_clients() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx";
    let streamed = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let refusing = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let failing = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    for said in ["", "no HTTP at all\r\n\r\n", cut, streamed, refusing, failing, interim] {
        let ((a, _), b) = (listening(), Backend::saying_once(said));
        let proxy = Proxy::with(&[a.address, b.address], mirrored);
        let mut client = proxy.client();
        for _ in 0..3 {
            let answer = client.post(CHAT, "", hello("small"));
            assert_eq!((answer.status, answer.field("x-tokenring-attempts")), (200, Some("1")));
        }
        eventually("three copies were sent", || {
            proxy.sum(|counters| &counters.mirrored_requests) == 3
        });
        proxy.settles();
    }
    let a = listening().0;
    let proxy = Proxy::with(&[a.address, nowhere()], mirrored);
    assert_eq!(ask(&proxy, "", &hello("small")).status, 200);
    eventually("it was tried", || proxy.sum(|counters| &counters.backend_connect_failures) == 1);
    proxy.settles();
}

#[test]
fn a_copy_is_sent_though_the_client_has_left() {
    let ((a, at_a), (b, at_b)) = (telling(None), telling(Some(OK)));
    let proxy = Proxy::with(&[a.address, b.address], mirrored);
    let mut client = proxy.client();
    client.send_post(CHAT, "", hello("small"));
    at_a.recv_timeout(support::PATIENCE).unwrap();
    drop(client);
    let copy = at_b.recv_timeout(support::PATIENCE).unwrap();
    assert_eq!(copy.body, hello("big-70b").as_bytes());
    eventually("the client is gone", || proxy.sum(|counters| &counters.clients_gone) == 1);
    proxy.settles();
}

#[test]
fn without_room_a_copy_is_skipped_and_counted() {
    let ((a, _), (b, _)) = (listening(), listening());
    let skipped = |change: fn(&mut Written)| {
        let proxy = Proxy::with(&[a.address, b.address], |written| {
            mirrored(written);
            change(written);
        });
        assert_eq!(ask(&proxy, "", &hello("small")).status, 200);
        eventually("it was skipped", || {
            proxy.sum(|counters| &counters.mirrored_requests_skipped) == 1
        });
        proxy.settles();
        assert_eq!(proxy.sum(|counters| &counters.mirrored_requests), 0);
    };
    // The request itself came in one piece, and so in memory that is there.
    skipped(|written| {
        written.limits.body_bytes = 100;
        written.limits.body_memory_total = 100;
    });
    assert_eq!(b.connections(), 0);
}

#[test]
fn a_full_mirror_is_not_waited_for() {
    let ((a, _), (b, at_b)) = (listening(), telling(None));
    let proxy = Proxy::with(&[a.address, b.address], |written| {
        mirrored(written);
        written.backends[1].capacity = Some(1.try_into().unwrap());
        written.deadlines.first_byte = Duration::from_secs(2);
    });
    let mut client = proxy.client();
    assert_eq!(client.post(CHAT, "", hello("small")).status, 200);
    at_b.recv_timeout(support::PATIENCE).unwrap();
    assert_eq!(client.post(CHAT, "", hello("small")).status, 200);
    eventually("the second was skipped", || {
        proxy.sum(|counters| &counters.mirrored_requests_skipped) == 1
    });
    assert_eq!(proxy.sum(|counters| &counters.mirrored_requests), 1);
    proxy.settles();
}

#[test]
fn copies_under_way_have_a_cap() {
    const CAP: u64 = 64;
    let ((a, _), (b, at_b)) = (listening(), telling(None));
    let proxy = Proxy::with(&[a.address, b.address], |written| {
        mirrored(written);
        written.deadlines.first_byte = Duration::from_secs(3);
    });
    let mut client = proxy.client();
    for _ in 0..CAP + 6 {
        assert_eq!(client.post(CHAT, "", hello("small")).status, 200);
    }
    for _ in 0..CAP {
        at_b.recv_timeout(support::PATIENCE).unwrap();
    }
    assert_eq!(proxy.sum(|counters| &counters.mirrored_requests_skipped), 6);
    assert_eq!(proxy.sum(|counters| &counters.mirrored_requests), CAP);
    proxy.settles();
}

#[test]
fn a_long_body_is_copied_whole_and_what_asks_no_model_is_not() {
    let ((a, at_a), (b, at_b)) = (listening(), telling(Some(OK)));
    let proxy = Proxy::with(&[a.address, b.address], mirrored);
    let long = "word ".repeat(200_000);
    let body = hello("small").replace("Hello", &long);
    assert_eq!(ask(&proxy, "", &body).status, 200);
    let copy = at_b.recv_timeout(support::PATIENCE).unwrap();
    assert_eq!(copy.body, hello("big-70b").replace("Hello", &long).as_bytes());
    assert_eq!(at_a.lock().unwrap().pop().unwrap(), hello("small-7b").replace("Hello", &long));
    proxy.settles();
    let _ = proxy.client().post("/v1/files", "", "x"); // Whatever it comes to.
    proxy.settles();
    assert_eq!(proxy.sum(|counters| &counters.mirrored_requests), 1);
    assert_eq!(proxy.sum(|counters| &counters.mirrored_requests_skipped), 0);
}
