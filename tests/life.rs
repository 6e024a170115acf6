//! The life of a process: how it starts, drains and ends, what it does with a
//! panic, and that its memory does not grow with what passes through it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test drives the real clock, fails in its functions, and shows what it measured"
)]

mod support;

use std::{
    io::{BufRead, BufReader, Read},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use support::{
    Client, End, PATIENCE, Proxy, chat, driver, error_word, eventually, mock, plan,
    process::{Process, driver_word, metric},
    streamed, url,
};
use tokenring::{config::DriverChoice, rt::KernelWorld, server};

const ENDLESS: &str = "x-mock-tokens: 1000000\r\nx-mock-token-gap: 5ms\r\n";
const ENDLESS_BODY: &str = r#"{"model":"m","stream":true}"#;

#[track_caller]
fn told_to_stop(process: &Process) {
    process.signal("TERM");
    eventually("it says that it drains", || process.said().contains("draining"));
}

#[test]
fn says_at_its_start_what_runs_where() {
    let mock = mock();
    let process = Process::serve(&[mock.address()], &[]);
    let said = process.said();
    let driver = match driver() {
        DriverChoice::Auto => "",
        DriverChoice::Uring => "io_uring (",
        DriverChoice::Epoll => "epoll",
    };
    for part in ["tokenring 0.1.0 listens on 127.0.0.1:", "core 0, not pinned", driver] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let kib = process.memory_kib("VmRSS");
    println!("resident at the start: {kib} KiB");
    assert!(kib <= 15 * 1024, "{kib} KiB at the start");
}

/// Its port may be the kernel's choice, like a client's.
#[test]
fn says_at_its_start_where_the_admins_pages_are() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tokenring"))
        .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--no-pin"])
        .args(["--cores", "0", "--backend", "http://127.0.0.1:1", "--driver", driver_word()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let admin = line.split("; ").find_map(|part| part.strip_prefix("admin at "));
    let page = admin.map(|admin| Client::tcp(admin.parse().unwrap()).get("/metrics").text());
    child.kill().unwrap();
    child.wait().unwrap();
    let page = page.unwrap_or_else(|| panic!("no address in {line}"));
    assert!(page.contains("tokenring_connections_open"), "{page}");
}

#[test]
fn a_drain_lets_answers_end_and_closes_what_is_idle() {
    let mock = mock();
    let mut process = Process::serve(&[mock.address()], &[]);
    let (mut idle, mut served, mut streams, mut waits) =
        (process.client(), process.client(), process.client(), process.client());
    assert_eq!(served.post("/v1/chat/completions", "", chat(1)).status, 200);
    let headers = "x-mock-token-gap: 50ms\r\n";
    streams.send_post("/v1/chat/completions", headers, streamed(20));
    assert_eq!(streams.head().status, 200);
    // The head of this one is not out when the drain begins.
    waits.send_post("/v1/chat/completions", "x-mock-first-token: 500ms\r\n", chat(1));
    eventually("both are at the backend", || mock.stats().requests == 3);
    told_to_stop(&process);

    idle.is_closed();
    served.is_closed();
    let answer = waits.answer();
    assert_eq!((answer.status, answer.end), (200, End::Whole));
    assert_eq!(answer.field("connection"), Some("close"));
    waits.is_closed();
    assert!(process.is_running());
    let mut last = String::new();
    while let Some(event) = streams.event() {
        last = event;
    }
    assert_eq!(last, "data: [DONE]");
    streams.is_closed();
    assert_eq!(process.exit().code(), Some(0), "{}", process.said());
    assert!(TcpStream::connect(process.address).is_err());
}

#[test]
fn the_end_of_a_drain_cuts_streams_in_band() {
    let mock = mock();
    let mut process = Process::serve(&[mock.address()], &["--drain", "100ms"]);
    let mut streams = Vec::new();
    for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages"] {
        let mut client = process.client();
        let body = r#"{"model":"m","stream":true,"input":"x","messages":[]}"#;
        client.send_post(path, ENDLESS, body);
        let head = client.head();
        assert_eq!(head.status, 200);
        streams.push((path, client, head));
    }
    let mut waits = process.client();
    waits.send_post("/v1/chat/completions", "x-mock-stall-at: head\r\n", chat(1));
    eventually("all are at the backend", || mock.stats().requests == 4);
    told_to_stop(&process);
    for (path, mut client, mut answer) in streams {
        client.body_of(&mut answer);
        assert_eq!(answer.end, End::Cut, "{path}");
        let last = answer.events().pop().unwrap();
        let word = error_word(path, last.rsplit("data: ").next().unwrap().as_bytes());
        let expected = if path == "/v1/messages" { "overloaded_error" } else { "shutting_down" };
        assert_eq!(word, expected, "{path}");
    }
    let answer = waits.answer();
    assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
    assert_eq!(error_word("/", &answer.body), "shutting_down");
    assert_eq!(process.exit().code(), Some(0), "{}", process.said());
    eventually("the backend is cut off", || mock.stats().connections_open == 0);
}

/// Who looks why nobody can come in must come in.
#[test]
fn a_full_house_still_tells_its_figures() {
    /// More than the admin's own limit.
    const SCRAPERS: usize = 40;
    let mock = mock();
    let process = Process::serve(&[mock.address()], &["--connections", "2"]);
    let mut clients = [process.client(), process.client()];
    for client in &mut clients {
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    }
    assert_eq!(process.client().answer().status, 503);
    let mut admin = process.admin();
    assert_eq!(admin.get("/health").status, 200);
    assert_eq!(metric(&mut admin, "tokenring_connections_refused_total"), 1);
    // It has a limit as well, and takes no client's place.
    let mut scrapers: Vec<_> = (0..SCRAPERS).map(|_| process.admin()).collect();
    eventually("some are refused", || {
        metric(&mut admin, "tokenring_connections_refused_total") > 1
    });
    assert_eq!(scrapers.pop().unwrap().answer().status, 503);
    assert_eq!(scrapers.remove(0).get("/health").status, 200);
    drop(scrapers);
    for client in &mut clients {
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mock = mock();
    for signal in ["TERM", "INT"] {
        let mut process = Process::serve(&[mock.address()], &[]);
        let mut client = process.client();
        client.send_post("/v1/chat/completions", ENDLESS, ENDLESS_BODY);
        assert_eq!(client.head().status, 200);
        told_to_stop(&process);
        assert!(process.is_running());
        let told = Instant::now();
        process.signal(signal);
        assert_eq!(process.exit().code(), Some(1), "{}", process.said());
        assert!(told.elapsed() < PATIENCE / 4);
    }
}

#[test]
fn a_port_in_use_is_told_in_one_line_with_its_mend() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_tokenring"))
        .args(["serve", "--listen", &address, "--backend", "http://127.0.0.1:1"])
        .args(["--driver", driver_word()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in ["error: ", &address, "in use", "give another --listen"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

/// Another Token Ring would share the port without a word (`SO_REUSEPORT`).
#[test]
fn a_port_of_another_token_ring_is_in_use() {
    let mock = mock();
    let first = Process::serve(&[mock.address()], &[]);
    let output = Command::new(env!("CARGO_BIN_EXE_tokenring"))
        .args(["serve", "--listen", &first.address.to_string()])
        .args(["--backend", "http://127.0.0.1:1", "--driver", driver_word()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(first.client().post("/v1/chat/completions", "", chat(1)).status, 200);
}

#[test]
fn a_panic_costs_one_connection() {
    let mock = mock();
    let mut plan = plan(&[url(mock.address())], |_| ());
    plan.panics_at = Some("/v1/panic".to_owned());
    let proxy = Proxy::of(plan);
    let before = KernelWorld::panics();
    let (mut other, mut streams) = (proxy.client(), proxy.client());
    assert_eq!(other.post("/v1/chat/completions", "", chat(1)).status, 200);
    streams.send_post("/v1/chat/completions", "x-mock-token-gap: 10ms\r\n", streamed(30));
    assert_eq!(streams.head().status, 200);
    for _ in 0..5 {
        let mut client = proxy.client();
        client.send_post("/v1/panic", "", "{}");
        // It is closed without an answer; a reset is as good.
        assert!(client.rest().map_or(true, |rest| rest.is_empty()));
    }
    // The socket is closed while the panic unwinds, before it is counted.
    eventually("each is counted", || KernelWorld::panics() - before == 5);
    assert_eq!(other.post("/v1/chat/completions", "", chat(1)).status, 200);
    let mut last = String::new();
    while let Some(event) = streams.event() {
        last = event;
    }
    assert_eq!(last, "data: [DONE]");
    drop((other, streams));
    proxy.empties();
}

/// A shard without its sweep, its deadlines or its listener is half alive.
#[test]
fn a_panic_of_the_shards_own_tasks_ends_the_process() {
    let mock = mock();
    let mut plan = plan(&[url(mock.address())], |_| ());
    plan.panics_at = Some("sweep".to_owned());
    let running = server::start(plan).unwrap();
    let mut client = Client::tcp(running.bound()[0].parse().unwrap());
    client.send_post("/v1/chat/completions", ENDLESS, ENDLESS_BODY);
    let (end, ends) = mpsc::channel();
    std::thread::spawn(move || end.send(running.wait()));
    let ended = ends.recv_timeout(PATIENCE).expect("the process ends");
    let word = ended.unwrap_err().to_string();
    assert_eq!(word, "shard 0 died: its event loop panicked");
}

/// One gigabyte on its way, a reader that takes its time: what it has not
/// taken stays with the backend.
#[test]
fn a_slow_reader_costs_no_memory() {
    const READ_BYTES: u64 = 50_000_000;
    // What the kernel keeps for four sockets, and the buffers between them.
    const AHEAD_BYTES: u64 = 24_000_000;
    for framing in ["length", "chunked"] {
        let mock = mock();
        let process = Process::serve(&[mock.address()], &[]);
        let mut client = process.client();
        let headers = format!("x-mock-body-bytes: 1GiB\r\nx-mock-framing: {framing}\r\n");
        client.send_post("/v1/chat/completions", &headers, chat(1));
        let (mut piece, mut read) = (vec![0; 64 * 1024], 0);
        while read < READ_BYTES {
            let bytes = client.socket.read(&mut piece).unwrap() as u64;
            assert!(bytes > 0, "{framing}: ended after {read} bytes");
            read += bytes;
            // The reader's own pace, about 60 MB/s.
            std::thread::sleep(Duration::from_millis(1));
        }
        let ahead = mock.stats().bytes_out.saturating_sub(read);
        assert!(ahead < AHEAD_BYTES, "{framing}: {ahead} bytes ahead");
        let kib = process.memory_kib("VmHWM");
        println!("{framing}: {kib} KiB at most, backend {ahead} bytes ahead");
        assert!(kib < 30 * 1024, "{framing}: {kib} KiB");
        drop(client);
        eventually("the backend is cut off", || mock.stats().connections_open == 0);
    }
}

/// Two hundred events a read, to a reader that takes its time.
#[test]
fn a_slow_reader_of_a_stream_costs_no_memory() {
    const READ_BYTES: u64 = 20_000_000;
    let mock = mock();
    let process = Process::serve(&[mock.address()], &[]);
    let mut client = process.client();
    client.send_post("/v1/chat/completions", "x-mock-tokens: 100000000\r\n", ENDLESS_BODY);
    let (mut piece, mut read) = (vec![0; 64 * 1024], 0);
    while read < READ_BYTES {
        let bytes = client.socket.read(&mut piece).unwrap() as u64;
        assert!(bytes > 0, "ended after {read} bytes");
        read += bytes;
        std::thread::sleep(Duration::from_millis(1)); // its own pace
    }
    let kib = process.memory_kib("VmHWM");
    println!("{kib} KiB at most");
    assert!(kib < 30 * 1024, "{kib} KiB");
}

/// Large bodies come and go; what they took is given back.
#[test]
fn large_requests_leave_no_memory_behind() {
    let mock = mock();
    let process = Process::serve(&[mock.address()], &[]);
    let body = format!("{{\"model\":\"m\",\"image\":\"{}\"}}", "A".repeat(5_000_000));
    let ask = |times: u32| {
        for _ in 0..times {
            let answer = process.client().post("/v1/chat/completions", "", &body);
            assert_eq!(answer.status, 200);
        }
        process.memory_kib("VmRSS")
    };
    let before = ask(5);
    let after = ask(40);
    println!("{before} KiB, then {after} KiB");
    assert!(after < before + 12 * 1024, "{before} KiB grew to {after} KiB");
}
