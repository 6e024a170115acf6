//! Backends that come and go while the process runs: by a list in a file, and
//! by what a name stands for.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Command,
    sync::{Mutex, mpsc},
};

use support::{
    Client, PATIENCE, Proxy,
    backend::Backend,
    chat, eventually, mock,
    names::{HERE, NAME, Names, THERE, ask, both},
    process::Process,
    streamed, url,
};
use tempfile::TempDir;

const CHAT: &str = "/v1/chat/completions";
const COUNT: &str = "tokenring_backends";
/// Each address of the name is a backend of its own.
const EACH: &str = "dns+http";

/// Answers every request with a word and the host that it was asked for.
fn saying(listener: TcpListener, word: &'static str) -> Backend {
    Backend::on(listener, move |conn| {
        while let Some(request) = conn.request() {
            let said = format!("{word} {}", request.all("host").concat());
            let length = said.len();
            conn.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{said}"));
        }
    })
}

/// Everybody who answers.
fn who_answers(client: &mut Client) -> BTreeSet<String> {
    (0..40).map(|_| ask(client)).collect()
}

#[track_caller]
fn comes_to(proxy: &Proxy, backends: u64) {
    let mut admin = proxy.admin();
    eventually("the plan has so many backends", || {
        support::process::metric(&mut admin, COUNT) == backends
    });
}

#[test]
fn each_address_of_a_name_is_a_backend_that_is_asked_by_the_name() {
    let ([here, there], port) = both();
    let (_here, _there) = (saying(here, "here"), saying(there, "there"));
    let proxy = Names::standing_for(&[HERE, THERE]).proxy(EACH, port);
    let mut client = proxy.client();
    let expected = ["here", "there"].map(|word| format!("{word} {NAME}:{port}"));
    eventually("both answer", || who_answers(&mut client) == BTreeSet::from(expected.clone()));
    let page = proxy.admin().get("/metrics").text();
    for ip in [HERE, THERE] {
        let label = format!("tokenring_backend_picks_total{{backend=\"{NAME}:{port}@{ip}\"}}");
        assert!(page.contains(&label), "{page}");
    }
}

#[test]
fn an_address_that_comes_is_a_backend_and_one_that_goes_is_none() {
    let ([here, there], port) = both();
    let (old, new) = (saying(here, "here"), saying(there, "there"));
    let names = Names::standing_for(&[HERE]);
    let proxy = names.proxy(EACH, port);
    let mut client = proxy.client();
    (0..10).for_each(|_| drop(ask(&mut client)));
    names.now_stand_for(&[HERE, THERE]);
    comes_to(&proxy, 2);
    assert!(proxy.backends()[0].picks >= 10, "what is known of one that stays goes on");
    eventually("the new one is asked", || who_answers(&mut client).len() == 2);
    assert_eq!(old.connections(), 1, "a connection to one that stays goes on");
    names.now_stand_for(&[THERE]);
    comes_to(&proxy, 1);
    eventually("the old one is asked no more", || who_answers(&mut client).len() == 1);
    assert!(ask(&mut client).starts_with("there"));
    assert!(proxy.backends()[0].picks >= 40, "at another place too");
    assert!(new.connections() >= 1);
}

#[test]
fn a_request_under_way_at_an_address_that_goes_ends_whole() {
    let ([here, there], port) = both();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (asked, is_asked) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let _old = Backend::on(here, move |conn| {
        while conn.request().is_some() {
            conn.say("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf");
            if conn.index == 0 {
                asked.send(()).unwrap();
                may_go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            conn.say("half");
        }
    });
    let _new = saying(there, "there");
    let names = Names::standing_for(&[HERE]);
    let proxy = names.proxy(EACH, port);
    let mut waits = proxy.client();
    waits.send_post(CHAT, "", chat(1));
    is_asked.recv_timeout(PATIENCE).unwrap();
    names.now_stand_for(&[THERE]);
    let mut client = proxy.client();
    eventually("the new one is asked", || ask(&mut client).starts_with("there"));
    go_on.send(()).unwrap();
    assert_eq!(waits.answer().text(), "halfhalf");
}

#[test]
fn a_resolver_that_fails_and_an_answer_without_any_address_change_nothing() {
    let ([here, _there], port) = both();
    let backend = saying(here, "here");
    let names = Names::standing_for(&[HERE]);
    let proxy = names.proxy(EACH, port);
    let mut client = proxy.client();
    ask(&mut client);
    names.now_fail();
    names.are_resolved_again();
    ask(&mut client);
    names.now_stand_for(&[]);
    names.are_resolved_again();
    ask(&mut client);
    assert_eq!(backend.connections(), 1);
    let generation = "tokenring_config_generation";
    assert_eq!(support::process::metric(&mut proxy.admin(), generation), 1);
}

#[test]
fn a_name_that_stands_for_nothing_at_the_start_is_found_later() {
    let ([here, there], port) = both();
    let (_here, _there) = (saying(here, "here"), saying(there, "there"));
    let names = Names::default();
    let proxy = names.proxy(EACH, port);
    let mut client = proxy.client();
    assert_eq!(client.post(CHAT, "", chat(1)).status, 502);
    names.now_stand_for(&[HERE, THERE]);
    comes_to(&proxy, 2);
    eventually("both answer", || who_answers(&mut client).len() == 2);
}

/// A file, beside a place where its next words are written.
struct Listed {
    file: PathBuf,
    _folder: TempDir,
}

impl Listed {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listed = Self { file: folder.path().join("list.txt"), _folder: folder };
        listed.put(text);
        listed
    }

    /// Moved over what was there, as tools do it.
    fn put(&self, text: &str) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &self.file).unwrap();
    }

    /// A process by it, with these backends beside those that it names.
    fn served(&self, backends: &[SocketAddr], watch: &str) -> Process {
        let file = self.file.to_str().unwrap();
        Process::serve(backends, &["--backends-file", file, "--config-watch-every", watch])
    }
}

fn page(process: &Process) -> String {
    process.admin().get("/config").text()
}

#[test]
fn a_list_is_followed_and_what_is_typed_stays_beside_it() {
    let (typed, old, new) = (mock(), mock(), mock());
    let listed = Listed::with(&format!("# now\n{} weight=1\n", url(old.address())));
    let process = listed.served(&[typed.address()], "10ms");
    assert_eq!(process.metric(COUNT), 2);
    let mut client = process.client();
    let mut ask_until = |mock: &tokenring::mock::MockHandle| {
        let before = mock.stats().requests;
        eventually("it is asked", || {
            ask(&mut client);
            mock.stats().requests > before
        });
    };
    ask_until(&old);
    ask_until(&typed);
    let both = [&old, &new].map(|mock| format!("{}\n", url(mock.address())));
    listed.put(&both.concat());
    eventually("it is taken", || process.metric(COUNT) == 3);
    ask_until(&new);
    let file = listed.file.display();
    eventually("it is told", || process.said().contains(&format!("{file} has changed and is")));
    listed.put("");
    eventually("they are gone", || process.metric(COUNT) == 1);
    let before = old.stats().requests + new.stats().requests;
    (0..10).for_each(|_| ask_until(&typed));
    assert_eq!(old.stats().requests + new.stats().requests, before);
}

#[test]
fn a_stream_at_a_backend_that_went_from_the_list_ends_whole() {
    let (old, new) = (mock(), mock());
    let listed = Listed::with(&url(old.address()));
    let process = listed.served(&[], "10ms");
    let mut streams = process.client();
    streams.send_post(CHAT, "x-mock-token-gap: 20ms\r\n", streamed(50));
    assert_eq!(streams.head().status, 200);
    assert!(streams.event().is_some());
    listed.put(&url(new.address()));
    eventually("it is taken", || process.metric("tokenring_config_generation") == 2);
    let mut last = None;
    while let Some(event) = streams.event() {
        last = Some(event);
    }
    assert!(format!("{last:?}").contains("[DONE]"), "{last:?}");
    ask(&mut process.client());
    assert_eq!(new.stats().requests, 1);
}

#[test]
fn a_list_with_a_fault_changes_nothing_and_is_told_with_its_line() {
    let mock = mock();
    let good = format!("{}\n", url(mock.address()));
    let listed = Listed::with(&good);
    let process = listed.served(&[], "10ms");
    let nobody = "it names no backend, and nothing else does; write a URL in a line";
    for (text, line, fault) in [
        (format!("{good}http://b wieght=3\n"), ":2: wieght", "the key is not known; did you mean"),
        (format!("\n{good}10.0.0.1:80\n"), ":3: url 10.0.0.1:80", "a backend is told by URL; "),
        ("# all gone\n".to_owned(), "", nobody),
    ] {
        listed.put(&text);
        let fault = format!("{}{line}: {fault}", listed.file.display());
        eventually("it is told", || page(&process).contains(&fault));
        assert_eq!(process.metric("tokenring_config_last_reload_ok"), 0);
        eventually("the log tells it", || process.said().contains(&fault));
        ask(&mut process.client());
    }
    std::fs::remove_file(&listed.file).unwrap();
    eventually("it is told", || page(&process).contains("list.txt: the file cannot be read ("));
    assert_eq!((process.metric("tokenring_config_generation"), process.metric(COUNT)), (1, 1));
    listed.put(&good.replace('\n', " weight=2\n"));
    eventually("it is taken", || process.metric("tokenring_config_last_reload_ok") == 1);
}

#[test]
fn a_signal_has_the_list_taken_at_once() {
    let (old, new) = (mock(), mock());
    let listed = Listed::with(&url(old.address()));
    let process = listed.served(&[], "1h");
    listed.put(&url(new.address()));
    process.signal("HUP");
    eventually("it is taken", || process.metric("tokenring_config_generation") == 2);
    ask(&mut process.client());
    assert_eq!((old.stats().requests, new.stats().requests), (0, 1));
}

#[test]
fn nobody_starts_by_a_list_that_has_a_fault() {
    let listed = Listed::with("http://b\nhttp://b\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenring"));
    let file = listed.file.to_str().unwrap();
    let output = command.args(["serve", "--backends-file", file]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("list.txt:2: url http://b: "), "{said}");
}

/// Answers, and tells by which key it was asked.
fn listening_for_keys() -> (Backend, mpsc::Receiver<String>) {
    let (tell, keys) = mpsc::channel();
    let backend = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            // The test may have seen enough.
            let _ = tell.send(request.all("authorization").concat());
            conn.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    (backend, keys)
}

#[test]
fn a_key_that_changes_in_its_file_is_shown_from_then_on() {
    let (backend, keys) = listening_for_keys();
    let secret = Listed::with("old-secret\n");
    let listed = Listed::with(&format!(
        "{} dialect=openai key=file:{}",
        url(backend.address),
        secret.file.display()
    ));
    let process = listed.served(&[], "10ms");
    let mut client = process.client();
    let mut key = || {
        ask(&mut client);
        keys.recv_timeout(PATIENCE).unwrap()
    };
    assert_eq!(key(), "Bearer old-secret");
    secret.put("new-secret\n");
    eventually("the new one is shown", || key() == "Bearer new-secret");
    // One that cannot be sent changes nothing.
    secret.put("\n");
    eventually("it is told", || page(&process).contains("last change: refused"));
    assert_eq!(key(), "Bearer new-secret");
    secret.put("third-secret\n");
    eventually("the third one is shown", || key() == "Bearer third-secret");
    let said = process.said() + &page(&process);
    assert!(said.contains(&format!("file:{} has changed", secret.file.display())), "{said}");
    assert!(!said.contains("-secret"), "{said}");
}
