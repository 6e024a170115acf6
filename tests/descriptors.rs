//! A process that has no descriptor left: it waits without spinning, serves
//! who is there, and takes on who comes as soon as it can again.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::time::Instant;

use support::{
    Client, chat, error_word, eventually, mock,
    process::{Process, metric},
    url,
};
use tokenring::mock::MockHandle;

/// The limit on open files, and more clients than it bears when each of them
/// has a request at a backend.
const OPEN_FILES: usize = 256;
const CONNECTIONS: &str = "140";

const CHAT: &str = "/v1/chat/completions";
const ACCEPT_FAILURES: &str = "tokenring_accept_failures_total";
const ACCEPTED: &str = "tokenring_connections_accepted_total";

/// A process with few descriptors, whose pool keeps what it has.
fn with_few_descriptors(mock: &MockHandle) -> Process {
    let more = ["--connections", CONNECTIONS, "--pool-idle-per-backend", "4"];
    let keep = ["--pool-idle-timeout", "1h", "--keep-alive-timeout", "2h"];
    let limit = format!("ulimit -n {OPEN_FILES}");
    Process::serve_after(&["sh"], &limit, &[url(mock.address())], &[&more[..], &keep].concat())
}

/// Clients whose requests stay at the backend: two descriptors each, until no
/// more than a few are left.
fn stalled_clients(process: &Process, mock: &MockHandle) -> Vec<Client> {
    let mut clients = Vec::new();
    while process.descriptors() + 8 < OPEN_FILES {
        let requests = mock.stats().requests;
        let mut client = process.client();
        client.send_post(CHAT, "x-mock-stall-at: head\r\n", chat(1));
        eventually("it is at the backend", || mock.stats().requests > requests);
        clients.push(client);
    }
    clients
}

/// Clients that ask for nothing, until there is no descriptor left.
fn idle_clients(process: &Process) -> Vec<Client> {
    let mut clients = Vec::new();
    loop {
        let open = process.descriptors();
        if open == OPEN_FILES {
            return clients;
        }
        clients.push(process.client());
        eventually("it is accepted", || process.descriptors() > open);
    }
}

#[test]
fn without_descriptors_who_is_there_is_served_and_who_comes_waits() {
    /// An attempt to accept rests for 100 ms; timers may be a little early.
    const ATTEMPTS_PER_SECOND_MAX: f64 = 11.0;
    const ATTEMPTS: u64 = 10;
    let mock = mock();
    let process = with_few_descriptors(&mock);
    let mut admin = process.admin();
    let mut streams = process.client();
    let endless = "x-mock-tokens: 1000000\r\nx-mock-token-gap: 5ms\r\n";
    streams.send_post(CHAT, endless, r#"{"model":"m","stream":true}"#);
    assert_eq!(streams.head().status, 200);
    let mut asks = process.client();
    let stalled = stalled_clients(&process, &mock);
    // Its connection to the backend stays in the pool.
    assert_eq!(asks.post(CHAT, "", chat(1)).status, 200);
    let mut idle = idle_clients(&process);

    let began = Instant::now();
    // The kernel takes a descriptor before it looks whether anybody waits, so
    // the last client may have cost an attempt already.
    let (accepted, before) = (metric(&mut admin, ACCEPTED), metric(&mut admin, ACCEPT_FAILURES));
    assert!(before <= 1, "{before} attempts with nobody waiting");
    let mut late = process.client();
    late.send_post(CHAT, "", chat(1));
    let operations = metric(&mut admin, "tokenring_operations");
    let (mut failures, mut rounds) = (0, 0);
    while failures < ATTEMPTS {
        assert!(streams.event().is_some(), "the stream goes on");
        assert_eq!(asks.post(CHAT, "", chat(1)).status, 200);
        failures = metric(&mut admin, ACCEPT_FAILURES) - before;
        rounds += 1;
    }
    // However slow the machine is: it can only make the attempts fewer.
    let most = 2.0 + began.elapsed().as_secs_f64() * ATTEMPTS_PER_SECOND_MAX;
    assert!((failures as f64) < most, "{failures} attempts where {most:.0} are enough");
    // Nor does anything else spin. The figure is up to half a second old, so
    // it still counts the clients before; a spin makes a million a second.
    let operations = metric(&mut admin, "tokenring_operations") - operations;
    let events = metric(&mut admin, "tokenring_events_total");
    let most = 4_000 + 20 * (failures + rounds + events);
    assert!(operations < most, "{operations} operations where {most} are enough");
    assert_eq!(metric(&mut admin, ACCEPTED), accepted);
    let told = process.said().matches("no connection can be accepted").count();
    assert_eq!(told, 1, "{}", process.said());

    idle.truncate(idle.len() - 2);
    assert_eq!(late.answer().status, 200);
    drop(stalled);
    assert_eq!(process.client().post(CHAT, "", chat(1)).status, 200);
    assert!(streams.event().is_some());
}

/// The want is our own: the backend is as healthy as before.
#[test]
fn a_backend_is_not_blamed_for_descriptors_that_we_lack() {
    let mock = mock();
    let process = with_few_descriptors(&mock);
    let _stalled = stalled_clients(&process, &mock);
    let mut idle = idle_clients(&process);
    let mut asks = idle.pop().unwrap();
    for (path, word) in [(CHAT, "overloaded"), ("/v1/messages", "overloaded_error")] {
        let answer = asks.post(path, "", chat(1));
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert_eq!(error_word(path, &answer.body), word);
        assert_eq!(asks.get("/ready").status, 200);
    }
    idle.truncate(idle.len() - 2);
    eventually("they have left", || process.descriptors() <= OPEN_FILES - 2);
    assert_eq!(asks.post(CHAT, "", chat(1)).status, 200);
}
