//! A thousand certificates, one after the other, under clients that notice
//! nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rustls::{ClientConfig, client::Resumption};
use support::{
    Client, chat, eventually, mock,
    process::Process,
    tls::{
        TlsSocket, VERSIONS,
        authority::{Authority, Leaf},
        client_config,
    },
    url,
};
use tokenring::mock::MockHandle;

const CHAT: &str = "/v1/chat/completions";
const SWAPS: usize = 1_000;
/// That many certificates take turns.
const LEAVES: usize = 7;

/// A shell that sends a signal for each line, for a process for each would
/// take longer than the swap.
struct Hangups {
    shell: Child,
    lines: ChildStdin,
}

impl Hangups {
    fn to(process: &Process) -> Self {
        let words = format!("while read -r line; do kill -s HUP {}; done", process.id());
        let mut shell =
            Command::new("sh").args(["-c", &words]).stdin(Stdio::piped()).spawn().unwrap();
        let lines = shell.stdin.take().unwrap();
        Self { shell, lines }
    }

    fn send(&mut self) {
        self.lines.write_all(b"\n").unwrap();
    }
}

impl Drop for Hangups {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.shell.kill();
        let _ = self.shell.wait(); // as above
    }
}

struct World {
    _mock: MockHandle,
    process: Process,
    authority: Authority,
    shown: Leaf,
    leaves: Vec<Leaf>,
}

impl World {
    fn start() -> Self {
        let mock = mock();
        let authority = Authority::new();
        let shown = authority.leaf("shown", &["localhost"]);
        let leaves = (0..LEAVES).map(|n| authority.leaf(&format!("leaf-{n}"), &["localhost"]));
        let leaves = leaves.collect();
        // Looked at by signal alone.
        let more = ["--tls-watch-every", "1h"];
        let process = Process::serve_tls(&shown, &[url(mock.address())], &more);
        Self { _mock: mock, process, authority, shown, leaves }
    }

    fn config(&self, version: usize, resumes: bool) -> Arc<ClientConfig> {
        let mut config = client_config(&self.authority, VERSIONS[version], None);
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        Arc::new(config)
    }

    fn connect(&self, config: &Arc<ClientConfig>) -> TlsSocket {
        TlsSocket::connect(self.process.tls_address(), config, "localhost").unwrap()
    }

    fn put(&self, leaf: &Leaf) {
        replace(&self.shown.certificate_file, &leaf.certificate_pem);
        replace(&self.shown.key_file, &leaf.key_pem);
    }
}

/// As tools do it: written beside, then moved over.
fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, file).unwrap();
}

#[track_caller]
fn is_answered(client: &mut Client) {
    assert_eq!(client.post(CHAT, "", chat(1)).status, 200);
}

/// Requests as fast as they are answered, until all is over: on one connection
/// that outlives every swap, and on a new one for each.
fn load(world: &World, ended: &AtomicBool, answered: &AtomicU64, version: usize) {
    let mut stays = world.connect(&world.config(version, true)).client();
    let resumes = world.config(version, true);
    while !ended.load(Ordering::SeqCst) {
        is_answered(&mut stays);
        is_answered(&mut world.connect(&resumes).client());
        answered.fetch_add(2, Ordering::SeqCst);
    }
}

#[test]
fn a_thousand_swaps_fail_no_request() {
    let world = World::start();
    let (ended, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut hangups = Hangups::to(&world.process);
    let config = world.config(1, false);
    std::thread::scope(|scope| {
        // Set also when a check fails, or the load would never end.
        struct Ends<'a>(&'a AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let _ends = Ends(&ended);
        let loads = [0, 1].map(|version| {
            let (world, ended, answered) = (&world, &ended, &answered);
            scope.spawn(move || load(world, ended, answered, version))
        });
        for swap in 0..SWAPS {
            let leaf = &world.leaves[swap % LEAVES];
            world.put(leaf);
            hangups.send();
            eventually("the new one is shown", || {
                assert!(!loads.iter().any(|load| load.is_finished()), "a request failed");
                world.connect(&config).shown() == leaf.chain()[0].to_vec()
            });
        }
    });
    assert!(answered.load(Ordering::SeqCst) > SWAPS as u64 / 10);
    assert_eq!(world.process.metric("tokenring_panics_total"), 0);
    assert_eq!(world.process.metric("tokenring_responses_5xx_total"), 0);
}

/// Without a signal, and with both files written in place, one after the
/// other: what does not match is never shown.
#[test]
fn a_pair_that_is_half_written_is_not_taken() {
    let mock = mock();
    let authority = Authority::new();
    let shown = authority.leaf("shown", &["localhost"]);
    let (first, next) = (shown.chain()[0].to_vec(), authority.leaf("next", &["localhost"]));
    let more = ["--tls-watch-every", "10ms"];
    let process = Process::serve_tls(&shown, &[url(mock.address())], &more);
    let mut config = client_config(&authority, VERSIONS[1], None);
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    let connect = || TlsSocket::connect(process.tls_address(), &config, "localhost").unwrap();
    let mut stays = connect();
    assert_eq!((stays.shown(), stays.get()), (first.clone(), 200));
    let lines = process.said().lines().count();
    fs::write(&shown.certificate_file, &next.certificate_pem).unwrap();
    eventually("the refusal is told", || process.said().lines().count() > lines);
    assert_eq!(connect().shown(), first);
    fs::write(&shown.key_file, &next.key_pem).unwrap();
    eventually("the new one is shown", || connect().shown() == next.chain()[0].to_vec());
    assert_eq!(stays.get(), 200);
    // What is no certificate at all changes nothing either.
    for text in ["", "-----BEGIN CERTIFICATE-----\n", "nothing\n"] {
        let lines = process.said().lines().count();
        fs::write(&shown.certificate_file, text).unwrap();
        eventually("the refusal is told", || process.said().lines().count() > lines);
        assert_eq!(connect().shown(), next.chain()[0].to_vec());
    }
    assert_eq!(stays.get(), 200);
}
