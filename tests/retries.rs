//! What follows when a backend fails: another is asked where that is safe, and
//! the client sees the first error that means something where it is not.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use support::{
    Answer, End, Proxy,
    backend::{Backend, Request, nowhere},
    chat, error_word, eventually, in_turn, mock, plan, streamed, url,
};
use tokenring::{base::Secret, config::Written, retry::Class};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

fn answer(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{fields}content-length: {length}\r\n\r\n{body}"
    )
}

fn stream(events: &str) -> String {
    let length = events.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
         {length:x}\r\n{events}\r\n0\r\n\r\n"
    )
}

/// A job that goes on without a reader.
const JOB: &str = "{\"model\":\"m\",\"input\":\"x\",\"background\":true}";
const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
const NO_ROOM: &str =
    "data: {\"error\":{\"message\":\"no room\",\"type\":\"server_error\",\"code\":503}}\n\n";

/// A backend that answers each request with these bytes, and what it was sent.
fn listening(answer: impl Into<Vec<u8>>) -> (Backend, Arc<Mutex<Vec<Request>>>) {
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

fn retries(proxy: &Proxy, class: Class) -> u64 {
    let page = proxy.admin().get("/metrics").text();
    let line = format!("tokenring_retries_total{{class=\"{}\"}} ", class.name());
    page.lines().find_map(|found| found.strip_prefix(&line)).unwrap().parse().unwrap()
}

fn with_admin(backends: &[std::net::SocketAddr], change: impl FnOnce(&mut Written)) -> Proxy {
    let backends: Vec<_> = backends.iter().copied().map(url).collect();
    Proxy::of(plan(&backends, |written| {
        in_turn(written);
        written.admin = Some("127.0.0.1:0".to_owned());
        change(written);
    }))
}

/// Before one backend that fails so and one that is well, no client sees it.
#[track_caller]
fn is_saved(failing: &Backend, class: Class, change: impl FnOnce(&mut Written)) {
    let well = mock();
    let proxy = with_admin(&[failing.address, well.address()], change);
    let mut saved = 0;
    for (path, body) in [(CHAT, chat(1)), (CHAT, streamed(3)), (MESSAGES, streamed(3))] {
        for _ in 0..2 {
            let answer = proxy.client().post(path, "", &body);
            assert_eq!((answer.status, answer.end), (200, End::Whole), "{class:?} {path}");
            saved += u64::from(answer.field("x-tokenring-attempts") == Some("2"));
        }
    }
    assert!(saved >= 3, "{class:?}: {saved}");
    assert_eq!(retries(&proxy, class), saved, "{class:?}");
    assert_eq!(well.stats().requests_repeated, 0, "nobody is asked twice");
    proxy.settles();
}

#[test]
fn each_failure_is_mended_by_another_backend() {
    for (status, class) in [
        ("429 Too Many Requests", Class::NoRoom),
        ("503 Service Unavailable", Class::NoRoom),
        ("529 Overloaded", Class::NoRoom),
        ("500 Oh", Class::ServerError),
        ("502 Oh", Class::ServerError),
        ("504 Oh", Class::ServerError),
    ] {
        is_saved(&Backend::saying(answer(status, "", "{}")), class, |_| ());
    }
    is_saved(&Backend::saying("HTTP/1.1 200 OK\nx\r\n\r\n"), Class::Protocol, |_| ());
}

#[test]
fn a_connection_cut_before_a_byte_is_mended() {
    let cutting = Backend::start(|conn| {
        conn.request();
        conn.close();
    });
    is_saved(&cutting, Class::Cut, |_| ());
}

#[test]
fn a_stream_cut_before_its_first_event_is_mended() {
    let cutting = Backend::start(|conn| {
        conn.request();
        conn.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: wait\n\n");
        conn.close();
    });
    is_saved(&cutting, Class::Cut, |_| ());
}

#[test]
fn a_backend_that_keeps_silent_is_passed_over_in_time() {
    let silent = Backend::start(|conn| {
        conn.request();
        conn.until_closed();
    });
    is_saved(&silent, Class::Timeout, |w| w.deadlines.first_byte = Duration::from_millis(100));
}

/// Its head has come, and its first event has not.
#[test]
fn a_stream_that_never_begins_is_passed_over_in_time() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: wait\n\n";
    let silent = Backend::start(move |conn| {
        conn.request();
        conn.say(head);
        conn.until_closed();
    });
    let well = mock();
    let proxy = with_admin(&[silent.address, well.address()], |written| {
        written.deadlines.first_byte = Duration::from_millis(100);
    });
    let mut again = 0;
    for path in [CHAT, MESSAGES, CHAT, MESSAGES] {
        let answer = proxy.client().post(path, "", streamed(3));
        again += u64::from(answer.field("x-tokenring-attempts") == Some("2"));
        assert_eq!((answer.status, answer.end), (200, End::Whole));
        assert!(!answer.text().contains("wait"), "what was held of another's answer is gone");
    }
    assert!(again > 0);
    assert_eq!(retries(&proxy, Class::Timeout), again);
}

#[test]
fn an_error_in_place_of_an_answer_is_seen_under_status_200() {
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    for (path, events) in [
        (MESSAGES, OVERLOADED.to_owned()),
        (MESSAGES, format!(": hello\n\n{ping}{OVERLOADED}")),
        (CHAT, NO_ROOM.to_owned()),
        ("/v1/completions", NO_ROOM.to_owned()),
        (
            "/v1/responses",
            "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\"}\n\n".to_owned(),
        ),
    ] {
        let (failing, well) = (Backend::saying(stream(&events)), mock());
        let proxy = with_admin(&[failing.address, well.address()], |_| ());
        let mut again = 0;
        for _ in 0..4 {
            let answer = proxy.client().post(path, "", streamed(3));
            again += u64::from(answer.field("x-tokenring-attempts") == Some("2"));
            assert_eq!((answer.status, answer.end), (200, End::Whole), "{path}");
            let text = answer.text();
            let is_told = text.contains("event: error") || text.contains("\"error\":{");
            assert!(!is_told, "{path}: {text}");
        }
        assert!(again > 0, "{path}");
        assert_eq!(retries(&proxy, Class::ErrorEvent), again, "{path}");
        assert_eq!(proxy.backends()[0].failures, again, "{path}");
    }
}

#[test]
fn the_error_of_a_stream_is_told_as_it_came_when_nobody_answers() {
    for (path, events) in [(MESSAGES, OVERLOADED), (CHAT, NO_ROOM)] {
        let failing = Backend::saying(stream(events));
        let proxy = with_admin(&[failing.address], |_| ());
        let answer = proxy.client().post(path, "", streamed(3));
        assert_eq!((answer.status, answer.end), (200, End::Whole), "{path}");
        assert_eq!(answer.text(), events, "{path}");
        assert_eq!(answer.field("x-tokenring-attempts"), Some("3"), "{path}");
    }
}

/// The first that a backend said, to the byte, and not what came last.
#[test]
fn the_first_error_of_a_backend_is_told() {
    let first = answer("429 Too Many Requests", "x-first: 1\r\n", "{\"error\":\"first\"}");
    let (first, second) = (Backend::saying(first), Backend::saying(answer("500 Oh", "", "{}")));
    let cutting = Backend::start(|conn| {
        conn.request();
        conn.close();
    });
    for backends in [
        [first.address, second.address, second.address],
        [first.address, cutting.address, nowhere()],
        [nowhere(), first.address, cutting.address],
    ] {
        let mut backends = backends.to_vec();
        backends.dedup();
        let proxy = with_admin(&backends, |_| ());
        // Whoever is asked first by a fresh process is the first of the list.
        let answer = proxy.client().post(CHAT, "", chat(1));
        assert_eq!((answer.status, answer.text().as_str()), (429, "{\"error\":\"first\"}"));
        assert_eq!(answer.field("x-first"), Some("1"));
        assert_eq!(answer.field("x-should-retry"), Some("false"));
        assert_eq!(answer.field("x-tokenring-attempts"), Some("3"));
    }
}

/// To come again costs nobody anything where nothing was sent; where something
/// was, it would be work on top of work.
#[test]
fn who_was_refused_a_connection_may_come_again_and_nobody_else() {
    let cutting = Backend::start(|conn| {
        conn.request();
        conn.close();
    });
    let refused = (502, "backend_unreachable".to_owned(), None, Some("1"));
    let cut = (502, "backend_closed".to_owned(), Some("false"), None);
    for (backends, expected) in [
        (vec![nowhere()], &refused),
        (vec![nowhere(), nowhere()], &refused),
        (vec![cutting.address], &cut),
        (vec![nowhere(), cutting.address], &cut),
        (vec![cutting.address, nowhere()], &cut),
    ] {
        let proxy = with_admin(&backends, |_| ());
        let answer = proxy.client().post(CHAT, "", chat(1));
        let advice = (answer.field("x-should-retry"), answer.field("retry-after"));
        let word = error_word(CHAT, &answer.body);
        assert_eq!(&(answer.status, word, advice.0, advice.1), expected, "{backends:?}");
    }
}

/// What the provider says is about a key that its client does not know of.
#[test]
fn what_is_said_about_a_key_of_ours_reaches_no_client() {
    let said = "{\"error\":{\"message\":\"Incorrect API key provided: sk-ab***7890\"}}";
    let refused = answer("401 Unauthorized", "", said);
    for (path, word) in [(CHAT, "backend_credential_refused"), (MESSAGES, "api_error")] {
        let (backends, heard): (Vec<_>, Vec<_>) =
            (0..2).map(|_| listening(refused.as_str())).unzip();
        let urls: Vec<_> = backends.iter().map(|backend| url(backend.address)).collect();
        let mut plan = plan(&urls, |written| {
            in_turn(written);
            written.admin = Some("127.0.0.1:0".to_owned());
        });
        for backend in &mut plan.backends {
            backend.credential = Some(Secret::new(b"key-of-ours"));
        }
        let proxy = Proxy::of(plan);
        let answer = proxy.client().post(path, "", chat(1));
        assert_eq!((answer.status, answer.field("x-should-retry")), (502, Some("false")));
        assert_eq!(error_word(path, &answer.body), word);
        assert!(!answer.text().contains("sk-"), "{}", answer.text());
        assert!(heard.iter().all(|heard| heard.lock().unwrap().len() == 1), "each was asked once");
        assert_eq!(retries(&proxy, Class::Credential), 1);
    }
}

#[test]
fn a_clients_fault_is_answered_and_not_asked_again() {
    for status in ["400 Bad Request", "401 No", "404 No", "408 No", "422 No", "501 No", "505 No"] {
        let (failing, heard) = listening(answer(status, "", "{\"error\":{}}"));
        let proxy = with_admin(&[failing.address], |_| ());
        let answer = proxy.client().post(CHAT, "", chat(1));
        assert_eq!(answer.status.to_string(), status[..3]);
        assert_eq!(answer.field("x-should-retry"), None);
        assert_eq!(heard.lock().unwrap().len(), 1, "{status}");
        assert_eq!(proxy.backends()[0].failures, 0, "{status}");
    }
}

#[test]
fn what_may_have_had_an_effect_is_asked_once() {
    let failing = answer("503 Service Unavailable", "", "{}");
    for (method, path, times) in [
        ("POST", "/v1/files", 1),
        ("POST", "/v1/messages/batches", 1),
        ("PATCH", "/v1/thing", 1),
        ("GET", "/v1/thing", 3),
        ("PUT", "/v1/thing", 3),
        ("DELETE", "/v1/thing", 3),
        ("POST", CHAT, 3),
        ("POST", "/v1/embeddings", 3),
    ] {
        let (failing, heard) = listening(failing.as_str());
        let proxy = with_admin(&[failing.address], |_| ());
        let body = chat(1);
        let length = body.len();
        let mut client = proxy.client();
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: p\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
        assert_eq!(client.answer().status, 503);
        assert_eq!(heard.lock().unwrap().len(), times, "{method} {path}");
    }
    for (members, times) in [
        ("\"background\":true", 1),
        ("\"background\":1", 1),
        ("\"background\":false,\"background\":true", 1),
        ("\"background\":false", 3),
        ("\"background\":null", 3),
        ("\"conversation\":\"conv_1\"", 1),
        ("\"conversation\":{\"id\":\"conv_1\"}", 1),
        ("\"conversation\":null", 3),
        ("\"store\":true", 3),
        ("\"metadata\":{\"background\":true}", 3),
    ] {
        let body = format!("{{\"model\":\"m\",\"input\":\"x\",{members}}}");
        for path in ["/v1/responses", "/proxy"] {
            let (failing, heard) = listening(failing.as_str());
            let proxy = with_admin(&[failing.address], |written| {
                written.proxy_path = "/v1/responses".to_owned();
            });
            assert_eq!(proxy.client().post(path, "", &body).status, 503);
            assert_eq!(heard.lock().unwrap().len(), times, "{path} {members}");
        }
        // Only that API has such jobs.
        let (failing, heard) = listening(failing.as_str());
        let proxy = with_admin(&[failing.address], |_| ());
        assert_eq!(proxy.client().post(CHAT, "", &body).status, 503);
        assert_eq!(heard.lock().unwrap().len(), 3, "{CHAT} {members}");
    }
    // Of a connection that was refused nothing was seen.
    let well = Backend::saying(answer("200 OK", "", "{}"));
    let proxy = with_admin(&[nowhere(), well.address], |_| ());
    for _ in 0..4 {
        assert_eq!(proxy.client().post("/v1/files", "", "{}").status, 200);
        assert_eq!(proxy.client().post("/v1/responses", "", JOB).status, 200);
    }
}

/// The backend has read it and may have done its work, whether the connection
/// had served before or not.
#[test]
fn what_may_have_had_an_effect_is_asked_once_though_a_connection_waits() {
    const LAST: &str = "{\"model\":\"last\",\"messages\":[]}";
    for (path, last, times) in [
        ("/v1/files", LAST, 1),
        ("/v1/messages/batches", LAST, 1),
        ("/v1/responses/compact", LAST, 1),
        ("/v1/responses", JOB, 1),
        ("/v1/responses", LAST, 2),
        (CHAT, LAST, 2),
    ] {
        let heard = Arc::new(Mutex::new(0));
        let hears = Arc::clone(&heard);
        let backend = Backend::start(move |conn| {
            while let Some(request) = conn.request() {
                if request.body == last.as_bytes() {
                    *hears.lock().unwrap() += 1;
                    return conn.close();
                }
                conn.say(answer("200 OK", "", "{}"));
            }
        });
        // Of the whole walk only the second sending is of interest here.
        let proxy = with_admin(&[backend.address], |written| written.retry.attempts = 1);
        assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 200);
        proxy.settles();
        assert_eq!(proxy.client().post(path, "", last).status, 502, "{path}");
        assert_eq!(*heard.lock().unwrap(), times, "{path}");
        // Reused and then another one, or one of its own to begin with.
        assert_eq!(backend.connections(), 2, "{path}");
    }
}

#[test]
fn a_cut_within_a_stream_stays_a_cut() {
    let well = mock();
    let events = "data: {\"choices\":[]}\n\n";
    let cutting = Backend::start(move |conn| {
        conn.request();
        conn.say(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
             {:x}\r\n{events}\r\n",
            events.len()
        ));
        conn.close();
    });
    let proxy = with_admin(&[cutting.address, well.address()], |_| ());
    let ends: Vec<_> = (0..4).map(|_| proxy.client().post(CHAT, "", streamed(3)).end).collect();
    let cuts = ends.iter().filter(|end| **end == End::Cut).count();
    assert!(cuts > 0, "{ends:?}");
    assert_eq!(well.stats().requests, 4 - cuts as u64, "{ends:?}");
    assert_eq!(cutting.connections(), cuts);
}

/// Attempts are bounded, and by nobody's failing twice while another is there.
#[test]
fn who_has_failed_is_not_asked_while_another_is_there() {
    let failing: Vec<_> = (0..3).map(|_| listening(answer("500 Oh", "", "{}"))).collect();
    let addresses: Vec<_> = failing.iter().map(|(backend, _)| backend.address).collect();
    let proxy = with_admin(&addresses, |_| ());
    assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 500);
    let heard: Vec<_> = failing.iter().map(|(_, heard)| heard.lock().unwrap().len()).collect();
    assert_eq!(heard, [1, 1, 1]);
}

#[test]
fn the_operator_chooses_what_is_asked_again() {
    let (failing, heard) = listening(answer("503 Service Unavailable", "", "{}"));
    for (attempts, on, times) in
        [(5, "no_room", 5), (1, "no_room", 1), (3, "server_error", 1), (3, "", 1)]
    {
        heard.lock().unwrap().clear();
        let proxy = with_admin(&[failing.address], |written| {
            written.retry.attempts = attempts;
            written.retry_on = on.split_terminator(' ').map(str::to_owned).collect();
        });
        let answer = proxy.client().post(CHAT, "", chat(1));
        assert_eq!(answer.status, 503);
        assert_eq!(heard.lock().unwrap().len(), times, "{attempts} {on:?}");
        let spent = (times > 1).then_some("false");
        assert_eq!(answer.field("x-should-retry"), spent, "{attempts} {on:?}");
    }
}

#[test]
fn the_budget_bounds_what_all_requests_may_ask_again() {
    let (failing, heard) = listening(answer("503 Service Unavailable", "", "{}"));
    let proxy = with_admin(&[failing.address], |written| {
        written.retry.budget_percent = 0;
        written.cores = "0-1".to_owned();
    });
    let began = Instant::now();
    let mut told = 0;
    for _ in 0..40 {
        let answer = proxy.client().post(CHAT, "", chat(1));
        assert_eq!(answer.status, 503);
        told += usize::from(answer.field("x-should-retry") == Some("false"));
    }
    // Five a second are always allowed, and those of one second at once.
    let most = 5 * (began.elapsed().as_secs() as usize + 2);
    let repeated = heard.lock().unwrap().len() - 40;
    assert!((5..=most).contains(&repeated), "{repeated} of {most}");
    assert_eq!(told, 40, "the client is told not to try either");
    let page = proxy.admin().get("/metrics").text();
    assert!(!page.contains("retry_budget_exhausted_total 0\n"), "{page}");
}

/// Answers that it has no room for so long, once on each connection's first
/// request of all, and then well.
fn full_at_first(field: &'static str) -> Backend {
    let well = answer("200 OK", "", "{}");
    let full = answer("429 Too Many Requests", field, "{}");
    let asked = Mutex::new(0);
    Backend::start(move |conn| {
        while conn.request().is_some() {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            conn.say(if *asked == 1 { &full } else { &well });
        }
    })
}

#[test]
fn a_backend_that_asks_for_a_short_while_is_waited_for() {
    for (field, least) in [
        ("retry-after-ms: 200\r\n", 200),
        ("retry-after: 1\r\n", 1000),
        (
            "date: Sat, 21 Nov 2026 23:59:59 GMT\r\nretry-after: Sun, 22 Nov 2026 00:00:00 GMT\r\n",
            1000,
        ),
    ] {
        let backend = full_at_first(field);
        let proxy = with_admin(&[backend.address], |_| ());
        let began = Instant::now();
        let answer = proxy.client().post(CHAT, "", chat(1));
        assert_eq!(answer.status, 200, "{field}");
        assert!(began.elapsed() >= Duration::from_millis(least), "{field}: {:?}", began.elapsed());
    }
}

#[test]
fn who_asks_for_too_long_is_believed_and_the_client_told() {
    let backend = full_at_first("retry-after: 60\r\n");
    let proxy = with_admin(&[backend.address], |_| ());
    let answer = proxy.client().post(CHAT, "", chat(1));
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("60")));
    // The client may well wait so long.
    assert_eq!(answer.field("x-should-retry"), None);
    let backend = full_at_first("retry-after: 2\r\n");
    let proxy = with_admin(&[backend.address], |w| w.deadlines.total = Duration::from_secs(1));
    assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 429);
}

#[test]
fn a_client_that_leaves_while_we_wait_is_seen() {
    let backend = full_at_first("retry-after: 4\r\n");
    let proxy = with_admin(&[backend.address], |_| ());
    let mut client = proxy.client();
    client.send_post(CHAT, "", chat(1));
    eventually("its request has failed once", || proxy.backends()[0].failures == 1);
    drop(client);
    let began = Instant::now();
    proxy.empties();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(proxy.backends()[0].picks, 1);
}

/// An answer that asks to be held, and is too large, passes.
#[test]
fn a_large_error_passes_whole() {
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(100_000));
    let (failing, heard) = listening(answer("500 Oh", "", &large));
    let proxy = with_admin(&[failing.address], |_| ());
    for n in 1..4 {
        let answer = proxy.client().post(CHAT, "", chat(1));
        assert_eq!((answer.status, answer.end, answer.text() == large), (500, End::Whole, true));
        assert_eq!(heard.lock().unwrap().len(), n);
    }
}

/// The request is the client's to the byte at whichever backend.
#[test]
fn each_backend_gets_the_same_request_and_its_own_credential() {
    let failing = answer("503 Service Unavailable", "", "{}");
    let well = answer("200 OK", "", "{}");
    let large = format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "y".repeat(60_000));
    for (path, body) in [(CHAT, chat(1)), (MESSAGES, chat(1)), (CHAT, large)] {
        let (one, heard_one) = listening(failing.as_str());
        let (two, heard_two) = listening(failing.as_str());
        let (three, heard_three) = listening(well.as_str());
        let urls = [one.address, two.address, three.address].map(url);
        let mut plan = plan(&urls, |written| {
            in_turn(written);
            written.credentials = tokenring::config::Credentials::Pass;
        });
        plan.backends[0].credential = Some(Secret::new(b"key-of-one"));
        plan.backends[2].credential = Some(Secret::new(b"key-of-three"));
        let proxy = Proxy::of(plan);
        let own = "authorization: Bearer key-of-client\r\nopenai-organization: org\r\n\
                   openai-project: project\r\n";
        assert_eq!(proxy.client().post(path, own, &body).status, 200);
        let heard: Vec<Request> = [heard_one, heard_two, heard_three]
            .iter()
            .map(|heard| heard.lock().unwrap().pop().unwrap())
            .collect();
        for (request, expected) in heard.iter().zip(["key-of-one", "key-of-client", "key-of-three"])
        {
            assert!(request.body == body.as_bytes(), "{path}: another body");
            // Whose account it is goes with the client's key, and with no other.
            for account in ["openai-organization", "openai-project"] {
                let travels = expected == "key-of-client";
                assert_eq!(request.all(account).len(), usize::from(travels), "{path} {account}");
            }
            let shown: Vec<_> =
                request.fields.iter().filter(|(_, v)| v.contains("key-of")).collect();
            let [(name, value)] = shown[..] else { panic!("{path}: {shown:?}") };
            let is_key = path == MESSAGES && expected != "key-of-client";
            let line = if is_key { "x-api-key: " } else { "authorization: Bearer " };
            assert_eq!(format!("{name}: {value}"), format!("{line}{expected}"));
        }
    }
}

#[test]
fn clients_of_every_kind_get_a_held_error() {
    let failing = Backend::saying(answer("503 Service Unavailable", "", "{\"error\":1}"));
    let chunked = Backend::saying(
        "HTTP/1.1 503 No\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
         b\r\n{\"error\":1}\r\n0\r\n\r\n",
    );
    let closing = Backend::saying_once(
        "HTTP/1.1 503 No\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"error\":1}",
    );
    for backend in [&failing, &chunked, &closing] {
        let proxy = with_admin(&[backend.address], |_| ());
        let mut client = proxy.client();
        let body = chat(1);
        for _ in 0..2 {
            let answer: Answer = client.post(CHAT, "", &body);
            assert_eq!((answer.status, answer.end), (503, End::Whole));
            assert_eq!(answer.text(), "{\"error\":1}");
        }
        let length = body.len();
        let mut old = proxy.client();
        old.send(format!("POST {CHAT} HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}"));
        assert_eq!(old.answer().text(), "{\"error\":1}");
    }
}
