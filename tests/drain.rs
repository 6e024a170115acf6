//! The end of a process in order: who has asked is answered, who has not is
//! let go at once, and nobody is left waiting.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use support::{
    Client, chat, eventually, mock,
    process::{Process, metric},
};

const CHAT: &str = "/v1/chat/completions";

/// The process stands still while `act` is done, and is told to stop before it
/// goes on: the signal and what `act` has sent come together.
fn told_to_stop_together_with(process: &Process, act: impl FnOnce()) {
    process.stands_still();
    act();
    process.signal("TERM");
    process.signal("CONT");
}

#[test]
fn requests_that_came_before_the_drain_are_answered() {
    const CLIENTS: usize = 60;
    let mock = mock();
    let mut process = Process::serve(&[mock.address()], &[]);
    let mut admin = process.admin();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| process.client()).collect();
    eventually("all rest", || {
        metric(&mut admin, "tokenring_connections_resting") == CLIENTS as u64
    });
    told_to_stop_together_with(&process, || {
        clients.iter_mut().for_each(|client| client.send_post(CHAT, "", chat(1)));
        // Nobody has accepted these; the kernel has.
        clients.extend((0..CLIENTS).map(|_| {
            let mut client = process.client();
            client.send_post(CHAT, "", chat(1));
            client
        }));
    });
    let answers: Vec<_> = clients.iter_mut().map(Client::try_answer).collect();
    let lost: Vec<usize> = (0..answers.len()).filter(|&n| answers[n].is_none()).collect();
    assert!(lost.is_empty(), "{lost:?}; those below {CLIENTS} rested");
    assert!(answers.iter().flatten().all(|answer| answer.status == 200));
    clients.iter_mut().for_each(Client::is_closed);
    assert_eq!(process.exit().code(), Some(0), "{}", process.said());
    assert_eq!(mock.stats().requests, 2 * CLIENTS as u64);
}
