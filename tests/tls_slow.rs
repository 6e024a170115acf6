//! TLS clients that begin what they do not end, and a backend that says too
//! late what it does not like.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{RootCertStore, server::WebPkiClientVerifier};
use support::{
    Client, PATIENCE, chat, error_word, eventually,
    process::Process,
    tls::{
        TlsSocket, VERSIONS, accept,
        authority::Authority,
        client_config,
        forge::{DATA, Forge},
        provider,
    },
};

/// Nobody is asked here.
const NO_BACKEND: &str = "http://127.0.0.1:1";
/// As long as a receive is under way at all, with both of its ends.
const REST: [&str; 2] = ["--rest-before-idle", "50ms"];

fn serve(authority: &Authority, more: &[&str]) -> Process {
    let leaf = authority.leaf("server", &["localhost"]);
    Process::serve_tls(&leaf, &[NO_BACKEND.to_owned()], &[&REST[..], more].concat())
}

/// Sends one byte after another, a little apart, until the connection is
/// closed; how many it took.
#[track_caller]
fn trickle(forge: &mut Forge, bytes: &[u8]) -> usize {
    let since = Instant::now();
    forge.socket.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
    for (sent, byte) in bytes.iter().enumerate() {
        assert!(since.elapsed() < PATIENCE, "it is not closed");
        if forge.socket.write_all(&[*byte]).is_err() {
            return sent;
        }
        loop {
            match forge.socket.read(&mut [0; 1024]) {
                Ok(0) => return sent,
                Ok(_) => {} // Its tickets, and its last words.
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return sent,
            }
        }
    }
    bytes.len()
}

#[test]
fn a_record_that_never_ends_does_not_outlive_keep_alive() {
    let authority = Authority::new();
    let process = serve(&authority, &["--keep-alive-timeout", "1s"]);
    let descriptors = process.descriptors_at_rest();
    for version in VERSIONS {
        let config = Arc::new(client_config(&authority, version, None));
        let mut forge = Forge::connect(process.tls_address(), &config, "localhost");
        let record = [&[DATA, 3, 3, 0x40, 0][..], &[0; 4000]].concat();
        assert!(trickle(&mut forge, &record) < 4000, "{version:?}");
    }
    process.comes_to_rest(descriptors);
}

/// The head's deadline falls between two bytes of a record again and again: no
/// interrupt may be lost to a receive that brought nothing whole.
#[test]
fn a_head_in_a_record_that_never_ends_meets_its_deadline() {
    let authority = Authority::new();
    let process = serve(&authority, &["--head-timeout", "200ms"]);
    let descriptors = process.descriptors_at_rest();
    let config = Arc::new(client_config(&authority, VERSIONS[1], None));
    for _ in 0..10 {
        let mut forge = Forge::connect(process.tls_address(), &config, "localhost");
        assert!(forge.send(DATA, b"POST /v1/x HTTP/1.1\r\n"));
        let record = [&[DATA, 3, 3, 0x40, 0][..], &[0; 4000]].concat();
        assert!(trickle(&mut forge, &record) < 4000);
    }
    process.comes_to_rest(descriptors);
}

#[test]
fn half_a_record_does_not_hold_up_a_drain() {
    let authority = Authority::new();
    let mut process = serve(&authority, &["--drain", "10m"]);
    let mut clients = Vec::new();
    for version in VERSIONS {
        let config = Arc::new(client_config(&authority, version, None));
        let mut forge = Forge::connect(process.tls_address(), &config, "localhost");
        forge.socket.write_all(&[DATA, 3, 3, 0x40, 0, 1, 2, 3]).unwrap();
        clients.push(forge);
    }
    eventually("they rest", || process.metric("tokenring_connections_resting") >= 2);
    process.signal("TERM");
    assert!(process.exit().success());
}

/// In TLS 1.3 we hear of it after our own handshake is over (RFC 8446, section
/// 4.4.2.4).
#[test]
fn a_backend_that_wants_our_certificate_is_not_taken_for_one_that_left() {
    for version in VERSIONS {
        let authority = Authority::new();
        let leaf = authority.leaf("backend", &["localhost"]);
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(leaf.chain(), leaf.private_key())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let backend = format!("https://{}", listener.local_addr().unwrap());
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                // It fails: that is what it is for.
                let _ = accept(socket.unwrap(), &config);
            }
        });
        let file = authority.file();
        let flags = ["--backend-ca", &file, "--backend-tls-name", "localhost"];
        let process = Process::serve_urls(&[backend], &flags);
        let path = "/v1/chat/completions";
        let answer = Client::tcp(process.address).post(path, "", chat(1));
        assert_eq!(answer.status, 502);
        assert_eq!(error_word(path, &answer.body), "tls_handshake_failed", "{version:?}");
        eventually("the log says why", || {
            process.said().contains("CertificateRequired")
                || process.said().contains("HandshakeFailure")
        });
    }
}

/// A client may end in good order whatever has come before.
#[test]
fn an_idle_client_hears_our_end() {
    let authority = Authority::new();
    let process = serve(&authority, &["--keep-alive-timeout", "200ms"]);
    for version in VERSIONS {
        let config = Arc::new(client_config(&authority, version, None));
        let mut socket = TlsSocket::connect(process.tls_address(), &config, "localhost").unwrap();
        assert_eq!(socket.get(), 200);
        assert_eq!(socket.0.read(&mut [0; 10]).unwrap(), 0, "close_notify");
    }
}
