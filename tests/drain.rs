//! The end of a process in order: who has asked is answered, who has not is
//! let go at once, and nobody is left waiting.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    io::{BufRead, BufReader},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    rc::Rc,
    sync::Arc,
};

use support::{
    Client, PATIENCE, Proxy, chat, eventually, mock, plan,
    process::{Process, metric},
    url,
};
use tokenring::{
    admin::{Facts, pages},
    balance::Fleet,
    exchange::{BackendSettings, Counters, Generation, Ground, Settings, Stage},
    route::{RoutePlan, RouteTable},
    rt::{self, Clock, KernelWorld, Letterbox, Listener, Mailbox, Peer},
    shard::{House, Letter, Mail, Shard},
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

/// Its next request would be awaited with a buffer for as long as this.
#[test]
fn a_connection_between_two_requests_is_closed_at_once() {
    let mock = mock();
    let proxy = Proxy::of(plan(&[url(mock.address())], |written| {
        written.pool.rest_before_idle = 6 * PATIENCE;
    }));
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.post(CHAT, "", chat(1)).status, 200);
    }
    // This one has not asked yet, and that one is in the middle of it.
    let mut silent = proxy.client();
    let mut asks = proxy.client();
    asks.send("POST /v1/chat/completions HTTP/1.1\r\nhost: p\r\n");
    eventually("all are in", || proxy.sum(|c| &c.connections_open) == 22);
    proxy.drain(6 * PATIENCE);
    clients.iter_mut().for_each(Client::is_closed);
    silent.is_closed();
    asks.send(format!("content-length: {}\r\n\r\n{}", chat(1).len(), chat(1)));
    let answer = asks.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
}

/// One shard of two, whose other has ended, with one client of its own.
/// Returns once it has drained.
fn shard_beside_one_that_has_ended(
    listener: OwnedFd,
    mailbox: (Mailbox<Mail<KernelWorld>>, Letterbox<Mail<KernelWorld>>),
) {
    let plan = plan(&["http://127.0.0.1:1".to_owned()], |_| ());
    let settings = Settings {
        deadlines: plan.deadlines,
        limits: plan.limits,
        pool: plan.pool,
        queue: plan.queue,
        headers: plan.headers,
        credentials: plan.credentials,
        retry: plan.retry,
        proxy_path: plan.proxy_path,
        backends: vec![BackendSettings::default()],
        policies: Vec::new(),
        panics_at: None,
    };
    let fleet = Arc::new(Fleet::new(1, plan.balancing));
    let facts = Facts {
        version: "",
        driver: Arc::default(),
        panics: || 0,
        certificates: None,
        reloads: Arc::default(),
        fleet: Arc::clone(&fleet),
        backends: vec![String::new()],
        probes: [].into(),
        rules: Arc::default(),
    };
    let (counters, house) = (Arc::new(Counters::default()), Arc::new(House::new(2, None)));
    // The other one has fewer, and so is the better place.
    let _seat = house.take_seat(0, Peer::Local, 2).unwrap();
    let (ended, _) = rt::mailbox(1);
    let (mut runtime, _) = rt::build(plan.driver, plan.rings.entries).unwrap();
    runtime.block_on(async {
        let pages = pages(Arc::new([Arc::clone(&counters)]), facts);
        let world = KernelWorld::new(Clock::start());
        let ground = Ground::new(world, settings.pool, Arc::default(), counters, 1);
        let generation = Generation {
            number: 1,
            settings,
            pages,
            fleet,
            routes: Arc::new(RouteTable::new(&RoutePlan::default())),
            rules: Arc::default(),
            security: vec![()],
            addresses: vec![Vec::new()],
            kept: vec![None],
        };
        let stage = Stage::new(Rc::new(ground), &generation, 0);
        let listener = Listener::adopt(listener).unwrap();
        let shard = Shard::new(0, stage, vec![mailbox.0, ended], house, 9);
        Rc::new(shard).run(vec![(listener, false)], mailbox.1).await;
    });
}

#[track_caller]
fn is_served_beside_a_shard_that_has_ended(drains_first: bool) {
    let listener = rt::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let mut client = Client::tcp(Listener::local_address(&listener).unwrap().unwrap());
    let (mailbox, letterbox) = rt::mailbox(1);
    client.send("GET /health HTTP/1.1\r\nhost: p\r\n\r\n");
    let drain = || assert!(mailbox.send(Letter::Drain).is_ok());
    if drains_first {
        drain();
    }
    let theirs = (mailbox.clone(), letterbox);
    let shard = std::thread::spawn(move || shard_beside_one_that_has_ended(listener, theirs));
    assert_eq!(client.answer().status, 200);
    if !drains_first {
        drain();
    }
    client.is_closed();
    drop(client);
    shard.join().unwrap();
}

#[test]
fn a_shard_that_drains_hands_nobody_over() {
    is_served_beside_a_shard_that_has_ended(true);
}

/// It may have heard of the drain earlier.
#[test]
fn a_shard_that_has_ended_is_handed_nobody() {
    is_served_beside_a_shard_that_has_ended(false);
}

/// A service manager that restarts its log leaves us to write to nobody.
#[test]
fn a_process_whose_log_nobody_reads_still_ends_when_told() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tokenring"))
        .args(["serve", "--listen", "127.0.0.1:0", "--backend", "http://127.0.0.1:1"])
        .args(["--cores", "0", "--no-pin"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listens on") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it says where it listens");
    }
    drop(said);
    let told = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
    assert!(told.unwrap().success());
    eventually("the process ends", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
}
