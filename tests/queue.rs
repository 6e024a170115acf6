//! Requests that wait because every backend is full, end to end.
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
        Arc, Barrier, Condvar, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use support::{
    Client, PATIENCE, Proxy, backend::Backend, chat, error_word, eventually, mock_with, plan, url,
};
use tokenring::config::{Policy, Written};

const CHAT: &str = "/v1/chat/completions";

/// A backend that answers a request when it is told to, and remembers who has
/// asked (`x-who`) in which order.
struct Gate {
    backend: Backend,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    asked: Vec<String>,
    under_way: usize,
    most_under_way: usize,
    /// Answers that may still be given.
    allowed: usize,
}

impl Gate {
    fn new(allowed: usize) -> Self {
        let state = Arc::new((Mutex::new(State { allowed, ..State::default() }), Condvar::new()));
        let shared = Arc::clone(&state);
        let backend = Backend::start(move |conn| {
            while let Some(request) = conn.request() {
                let (state, changed) = &*shared;
                let mut state = state.lock().unwrap();
                state.asked.extend(request.all("x-who").first().map(|&who| who.to_owned()));
                state.under_way += 1;
                state.most_under_way = state.most_under_way.max(state.under_way);
                let shut = |state: &mut State| state.allowed == 0;
                let (mut state, _) = changed.wait_timeout_while(state, PATIENCE, shut).unwrap();
                state.allowed = state.allowed.saturating_sub(1);
                state.under_way -= 1;
                drop(state);
                conn.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
            }
        });
        Self { backend, state }
    }

    fn allow(&self, answers: usize) {
        self.state.0.lock().unwrap().allowed += answers;
        self.state.1.notify_all();
    }

    fn asked(&self) -> Vec<String> {
        self.state.0.lock().unwrap().asked.clone()
    }

    fn most_under_way(&self) -> usize {
        self.state.0.lock().unwrap().most_under_way
    }

    /// A proxy before it that gives it so many requests at a time.
    fn behind(&self, capacity: u32, change: impl FnOnce(&mut Written)) -> Proxy {
        let mut plan = plan(&[url(self.backend.address)], change);
        plan.backends[0].capacity = NonZeroU32::new(capacity);
        Proxy::of(plan)
    }
}

/// Asks, and waits until the request is at the backend.
fn ask_first(proxy: &Proxy, gate: &Gate) -> Client {
    let client = ask(proxy, "first", "");
    eventually("the first is at the backend", || gate.asked() == ["first"]);
    client
}

fn ask(proxy: &Proxy, who: &str, headers: &str) -> Client {
    let mut client = proxy.client();
    client.send_post(CHAT, &format!("x-who: {who}\r\n{headers}"), chat(1));
    client
}

/// Asks, and waits until so many are in the queue.
fn ask_and_queue(proxy: &Proxy, who: &str, headers: &str, queued: u64) -> Client {
    let client = ask(proxy, who, headers);
    eventually(who, || proxy.sum(|c| &c.requests_queued) == queued);
    client
}

#[test]
fn who_waits_is_answered_in_its_turn() {
    let gate = Gate::new(0);
    let proxy = gate.behind(1, |_| ());
    let mut clients = vec![ask_first(&proxy, &gate)];
    for (place, who) in ["a", "b", "c"].into_iter().enumerate() {
        clients.push(ask_and_queue(&proxy, who, "", place as u64 + 1));
    }
    gate.allow(4);
    assert!(clients.iter_mut().all(|client| client.answer().status == 200));
    assert_eq!(gate.asked(), ["first", "a", "b", "c"]);
    assert_eq!(gate.most_under_way(), 1);
    proxy.settles();
    assert_eq!(proxy.sum(|c| &c.queue_waits), 3);
    assert_eq!(proxy.sum(|c| &c.requests_queued), 0);
}

#[test]
fn an_urgent_request_goes_first_where_clients_may_say_so() {
    for (priorities, expected) in [
        (true, ["first", "high", "normal", "odd", "low"]),
        (false, ["first", "low", "normal", "odd", "high"]),
    ] {
        let gate = Gate::new(0);
        let proxy = gate.behind(1, |written| written.queue.priorities = priorities);
        let mut clients = vec![ask_first(&proxy, &gate)];
        for (place, who) in ["low", "normal", "odd", "high"].into_iter().enumerate() {
            let header = format!("x-tokenring-priority: {who}\r\n");
            clients.push(ask_and_queue(&proxy, who, &header, place as u64 + 1));
        }
        gate.allow(5);
        assert!(clients.iter_mut().all(|client| client.answer().status == 200));
        assert_eq!(gate.asked(), expected);
    }
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    for length in [0, 1] {
        let gate = Gate::new(0);
        let proxy = gate.behind(1, |written| written.queue.length = length);
        let mut clients = vec![ask_first(&proxy, &gate)];
        if length == 1 {
            clients.push(ask_and_queue(&proxy, "waits", "", 1));
        }
        for (path, word) in [(CHAT, "queue_full"), ("/v1/messages", "rate_limit_error")] {
            let answer = proxy.client().post(path, "", chat(1));
            assert_eq!((answer.status, answer.field("retry-after")), (429, Some("1")));
            assert_eq!(error_word(path, &answer.body), word);
        }
        gate.allow(2);
        assert!(clients.iter_mut().all(|client| client.answer().status == 200));
        assert_eq!(proxy.sum(|c| &c.queue_refusals), 2);
    }
}

#[test]
fn who_waits_too_long_is_told_so() {
    let gate = Gate::new(0);
    let proxy = gate.behind(1, |written| written.queue.timeout = Duration::from_millis(30));
    let mut first = ask_first(&proxy, &gate);
    for (path, word) in [(CHAT, "queue_timeout"), ("/v1/messages", "overloaded_error")] {
        let answer = proxy.client().post(path, "", chat(1));
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert_eq!(error_word(path, &answer.body), word);
    }
    gate.allow(1);
    assert_eq!(first.answer().status, 200);
    assert_eq!(gate.asked(), ["first"]);
    assert_eq!(proxy.sum(|c| &c.queue_timeouts), 2);
    assert!(proxy.sum(|c| &c.queue_wait_milliseconds) >= 60);
    assert_eq!(proxy.backends()[0].failures, 0, "it is not the backend's fault");
}

#[test]
fn a_client_that_leaves_waits_no_longer() {
    let gate = Gate::new(0);
    let proxy = gate.behind(1, |_| ());
    let mut first = ask_first(&proxy, &gate);
    let leaves = ask_and_queue(&proxy, "leaves", "", 1);
    let mut stays = ask_and_queue(&proxy, "stays", "", 2);
    drop(leaves);
    eventually("it has left the queue", || proxy.sum(|c| &c.requests_queued) == 1);
    gate.allow(2);
    assert_eq!((first.answer().status, stays.answer().status), (200, 200));
    assert_eq!(gate.asked(), ["first", "stays"]);
}

#[test]
fn the_end_of_a_drain_ends_the_wait() {
    let gate = Gate::new(0);
    let proxy = gate.behind(1, |_| ());
    let _first = ask_first(&proxy, &gate);
    let mut waits = ask_and_queue(&proxy, "waits", "", 1);
    proxy.drain(Duration::ZERO);
    let answer = waits.answer();
    assert_eq!(answer.status, 503);
    assert_eq!(error_word(CHAT, &answer.body), "shutting_down");
    gate.allow(1);
}

/// One waits for the second backend, as the first has failed it: the first is
/// free for whoever comes.
#[test]
fn who_waits_stands_in_nobodys_way_where_it_will_not_be_sent_again() {
    let gate = Gate::new(0);
    let failing_once = Mutex::new(true);
    let first = Backend::start(move |conn| {
        while conn.request().is_some() {
            let fails = std::mem::take(&mut *failing_once.lock().unwrap());
            let status = if fails { "500 Oh" } else { "200 OK" };
            conn.say(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}"));
        }
    });
    let mut plan = plan(&[url(gate.backend.address), url(first.address)], |written| {
        written.balancing.policy = Policy::RoundRobin;
        written.retry.attempts = 2;
    });
    for backend in &mut plan.backends {
        backend.capacity = NonZeroU32::new(1);
    }
    let proxy = Proxy::of(plan);
    // Whoever is asked first by a fresh process is the first of the list.
    let mut holds = ask_first(&proxy, &gate);
    let mut waits = ask_and_queue(&proxy, "waits", "", 1);
    assert_eq!(proxy.backends()[1].failures, 1, "the other one has failed it");
    assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 200);
    assert_eq!(proxy.sum(|c| &c.requests_queued), 1, "it still waits");
    gate.allow(2);
    assert_eq!((holds.answer().status, waits.answer().status), (200, 200));
    assert_eq!(gate.asked(), ["first", "waits"]);
}

/// Clients of which so many are connected to each of two shards.
fn clients_of_both(proxy: &Proxy, each: usize) -> [Vec<Client>; 2] {
    let mut clients = [vec![], vec![]];
    let open = || proxy.each_shard(|c| &c.connections_open);
    for connected in 1.. {
        assert!(connected < 100, "one shard gets them all");
        let before = open();
        let client = proxy.client();
        eventually("it is connected", || open().iter().sum::<u64>() == connected);
        clients[usize::from(open()[0] == before[0])].push(client);
        if clients.iter().all(|clients| clients.len() >= each) {
            break;
        }
    }
    clients
}

/// Who gives a place back leaves it to the first of all, though its own shard
/// would know of it at once.
#[test]
fn a_place_goes_to_whoever_is_first_of_all_shards() {
    for (waiting, expected) in [
        ([(1, "a", "normal"), (0, "b", "normal")], ["first", "a", "b"]),
        ([(0, "a", "normal"), (1, "b", "normal")], ["first", "a", "b"]),
        ([(0, "a", "normal"), (1, "b", "high")], ["first", "b", "a"]),
        ([(1, "a", "low"), (0, "b", "normal")], ["first", "b", "a"]),
        ([(0, "a", "low"), (1, "b", "low")], ["first", "a", "b"]),
    ] {
        let gate = Gate::new(0);
        let proxy = gate.behind(1, |written| {
            written.cores = "0-1".to_owned();
            written.queue.priorities = true;
        });
        let mut clients = clients_of_both(&proxy, 2);
        let mut ask = |shard: usize, who: &str, priority: &str| {
            let mut client = clients[shard].pop().unwrap();
            let headers = format!("x-who: {who}\r\nx-tokenring-priority: {priority}\r\n");
            client.send_post(CHAT, &headers, chat(1));
            client
        };
        let mut asking = vec![ask(0, "first", "normal")];
        eventually("the first is at the backend", || gate.asked() == ["first"]);
        for (place, (shard, who, priority)) in waiting.into_iter().enumerate() {
            asking.push(ask(shard, who, priority));
            let waits = || proxy.sum(|c| &c.requests_queued) == place as u64 + 1;
            eventually(who, waits);
        }
        for asked in 2..=3 {
            gate.allow(1);
            eventually("the next is at the backend", || gate.asked().len() == asked);
            assert_eq!(gate.asked(), expected[..asked], "{waiting:?}");
        }
        gate.allow(1);
        assert!(asking.iter_mut().all(|client| client.answer().status == 200));
        assert_eq!(gate.most_under_way(), 1);
        proxy.settles();
    }
}

#[test]
fn who_has_left_another_shards_queue_stands_in_nobodys_way() {
    let gate = Gate::new(0);
    let proxy = gate.behind(1, |written| written.cores = "0-1".to_owned());
    let [mut here, mut there] = clients_of_both(&proxy, 2);
    let ask = |clients: &mut Vec<Client>, who: &str| {
        let mut client = clients.pop().unwrap();
        client.send_post(CHAT, &format!("x-who: {who}\r\n"), chat(1));
        client
    };
    let mut first = ask(&mut here, "first");
    eventually("the first is at the backend", || gate.asked() == ["first"]);
    let leaves = ask(&mut there, "leaves");
    eventually("one waits", || proxy.sum(|c| &c.requests_queued) == 1);
    let mut stays = ask(&mut here, "stays");
    eventually("two wait", || proxy.sum(|c| &c.requests_queued) == 2);
    drop(leaves);
    eventually("one waits", || proxy.sum(|c| &c.requests_queued) == 1);
    gate.allow(2);
    assert_eq!((first.answer().status, stays.answer().status), (200, 200));
    assert_eq!(gate.asked(), ["first", "stays"]);
}

/// Whatever shard a client is connected to: while it waits for one answer,
/// nobody else gets many.
#[test]
fn no_shard_starves_beside_another() {
    const CLIENTS: usize = 20;
    const REQUESTS: u64 = 25;
    /// A client whose thread is not run for a while asks late itself.
    const OVERTAKEN_MAX: u64 = 8;
    let busy = mock_with(|script| script.first_token = Duration::from_millis(5));
    let mut plan = plan(&[url(busy.address())], |written| written.cores = "0-1".to_owned());
    plan.backends[0].capacity = NonZeroU32::new(1);
    let proxy = Proxy::of(plan);
    let [some, others] = clients_of_both(&proxy, CLIENTS / 2);
    let clients = some.into_iter().take(CLIENTS / 2).chain(others.into_iter().take(CLIENTS / 2));
    let answers: Vec<_> = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
    let answered = || answers.iter().map(|count| count.load(SeqCst)).collect::<Vec<_>>();
    let together = Barrier::new(CLIENTS);
    let most = std::thread::scope(|scope| {
        let tell = |(own, mut client): (usize, Client)| {
            let (answered, together, answers) = (&answered, &together, &answers);
            scope.spawn(move || {
                together.wait();
                let mut most = 0;
                for _ in 0..REQUESTS {
                    let before = answered();
                    assert_eq!(client.post(CHAT, "", chat(1)).status, 200);
                    let gained = answered().into_iter().zip(before).map(|(now, then)| now - then);
                    most = most.max(gained.max().unwrap_or_default());
                    answers[own].fetch_add(1, SeqCst);
                }
                most
            })
        };
        let threads: Vec<_> = clients.enumerate().map(tell).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max()
    });
    assert!(most <= Some(OVERTAKEN_MAX), "one got {most:?} answers while another waited");
    assert_eq!(busy.stats().requests, CLIENTS as u64 * REQUESTS);
    proxy.settles();
    assert_eq!(proxy.sum(|c| &c.requests_queued), 0);
}

#[test]
fn a_place_that_another_shard_gives_back_is_found() {
    let gate = Gate::new(usize::MAX);
    let proxy = gate.behind(2, |written| written.cores = "0-3".to_owned());
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(proxy.client().post(CHAT, "", chat(1)).status, 200);
                }
            });
        }
    });
    assert!(gate.most_under_way() <= 2, "{}", gate.most_under_way());
}
