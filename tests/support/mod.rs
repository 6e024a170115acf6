//! What the end-to-end tests stand on: a proxy in this process, the mock or a
//! scripted backend behind it, and a client that believes nothing.
//!
//! `TOKENRING_TEST_DRIVER` (`auto`, `uring`, `epoll`) chooses the driver. No
//! port is fixed, and every wait is for a condition and has an end.
#![allow(dead_code, reason = "each test file uses its part of this")]

pub mod backend;
pub mod client;
pub mod names;
pub mod process;
pub mod tls;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use tokenring::{
    balance::{BackendId, Figures, Fleet},
    config::{Address, DriverChoice, Machine, MockPlan, MockScript, Plan, Policy, Written, check},
    exchange::{Counter, Counters},
    mock::{self, MockHandle},
    rt::{Lookup, Resolver},
    server::{self, Running},
};

#[allow(unused_imports, reason = "each test file uses its part of this")]
pub use client::{Answer, Client, End};

/// How long anything may take that does not wait for a deadline on purpose.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn driver() -> DriverChoice {
    match std::env::var("TOKENRING_TEST_DRIVER").as_deref() {
        Ok("uring") => DriverChoice::Uring,
        Ok("epoll") => DriverChoice::Epoll,
        _ => DriverChoice::Auto,
    }
}

/// Waits for a condition, but not for ever.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in {PATIENCE:?} not so: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A mock that answers at once, save for what its caller changes.
pub fn mock_with(change: impl FnOnce(&mut MockScript)) -> MockHandle {
    let mut script =
        MockScript { first_token: Duration::ZERO, token_gap: Duration::ZERO, ..MockScript::new() };
    change(&mut script);
    let listen = Address::Tcp(([127, 0, 0, 1], 0).into());
    let plan = MockPlan { listen, cores: vec![0], pin: false, driver: driver(), script };
    mock::start(plan).unwrap()
}

pub fn mock() -> MockHandle {
    mock_with(|_| ())
}

/// Each backend in its turn, none left alone, and pauses that no test waits for.
pub fn in_turn(written: &mut Written) {
    written.balancing.policy = Policy::RoundRobin;
    written.balancing.ejection.after = None;
    written.balancing.ejection.below_percent = None;
    written.retry.backoff = Duration::from_millis(10);
    written.retry.backoff_max = Duration::from_millis(10);
}

/// The checked plan of a proxy with one shard on a free port.
pub fn plan(backends: &[String], change: impl FnOnce(&mut Written)) -> Plan {
    let mut written = Written {
        listen: vec!["127.0.0.1:0".to_owned()],
        backends: backends.iter().map(Into::into).collect(),
        cores: "0".to_owned(),
        pin: false,
        driver: driver(),
        drain: PATIENCE,
        ..Written::default()
    };
    change(&mut written);
    let machine = Machine { allowed_cores: vec![0, 1, 2, 3], open_files: Some(65_536) };
    check(&written, &machine).unwrap()
}

pub fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A proxy in this process. When it is dropped it must drain, and every gauge
/// must be back at zero.
pub struct Proxy {
    pub address: SocketAddr,
    counters: Arc<[Arc<Counters>]>,
    fleet: Arc<Fleet>,
    running: Mutex<Option<Running>>,
}

impl Proxy {
    pub fn of(plan: Plan) -> Self {
        Self::resolving(plan, Arc::new(Resolver::resolve))
    }

    /// Names of backends are resolved by `lookup`.
    pub fn resolving(plan: Plan, lookup: Lookup) -> Self {
        let running = server::start_with(plan, lookup).unwrap();
        let mut bound = running.bound().iter().chain(running.secured());
        let tcp = bound.find_map(|bound| bound.parse().ok());
        Self {
            address: tcp.unwrap_or_else(|| ([127, 0, 0, 1], 0).into()),
            counters: running.counters().to_vec().into(),
            fleet: running.fleet(),
            running: Mutex::new(Some(running)),
        }
    }

    /// With every default.
    pub fn before(backend: SocketAddr) -> Self {
        Self::with(&[backend], |_| ())
    }

    pub fn with(backends: &[SocketAddr], change: impl FnOnce(&mut Written)) -> Self {
        let backends: Vec<_> = backends.iter().copied().map(url).collect();
        Self::of(plan(&backends, change))
    }

    pub fn client(&self) -> Client {
        Client::tcp(self.address)
    }

    /// A client of the admin's pages, of which the plan must have some.
    pub fn admin(&self) -> Client {
        let running = self.running.lock().unwrap();
        Client::tcp(running.as_ref().unwrap().admin().unwrap().parse().unwrap())
    }

    /// What is known of each backend.
    pub fn backends(&self) -> Vec<Figures> {
        self.running.lock().unwrap().as_ref().unwrap().backends()
    }

    /// Begins to drain, and goes on while answers are under way.
    pub fn drain(&self, patience: Duration) {
        self.running.lock().unwrap().as_ref().unwrap().stopper().drain(patience);
    }

    /// One figure, summed over the shards.
    pub fn sum(&self, counter: impl Fn(&Counters) -> &Counter) -> u64 {
        self.counters.iter().fold(0, |sum, shard| sum.wrapping_add(counter(shard).read()))
    }

    pub fn each_shard(&self, counter: impl Fn(&Counters) -> &Counter) -> Vec<u64> {
        self.counters.iter().map(|shard| counter(shard).read()).collect()
    }

    /// What should be zero when no request is under way and is not.
    pub fn unsettled(&self) -> Vec<(&'static str, u64)> {
        let backends = (0..).map_while(|place| {
            let figures = self.fleet.figures(BackendId(place), Default::default())?;
            Some(u64::from(figures.waiting + figures.streams))
        });
        let figures: [(&'static str, u64); 6] = [
            ("requests_queued", self.sum(|c| &c.requests_queued)),
            ("requests at backends", backends.sum()),
            ("event_bytes_held", self.sum(|c| &c.event_bytes_held)),
            ("requests_in_flight", self.sum(|c| &c.requests_in_flight)),
            ("request_body_bytes_held", self.sum(|c| &c.request_body_bytes_held)),
            ("backend_connections_busy", self.sum(|c| &c.backend_connections_busy)),
        ];
        figures.into_iter().filter(|(_, value)| *value != 0).collect()
    }

    #[track_caller]
    pub fn settles(&self) {
        eventually("no request is under way", || self.unsettled().is_empty());
    }

    /// All clients have left, and nothing of them is left.
    #[track_caller]
    pub fn empties(&self) {
        eventually("nobody is connected", || self.sum(|c| &c.connections_open) == 0);
        self.settles();
    }

    /// Drains, and waits for the end; answers under way are cut at once.
    #[track_caller]
    pub fn stop(&mut self) {
        let Some(running) = self.running.get_mut().unwrap().take() else { return };
        running.stopper().drain(Duration::ZERO);
        let (end, ends) = mpsc::channel();
        std::thread::spawn(move || end.send(running.wait()));
        let ended = ends.recv_timeout(PATIENCE).expect("the shards end when they are told to");
        ended.unwrap();
        assert_eq!(self.unsettled(), [], "after the end");
        assert_eq!(self.sum(|c| &c.connections_open), 0, "connections open after the end");
        assert_eq!(self.sum(|c| &c.connections_resting), 0, "connections resting after the end");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// A chat request for so many tokens, whole.
pub fn chat(tokens: u32) -> String {
    format!(r#"{{"model":"m","max_tokens":{tokens},"messages":[]}}"#)
}

/// The same, streamed. Every endpoint of the mock understands it.
pub fn streamed(tokens: u32) -> String {
    format!(
        r#"{{"model":"m","max_tokens":{tokens},"max_output_tokens":{tokens},"stream":true,"input":"x","messages":[],"prompt":"x"}}"#
    )
}

/// Checks an error in the dialect of the path it was asked at. Returns its
/// code, or for Anthropic its type.
#[track_caller]
pub fn error_word(path: &str, body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body)
        .unwrap_or_else(|e| panic!("{path}: {e} in {:?}", String::from_utf8_lossy(body)));
    let error = &json["error"];
    assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()), "{path}: {json}");
    if path.starts_with("/v1/messages") {
        assert_eq!(json["type"], "error", "{path}: {json}");
        let id = json["request_id"].as_str();
        assert!(id.is_some_and(|id| !id.is_empty()), "{path}: {json}");
        return error["type"].as_str().unwrap().to_owned();
    }
    for key in ["message", "type", "param", "code"] {
        assert!(error.get(key).is_some(), "{path}: {key} is missing in {json}");
    }
    error["code"].as_str().unwrap_or("null").to_owned()
}

/// A deterministic byte for each place, so that a shifted body differs.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| ((n * n) >> 7) as u8).collect()
}
