//! How far a request is taken from model to model, and from backend to backend,
//! before its client hears of a failure, on real sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{net::SocketAddr, time::Duration};

use support::{Proxy, backend::Backend, chat, mock};
use tokenring::config::{Policy, Written};

const CHAT: &str = "/v1/chat/completions";
const SOON: Duration = Duration::from_millis(10);

/// Each backend in its turn, none left alone, and pauses that no test waits for.
fn in_turn(written: &mut Written) {
    written.balancing.policy = Policy::RoundRobin;
    written.balancing.ejection.after = None;
    written.balancing.ejection.below_percent = None;
    written.retry.backoff = SOON;
    written.retry.backoff_max = SOON;
}

fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(|backend| backend.address).collect()
}

/// A backend that ends the connection of each request before an answer.
fn cutting() -> Backend {
    Backend::start(|conn| {
        conn.request();
        conn.close();
    })
}

#[test]
fn three_cuts_end_a_request_and_two_do_not() {
    for (cuts, attempts, status) in [(2, 3, 200), (2, 5, 200), (3, 5, 502)] {
        let cutting: Vec<_> = (0..cuts).map(|_| cutting()).collect();
        let well = mock();
        let mut backends = addresses(&cutting);
        backends.push(well.address());
        let proxy = Proxy::with(&backends, |written| {
            in_turn(written);
            written.retry.attempts = attempts;
        });
        // Whoever is asked first by a fresh process is the first of the list.
        assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, status, "{cuts} {attempts}");
    }
}
