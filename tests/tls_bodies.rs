//! What TLS carries: bodies of every size in records of every size, events
//! one by one, and ends in order and out of it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    io::{Read, Write},
    sync::{Arc, mpsc},
    time::Duration,
};

use rustls::ClientConfig;
use support::{
    Client, End, PATIENCE,
    backend::Backend,
    chat, eventually, mock, mock_with, pattern,
    process::Process,
    streamed,
    tls::{
        TlsSocket, VERSIONS,
        authority::Authority,
        client_config,
        forge::{ALERT, CLOSE_NOTIFY, DATA, Forge, WARNING},
    },
    url,
};
use tokenring::mock::MockHandle;

const CHAT: &str = "/v1/chat/completions";
const MIB: usize = 1 << 20;

fn serve(backend: &str, more: &[&str]) -> (Authority, Process) {
    let authority = Authority::new();
    let leaf = authority.leaf("server", &["localhost"]);
    let process = Process::serve_tls(&leaf, &[backend.to_owned()], more);
    (authority, process)
}

/// The same before an HTTPS backend: a second proxy, before the mock.
fn serve_twice(mock: &MockHandle, more: &[&str]) -> (Authority, Process, Process) {
    let (authority, behind) = serve(&url(mock.address()), more);
    let leaf = authority.leaf("front", &["localhost"]);
    let file = authority.file();
    let flags = [more, &["--backend-ca", &file, "--backend-tls-name", "localhost"]].concat();
    let backend = format!("https://{}", behind.tls_address());
    let front = Process::serve_tls(&leaf, &[backend], &flags);
    (authority, behind, front)
}

fn tls(process: &Process, config: &Arc<ClientConfig>) -> TlsSocket {
    TlsSocket::connect(process.tls_address(), config, "localhost").unwrap()
}

/// Echoes a body; it is sent while the answer is read, as both may be larger
/// than all buffers between.
#[track_caller]
fn echo(client: &mut Client, bytes: usize) {
    let body = pattern(bytes);
    let answer = client.post("/v1/x", "x-mock-echo: 1\r\n", &body);
    assert_eq!((answer.status, answer.end), (200, End::Whole));
    assert!(answer.body == body, "{bytes} bytes came back changed");
}

#[test]
fn a_body_of_64_mebibytes_passes_both_ways_over_two_hops() {
    let mock = mock();
    let (authority, behind, front) =
        serve_twice(&mock, &["--body-bytes", "128MiB", "--body-memory", "256MiB"]);
    let (behind_files, front_files) = (behind.descriptors_at_rest(), front.descriptors_at_rest());
    let config = Arc::new(client_config(&authority, VERSIONS[1], None));
    let mut client = tls(&front, &config).client();
    echo(&mut client, 64 * MIB);
    echo(&mut client, 1);
    drop(client);
    // Each keeps one connection to the next in its pool.
    front.comes_to_rest(front_files + 1);
    behind.comes_to_rest(behind_files + 2);
}

#[test]
fn bodies_pass_in_records_of_all_sizes() {
    let mock = mock();
    let (authority, process) = serve(&url(mock.address()), &[]);
    for version in VERSIONS {
        for record in [32, 33, 100, 1 << 10, (1 << 14) + 4, (1 << 14) + 5] {
            let mut config = client_config(&authority, version, None);
            config.max_fragment_size = Some(record);
            let mut client = tls(&process, &Arc::new(config)).client();
            for bytes in [0, 1, record, 100_000, MIB] {
                echo(&mut client, bytes);
            }
        }
    }
}

#[test]
fn a_request_may_come_in_thousands_of_tiny_records() {
    let mock = mock();
    let (authority, process) = serve(&url(mock.address()), &[]);
    for version in VERSIONS {
        let config = Arc::new(client_config(&authority, version, None));
        let mut forge = Forge::connect(process.tls_address(), &config, "localhost");
        let body = pattern(5_000);
        let head =
            "POST /v1/x HTTP/1.1\r\nhost: p\r\nx-mock-echo: 1\r\ncontent-length: 5000\r\n\r\n";
        // All at once on the wire, and each byte a record of its own.
        let bytes = head.bytes().chain(body.iter().copied());
        let records: Vec<u8> = bytes.flat_map(|byte| forge.sealed(DATA, &[byte])).collect();
        forge.socket.write_all(&records).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(&body) {
            answer.extend(forge.record().unwrap().expect("the rest of it").bytes);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{version:?}");
    }
}

/// A backend that sends the next event when it is told to.
fn told_backend() -> (Backend, mpsc::Sender<Vec<u8>>) {
    let (tell, told) = mpsc::channel::<Vec<u8>>();
    let told = std::sync::Mutex::new(told);
    let backend = Backend::start(move |conn| {
        while conn.request().is_some() {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                        transfer-encoding: chunked\r\n\r\n";
            assert!(conn.say(head));
            while let Ok(event) = told.lock().unwrap().recv_timeout(PATIENCE) {
                let chunk = [format!("{:x}\r\n", event.len()).as_bytes(), &event, b"\r\n"].concat();
                assert!(conn.say(chunk));
                if event.is_empty() {
                    break;
                }
            }
        }
    });
    (backend, tell)
}

/// The next event is not sent before this one has come, so one that is held
/// back is waited for in vain. The head comes with the first of them, which
/// shows that the stream is no error.
#[test]
fn each_event_comes_at_once_and_in_one_record() {
    let (backend, tell) = told_backend();
    let (authority, process) = serve(&url(backend.address), &[]);
    for version in VERSIONS {
        let config = Arc::new(client_config(&authority, version, None));
        let mut forge = Forge::connect(process.tls_address(), &config, "localhost");
        let body = streamed(9);
        let head =
            format!("POST {CHAT} HTTP/1.1\r\nhost: p\r\ncontent-length: {}\r\n\r\n", body.len());
        assert!(forge.send(DATA, [head.as_bytes(), body.as_bytes()].concat().as_slice()));
        for size in [1, 20, 300, 4_000, 12_000] {
            let data = "y".repeat(size);
            let event = format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{data}\"}}}}]}}\n\n"
            );
            tell.send(event.clone().into_bytes()).unwrap();
            let record = forge.record().unwrap().unwrap();
            let text = String::from_utf8(record.bytes).unwrap();
            assert_eq!(record.kind, DATA);
            assert_eq!(text.starts_with("HTTP/1.1 200 "), size == 1, "{version:?}, {size}");
            assert!(text.contains(&event), "{version:?}, {size}: {} bytes", text.len());
            assert!(text.ends_with("\n\n\r\n"), "{version:?}, {size}: {text:?}");
        }
        tell.send(b"data: [DONE]\n\n".to_vec()).unwrap();
        assert!(forge.record().unwrap().unwrap().bytes.windows(6).any(|bytes| bytes == b"[DONE]"));
        tell.send(Vec::new()).unwrap();
        assert!(forge.record().unwrap().unwrap().bytes.ends_with(b"0\r\n\r\n"));
    }
}

/// A large answer leaves in full records, or each costs a seal and a header.
#[test]
fn a_large_body_leaves_in_large_records() {
    let mock = mock();
    let (authority, process) = serve(&url(mock.address()), &[]);
    for version in VERSIONS {
        let config = Arc::new(client_config(&authority, version, None));
        let mut forge = Forge::connect(process.tls_address(), &config, "localhost");
        let body = pattern(4 * MIB);
        let head =
            "POST /v1/x HTTP/1.1\r\nhost: p\r\nx-mock-echo: 1\r\ncontent-length: 4194304\r\n\r\n";
        assert!(forge.send(DATA, head.as_bytes()));
        for piece in body.chunks(1 << 14) {
            assert!(forge.send(DATA, piece));
        }
        let (mut records, mut bytes) = (0, 0);
        while bytes < body.len() {
            bytes += forge.record().unwrap().expect("the rest of it").bytes.len();
            records += 1;
        }
        let mean = bytes / records;
        assert!(mean >= 8 << 10, "{version:?}: {records} records, {mean} bytes each");
    }
}

/// What clients do not take stays at the backend, not in our memory.
#[test]
fn slow_readers_cost_little_memory() {
    const CLIENTS: usize = 20;
    const BYTES_EACH: usize = 32 * MIB;
    let backend = Backend::start(|conn| {
        while conn.request().is_some() {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES_EACH}\r\n\r\n");
            let piece = vec![b'y'; MIB];
            if !conn.say(head) || !(0..BYTES_EACH / MIB).all(|_| conn.say(&piece)) {
                return;
            }
        }
    });
    let (authority, process) = serve(&url(backend.address), &[]);
    let config = Arc::new(client_config(&authority, VERSIONS[1], None));
    assert_eq!(tls(&process, &config).get(), 200);
    let descriptors = process.descriptors_at_rest();
    let before = process.memory_kib("VmRSS");
    let ask = |_| {
        let mut client = tls(&process, &config).client();
        client.send_post(CHAT, "", chat(1));
        assert_eq!(client.head().status, 200);
        client
    };
    let clients: Vec<_> = (0..CLIENTS).map(ask).collect();
    let mut last = 0;
    // The kernel's buffers are full when nothing more comes.
    eventually("all are stuck", || {
        std::thread::sleep(Duration::from_millis(100));
        let bytes = process.metric("tokenring_bytes_from_backends_total");
        std::mem::replace(&mut last, bytes) == bytes
    });
    let grown = process.memory_kib("VmRSS").saturating_sub(before);
    assert!(grown < 256 * CLIENTS as u64, "{grown} KiB for {CLIENTS} clients");
    drop(clients);
    process.comes_to_rest(descriptors);
}

#[test]
fn a_close_notify_in_the_middle_of_a_request_ends_it() {
    let mock = mock();
    let (authority, process) = serve(&url(mock.address()), &[]);
    let descriptors = process.descriptors_at_rest();
    for version in VERSIONS {
        let config = Arc::new(client_config(&authority, version, None));
        for said in
            ["POST /v1/x HT", "POST /v1/x HTTP/1.1\r\nhost: p\r\ncontent-length: 9\r\n\r\nhalf"]
        {
            let mut forge = Forge::connect(process.tls_address(), &config, "localhost");
            assert!(forge.send(DATA, said.as_bytes()));
            assert!(forge.alert(WARNING, CLOSE_NOTIFY));
            let (_, in_order) = forge.rest();
            assert!(in_order, "{version:?} {said:?}");
        }
    }
    process.comes_to_rest(descriptors);
    assert_eq!(mock.stats().requests, 0);
}

/// Who leaves is not worked for any longer, whether a `close_notify` says so
/// or the connection does.
#[test]
fn leaving_in_the_middle_of_an_answer_stops_the_backend() {
    let mock = mock();
    let (authority, process) = serve(&url(mock.address()), &[]);
    let descriptors = process.descriptors_at_rest();
    let endless = "x-mock-tokens: 1000000\r\nx-mock-token-gap: 5ms\r\n";
    for version in VERSIONS {
        let config = Arc::new(client_config(&authority, version, None));
        for notifies in [true, false] {
            let mut forge = Forge::connect(process.tls_address(), &config, "localhost");
            let body = streamed(9);
            let head = format!(
                "POST {CHAT} HTTP/1.1\r\nhost: p\r\n{endless}content-length: {}\r\n\r\n{body}",
                body.len()
            );
            assert!(forge.send(DATA, head.as_bytes()));
            assert!(forge.record().unwrap().is_some());
            assert_eq!(mock.stats().streams_open, 1);
            if notifies {
                assert!(forge.alert(WARNING, CLOSE_NOTIFY));
            } else {
                drop(forge);
            }
            eventually("the backend is let go", || mock.stats().streams_open == 0);
        }
    }
    process.comes_to_rest(descriptors);
}

#[test]
fn a_drain_ends_resting_connections_with_a_close_notify() {
    let mock = mock_with(|script| script.token_gap = Duration::from_millis(5));
    let (authority, mut process) = serve(&url(mock.address()), &[]);
    let rest = |version: usize| {
        let config = Arc::new(client_config(&authority, VERSIONS[version], None));
        Forge::connect(process.tls_address(), &config, "localhost")
    };
    let resting = [rest(0), rest(1)];
    let config = Arc::new(client_config(&authority, VERSIONS[1], None));
    let mut streams = tls(&process, &config).client();
    streams.send_post(CHAT, "", streamed(100));
    let mut answer = streams.head();
    process.signal("TERM");
    for mut forge in resting {
        let (records, in_order) = forge.rest();
        let said: Vec<_> = records.iter().map(|record| (record.kind, &record.bytes[..])).collect();
        assert_eq!(said, [(ALERT, &[WARNING, CLOSE_NOTIFY][..])]);
        assert!(in_order);
    }
    streams.body_of(&mut answer);
    assert_eq!(answer.end, End::Whole);
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    // An end in order: without a close_notify it would be an error.
    streams.is_closed();
    assert!(process.exit().success(), "{}", process.said());
}

/// Pipelined requests that come in one record are answered one by one.
#[test]
fn requests_in_one_record_are_answered_in_order() {
    let mock = mock();
    let (authority, process) = serve(&url(mock.address()), &[]);
    let config = Arc::new(client_config(&authority, VERSIONS[1], None));
    let mut socket = tls(&process, &config);
    let request = |n: usize| {
        format!(
            "POST /v1/x HTTP/1.1\r\nhost: p\r\nx-mock-echo: 1\r\ncontent-length: 2\r\n\r\n{n:02}"
        )
    };
    let all: String = (0..50).map(request).collect();
    socket.write_all(all.as_bytes()).unwrap();
    let mut client = socket.client();
    for n in 0..50 {
        assert_eq!(client.answer().text(), format!("{n:02}"));
    }
    // Nothing came behind them.
    client.socket.wait_at_most(Duration::from_millis(50));
    assert!(client.socket.read(&mut [0]).is_err());
}
