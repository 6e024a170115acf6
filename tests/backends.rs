//! Backends that fail: what can be mended the client does not see, and what
//! cannot it is told in its own dialect, each fault by its own name.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

use support::{
    Answer, End, PATIENCE, Proxy,
    backend::{Backend, deaf, nowhere},
    chat, error_word, eventually, mock, mock_with, pattern, plan, streamed, url,
};
use tokenring::config::{Deadlines, Policy};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// Refused in the dialect of its path, and the client's connection lives.
#[track_caller]
fn is_refused(path: &str, answer: &Answer, status: u16, word: &str) {
    assert_eq!((answer.status, answer.end), (status, End::Whole), "{path}: {}", answer.text());
    assert_eq!(error_word(path, &answer.body), word, "{path}");
    // Where nothing could be sent the client may come again, a moment later.
    let was_unsent = answer.text().contains("could not be reached")
        || answer.text().contains("did not accept a connection");
    let advice = if was_unsent { (None, Some("1")) } else { (Some("false"), None) };
    assert_eq!((answer.field("x-should-retry"), answer.field("retry-after")), advice, "{path}");
    assert_eq!(answer.field("connection"), None, "{path}");
    let id = if path == "/v1/messages" { "request-id" } else { "x-request-id" };
    assert!(answer.field(id).is_some_and(|id| id.starts_with("req-")), "{path}");
}

/// Asks twice on one connection, in both dialects.
#[track_caller]
fn check(proxy: &Proxy, status: u16, word: &str, anthropic: &str) {
    let mut client = proxy.client();
    for (path, word) in [("/v1/chat/completions", word), ("/v1/messages", anthropic)] {
        for body in [chat(1), streamed(3)] {
            is_refused(path, &client.post(path, "", body), status, word);
        }
    }
    drop(client);
    proxy.empties();
}

#[test]
fn a_connection_that_was_closed_while_idle_is_not_the_clients_concern() {
    let (closed, closes) = mpsc::channel();
    let backend = Backend::start(move |conn| {
        if conn.request().is_some() {
            conn.say(OK);
            conn.close();
            closed.send(()).unwrap();
        }
    });
    let proxy = Proxy::before(backend.address);
    let mut client = proxy.client();
    for n in 0..20 {
        let answer = client.post("/v1/chat/completions", "", chat(1));
        assert_eq!((answer.status, answer.body), (200, b"{}".to_vec()), "request {n}");
        closes.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(backend.connections(), 20);
    assert_eq!(proxy.sum(|c| &c.backend_connects), 20);
}

/// The backend has read the request and may have worked on it, but no byte
/// of an answer has come on a connection that had served before.
#[test]
fn a_reused_connection_that_dies_costs_one_retry() {
    let backend = Backend::start(|conn| {
        if conn.request().is_some() {
            conn.say(OK);
            // The second request is read, and then the connection is closed.
            conn.request();
            conn.close();
        }
    });
    let proxy = Proxy::before(backend.address);
    let mut client = proxy.client();
    let body = format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "y".repeat(100_000));
    for attempts in ["1", "2", "2", "2"] {
        let answer = client.post("/v1/chat/completions", "", &body);
        assert_eq!((answer.status, answer.field("x-tokenring-attempts")), (200, Some(attempts)));
    }
    assert_eq!((proxy.sum(|c| &c.backend_retries), backend.connections()), (3, 4));
}

/// Who has seen it may have died of it: one other is risked, and no more.
#[test]
fn a_request_that_kills_its_backends_kills_three_of_them_at_most() {
    let (killed, kills) = mpsc::channel();
    let backends: Vec<_> = (0..4)
        .map(|_| {
            let killed = killed.clone();
            Backend::once(move |conn| {
                conn.request();
                conn.say(OK);
                // Its next request is its last.
                if conn.request().is_some() {
                    killed.send(()).unwrap();
                }
            })
        })
        .collect();
    let proxy =
        Proxy::of(plan(&backends.iter().copied().map(url).collect::<Vec<_>>(), |written| {
            written.pool.idle_timeout = PATIENCE;
            written.balancing.policy = Policy::RoundRobin;
            written.retry.attempts = 5;
        }));
    let mut client = proxy.client();
    for _ in 0..4 {
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    }
    let answer = client.post("/v1/chat/completions", "", chat(1));
    is_refused("/v1/chat/completions", &answer, 502, "backend_closed");
    assert_eq!((kills.try_iter().count(), proxy.sum(|c| &c.backend_retries)), (3, 3));
}

#[test]
fn a_fresh_connection_that_dies_costs_no_retry() {
    let backend = Backend::start(|conn| {
        conn.request();
        conn.close();
    });
    let proxy = Proxy::with(&[backend.address], |written| written.retry.attempts = 1);
    check(&proxy, 502, "backend_closed", "api_error");
    assert_eq!((backend.connections(), proxy.sum(|c| &c.backend_retries)), (4, 0));
}

#[test]
fn half_a_head_costs_no_retry() {
    let backend = Backend::start(|conn| {
        conn.request();
        if conn.index == 0 {
            conn.say(OK);
            conn.request();
        }
        conn.say("HTTP/1.1 200 OK\r\ncontent-le");
        conn.close();
    });
    let proxy = Proxy::before(backend.address);
    let mut client = proxy.client();
    assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    for _ in 0..2 {
        let answer = client.post("/v1/chat/completions", "", chat(1));
        is_refused("/v1/chat/completions", &answer, 502, "backend_closed");
    }
    assert_eq!(proxy.sum(|c| &c.backend_retries), 0);
}

#[test]
fn a_backend_that_refuses_is_passed_over() {
    let mock = mock();
    let proxy = Proxy::with(&[nowhere(), mock.address(), nowhere()], |_| ());
    let mut client = proxy.client();
    for _ in 0..20 {
        let answer = client.post("/v1/chat/completions", "", chat(1));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("x-tokenring-backend"), Some(mock.address().to_string().as_str()));
    }
    assert_eq!(mock.stats().requests, 20);
    assert_eq!(mock.stats().requests_repeated, 0);
    // They are left alone for a while once they have refused.
    assert!(proxy.sum(|c| &c.backend_connect_failures) < 10);
}

#[test]
fn when_all_backends_refuse_the_client_is_told() {
    let proxy = Proxy::with(&[nowhere(), nowhere()], |_| ());
    check(&proxy, 502, "backend_unreachable", "api_error");
    let ready = proxy.client().get("/ready");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert_eq!(proxy.client().get("/health").status, 200);
}

#[test]
fn a_name_that_does_not_resolve_is_an_unreachable_backend() {
    let proxy = Proxy::of(plan(&["http://no-such-host.invalid:80".to_owned()], |_| ()));
    check(&proxy, 502, "backend_unreachable", "api_error");
}

#[test]
fn a_malformed_answer_is_a_502_and_its_connection_is_dropped() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024));
    let endless = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(9) + OK;
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200));
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-length: 2\n\n{}\r\n\r\n",
        "HTTP/1.1 200 OK\r\n x: folded\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "\x16\x03\x01 this is TLS\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        &endless,
        &long,
        &many,
    ] {
        let shown = answer.get(..60).unwrap_or(answer);
        let backend = Backend::saying(answer);
        let proxy = Proxy::before(backend.address);
        let mut client = proxy.client();
        for (path, word) in
            [("/v1/chat/completions", "backend_protocol_error"), ("/v1/messages", "api_error")]
        {
            let answer = client.post(path, "", chat(1));
            assert_eq!(answer.status, 502, "{shown:?}");
            is_refused(path, &answer, 502, word);
        }
        assert_eq!(backend.connections(), 2, "{shown:?}: a connection was used again");
        drop(client);
        proxy.empties();
    }
}

#[test]
fn a_head_without_end_is_given_up() {
    let backend = Backend::start(|conn| {
        conn.request();
        conn.say("HTTP/1.1 200 OK\r\n");
        let mut lines = 0;
        while conn.say("x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n") {
            lines += 1;
            assert!(lines < 10_000_000, "nobody stops it");
        }
    });
    check(&Proxy::before(backend.address), 502, "backend_protocol_error", "api_error");
}

#[test]
fn a_body_that_is_malformed_in_mid_stream_is_a_cut() {
    // Its first event is told before anybody looks at the fault.
    let comment = format!(": {}\n\n", "y".repeat(2000));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
         9\r\ndata: 1\n\n\r\n{:x}\r\n{comment}\r\nno size\r\n",
        comment.len()
    );
    let backend = Backend::saying(answer);
    let proxy = Proxy::before(backend.address);
    let answer = proxy.client().post("/v1/chat/completions", "", streamed(3));
    assert_eq!((answer.status, answer.end), (200, End::Cut));
    assert!(answer.text().contains("backend_protocol_error"), "{}", answer.text());
}

#[test]
fn a_connection_with_bytes_behind_its_answer_is_not_used_again() {
    let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    for answer in [
        format!("{OK}{poison}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{poison}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{poison}"),
    ] {
        let backend = Backend::saying(answer.as_str());
        let proxy = Proxy::before(backend.address);
        let mut client = proxy.client();
        for _ in 0..4 {
            let body = client.post("/v1/thing", "", "{}").text();
            assert!(!body.contains("poison"), "{answer}");
        }
        assert_eq!(backend.connections(), 4, "{answer}");
    }
}

#[test]
fn bytes_that_come_while_a_connection_is_idle_are_nobodys_answer() {
    let (poisoned, poisons) = mpsc::channel();
    let (answered, answers) = mpsc::channel::<()>();
    let answers = Mutex::new(answers);
    let backend = Backend::start(move |conn| {
        while conn.request().is_some() {
            conn.say(OK);
            answers.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            conn.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
            poisoned.send(()).unwrap();
        }
    });
    let proxy = Proxy::before(backend.address);
    let mut client = proxy.client();
    for _ in 0..4 {
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).text(), "{}");
        answered.send(()).unwrap();
        poisons.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_413_that_comes_while_the_body_is_sent_reaches_the_client() {
    const EARLY: &str = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\n{}";
    // One reads the body although it has answered, and goes on.
    let polite = Backend::start(|conn| {
        while let Some(head) = conn.head() {
            conn.say(EARLY);
            if !conn.skip(head.all("content-length")[0].parse().unwrap()) {
                return;
            }
        }
    });
    // The other reads no byte of it.
    let (ended, ends) = mpsc::channel::<()>();
    let ends = Mutex::new(ends);
    let rude = Backend::start(move |conn| {
        conn.head();
        conn.say(EARLY);
        // Nobody sends: the wait is the point.
        let _ = ends.lock().unwrap().recv_timeout(PATIENCE);
    });
    for backend in [polite.address, rude.address] {
        let proxy = Proxy::before(backend);
        let mut client = proxy.client();
        for n in 0..3 {
            let answer = client.post("/v1/files", "", pattern(30_000_000));
            assert_eq!((answer.status, answer.text().as_str()), (413, "{}"), "request {n}");
        }
        drop(client);
        proxy.empties();
    }
    assert_eq!(rude.connections(), 3, "a request that was not sent whole ends its connection");
    drop(ended);
}

#[test]
fn an_early_answer_that_closes_reaches_the_client() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.post("/v1/files", "x-mock-early: 413\r\n", pattern(30_000_000));
        assert_eq!(answer.status, 413);
    }
}

#[track_caller]
fn check_deadline(headers: &str, change: impl FnOnce(&mut Deadlines), word: &str) {
    let mock = mock();
    let proxy = Proxy::of(plan(&[url(mock.address())], |written| change(&mut written.deadlines)));
    let mut client = proxy.client();
    let started = Instant::now();
    for (path, word) in [("/v1/chat/completions", word), ("/v1/messages", "timeout_error")] {
        is_refused(path, &client.post(path, headers, streamed(3)), 504, word);
    }
    assert!(started.elapsed() < PATIENCE / 2);
    eventually("the backend is cut off", || mock.stats().connections_open == 0);
    assert_eq!(proxy.sum(|c| &c.deadlines_passed), 2);
}

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_backend_that_never_answers_meets_the_first_byte_deadline() {
    check_deadline(
        "x-mock-stall-at: head\r\n",
        |d| d.first_byte = SHORT,
        "backend_first_byte_timeout",
    );
}

#[test]
fn a_backend_that_never_answers_meets_the_total_deadline() {
    check_deadline("x-mock-stall-at: head\r\n", |d| d.total = SHORT, "total_timeout");
}

#[test]
fn a_backend_that_sends_interim_answers_only_meets_the_first_byte_deadline() {
    let backend = Backend::start(|conn| {
        conn.request();
        conn.say("HTTP/1.1 103 Early Hints\r\n\r\n");
        conn.until_closed();
    });
    let proxy = Proxy::of(plan(&[url(backend.address)], |w| w.deadlines.first_byte = SHORT));
    let answer = proxy.client().post("/v1/chat/completions", "", chat(1));
    is_refused("/v1/chat/completions", &answer, 504, "backend_first_byte_timeout");
}

#[test]
fn a_backend_that_is_not_connected_to_in_time_meets_the_connect_deadline() {
    let deaf = deaf();
    let proxy = Proxy::of(plan(&[url(deaf.address)], |w| w.deadlines.connect = SHORT));
    check(&proxy, 504, "backend_connect_timeout", "timeout_error");
}

/// Tokens keep coming, so that no silence ends it.
#[test]
fn a_stream_that_takes_too_long_meets_the_total_deadline() {
    let mock = mock();
    let proxy = Proxy::of(plan(&[url(mock.address())], |w| w.deadlines.total = SHORT * 4));
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let headers = "x-mock-token-gap: 5ms\r\nx-mock-tokens: 100000\r\n";
        let answer = proxy.client().post(path, headers, streamed(100_000));
        assert_eq!((answer.status, answer.end), (200, End::Cut));
        let word = if path == "/v1/messages" { "timeout_error" } else { "total_timeout" };
        assert!(answer.events().len() > 3);
        assert!(answer.events().pop().unwrap().contains(word), "{}", answer.text());
    }
    eventually("the backend is cut off", || mock.stats().connections_open == 0);
}

/// Whole, or refused, or cut in-band: nothing else may happen.
#[track_caller]
fn is_well_formed(answer: &Answer) -> bool {
    let path = "/v1/chat/completions";
    match (answer.status, answer.end) {
        (200, End::Whole) => {
            assert!(answer.body.ends_with(b"data: [DONE]\n\n"), "{}", answer.text());
            return true;
        }
        (200, End::Cut) => {
            assert!(!answer.text().contains("[DONE]"));
            let last = answer.events().pop().unwrap();
            error_word(path, last.rsplit("data: ").next().unwrap().as_bytes());
        }
        (502..=504, End::Whole) => drop(error_word(path, &answer.body)),
        other => panic!("{other:?}: {}", answer.text()),
    }
    false
}

#[test]
fn a_backend_killed_under_load_ends_every_request_in_order() {
    const CLIENTS: usize = 24;
    let (dies, lives) = (mock(), mock_with(|_| ()));
    let proxy = Proxy::with(&[dies.address(), lives.address()], |written| {
        written.cores = "0-1".to_owned();
    });
    let (mut dies, headers) = (Some(dies), "x-mock-token-gap: 3ms\r\n");
    let answers: Vec<(Answer, bool)> = std::thread::scope(|scope| {
        let proxy = &proxy;
        let clients = (0..CLIENTS).map(|_| {
            scope.spawn(move || {
                let mut answers = Vec::new();
                for _ in 0..8 {
                    let answer = proxy.client().post("/v1/chat/completions", headers, streamed(40));
                    let whole = is_well_formed(&answer);
                    answers.push((answer, whole));
                }
                answers
            })
        });
        let clients: Vec<_> = clients.collect();
        let first = dies.as_ref().unwrap();
        eventually("it works hard", || first.stats().streams_open >= CLIENTS as u64 / 3);
        drop(dies.take());
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let whole = answers.iter().filter(|(_, whole)| *whole).count();
    let cut = answers.len() - whole;
    assert!(cut >= CLIENTS / 3, "{cut} were cut");
    // Only those under way at the one moment suffered.
    assert!(cut <= CLIENTS, "{cut} were cut");
    for _ in 0..20 {
        let answer = proxy.client().post("/v1/chat/completions", "", streamed(3));
        assert!(is_well_formed(&answer));
        let name = lives.address().to_string();
        assert_eq!(answer.field("x-tokenring-backend"), Some(name.as_str()));
    }
    proxy.settles();
}
