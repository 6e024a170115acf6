//! Another model answers when the one that was asked for cannot, on real
//! sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use support::{
    Answer, Proxy,
    backend::{Backend, Request, nowhere},
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

/// A provider with many models has limits and windows for each of them; a
/// host that does not answer does not answer for any.
#[test]
fn another_model_of_the_same_backend_is_asked_after_a_models_own_failure() {
    let overloaded =
        "data: {\"error\":{\"message\":\"no room\",\"type\":\"server_error\",\"code\":503}}\n\n";
    let stream = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{overloaded}\r\n0\r\n\r\n",
        overloaded.len()
    );
    let asking = "HTTP/1.1 429 No\r\nretry-after: 60\r\ncontent-length: 2\r\n\r\n{}";
    let busy = ["fallback", "other"];
    for (first, expected) in [
        (answer("429 Too Many Requests", "{}"), Some(busy)),
        (asking.to_owned(), Some(busy)),
        (answer("500 Oh", "{}"), Some(busy)),
        (stream, Some(busy)),
        (answer("400 Bad Request", TOO_LONG), Some(["context-window", "long"])),
        (answer("400 Bad Request", DECLINED), Some(["content-policy", "lenient"])),
        (String::new(), None),
        ("HTTP/1.1 200 OK\nx\r\n\r\n".to_owned(), None),
    ] {
        let said = first.clone();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let provider = Backend::start(move |conn| {
            while let Some(request) = conn.request() {
                let is_small = request.body.windows(7).any(|part| part == b"small-a");
                hears.lock().unwrap().push(String::from_utf8(request.body).unwrap());
                if !is_small {
                    conn.say(answer("200 OK", "{}"));
                } else if said.is_empty() || !conn.say(&said) {
                    return conn.close();
                }
            }
        });
        let proxy = Proxy::with(&[provider.address], |written| {
            with_fallbacks(written);
            for model in &mut written.models {
                model.candidates[0].backends = vec!["a".to_owned()];
            }
            written.retry.backoff = Duration::from_millis(10);
            written.retry.backoff_max = Duration::from_millis(10);
        });
        let body = hello("small").replace("\"max_tokens\":9", "\"stream\":true");
        let answer = proxy.client().post(CHAT, "", &body);
        let heard = heard.lock().unwrap().clone();
        let Some([step, model]) = expected else {
            assert_eq!(answer.status, 502, "{first}");
            assert!(heard.iter().all(|body| body.contains("small-at-a")), "{first}: {heard:?}");
            continue;
        };
        let route = format!("rule=none; model={model}; step={step}");
        assert_eq!(told(&answer), (200, Some(&*route), Some("2")), "{first}");
        assert_eq!(heard.len(), 2, "{first}: {heard:?}");
    }
}

/// The model `small`, at a backend that bears one request, and `other` for when
/// that fails or is full.
fn one_place_and_a_fallback(written: &mut Written) {
    for (backend, name) in written.backends.iter_mut().zip(["a", "b"]) {
        backend.name = Some(name.to_owned());
    }
    written.backends[0].capacity = Some(1);
    let mut small = model("small", "a");
    small.fallbacks = vec!["other".to_owned()];
    written.models = vec![small, model("other", "b")];
}

/// Two backends, of which one that fails once is left alone for the whole test.
fn one_failure_is_enough(written: &mut Written) {
    with_fallbacks(written);
    written.balancing.ejection.after = NonZeroU32::new(1);
    written.balancing.ejection.pause = Duration::from_secs(60);
}

#[test]
fn a_model_that_is_left_alone_is_not_waited_for_while_another_may_answer() {
    let stalls = Backend::start(|conn| {
        conn.request();
        conn.until_closed();
    });
    let (other, heard) = saying(answer("200 OK", "{}"));
    let proxy = Proxy::with(&[stalls.address, other.address], |written| {
        one_failure_is_enough(written);
        written.models.truncate(2);
        written.models[0].context_window_fallbacks.clear();
        written.models[0].content_policy_fallbacks.clear();
        written.deadlines.first_byte = Duration::from_millis(200);
    });
    for attempts in ["2", "1", "1", "1"] {
        let answer = proxy.client().post(CHAT, "", hello("small"));
        let route = "rule=none; model=other; step=fallback";
        assert_eq!(told(&answer), (200, Some(route), Some(attempts)));
    }
    assert_eq!((stalls.connections(), heard.lock().unwrap().len()), (1, 4));
    assert_eq!(proxy.backends()[0].picks, 1);
    assert_eq!(proxy.sum(|c| &c.deadlines_passed), 1);
}

#[test]
fn the_only_backend_of_all_models_is_asked_whatever_it_did() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&asked);
    let recovering = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            let mut asked = hears.lock().unwrap();
            asked.push(String::from_utf8(request.body).unwrap());
            let status = if asked.len() <= 2 { "500 Oh" } else { "200 OK" };
            conn.say(answer(status, "{}"));
        }
    });
    let (idle, heard) = saying(answer("200 OK", "{}"));
    let proxy = Proxy::with(&[recovering.address, idle.address], |written| {
        one_failure_is_enough(written);
        written.models.truncate(2);
        written.models[0].context_window_fallbacks.clear();
        written.models[0].content_policy_fallbacks.clear();
        written.models[1].candidates[0].backends = vec!["a".to_owned()];
        written.retry.attempts = 1;
        written.admin = Some("127.0.0.1:0".to_owned());
    });
    assert_eq!(proxy.client().post(CHAT, "", hello("small")).status, 500);
    assert!(!proxy.backends()[0].ejected, "nobody stands in for it");
    let answer = proxy.client().post(CHAT, "", hello("small"));
    assert_eq!(told(&answer), (200, Some("rule=none; model=small; step=candidate"), Some("1")));
    let all = ["small-at-a", "other-at-b", "small-at-a"].map(hello);
    assert_eq!(*asked.lock().unwrap(), all);
    let page = proxy.admin().get("/metrics").text();
    assert!(page.contains("tokenring_fallbacks_total{kind=\"general\"} 1\n"), "{page}");
    assert_eq!(heard.lock().unwrap().len(), 0);
}

/// Where nobody of the fallback is well the round is walked twice.
#[test]
fn a_fallback_is_counted_whatever_became_of_its_backends() {
    let (small, _heard) = saying(answer("400 Bad Request", TOO_LONG));
    let proxy = Proxy::with(&[small.address, nowhere(), nowhere()], |written| {
        with_fallbacks(written);
        let mut long = model("long", "b");
        long.candidates.extend(model("long", "c").candidates);
        long.candidates[1].order = 1;
        written.models.truncate(1);
        written.models[0].fallbacks.clear();
        written.models[0].content_policy_fallbacks.clear();
        written.models.push(long);
        written.admin = Some("127.0.0.1:0".to_owned());
    });
    for asked in 1..=3 {
        assert_eq!(proxy.client().post(CHAT, "", hello("small")).status, 400);
        let page = proxy.admin().get("/metrics").text();
        let line = format!("tokenring_fallbacks_total{{kind=\"context_window\"}} {asked}\n");
        assert!(page.contains(&line), "{page}");
    }
}

/// What it complains of is not known in time, so it is nothing to act upon.
#[test]
fn an_error_that_takes_its_time_reaches_the_client_whole() {
    for body in [WRONG, TOO_LONG] {
        let (told, tells) = mpsc::channel();
        let tells = Mutex::new(tells);
        let slow = Backend::start(move |conn| {
            let whole = answer("400 Bad Request", body);
            let (begin, rest) = whole.split_at(whole.len() - body.len() + 10);
            while conn.request().is_some() {
                conn.say(begin);
                // Not before the client has its beginning.
                tells.lock().unwrap().recv_timeout(support::PATIENCE).unwrap();
                conn.say(rest);
            }
        });
        let well = saying(answer("200 OK", "{}"));
        let addresses = [slow.address, well.0.address, well.0.address, well.0.address];
        let proxy = Proxy::with(&addresses, with_fallbacks);
        let mut client = proxy.client();
        client.send_post(CHAT, "", hello("small"));
        let mut answer = client.head();
        told.send(()).unwrap();
        client.body_of(&mut answer);
        assert_eq!((answer.status, answer.text()), (400, body.to_owned()));
        assert_eq!(proxy.backends()[0].failures, 0, "it has not failed");
        assert_eq!(well.1.lock().unwrap().len(), 0);
    }
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

/// The fallback was asked first, as it had room; that it has failed is no
/// reason to give up what only was full.
#[test]
fn a_full_model_is_waited_for_when_the_others_fail() {
    for failing in [
        answer("503 No", "{}"),
        "HTTP/1.1 200 OK\nx\r\n\r\n".to_owned(),
        // What this one declines the full one may take.
        answer("400 Bad Request", WRONG),
        answer("400 Bad Request", TOO_LONG),
        answer("401 Unauthorized", "{}"),
        answer("404 Not Found", "{}"),
    ] {
        let (go, goes) = mpsc::channel();
        let goes = Mutex::new(goes);
        let busy = Backend::start(move |conn| {
            while conn.request().is_some() {
                goes.lock().unwrap().recv_timeout(support::PATIENCE).unwrap();
                conn.say(answer("200 OK", "{}"));
            }
        });
        let (other, heard) = saying(failing);
        let proxy = Proxy::with(&[busy.address, other.address], one_place_and_a_fallback);
        let mut first = proxy.client();
        first.send_post(CHAT, "", hello("small"));
        support::eventually("the first is under way", || proxy.backends()[0].waiting == 1);
        let mut second = proxy.client();
        second.send_post(CHAT, "", hello("small"));
        support::eventually("the second waits", || proxy.sum(|c| &c.requests_queued) == 1);
        assert_eq!(heard.lock().unwrap().len(), 1, "the other one was asked before");
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(first.answer().status, 200);
        let answer = second.answer();
        let route = "rule=none; model=small; step=candidate";
        assert_eq!(told(&answer), (200, Some(route), Some("2")));
    }
}

#[test]
fn what_a_fallback_has_declined_is_told_when_the_full_model_stays_full() {
    let holds = Backend::start(|conn| {
        conn.request();
        conn.until_closed();
    });
    let (other, heard) = saying(answer("400 Bad Request", WRONG));
    let proxy = Proxy::with(&[holds.address, other.address], |written| {
        one_place_and_a_fallback(written);
        written.queue.timeout = Duration::from_millis(30);
    });
    let mut first = proxy.client();
    first.send_post(CHAT, "", hello("small"));
    support::eventually("the first is under way", || proxy.backends()[0].waiting == 1);
    let answer = proxy.client().post(CHAT, "", hello("small"));
    assert_eq!((answer.status, answer.text().as_str()), (400, WRONG));
    let route = "rule=none; model=other; step=fallback";
    assert_eq!(told(&answer), (400, Some(route), Some("1")));
    assert_eq!((heard.lock().unwrap().len(), proxy.sum(|c| &c.queue_timeouts)), (1, 1));
    assert_eq!(proxy.backends()[1].failures, 0, "it has answered");
}

#[test]
fn a_full_model_is_not_waited_for_while_another_may_answer() {
    let holds = Backend::start(|conn| {
        conn.request();
        conn.until_closed();
    });
    let (other, heard) = saying(answer("200 OK", "{}"));
    let proxy = Proxy::with(&[holds.address, other.address], one_place_and_a_fallback);
    let mut first = proxy.client();
    first.send_post(CHAT, "", hello("small"));
    support::eventually("the first is under way", || proxy.backends()[0].waiting == 1);
    let answer = proxy.client().post(CHAT, "", hello("small"));
    assert_eq!(told(&answer), (200, Some("rule=none; model=other; step=fallback"), Some("1")));
    assert_eq!(heard.lock().unwrap().len(), 1);
}
