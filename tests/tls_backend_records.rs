//! Backends whose records are unusual, and those whose records are none.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex, mpsc},
};

use rustls::{ServerConnection, StreamOwned};
use support::{
    Answer, End, PATIENCE,
    backend::Backend,
    chat, error_word, pattern,
    process::Process,
    tls::{VERSIONS, accept, authority::Authority, server_config, steps},
};

const CHAT: &str = "/v1/chat/completions";

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// A proxy before a backend that runs this script after each handshake.
fn before(
    version: usize,
    script: impl Fn(&mut Tls) + Send + Sync + 'static,
) -> (Backend, Process, Authority) {
    let authority = Authority::new();
    let leaf = authority.leaf("backend", &["127.0.0.1"]);
    let config = Arc::new(server_config(&leaf, VERSIONS[version]));
    let backend = Backend::start(move |conn| {
        let mut tls = accept(conn.socket.try_clone().unwrap(), &config).unwrap();
        script(&mut tls);
    });
    let url = format!("https://{}", backend.address);
    let more = ["--backend-ca", &authority.file(), "--pool-idle-per-backend", "0"];
    let process = Process::serve_urls(&[url], &more);
    (backend, process, authority)
}

/// Reads a head and the body that it announces; false at the end.
fn request(tls: &mut Tls) -> bool {
    let Some(length) = head(tls) else { return false };
    let mut body = vec![0; length];
    tls.read_exact(&mut body).is_ok()
}

/// Byte by byte, so that nothing of the body is taken; its length.
fn head(tls: &mut Tls) -> Option<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let mut lines = BufReader::new(&head[..]).lines().map_while(Result::ok);
    let length =
        lines.find_map(|line| Some(line.strip_prefix("content-length: ")?.parse().unwrap()));
    Some(length.unwrap_or(0))
}

fn head_of(status: &str, length: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
    );
    head.into_bytes()
}

#[track_caller]
fn asks(process: &Process) -> Answer {
    process.client().post(CHAT, "", chat(1))
}

#[test]
fn an_answer_may_come_in_thousands_of_tiny_records() {
    for version in 0..2 {
        let (_backend, process, _authority) = before(version, |tls| {
            assert!(request(tls));
            let answer = [head_of("200 OK", 5_000), pattern(5_000)].concat();
            // Each byte is sealed alone, and all leave at once.
            tls.conn.set_buffer_limit(None);
            for byte in answer {
                tls.conn.writer().write_all(&[byte]).unwrap();
            }
            tls.flush().unwrap();
        });
        let answer = asks(&process);
        assert_eq!((answer.status, answer.end), (200, End::Whole));
        assert!(answer.body == pattern(5_000));
    }
}

#[test]
fn a_backend_may_change_its_keys_in_mid_answer() {
    let (_backend, process, _authority) = before(1, |tls| {
        assert!(request(tls));
        tls.write_all(&head_of("200 OK", 100_000)).unwrap();
        for piece in pattern(100_000).chunks(1_000) {
            tls.write_all(piece).unwrap();
            tls.conn.refresh_traffic_keys().unwrap();
        }
        tls.flush().unwrap();
    });
    let answer = asks(&process);
    assert_eq!((answer.status, answer.end), (200, End::Whole));
    assert!(answer.body == pattern(100_000));
}

/// What a backend does in the middle of an answer that ends it.
type Fault = fn(&mut Tls);

fn garbage(tls: &mut Tls) {
    tls.sock.write_all(&[23, 3, 3, 0, 32]).unwrap();
    tls.sock.write_all(&[7; 32]).unwrap();
}

fn oversize(tls: &mut Tls) {
    tls.sock.write_all(&[23, 3, 3, 0xff, 0xff]).unwrap();
}

fn plain_text(tls: &mut Tls) {
    tls.sock.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
}

fn half_a_record(tls: &mut Tls) {
    tls.sock.write_all(&[23, 3, 3, 0, 100, 1, 2, 3]).unwrap();
    tls.sock.shutdown(std::net::Shutdown::Write).unwrap();
}

const FAULTS: [(&str, Fault); 4] = [
    ("garbage", garbage),
    ("an oversize record", oversize),
    ("plain text", plain_text),
    ("half a record", half_a_record),
];

#[test]
fn records_that_cannot_be_opened_cut_the_answer() {
    for version in 0..2 {
        for (name, fault) in FAULTS {
            let (go, gone) = mpsc::channel();
            let gone = Mutex::new(gone);
            let (_backend, process, _authority) = before(version, move |tls| {
                assert!(request(tls));
                tls.write_all(&[head_of("200 OK", 10), b"half ".to_vec()].concat()).unwrap();
                // What comes in one piece with it may take it along.
                gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                fault(tls);
                // It may have been reset.
                let _ = std::io::copy(&mut tls.sock, &mut std::io::sink());
            });
            let descriptors = process.descriptors_at_rest();
            let mut client = process.client();
            client.send_post(CHAT, "", chat(1));
            let mut answer = client.head();
            go.send(()).unwrap();
            client.body_of(&mut answer);
            assert_eq!((answer.status, answer.text().as_str()), (200, "half "), "{name}");
            assert_eq!(answer.end, End::Cut, "{version}, {name}");
            drop(client);
            process.comes_to_rest(descriptors);
        }
    }
}

/// Before the first byte of an answer it is an error. Who speaks no TLS will not
/// learn it within a request; who has hung up is asked until it has cut three times.
#[test]
fn records_that_cannot_be_opened_are_a_bad_gateway() {
    for version in 0..2 {
        for (name, fault) in FAULTS {
            let (backend, process, _authority) = before(version, move |tls| {
                assert!(request(tls));
                fault(tls);
                // It may have been reset.
                let _ = std::io::copy(&mut tls.sock, &mut std::io::sink());
            });
            let answer = asks(&process);
            assert_eq!(answer.status, 502, "{version}, {name}: {}", answer.text());
            error_word(CHAT, &answer.body);
            let times = if name == "half a record" { 3 } else { 1 };
            assert_eq!(backend.connections(), times, "{version}, {name}");
        }
    }
}

/// A drain does not wait for handshakes: nobody has asked for anything.
#[test]
fn a_drain_lets_half_a_handshake_go() {
    let authority = Authority::new();
    let leaf = authority.leaf("server", &["localhost"]);
    let mut process = Process::serve_tls(&leaf, &["http://127.0.0.1:1".to_owned()], &[]);
    let socket = support::tls::tcp(process.tls_address());
    (&socket).write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    support::eventually("it is under way", || {
        process.metric("tokenring_handshakes_under_way") == 1
    });
    process.signal("TERM");
    assert!(process.exit().success(), "{}", process.said());
    steps::leave(socket, steps::Leave::Close);
}
