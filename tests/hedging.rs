//! Late backends are not waited for alone, on real sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use support::{
    End, PATIENCE, Proxy,
    backend::{Backend, Conn, Request, deaf},
    chat, eventually, mock, mock_with, plan, streamed, url,
};
use tokenring::{
    base::Secret,
    config::{CandidateWritten, ModelWritten, Policy, Written},
};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const WELL: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: wait\n\n";

/// Each backend in its turn, the first of the list first; as many hedges as
/// requests.
fn hedging(written: &mut Written) {
    written.balancing.policy = Policy::RoundRobin;
    written.balancing.ejection.after = None;
    written.balancing.ejection.below_percent = None;
    written.retry.backoff = Duration::from_millis(10);
    written.retry.backoff_max = Duration::from_millis(10);
    written.hedge_after = Some("50ms".to_owned());
    written.retry.hedge_percent_max = 100;
}

fn proxy(backends: &[SocketAddr], change: impl FnOnce(&mut Written)) -> Proxy {
    Proxy::with(backends, |written| {
        hedging(written);
        change(written);
    })
}

/// How many hedges were begun, won and capped.
fn hedges(proxy: &Proxy) -> [u64; 3] {
    [proxy.sum(|c| &c.hedges), proxy.sum(|c| &c.hedges_won), proxy.sum(|c| &c.hedges_capped)]
}

/// What backends have seen.
#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    /// Requests after which the proxy has closed without an answer.
    cut: AtomicUsize,
}

impl Seen {
    fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    fn cut(&self) -> usize {
        self.cut.load(SeqCst)
    }

    fn is_asked(&self, times: usize) {
        eventually("the backend is asked", || self.requests() == times);
    }

    fn is_cut(&self, times: usize) {
        eventually("the backend is cut", || self.cut() == times);
    }
}

/// `script` is asked what to do with each request.
fn seeing(script: impl Fn(&mut Conn, &Seen) + Send + Sync + 'static) -> (Backend, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let sees = Arc::clone(&seen);
    let backend = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            sees.requests.lock().unwrap().push(request);
            script(conn, &sees);
        }
    });
    (backend, seen)
}

/// Says the beginning of an answer at most, and waits to be cut.
fn stalls(conn: &mut Conn, seen: &Seen) {
    conn.until_closed();
    seen.cut.fetch_add(1, SeqCst);
}

fn stalling() -> (Backend, Arc<Seen>) {
    seeing(stalls)
}

fn well() -> (Backend, Arc<Seen>) {
    seeing(|conn, _| {
        conn.say(WELL);
    })
}

#[test]
fn a_stalled_backend_is_overtaken_and_cut() {
    for (path, body) in [(CHAT, chat(1)), (CHAT, streamed(3)), (MESSAGES, streamed(3))] {
        let ((stalling, seen), well) = (stalling(), mock());
        let proxy = proxy(&[stalling.address, well.address()], |_| ());
        let began = Instant::now();
        let answer = proxy.client().post(path, "", &body);
        assert_eq!((answer.status, answer.end), (200, End::Whole), "{path}");
        assert!(began.elapsed() >= Duration::from_millis(50), "{path}: not before it is late");
        // By far less than any other deadline.
        assert!(began.elapsed() < Duration::from_secs(3), "{path}: {:?}", began.elapsed());
        assert_eq!(answer.field("x-tokenring-attempts"), Some("2"), "{path}");
        seen.is_cut(1);
        assert_eq!((seen.requests(), stalling.connections()), (1, 1));
        assert_eq!(hedges(&proxy), [1, 1, 0], "{path}");
        assert_eq!(proxy.backends()[0].failures, 0, "it was left, and has not failed");
        proxy.settles();
    }
}

/// Its head has come, and its first event has not.
#[test]
fn a_stream_that_does_not_begin_is_overtaken() {
    for path in [CHAT, MESSAGES] {
        let (stalling, seen) = seeing(|conn, seen| {
            conn.say(STREAM_HEAD);
            stalls(conn, seen);
        });
        let well = mock();
        let proxy = proxy(&[stalling.address, well.address()], |_| ());
        let answer = proxy.client().post(path, "", streamed(3));
        assert_eq!((answer.status, answer.end), (200, End::Whole), "{path}");
        assert!(!answer.text().contains("wait"), "{path}: of the other nothing is told");
        assert_eq!(answer.field("x-tokenring-attempts"), Some("2"), "{path}");
        seen.is_cut(1);
        assert_eq!(hedges(&proxy), [1, 1, 0], "{path}");
    }
}

#[test]
fn what_was_lost_on_the_one_that_is_cut_is_told() {
    let ((stalling, seen), well) = (stalling(), mock());
    let proxy = proxy(&[stalling.address, well.address()], |_| ());
    let prompt = "word ".repeat(800);
    let body = format!(
        "{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"{prompt}\"}}]}}"
    );
    assert_eq!(proxy.client().post(CHAT, "", &body).status, 200);
    seen.is_cut(1);
    let tokens = proxy.sum(|c| &c.hedges_lost_prompt_tokens);
    assert!((500..2000).contains(&tokens), "{tokens}");
    let ran = proxy.sum(|c| &c.hedges_lost_milliseconds);
    assert!((50..3000).contains(&ran), "{ran}");
    // Nobody is late any more, and nothing is lost.
    assert_eq!(proxy.client().post(CHAT, "", &body).status, 200);
    assert_eq!(proxy.sum(|c| &c.hedges_lost_prompt_tokens), tokens);
}

/// A backend that is late, and no later than the other.
#[test]
fn a_late_backend_that_answers_first_is_told_and_the_other_is_cut() {
    let is_hedged = Arc::new(AtomicBool::new(false));
    let waits = Arc::clone(&is_hedged);
    let (late, late_seen) = seeing(move |conn, _| {
        eventually("another is asked", || waits.load(SeqCst));
        conn.say(WELL);
    });
    let (stalling, seen) = seeing(move |conn, seen| {
        is_hedged.store(true, SeqCst);
        stalls(conn, seen);
    });
    let proxy = proxy(&[late.address, stalling.address], |_| ());
    let answer = proxy.client().post(CHAT, "", chat(1));
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_eq!(answer.field("x-tokenring-attempts"), Some("2"));
    seen.is_cut(1);
    assert_eq!((late_seen.requests(), seen.requests()), (1, 1));
    assert_eq!(hedges(&proxy), [1, 0, 0]);
    assert_eq!(proxy.backends()[1].failures, 0);
}

/// Who answered serves again on the same connection, and who was cut does not.
#[test]
fn connections_of_the_pool_are_used_and_that_of_the_loser_is_not_again() {
    let (sometimes, seen) = seeing(|conn, seen| match seen.requests() {
        2 => stalls(conn, seen),
        _ => {
            conn.say(WELL);
        }
    });
    let (well, well_seen) = well();
    let proxy = proxy(&[sometimes.address, well.address], |_| ());
    let mut client = proxy.client();
    let mut hedged = 0;
    for _ in 0..6 {
        let answer = client.post(CHAT, "", chat(1));
        assert_eq!(answer.status, 200);
        hedged += u64::from(answer.field("x-tokenring-attempts") == Some("2"));
    }
    seen.is_cut(1);
    assert_eq!(hedged, 1);
    assert_eq!(hedges(&proxy), [1, 1, 0]);
    assert_eq!(well.connections(), 1, "both times from the pool");
    assert_eq!(sometimes.connections(), 2, "the one that was cut is gone");
    assert_eq!(seen.requests() + well_seen.requests(), 7);
}

#[test]
fn a_connection_that_is_not_made_is_late_as_well() {
    let (deaf, well) = (deaf(), mock());
    let proxy = proxy(&[deaf.address, well.address()], |_| ());
    let began = Instant::now();
    assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 200);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(hedges(&proxy), [1, 1, 0]);
}

#[test]
fn without_the_setting_nobody_else_is_asked() {
    let ((stalling, seen), well) = (stalling(), mock());
    let proxy = proxy(&[stalling.address, well.address()], |written| {
        written.hedge_after = None;
        written.retry.attempts = 1;
        written.deadlines.first_byte = Duration::from_millis(300);
    });
    assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 504);
    assert_eq!((seen.requests(), well.stats().requests), (1, 0));
    assert_eq!(hedges(&proxy), [0, 0, 0]);
}

#[test]
fn what_may_have_an_effect_or_asks_no_model_is_asked_once() {
    for (method, path) in [
        ("POST", "/v1/files"),
        ("POST", "/v1/messages/batches"),
        ("GET", "/v1/thing"),
        ("DELETE", "/v1/responses/1"),
        ("HEAD", "/v1/thing"),
    ] {
        let ((stalling, seen), (well, well_seen)) = (stalling(), well());
        let proxy = proxy(&[stalling.address, well.address], |written| {
            written.retry_on = Vec::new();
            written.deadlines.first_byte = Duration::from_millis(200);
        });
        let mut client = proxy.client();
        client
            .send(format!("{method} {path} HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n{{}}"));
        assert_eq!(client.head().status, 504, "{method} {path}");
        assert_eq!((seen.requests(), well_seen.requests()), (1, 0), "{method} {path}");
        assert_eq!(hedges(&proxy), [0, 0, 0], "{method} {path}");
    }
}

/// Every request is late, and exactly the share that is allowed is hedged.
#[test]
fn the_cap_holds_exactly_under_load() {
    const CLIENTS: u64 = 25;
    const REQUESTS: u64 = 8;
    let late = |script: &mut tokenring::config::MockScript| {
        script.first_token = Duration::from_millis(200);
    };
    let (one, other) = (mock_with(late), mock_with(late));
    let proxy = proxy(&[one.address(), other.address()], |written| {
        written.retry.hedge_percent_max = 10;
    });
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = proxy.client();
                for _ in 0..REQUESTS {
                    assert_eq!(client.post(CHAT, "", streamed(1)).status, 200);
                }
            });
        }
    });
    let all = CLIENTS * REQUESTS;
    let [begun, won, capped] = hedges(&proxy);
    assert_eq!(begun, all / 10);
    assert!(begun + capped <= all && won <= begun);
    assert_eq!(one.stats().requests + other.stats().requests, all + begun);
    proxy.settles();
}

/// The first error is told, as after any attempt, and a third is asked first.
#[test]
fn when_both_fail_another_is_asked_and_else_the_first_error_told() {
    for has_third in [false, true] {
        let is_over = Arc::new(AtomicBool::new(false));
        let waits = Arc::clone(&is_over);
        let (late, _) = seeing(move |conn, _| {
            eventually("the other has failed", || waits.load(SeqCst));
            conn.say("HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nlate");
            conn.close();
        });
        let (failing, _) = seeing(move |conn, _| {
            conn.say("HTTP/1.1 500 Oh\r\ncontent-length: 5\r\n\r\nearly");
            is_over.store(true, SeqCst);
        });
        let well = mock();
        let mut backends = vec![late.address, failing.address];
        backends.extend(has_third.then(|| well.address()));
        let proxy = proxy(&backends, |w| w.retry.attempts = if has_third { 3 } else { 2 });
        let answer = proxy.client().post(CHAT, "", chat(1));
        if has_third {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.field("x-tokenring-attempts"), Some("3"));
        } else {
            // The other may have been heard first, but not by a byte.
            let told = (answer.status, answer.text());
            assert!([(500, "early".to_owned()), (503, "late".to_owned())].contains(&told));
            assert_eq!(answer.field("x-tokenring-attempts"), Some("2"));
            assert_eq!(answer.field("x-should-retry"), Some("false"));
        }
        let failures: Vec<_> = proxy.backends().iter().map(|one| one.failures).collect();
        assert_eq!(failures[..2], [1, 1], "each is told of once");
        assert_eq!(hedges(&proxy), [1, 0, 0]);
        proxy.settles();
    }
}

/// A 429 is about the model that was asked for, also of the first request ever.
#[test]
fn where_both_have_no_room_for_the_model_others_still_reach_them() {
    const FULL: &str = "HTTP/1.1 429 No\r\nretry-after: 30\r\ncontent-length: 2\r\n\r\n{}";
    let is_over = Arc::new(AtomicBool::new(false));
    let waits = Arc::clone(&is_over);
    let (late, _) = seeing(move |conn, _| {
        eventually("the other has failed", || waits.load(SeqCst));
        conn.say(FULL);
    });
    let (full, _) = seeing(move |conn, _| {
        conn.say(FULL);
        is_over.store(true, SeqCst);
    });
    // Half of them may be left alone.
    let (one, other) = (mock(), mock());
    let backends = [late.address, full.address, one.address(), other.address()];
    let proxy = proxy(&backends, |w| w.retry.attempts = 2);
    assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 429);
    assert_eq!(hedges(&proxy), [1, 0, 0]);
    let left_alone = proxy.backends().into_iter().map(|one| (one.ejected, one.ejected_models));
    assert_eq!(left_alone.take(2).collect::<Vec<_>>(), [(false, 1), (false, 1)]);
    proxy.settles();
}

/// One that fails does not end the wait for the other.
#[test]
fn the_failure_of_one_leaves_the_other_alone() {
    for first_fails in [true, false] {
        let (failed, is_hedged) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (fails, hedged) = (Arc::clone(&failed), Arc::clone(&is_hedged));
        let failing = move |conn: &mut Conn, _: &Seen| {
            eventually("both are asked", || !first_fails || hedged.load(SeqCst));
            conn.say("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n");
            fails.store(true, SeqCst);
        };
        let answering = move |conn: &mut Conn, _: &Seen| {
            is_hedged.store(true, SeqCst);
            eventually("the other has failed", || failed.load(SeqCst));
            conn.say(WELL);
        };
        let ((failing, _), (answering, _)) = (seeing(failing), seeing(answering));
        let backends = match first_fails {
            true => [failing.address, answering.address],
            false => [answering.address, failing.address],
        };
        let proxy = proxy(&backends, |_| ());
        let answer = proxy.client().post(CHAT, "", chat(1));
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "{first_fails}");
        assert_eq!(answer.field("x-tokenring-attempts"), Some("2"));
        assert_eq!(hedges(&proxy)[0], 1);
        let failures: u64 = proxy.backends().iter().map(|one| one.failures).sum();
        assert!(failures <= 1, "{failures}");
    }
}

/// Something happens while both are asked, and both are cut.
#[track_caller]
fn both_are_cut(
    change: impl FnOnce(&mut Written),
    act: impl FnOnce(&Proxy, support::Client) -> Option<u16>,
) -> Proxy {
    let ((one, one_seen), (other, other_seen)) = (stalling(), stalling());
    let proxy = proxy(&[one.address, other.address], change);
    let mut client = proxy.client();
    client.send_post(CHAT, "", streamed(3));
    one_seen.is_asked(1);
    other_seen.is_asked(1);
    let status = act(&proxy, client);
    one_seen.is_cut(1);
    other_seen.is_cut(1);
    assert_eq!((one_seen.requests(), other_seen.requests()), (1, 1), "{status:?}");
    assert_eq!(hedges(&proxy), [1, 0, 0], "{status:?}");
    proxy.settles();
    proxy
}

#[test]
fn a_client_that_leaves_ends_both() {
    let proxy = both_are_cut(
        |_| (),
        |_, client| {
            drop(client);
            None
        },
    );
    proxy.empties();
    assert_eq!(proxy.sum(|c| &c.clients_gone), 1);
    assert_eq!(proxy.sum(|c| &c.deadlines_passed), 0);
}

#[test]
fn the_deadline_of_the_request_ends_both() {
    let total = Duration::from_millis(500);
    let proxy = both_are_cut(
        |written| written.deadlines.total = total,
        |_, mut client| {
            let status = client.answer().status;
            assert_eq!(status, 504);
            Some(status)
        },
    );
    assert_eq!(proxy.sum(|c| &c.deadlines_passed), 1);
}

/// Its deadline is the moment at which another would be asked.
#[test]
fn a_request_that_must_end_is_not_hedged() {
    let ((stalling, seen), (well, well_seen)) = (stalling(), well());
    let proxy = proxy(&[stalling.address, well.address], |written| {
        written.deadlines.total = Duration::from_millis(100);
        written.hedge_after = Some("100ms".to_owned());
    });
    assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 504);
    seen.is_cut(1);
    assert_eq!((seen.requests(), well_seen.requests()), (1, 0));
    assert_eq!(hedges(&proxy), [0, 0, 0]);
}

/// Each has its own time for the first byte: the second's began later.
#[test]
fn the_deadlines_of_first_bytes_end_each_in_its_time() {
    let proxy = both_are_cut(
        |written| {
            written.deadlines.first_byte = Duration::from_millis(300);
            written.retry_on = Vec::new();
        },
        |_, mut client| {
            let status = client.answer().status;
            assert_eq!(status, 504);
            Some(status)
        },
    );
    assert_eq!(proxy.sum(|c| &c.deadlines_passed), 2);
    let failures: Vec<_> = proxy.backends().iter().map(|one| one.failures).collect();
    assert_eq!(failures, [1, 1]);
}

#[test]
fn a_drain_ends_both() {
    both_are_cut(
        |_| (),
        |proxy, mut client| {
            proxy.drain(Duration::from_millis(50));
            let status = client.answer().status;
            assert_eq!(status, 503);
            Some(status)
        },
    );
}

/// Names, lengths and credentials are each backend's own, in both forms of a
/// body.
#[test]
fn each_backend_has_its_own_credential_and_the_model_its_name() {
    for bytes in [10, 200_000] {
        let ((stalling, seen), (well, well_seen)) = (stalling(), well());
        let mut plan = plan(&[url(stalling.address), url(well.address)], |written| {
            hedging(written);
            let candidate = CandidateWritten {
                model: Some("llama-3-70b".to_owned()),
                ..CandidateWritten::default()
            };
            written.models = vec![ModelWritten {
                name: Some("chat".to_owned()),
                candidates: vec![candidate],
                ..ModelWritten::default()
            }];
        });
        plan.backends[0].credential = Some(Secret::new(b"key-of-one"));
        plan.backends[1].credential = Some(Secret::new(b"key-of-two"));
        let proxy = Proxy::of(plan);
        let text = "x".repeat(bytes);
        let body = |model: &str| {
            format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"{text}"}}]}}"#)
        };
        let own = "authorization: Bearer key-of-client\r\n";
        let answer = proxy.client().post(CHAT, own, body("chat"));
        assert_eq!(answer.status, 200);
        seen.is_cut(1);
        assert_eq!(hedges(&proxy), [1, 1, 0]);
        for (seen, key) in [(&seen, "key-of-one"), (&well_seen, "key-of-two")] {
            let requests = seen.requests.lock().unwrap();
            let [request] = &requests[..] else { panic!("{}", requests.len()) };
            assert_eq!(request.all("authorization"), [format!("Bearer {key}")]);
            assert_eq!(request.body, body("llama-3-70b").into_bytes(), "{key}");
            assert_eq!(request.all("content-length"), [request.body.len().to_string()]);
        }
    }
}

/// A copy is held within the same memory as all bodies.
#[test]
fn where_there_is_no_memory_for_a_copy_there_is_no_hedge() {
    let ((stalling, seen), (well, well_seen)) = (stalling(), well());
    let proxy = proxy(&[stalling.address, well.address], |written| {
        written.limits.body_memory_total = 1024 * 1024;
        written.limits.body_bytes = 1024 * 1024;
        written.retry_on = Vec::new();
        written.deadlines.first_byte = Duration::from_millis(400);
    });
    let text = "x".repeat(700 * 1024);
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    assert_eq!(proxy.client().post(CHAT, "", body).status, 504);
    assert_eq!((seen.requests(), well_seen.requests()), (1, 0));
    assert_eq!(hedges(&proxy), [0, 0, 0]);
    // What the cap gave for it is there still.
    stalls_once_more(&proxy, &well_seen);
}

#[track_caller]
fn stalls_once_more(proxy: &Proxy, well: &Seen) {
    let statuses: Vec<_> = (0..2).map(|_| proxy.client().post(CHAT, "", chat(1)).status).collect();
    assert_eq!(statuses, [200, 200]);
    assert_eq!(well.requests(), 2);
    assert_eq!(hedges(proxy), [1, 1, 0]);
}

/// A client that has had an interim answer hears of one backend.
#[test]
fn after_a_byte_to_the_client_nobody_else_is_asked() {
    let (late, seen) = seeing(|conn, _| {
        conn.say("HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n");
        std::thread::sleep(Duration::from_millis(300));
        conn.say(WELL);
    });
    let (well, well_seen) = well();
    let proxy = proxy(&[late.address, well.address], |_| ());
    let mut client = proxy.client();
    client.send_post(CHAT, "", chat(1));
    assert_eq!(client.head().status, 103);
    assert_eq!(client.answer().status, 200);
    assert_eq!((seen.requests(), well_seen.requests()), (1, 0));
    assert_eq!(hedges(&proxy), [0, 0, 0]);
}

/// And while two are asked, interim answers go to nobody.
#[test]
fn interim_answers_of_two_backends_are_not_mixed() {
    let is_hedged = Arc::new(AtomicBool::new(false));
    let waits = Arc::clone(&is_hedged);
    let (late, seen) = seeing(move |conn, seen| {
        eventually("another is asked", || waits.load(SeqCst));
        conn.say("HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n");
        stalls(conn, seen);
    });
    let (well, _) = seeing(move |conn, _| {
        is_hedged.store(true, SeqCst);
        conn.say("HTTP/1.1 103 Early Hints\r\nlink: <b>\r\n\r\n");
        conn.say(WELL);
    });
    let proxy = proxy(&[late.address, well.address], |_| ());
    let mut client = proxy.client();
    client.send_post(CHAT, "", chat(1));
    assert_eq!(client.head().status, 200);
    seen.is_cut(1);
    assert_eq!(hedges(&proxy), [1, 1, 0]);
}

/// What is left alone after failures is no second backend.
#[test]
fn a_backend_that_is_left_alone_is_not_asked_beside_another() {
    let (slow, _) = seeing(|conn, _| {
        std::thread::sleep(Duration::from_millis(200));
        conn.say(WELL);
    });
    let proxy = proxy(&[support::backend::nowhere(), slow.address], |_| ());
    for _ in 0..2 {
        assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 200);
    }
    assert_eq!(hedges(&proxy), [0, 0, 0]);
}

/// With a multiple, nobody is late before it is known what is usual.
#[test]
fn lateness_is_measured_by_what_streams_usually_take() {
    let (sometimes, seen) = seeing(|conn, seen| {
        if seen.requests() == 11 {
            return stalls(conn, seen);
        }
        let event = "data: {\"choices\":[]}\n\ndata: [DONE]\n\n";
        let length = event.len();
        std::thread::sleep(Duration::from_millis(10));
        conn.say(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n{event}"
        ));
    });
    let well = mock_with(|script| script.first_token = Duration::from_millis(10));
    let proxy = proxy(&[sometimes.address, well.address()], |w| {
        w.hedge_after = Some("100x".to_owned());
    });
    let began = Instant::now();
    for _ in 0..24 {
        let answer = proxy.client().post(CHAT, "", streamed(3));
        assert_eq!((answer.status, answer.end), (200, End::Whole));
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    seen.is_cut(1);
    assert_eq!(hedges(&proxy), [1, 1, 0]);
}
