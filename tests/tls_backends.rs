//! https backends that do what only a TLS peer can do.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use support::{
    Client, End, PATIENCE, pattern,
    process::Process,
    tls::{VERSIONS, accept, authority::Authority, server_config},
};

/// A backend that refuses a body before it has read it, with an answer of so
/// many bytes, and then reads to the end. Where it is reached.
fn refusing(
    authority: &Authority,
    version: &'static rustls::SupportedProtocolVersion,
    bytes: usize,
) -> SocketAddr {
    let leaf = authority.leaf("backend", &["localhost"]);
    let config = Arc::new(server_config(&leaf, version));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = accept(socket, &config).unwrap();
        let mut first = [0; 100];
        assert!(stream.read(&mut first).unwrap() > 0);
        let head = format!("HTTP/1.1 413 Too Large\r\ncontent-length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        for piece in pattern(bytes).chunks(1000) {
            stream.write_all(piece).unwrap();
        }
        // Whoever sends on may be cut; the answer must not be.
        while stream.read(&mut [0; 16_384]).is_ok_and(|read| read > 0) {}
    });
    address
}

/// Our own end is told while the answer still comes; that must not end it.
#[test]
fn a_large_answer_to_a_body_that_is_not_read_comes_whole() {
    const ANSWER: usize = 1_000_000;
    for version in VERSIONS {
        let authority = Authority::new();
        let backend = format!("https://{}", refusing(&authority, version, ANSWER));
        let file = authority.file();
        let flags = ["--backend-ca", &file, "--backend-tls-name", "localhost"];
        let process = Process::serve_urls(&[backend], &flags);
        let mut client = Client::tcp(process.address);
        let answer = client.post("/v1/files", "", pattern(30_000_000));
        assert_eq!((answer.status, answer.end), (413, End::Whole));
        assert!(answer.body == pattern(ANSWER), "{version:?}");
    }
}
