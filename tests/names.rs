//! Backends that are known by name: when it stands for another address,
//! requests go there, and connections to the old one are not used again.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    fs::OpenOptions,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    process::Command,
    sync::{Mutex, mpsc},
};

use support::{
    PATIENCE,
    backend::{Backend, Conn},
    chat, eventually,
    names::{HERE, NAME, Names, THERE, ask, both},
    process::Process,
};

const CHAT: &str = "/v1/chat/completions";
/// The name is one backend.
const ONE: &str = "http";

fn say(conn: &mut Conn, word: &str) -> bool {
    let length = word.len();
    conn.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{word}"))
}

/// Answers every request with a word.
fn saying(listener: TcpListener, word: &'static str) -> Backend {
    Backend::on(listener, move |conn| while conn.request().is_some() && say(conn, word) {})
}

#[test]
fn requests_go_to_where_the_name_leads_now() {
    let ([here, there], port) = both();
    let (_old, new) = (saying(here, "old"), saying(there, "new"));
    let names = Names::standing_for(&[HERE]);
    let proxy = names.proxy(ONE, port);
    let mut client = proxy.client();
    assert_eq!(ask(&mut client), "old");
    names.now_stand_for(&[THERE]);
    eventually("the new one is asked", || ask(&mut client) == "new");
    let picks = proxy.backends()[0].picks;
    assert!(picks >= 2, "{picks}: what is known of a backend outlives its address");
    for _ in 0..10 {
        assert_eq!(ask(&mut client), "new");
    }
    names.now_stand_for(&[HERE]);
    eventually("the old one is asked again", || ask(&mut client) == "old");
    assert_eq!(new.connections(), 1);
}

/// A request under way ends where it began; its connection then ends as well,
/// or a busy client would stay at the old address for ever.
#[test]
fn a_connection_to_where_the_name_led_is_not_used_again() {
    let ([here, there], port) = both();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (asked, is_asked) = mpsc::channel();
    let (ended, has_ended) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let _old = Backend::on(here, move |conn| {
        while conn.request().is_some() {
            if conn.index == 0 {
                asked.send(()).unwrap();
                may_go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            say(conn, "old");
        }
        if conn.index == 0 {
            ended.send(()).unwrap();
        }
    });
    let _new = saying(there, "new");
    let names = Names::standing_for(&[HERE]);
    let proxy = names.proxy(ONE, port);
    let (mut waits, mut client) = (proxy.client(), proxy.client());
    waits.send_post(CHAT, "", chat(1));
    is_asked.recv_timeout(PATIENCE).unwrap();
    names.now_stand_for(&[THERE]);
    eventually("the new one is asked", || ask(&mut client) == "new");
    go_on.send(()).unwrap();
    assert_eq!(waits.answer().text(), "old");
    has_ended.recv_timeout(PATIENCE).expect("the connection ends with its answer");
    assert_eq!(ask(&mut waits), "new");
}

#[test]
fn what_did_not_change_costs_no_connection() {
    let ([here, _there], port) = both();
    let backend = saying(here, "old");
    let names = Names::standing_for(&[HERE]);
    let proxy = names.proxy(ONE, port);
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(ask(&mut client), "old");
        names.are_resolved_again();
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_resolver_that_is_down_takes_no_backend_with_it() {
    let ([here, _there], port) = both();
    let _backend = saying(here, "old");
    let names = Names::standing_for(&[HERE]);
    let proxy = names.proxy(ONE, port);
    names.now_fail();
    names.are_resolved_again();
    assert_eq!(ask(&mut proxy.client()), "old");
}

#[test]
fn a_name_that_comes_later_is_found() {
    let ([here, _there], port) = both();
    let _backend = saying(here, "old");
    let names = Names::default();
    let proxy = names.proxy(ONE, port);
    let mut client = proxy.client();
    assert_eq!(client.post(CHAT, "", chat(1)).status, 502);
    names.now_stand_for(&[HERE]);
    eventually("it is found", || client.post(CHAT, "", chat(1)).status == 200);
}

/// How to start a shell that sees mounts of its own, if this machine allows
/// any way.
fn shell_with_own_mounts() -> Option<Vec<&'static str>> {
    let ways =
        [vec!["unshare", "--mount", "sh"], vec!["unshare", "--map-root-user", "--mount", "sh"]];
    ways.into_iter().find(|way| {
        let tried = Command::new(way[0]).args(&way[1..]).args(["-c", ":"]).output();
        tried.is_ok_and(|output| output.status.success())
    })
}

/// With the C library's own resolver. The process sees another `/etc/hosts`,
/// the machine keeps its own.
#[test]
fn the_process_follows_the_hosts_file() {
    let Some(shell) = shell_with_own_mounts() else {
        // Past the capture of a test's output, as it would not be seen.
        let told = "NOT TESTED: this machine allows no mount namespace; \
                    names were resolved by the tests' own resolver only\n";
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return;
    };
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let point_to = |ip: Ipv4Addr| {
        // One write over a line of the same length: never half a file.
        let mut file = OpenOptions::new().write(true).open(hosts.path()).unwrap();
        file.write_all(format!("{ip} {NAME}\n").as_bytes()).unwrap();
    };
    point_to(HERE);
    let ([here, there], port) = both();
    let (_old, _new) = (saying(here, "old"), saying(there, "new"));
    let words = format!("mount --bind '{}' /etc/hosts", hosts.path().display());
    let backends = [format!("http://{NAME}:{port}")];
    let process = Process::serve_after(&shell, &words, &backends, &["--resolve-every", "10ms"]);
    let mut client = process.client();
    assert_eq!(ask(&mut client), "old");
    point_to(THERE);
    eventually("the new one is asked", || ask(&mut client) == "new");
    assert!(process.said().contains("the name stands for other addresses"), "{}", process.said());
}
