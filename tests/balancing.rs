//! Which backend is asked, and which are left alone, end to end.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use support::{
    Client, End, Proxy,
    backend::{Backend, nowhere},
    chat, eventually, mock, mock_with, plan, streamed, url,
};
use tokenring::{
    base::Secret,
    config::{Policy, Written},
};

const CHAT: &str = "/v1/chat/completions";
/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

/// Ejects after so many failures in a row, for so long, each in its turn.
fn ejecting(after: u32, pause: Duration) -> impl Fn(&mut Written) {
    move |written| {
        written.balancing.policy = Policy::RoundRobin;
        // What its backends say is what a client sees.
        written.retry.attempts = 1;
        written.balancing.ejection.after = NonZeroU32::new(after);
        written.balancing.ejection.pause = pause;
        written.balancing.ejection.pause_max = LONG;
    }
}

/// The statuses of so many requests.
fn statuses(client: &mut Client, times: usize, body: &str) -> Vec<u16> {
    (0..times).map(|_| client.post(CHAT, "", body).status).collect()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|&&found| found == status).count()
}

/// Answers 500 at once, until it is told to be well.
fn black_hole() -> (Backend, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_well);
    let backend = Backend::start(move |conn| {
        while conn.request().is_some() {
            let status = if told.load(Ordering::SeqCst) { "200 OK" } else { "500 Oh" };
            conn.say(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}"));
        }
    });
    (backend, is_well)
}

#[test]
fn each_policy_serves_and_passes_over_who_is_out_of_reach() {
    for policy in Policy::ALL {
        let mocks = [mock(), mock()];
        let [one, two] = [mocks[0].address(), mocks[1].address()];
        let proxy = Proxy::with(&[one, nowhere(), two], |w| w.balancing.policy = policy);
        let mut client = proxy.client();
        for body in [chat(1), streamed(3)] {
            assert_eq!(count(&statuses(&mut client, 30, &body), 200), 30, "{policy:?}");
        }
        let [one, two] = [mocks[0].stats().requests, mocks[1].stats().requests];
        assert_eq!(one + two, 60, "{policy:?}");
        match policy {
            Policy::RoundRobin => assert!(one.abs_diff(two) <= 2, "{one} {two}"),
            // The quicker one may get them all.
            Policy::LeastLatency | Policy::PeakEwma | Policy::SessionHash | Policy::Prefix => {}
            _ => assert!(one > 0 && two > 0, "{policy:?}: {one} {two}"),
        }
    }
}

#[test]
fn a_slow_backend_gets_few_requests() {
    for (body, slow_gap) in [(streamed(2), Duration::ZERO), (chat(10), Duration::from_millis(40))] {
        let quick = || {
            mock_with(|script| {
                script.first_token = Duration::from_millis(4);
                script.token_gap = slow_gap / 10;
            })
        };
        let slow = mock_with(|script| {
            script.first_token = Duration::from_millis(400);
            script.token_gap = slow_gap;
        });
        let quick = [quick(), quick()];
        let backends = [quick[0].address(), slow.address(), quick[1].address()];
        let proxy = Proxy::with(&backends, |_| ());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let mut client = proxy.client();
                let body = &body;
                scope.spawn(move || assert_eq!(count(&statuses(&mut client, 80, body), 200), 80));
            }
        });
        let requests = slow.stats().requests;
        assert!((1..=24).contains(&requests), "{requests} of 240 to the slow one");
    }
}

#[test]
fn a_black_hole_is_left_alone_by_all_shards() {
    let ((hole, _), well) = (black_hole(), mock());
    let proxy = Proxy::with(&[hole.address, well.address()], |written| {
        ejecting(4, LONG)(written);
        written.cores = "0-1".to_owned();
    });
    // A connection each, so that both shards have some.
    let statuses: Vec<u16> =
        (0..60).map(|_| proxy.client().post(CHAT, "", chat(1)).status).collect();
    assert_eq!((count(&statuses, 500), count(&statuses, 200)), (4, 56), "{statuses:?}");
    let figures = proxy.backends();
    assert_eq!((figures[0].ejected, figures[0].failures, figures[0].picks), (true, 4, 4));
    assert_eq!((figures[1].ejected, figures[1].failures, figures[1].picks), (false, 0, 56));
}

#[test]
fn one_that_is_well_again_comes_back() {
    let ((hole, is_well), well) = (black_hole(), mock());
    let short = Duration::from_millis(10);
    let proxy = Proxy::with(&[hole.address, well.address()], ejecting(2, short));
    let mut client = proxy.client();
    eventually("it is ejected", || {
        client.post(CHAT, "", chat(1));
        proxy.backends()[0].ejected
    });
    is_well.store(true, Ordering::SeqCst);
    let name = hole.address.to_string();
    let mut answers = 0;
    eventually("it answers as often as one that is well", || {
        let answer = client.post(CHAT, "", chat(1));
        assert_eq!(answer.status, 200);
        answers += usize::from(answer.field("x-tokenring-backend") == Some(&name));
        answers > 20
    });
}

#[test]
fn the_last_half_is_never_left_alone() {
    let holes = [black_hole().0, black_hole().0];
    let addresses = [holes[0].address, holes[1].address];
    let proxy = Proxy::with(&addresses, ejecting(1, LONG));
    let mut client = proxy.client();
    assert_eq!(count(&statuses(&mut client, 20, &chat(1)), 500), 20);
    let ejected = proxy.backends().iter().filter(|figures| figures.ejected).count();
    assert_eq!(ejected, 1);
}

#[test]
fn an_outage_of_one_model_keeps_no_dead_backend_of_another_in_service() {
    let holes = [black_hole().0, black_hole().0, black_hole().0];
    let well = mock();
    let [one, two, three] = holes.each_ref().map(|hole| hole.address);
    let proxy = Proxy::with(&[one, two, three, well.address()], |written| {
        ejecting(1, LONG)(written);
        for (backend, model) in written.backends.iter_mut().zip(["a", "a", "b", "b"]) {
            backend.models = vec![model.to_owned()];
        }
    });
    let ask = |model: &str| {
        let body = chat(1).replace("\"m\"", &format!("\"{model}\""));
        statuses(&mut proxy.client(), 10, &body)
    };
    assert_eq!((count(&ask("a"), 500), count(&ask("b"), 500)), (10, 1));
    let ejected = proxy.backends().iter().filter(|figures| figures.ejected).count();
    assert_eq!(ejected, 2, "one of each model's");
}

#[test]
fn a_backend_that_asks_for_a_pause_gets_it() {
    let full = mock_with(|script| {
        script.status = 429;
        script.retry_after = Some(LONG);
    });
    let well = mock();
    let proxy = Proxy::with(&[full.address(), well.address()], ejecting(9, LONG));
    let statuses = statuses(&mut proxy.client(), 20, &chat(1));
    assert_eq!((count(&statuses, 429), count(&statuses, 200)), (1, 19), "{statuses:?}");
}

/// A provider's limits are each model's own.
#[test]
fn a_model_that_is_spent_at_a_provider_leaves_it_to_the_others() {
    let provider = Backend::start(|conn| {
        while let Some(request) = conn.request() {
            let is_spent = String::from_utf8_lossy(&request.body).contains("\"spent\"");
            conn.say(match is_spent {
                true => "HTTP/1.1 429 No\r\nretry-after: 30\r\ncontent-length: 2\r\n\r\n{}",
                false => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            });
        }
    });
    let other = mock();
    let proxy = Proxy::with(&[provider.address, other.address()], |written| {
        written.balancing.policy = Policy::RoundRobin;
        written.retry.attempts = 2;
    });
    let spent = chat(1).replace("\"m\"", "\"spent\"");
    let mut client = proxy.client();
    assert_eq!(count(&statuses(&mut client, 20, &spent), 200), 20);
    let figures = proxy.backends()[0];
    let shown = (figures.picks, figures.failures, figures.ejected, figures.ejected_models);
    assert_eq!(shown, (1, 1, false, 1));
    assert_eq!(count(&statuses(&mut client, 20, &chat(1)), 200), 20);
    // Who was away makes up for one turn at most.
    assert!((11..=12).contains(&proxy.backends()[0].picks), "each in its turn");
}

#[test]
fn a_backend_that_never_answers_is_left_alone() {
    let stalled = Backend::start(|conn| {
        conn.request();
        conn.until_closed();
    });
    let well = mock();
    let proxy = Proxy::with(&[stalled.address, well.address()], |written| {
        ejecting(2, LONG)(written);
        written.deadlines.first_byte = Duration::from_millis(300);
    });
    let statuses = statuses(&mut proxy.client(), 20, &chat(1));
    assert_eq!((count(&statuses, 504), count(&statuses, 200)), (2, 18), "{statuses:?}");
}

#[test]
fn a_stream_that_is_cut_is_its_backends_failure() {
    let cutting = mock_with(|script| script.cut_at = Some(2));
    let proxy = Proxy::with(&[cutting.address()], |_| ());
    for failures in 1..=3 {
        assert_eq!(proxy.client().post(CHAT, "", streamed(5)).end, End::Cut);
        proxy.settles();
        assert_eq!(proxy.backends()[0].failures, failures);
    }
}

#[test]
fn a_clients_fault_never_counts() {
    let strict = mock_with(|script| script.models = vec!["other".to_owned()]);
    let proxy = Proxy::with(&[strict.address(), nowhere()], |written| {
        ejecting(1, LONG)(written);
        written.retry.attempts = 2;
    });
    assert_eq!(count(&statuses(&mut proxy.client(), 20, &chat(1)), 404), 20);
    let figures = proxy.backends()[0];
    assert_eq!((figures.failures, figures.ejected, figures.picks), (0, false, 20));
}

const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}";

const DENIED: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n{}";

/// One client's 401 or 403 must not take a backend from all others.
#[test]
fn a_refused_key_of_ours_is_its_backends_failure_and_nothing_else_that_is_declined() {
    let model = |client: &mut Client| client.post(CHAT, "", chat(1)).status;
    let other = |client: &mut Client| client.get("/v1/organization/users").status;
    type Ask = fn(&mut Client) -> u16;
    let (model, other): (Ask, Ask) = (model, other);
    for (answer, own_key, ask, expected) in [
        // Nobody sees it: another one is asked.
        (REFUSED, true, model, (0, 1, true)),
        (REFUSED, true, other, (10, 0, false)),
        (REFUSED, false, model, (10, 0, false)),
        (DENIED, true, model, (10, 0, false)),
        (DENIED, true, other, (10, 0, false)),
    ] {
        let (declining, well) = (Backend::saying(answer), mock());
        let mut plan = plan(&[url(declining.address), url(well.address())], |written| {
            ejecting(1, LONG)(written);
            written.retry.attempts = 2;
        });
        plan.backends[0].credential = own_key.then(|| Secret::new(b"key-of-ours"));
        let proxy = Proxy::of(plan);
        let mut client = proxy.client();
        let declined = (0..20).filter(|_| matches!(ask(&mut client), 401 | 403)).count();
        let figures = proxy.backends()[0];
        let found = (declined, figures.failures, figures.ejected);
        assert_eq!(found, expected, "{answer:?} ours: {own_key}");
    }
}

#[test]
fn who_declines_every_request_at_once_does_not_draw_them() {
    let declining = Backend::saying(REFUSED);
    let good = [0; 3].map(|_| mock_with(|script| script.first_token = Duration::from_millis(40)));
    let [one, two, three] = good.each_ref().map(|mock| mock.address());
    for body in [chat(2), streamed(2)] {
        let proxy = Proxy::with(&[one, declining.address, two, three], |_| ());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let (mut client, body) = (proxy.client(), &body);
                scope.spawn(move || statuses(&mut client, 30, body));
            }
        });
        let figures = proxy.backends()[1];
        assert!(figures.picks <= 60, "{} of 240 to who declines", figures.picks);
        assert_eq!((figures.failures, figures.ejected), (0, false));
    }
}

#[test]
fn a_client_that_leaves_never_counts() {
    let stalled = mock();
    let proxy = Proxy::with(&[stalled.address(), nowhere()], |written| {
        ejecting(1, LONG)(written);
        written.retry.attempts = 2;
    });
    let (before, within) = ("x-mock-stall-at: head\r\n", "x-mock-stall-at: 2\r\n");
    for (headers, body, shown) in
        [(before, chat(5), false), (before, streamed(5), false), (within, streamed(5), true)]
    {
        for _ in 0..3 {
            let mut client = proxy.client();
            client.send_post(CHAT, headers, &body);
            eventually("its backend works for it", || {
                let figures = proxy.backends()[0];
                if shown { figures.streams == 1 } else { figures.waiting == 1 }
            });
            drop(client);
            proxy.settles();
        }
    }
    let figures = proxy.backends()[0];
    assert_eq!((figures.failures, figures.ejected, figures.picks), (0, false, 9));
}

#[test]
fn each_backend_has_its_figures_on_the_page() {
    let mock = mock_with(|script| script.token_gap = Duration::from_millis(2));
    let proxy = Proxy::of(plan(&[url(mock.address())], |written| {
        written.admin = Some("127.0.0.1:0".to_owned());
    }));
    let page = || proxy.admin().get("/metrics").text();
    let label = format!("{{backend=\"{}\"}}", mock.address());
    assert!(!page().contains("tokenring_backend_ttft_seconds{"), "before any request");
    assert_eq!(proxy.client().post(CHAT, "", streamed(20)).status, 200);
    let page = page();
    for (name, value) in [("picks_total", 1), ("failures_total", 0), ("waiting", 0), ("ejected", 0)]
    {
        let line = format!("\ntokenring_backend_{name}{label} {value}\n");
        assert!(page.contains(&line), "{line} is not in\n{page}");
    }
    let figure = |name: &str| -> f64 {
        let start = format!("tokenring_backend_{name}{label} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{name} is not in\n{page}")).parse().unwrap()
    };
    let (first, pace) = (figure("ttft_seconds"), figure("tpot_seconds"));
    assert!(first > 0.0, "{first}");
    assert!((0.0015..0.1).contains(&pace), "{pace}");
}

/// A proxy of two shards that lets no conversation go for its cost. The backends
/// have names that do not depend on their ports, as those decide.
fn patient(mocks: &[tokenring::mock::MockHandle], policy: Policy) -> Proxy {
    let urls: Vec<_> = mocks.iter().map(|mock| url(mock.address())).collect();
    let mut plan = plan(&urls, |written| {
        written.balancing.policy = policy;
        written.balancing.affinity_percent = 1_000_000;
        written.cores = "0-1".to_owned();
    });
    for (place, backend) in plan.backends.iter_mut().enumerate() {
        backend.name = format!("gpu-{place}");
    }
    Proxy::of(plan)
}

/// Which of these mocks has answered since the last look.
fn answered(mocks: &[tokenring::mock::MockHandle], before: &mut Vec<u64>) -> Vec<usize> {
    let now: Vec<u64> = mocks.iter().map(|mock| mock.stats().requests).collect();
    let more = (0..now.len()).filter(|&place| now[place] > before.get(place).copied().unwrap_or(0));
    let more = more.collect();
    *before = now;
    more
}

#[test]
fn a_session_stays_at_its_backend_and_others_have_theirs() {
    let mocks = [mock(), mock(), mock()];
    let proxy = patient(&mocks, Policy::SessionHash);
    let (mut before, mut seen) = (vec![], std::collections::HashSet::new());
    for session in 0..12 {
        let header = format!("x-session-id: session-{session}\r\n");
        for _ in 0..4 {
            assert_eq!(proxy.client().post(CHAT, &header, chat(1)).status, 200);
            proxy.settles();
        }
        let answered = answered(&mocks, &mut before);
        assert_eq!(answered.len(), 1, "{session}: {answered:?}");
        seen.extend(answered);
    }
    assert_eq!(seen.len(), 3, "sessions are shared");
}

#[test]
fn a_conversation_goes_on_where_it_was_read() {
    let mocks = [mock(), mock(), mock()];
    let proxy = patient(&mocks, Policy::Prefix);
    let mut before = vec![];
    for talk in 0..8 {
        let mut words = format!("{talk}{}", "x".repeat(2000));
        for _ in 0..4 {
            let body = format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"{words}"}}],"max_tokens":1}}"#
            );
            assert_eq!(proxy.client().post(CHAT, "", body).status, 200);
            proxy.settles();
            words.push_str(&"y".repeat(500));
        }
        let answered = answered(&mocks, &mut before);
        assert_eq!(answered.len(), 1, "{talk}: {answered:?}");
    }
    let read: u64 = proxy.backends().iter().map(|figures| figures.prompt_tokens_read).sum();
    let all: u64 = proxy.backends().iter().map(|figures| figures.prompt_tokens).sum();
    assert!(read > all / 2, "{read} of {all}");
}
