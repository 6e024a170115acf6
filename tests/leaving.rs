//! Clients that leave: the backend is cut at once, and nothing of them stays.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::time::Duration;

use support::{
    Client, PATIENCE, Proxy, backend::deaf, eventually, mock, plan, process::Process, streamed, url,
};
use tokenring::{base::Chance, mock::MockHandle};

/// More tokens than any test waits for.
const ENDLESS: &str = "x-mock-tokens: 1000000\r\nx-mock-token-gap: 5ms\r\n";
const ENDLESS_BODY: &str = r#"{"model":"m","stream":true,"input":"x","messages":[],"prompt":"x"}"#;

/// Once the mock has seen the end of the proxy's connection, it is idle.
#[track_caller]
fn is_cut_off(mock: &MockHandle, clients_left: u64) {
    eventually("the backend is cut off", || {
        let stats = mock.stats();
        (stats.clients_left, stats.streams_open, stats.connections_open) == (clients_left, 0, 0)
    });
    assert_eq!(mock.stats().tokens_after_client_left, 0);
}

/// A client does `act` and leaves; the backend must have been asked, and cut.
#[track_caller]
fn check(path: &str, headers: &str, body: &str, act: impl FnOnce(&mut Client, &MockHandle)) {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    client.send_post(path, headers, body);
    act(&mut client, &mock);
    drop(client);
    is_cut_off(&mock, 1);
    proxy.empties();
    assert_eq!(proxy.sum(|c| &c.clients_gone), 1);
    assert_eq!((proxy.sum(|c| &c.answers_cut), proxy.sum(|c| &c.deadlines_passed)), (0, 0));
}

fn asked(_: &mut Client, mock: &MockHandle) {
    eventually("the backend is asked", || mock.stats().requests == 1);
}

#[test]
fn a_client_that_leaves_before_the_head_of_the_answer() {
    check("/v1/chat/completions", "x-mock-stall-at: head\r\n", ENDLESS_BODY, asked);
    check("/v1/messages", "x-mock-stall-at: head\r\n", ENDLESS_BODY, asked);
}

#[test]
fn a_client_that_leaves_before_the_first_token() {
    for path in ["/v1/chat/completions", "/v1/responses"] {
        check(path, "x-mock-first-token: 1h\r\n", ENDLESS_BODY, asked);
    }
}

#[test]
fn a_client_that_leaves_in_mid_stream() {
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"] {
        check(path, ENDLESS, ENDLESS_BODY, |client, _| {
            assert_eq!(client.head().status, 200);
            for _ in 0..5 {
                client.event().unwrap();
            }
        });
    }
}

#[test]
fn a_client_that_leaves_while_a_whole_answer_is_made() {
    let headers = "x-mock-first-token: 1h\r\n";
    check("/v1/chat/completions", headers, r#"{"model":"m"}"#, asked);
}

/// It does not read, so bytes for it wait in every buffer when it leaves.
#[test]
fn a_client_that_leaves_in_mid_body() {
    let headers = "x-mock-body-bytes: 1GiB\r\n";
    check("/v1/chat/completions", headers, r#"{"model":"m"}"#, |client, mock| {
        assert_eq!(client.head().status, 200);
        let mut sent = 0;
        // Back-pressure has reached the mock when it sends no more.
        eventually("all buffers are full", || {
            let now = mock.stats().bytes_out;
            std::mem::replace(&mut sent, now) == now && now > 0
        });
    });
}

/// What it has sent behind its request does not hide that it leaves.
#[test]
fn a_client_that_leaves_with_a_request_behind_its_own() {
    let next = "POST /v1/chat/completions HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n{}";
    for behind in ["P", next, &next.repeat(3), &"x".repeat(10_000)] {
        for headers in ["x-mock-stall-at: head\r\n", "x-mock-first-token: 1h\r\n"] {
            check("/v1/chat/completions", headers, ENDLESS_BODY, |client, mock| {
                client.send(behind);
                asked(client, mock);
                client.send(behind);
            });
        }
    }
}

#[test]
fn a_client_that_leaves_in_mid_request_never_reaches_a_backend() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let whole = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: p\r\ncontent-length: 90000\r\n\r\n{}",
        "x".repeat(89_999)
    );
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: p\r\ntransfer-encoding: chunked\r\n\r\n\
         ffff\r\n{}",
        "x".repeat(60_000)
    );
    for bytes in [0, 1, 30, 80, 81, 100, 20_000, 60_000, whole.len()] {
        for request in [&whole, &chunked] {
            let mut client = proxy.client();
            client.send(&request[..bytes.min(request.len())]);
            drop(client);
        }
    }
    eventually("all have been seen", || proxy.sum(|c| &c.connections_accepted) == 18);
    proxy.empties();
    assert_eq!((mock.stats().requests, mock.stats().connections_open), (0, 0));
}

#[test]
fn a_client_that_leaves_while_its_backend_is_connected_to() {
    let deaf = deaf();
    let proxy = Proxy::of(plan(&[url(deaf.address)], |written| {
        written.deadlines.connect = PATIENCE * 10;
    }));
    let mut client = proxy.client();
    client.send_post("/v1/chat/completions", "", streamed(1));
    eventually("the request is under way", || proxy.sum(|c| &c.requests_in_flight) == 1);
    drop(client);
    proxy.empties();
    assert_eq!(proxy.sum(|c| &c.clients_gone), 1);
}

/// What one of the thousand does before it leaves.
fn visit(process: &Process, chance: &mut Chance) {
    const PATHS: [&str; 4] =
        ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"];
    let path = PATHS[chance.below(4)];
    let length = ENDLESS_BODY.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: {length}\r\n{ENDLESS}\
         x-mock-first-token: {}ms\r\n\r\n{ENDLESS_BODY}",
        chance.below(20)
    );
    let mut client = process.client();
    match chance.below(4) {
        // Somewhere in the request.
        0 => client.send(&request[..chance.below(request.len())]),
        // Right behind it.
        1 => client.send(&request),
        _ => {
            client.send(&request);
            assert_eq!(client.head().status, 200);
            for _ in 0..chance.below(6) {
                client.event().unwrap();
            }
        }
    }
}

#[test]
fn a_thousand_clients_that_leave_at_random_moments_leave_nothing_behind() {
    const THREADS: u64 = 8;
    const VISITS: u64 = 125;
    const SEED: u64 = 0x7061_7274;
    let mock = mock();
    let mut process = Process::serve(&[mock.address()], &["--pool-idle-timeout", "10ms"]);
    // The admin's connections are the only ones before and after.
    assert_eq!(process.metric("tokenring_connections_accepted_total"), 1);
    let descriptors = process.descriptors();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let process = &process;
            scope.spawn(move || {
                let mut chance = Chance::seeded(SEED + thread);
                for _ in 0..VISITS {
                    visit(process, &mut chance);
                }
            });
        }
    });
    // All have left; from 100 ms after that on there is not one more token.
    std::thread::sleep(Duration::from_millis(100));
    let made = mock.stats().tokens_made;
    eventually("the mock is idle", || {
        (mock.stats().streams_open, mock.stats().connections_open) == (0, 0)
    });
    let stats = mock.stats();
    assert_eq!((stats.tokens_made, stats.tokens_after_client_left), (made, 0), "{stats:?}");
    assert!(stats.clients_left > 400, "{stats:?}");
    for gauge in ["requests_in_flight", "request_body_bytes_held", "backend_connections_busy"] {
        eventually(gauge, || process.metric(&format!("tokenring_{gauge}")) == 0);
    }
    // The one that asks is one.
    eventually("connections_open", || process.metric("tokenring_connections_open") == 1);
    eventually("no descriptor is lost", || process.descriptors() <= descriptors);
    assert_eq!(process.metric("tokenring_panics_total"), 0);
    assert!(process.metric("tokenring_clients_gone_total") > 400);
    assert!(process.is_running());
}
