//! How far a request is taken from model to model, and from backend to backend,
//! before its client hears of a failure, on real sockets.
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
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use support::{
    Answer, Client, PATIENCE, Proxy,
    backend::{Backend, nowhere},
    chat, eventually, in_turn, mock,
};
use tokenring::config::{CandidateWritten, ModelWritten, Written};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const FAILS: &str = "HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}";
const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

fn name(place: usize) -> String {
    format!("b{place}")
}

fn name_backends(written: &mut Written) {
    for (place, backend) in written.backends.iter_mut().enumerate() {
        backend.name = Some(name(place));
    }
}

fn candidate(places: &[usize], order: u32) -> CandidateWritten {
    let backends = places.iter().copied().map(name).collect();
    CandidateWritten { backends, order, ..CandidateWritten::default() }
}

/// Model `m` falls back to `m1`, `m2` and so on, each at these of the backends.
fn chain(written: &mut Written, places: &[&[usize]]) {
    name_backends(written);
    let name = |place: usize| if place == 0 { "m".to_owned() } else { format!("m{place}") };
    let model = |(place, at): (usize, &&[usize])| ModelWritten {
        name: Some(name(place)),
        candidates: vec![candidate(at, 0)],
        ..ModelWritten::default()
    };
    written.models = places.iter().enumerate().map(model).collect();
    written.models[0].fallbacks = (1..places.len()).map(name).collect();
}

/// Model `m` with a candidate of its own order for each backend.
fn orders(written: &mut Written) {
    name_backends(written);
    let places = 0..written.backends.len();
    let candidates = places.map(|place| candidate(&[place], place as u32)).collect();
    let name = Some("m".to_owned());
    written.models = vec![ModelWritten { name, candidates, ..ModelWritten::default() }];
}

fn each_alone(written: &mut Written) {
    chain(written, &[&[0], &[1], &[2], &[3], &[4]]);
}

fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(|backend| backend.address).collect()
}

/// The status, and how often backends were asked.
fn attempts(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.field("x-tokenring-attempts"))
}

#[test]
fn each_step_is_asked_however_few_attempts_there_are() {
    for shape in [each_alone, orders] {
        for most in [1, 3] {
            let backends = [FAILS, FAILS, FAILS, FAILS, WELL].map(Backend::saying);
            let proxy = Proxy::with(&addresses(&backends), |written| {
                in_turn(written);
                shape(written);
                written.retry.attempts = most;
            });
            let answer = proxy.client().post(CHAT, "", chat(1));
            assert_eq!(attempts(&answer), (200, Some("5")), "{most}");
        }
    }
}

#[test]
fn each_model_has_the_attempts_for_itself() {
    for (most, expected) in [(1, "2"), (2, "4"), (3, "6"), (5, "6")] {
        // Who asks for so long is not asked twice.
        let fails = FAILS.replace("\r\n\r\n", "\r\nretry-after: 600\r\n\r\n");
        let backends = [(); 6].map(|()| Backend::saying(fails.as_str()));
        let proxy = Proxy::with(&addresses(&backends), |written| {
            in_turn(written);
            chain(written, &[&[0, 1, 2], &[3, 4, 5]]);
            written.retry.attempts = most;
        });
        let answer = proxy.client().post(CHAT, "", chat(1));
        assert_eq!(attempts(&answer), (500, Some(expected)), "{most}");
    }
}

#[test]
fn a_model_whose_attempts_are_spent_is_left_out_of_further_rounds() {
    let backends = [FAILS; 4].map(Backend::saying);
    let proxy = Proxy::with(&addresses(&backends), |written| {
        in_turn(written);
        chain(written, &[&[0, 1, 2], &[3]]);
    });
    let answer = proxy.client().post(CHAT, "", chat(1));
    assert_eq!(attempts(&answer), (500, Some("6")));
    assert_eq!(answer.field("x-should-retry"), Some("false"));
    let picks: Vec<_> = proxy.backends().iter().map(|figures| figures.picks).collect();
    assert_eq!(picks, [1, 1, 1, 3]);
}

#[test]
fn a_first_attempt_at_a_fallback_needs_no_budget() {
    let backends = [FAILS, FAILS, WELL].map(Backend::saying);
    let proxy = Proxy::with(&addresses(&backends), |written| {
        in_turn(written);
        chain(written, &[&[0, 1], &[2]]);
        written.retry.budget_percent = 0;
    });
    let mut client = proxy.client();
    for _ in 0..40 {
        assert_eq!(client.post(CHAT, "", chat(1)).status, 200);
    }
    assert!(proxy.sum(|c| &c.retry_budget_exhausted) > 0);
    assert_eq!(proxy.backends()[2].picks, 40);
}

#[test]
fn what_a_fallback_needed_no_budget_for_is_left_to_others() {
    let backends = [FAILS, WELL, FAILS, FAILS].map(Backend::saying);
    let proxy = Proxy::with(&addresses(&backends), |written| {
        in_turn(written);
        chain(written, &[&[0], &[1]]);
        let at = vec![candidate(&[2, 3], 0)];
        let other = ModelWritten {
            name: Some("other".into()),
            candidates: at,
            ..written.models[0].clone()
        };
        written.models.push(ModelWritten { fallbacks: vec![], ..other });
        written.retry.budget_percent = 0;
        written.retry.attempts = 2;
    });
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(client.post(CHAT, "", chat(1)).status, 200);
    }
    // Five a second are always allowed, and these are the first that need it.
    for _ in 0..5 {
        let answer = client.post(CHAT, "", chat(1).replace("\"m\"", "\"other\""));
        assert_eq!(attempts(&answer), (500, Some("2")));
    }
}

#[test]
fn a_connection_that_could_not_be_made_is_no_attempt() {
    for most in [1, 2, 3] {
        let well = mock();
        let mut backends = [(); 8].map(|()| nowhere()).to_vec();
        backends.push(well.address());
        let proxy = Proxy::with(&backends, |written| {
            in_turn(written);
            written.retry.attempts = most;
        });
        for _ in 0..3 {
            assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 200, "{most}");
        }
        proxy.settles();
    }
}

#[test]
fn nobody_is_tried_for_ever_who_cannot_be_connected_to() {
    for (dead, most, expected) in [(1, 1, "1"), (1, 3, "3"), (4, 3, "4"), (4, 1, "4")] {
        let backends: Vec<_> = (0..dead).map(|_| nowhere()).collect();
        let proxy = Proxy::with(&backends, |written| {
            in_turn(written);
            written.retry.attempts = most;
        });
        let answer = proxy.client().post(CHAT, "", chat(1));
        assert_eq!((answer.status, answer.field("retry-after")), (502, Some("1")));
        let picks: u64 = proxy.backends().iter().map(|figures| figures.picks).sum();
        assert_eq!(picks.to_string(), expected, "{dead} {most}");
    }
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

#[test]
fn a_refusal_says_whom_it_was_about_and_how_often_backends_were_asked() {
    for own in [true, false] {
        // No answer to what was asked, and so no word for the client.
        let backends = ["HTTP/0\r\n\r\n"; 2].map(Backend::saying);
        let proxy = Proxy::with(&addresses(&backends), |written| {
            in_turn(written);
            chain(written, &[&[0], &[1]]);
            written.headers.own = own;
        });
        for path in [CHAT, MESSAGES] {
            let answer = proxy.client().post(path, "", chat(1));
            let asked = own.then_some("2");
            let route = own.then_some("rule=none; model=m1; step=fallback");
            assert_eq!(answer.status, 502);
            assert_eq!(answer.field("x-tokenring-attempts"), asked);
            assert_eq!(answer.field("x-tokenring-route"), route);
        }
        let unknown = proxy.client().post(CHAT, "", chat(1).replace("\"m\"", "\"x\""));
        assert_eq!(attempts(&unknown), (404, None), "nobody was asked");
        assert_eq!(unknown.field("x-tokenring-route"), None, "nothing was decided");
    }
}

/// A backend that answers each request when it is told to.
struct Gate {
    backend: Backend,
    go: mpsc::Sender<()>,
}

impl Gate {
    fn new() -> Self {
        let (go, goes) = mpsc::channel();
        let goes = Mutex::new(goes);
        let backend = Backend::start(move |conn| {
            while conn.request().is_some() {
                if goes.lock().unwrap().recv_timeout(PATIENCE).is_err() {
                    return;
                }
                conn.say(WELL);
            }
        });
        Self { backend, go }
    }
}

fn one_at_a_time(written: &mut Written) {
    written.backends.iter_mut().for_each(|backend| backend.capacity = Some(1));
}

/// Both candidates are of one order.
fn alike(written: &mut Written) {
    orders(written);
    written.models[0].candidates.iter_mut().for_each(|candidate| candidate.order = 0);
}

fn pair(written: &mut Written) {
    chain(written, &[&[0], &[1]]);
}

fn ask(proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    client.send_post(CHAT, "", chat(1));
    client
}

#[test]
fn who_waits_for_full_steps_takes_the_first_place_of_any() {
    for (which, shape) in [pair, orders, alike].into_iter().enumerate() {
        for first_free in [0, 1] {
            let gates = [Gate::new(), Gate::new()];
            let proxy =
                Proxy::with(&gates.each_ref().map(|gate| gate.backend.address), |written| {
                    in_turn(written);
                    shape(written);
                    one_at_a_time(written);
                });
            let mut holding = [ask(&proxy), ask(&proxy)];
            let is_held = || proxy.backends().iter().all(|figures| figures.waiting == 1);
            eventually("both are full", is_held);
            let mut waits = ask(&proxy);
            eventually("it waits", || proxy.sum(|c| &c.requests_queued) == 1);
            gates[first_free].go.send(()).unwrap();
            gates[first_free].go.send(()).unwrap();
            let answer = waits.answer();
            let backend = name(first_free);
            assert_eq!(answer.field("x-tokenring-backend"), Some(&*backend), "{which}");
            let step = if which == 0 && first_free == 1 { "fallback" } else { "candidate" };
            let route = answer.field("x-tokenring-route").unwrap();
            assert!(route.ends_with(&format!("step={step}")), "{which}: {route}");
            assert_eq!(attempts(&answer), (200, Some("1")));
            gates[1 - first_free].go.send(()).unwrap();
            assert!(holding.iter_mut().all(|client| client.answer().status == 200));
        }
    }
}

/// The place that is free first is one that fails: the other one is still to
/// be waited for.
#[test]
fn a_place_that_was_waited_for_and_fails_leaves_the_others_to_wait_for() {
    let asked = AtomicUsize::new(0);
    let (go, goes) = mpsc::channel::<()>();
    let goes = Mutex::new(goes);
    let failing = Backend::start(move |conn| {
        while conn.request().is_some() {
            if asked.fetch_add(1, Ordering::SeqCst) == 0 {
                goes.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                conn.say(WELL);
            } else {
                conn.say(FAILS);
            }
        }
    });
    let gate = Gate::new();
    let proxy = Proxy::with(&[gate.backend.address, failing.address], |written| {
        in_turn(written);
        pair(written);
        one_at_a_time(written);
        written.retry.attempts = 1;
    });
    let mut holding = [ask(&proxy), ask(&proxy)];
    let is_held = || proxy.backends().iter().all(|figures| figures.waiting == 1);
    eventually("both are full", is_held);
    let mut waits = ask(&proxy);
    eventually("it waits", || proxy.sum(|c| &c.requests_queued) == 1);
    go.send(()).unwrap();
    eventually("the fallback has failed it", || proxy.backends()[1].failures == 1);
    eventually("it waits again", || proxy.sum(|c| &c.requests_queued) == 1);
    gate.go.send(()).unwrap();
    gate.go.send(()).unwrap();
    let answer = waits.answer();
    assert_eq!(attempts(&answer), (200, Some("2")));
    assert_eq!(answer.field("x-tokenring-backend"), Some("b0"));
    assert!(holding.iter_mut().all(|client| client.answer().status == 200));
}
