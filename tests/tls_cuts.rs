//! Handshakes that end too early: at every record's edge and inside each, by
//! a close, a reset or an alert, as client and as backend.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::{ClientConfig, HandshakeKind, ServerConfig, ServerConnection};
use support::{
    backend::{Backend, Conn},
    chat, error_word,
    process::Process,
    tls::{
        TlsSocket, VERSIONS,
        authority::Authority,
        client_config, connection, server_config,
        steps::{Cut, Leave, PLACES, Place, handshake, leave},
        tcp,
    },
};

const CHAT: &str = "/v1/chat/completions";
const LEAVES: [Leave; 3] = [Leave::Close, Leave::Reset, Leave::Notify];
/// More than any handshake sends; it would not end else.
const RECORDS_MAX: usize = 12;

fn serve(authority: &Authority, more: &[&str]) -> Process {
    let leaf = authority.leaf("server", &["localhost"]);
    Process::serve_tls(&leaf, &["http://127.0.0.1:1".to_owned()], more)
}

/// Every cut of this client's handshake; the records that a whole one sends.
#[track_caller]
fn cuts_everywhere(process: &Process, config: &Arc<ClientConfig>) -> usize {
    for record in 0..RECORDS_MAX {
        for place in PLACES {
            for how in LEAVES {
                let mut socket = tcp(process.tls_address());
                let mut client = connection(config, "localhost");
                let cut = Cut { record, place };
                let whole = handshake(&mut client, &mut socket, Some(cut));
                if whole.unwrap_or_else(|error| panic!("{cut:?}: {error}")) {
                    return record;
                }
                leave(socket, how);
            }
        }
    }
    panic!("over {RECORDS_MAX} records")
}

#[track_caller]
fn is_served(process: &Process, config: &Arc<ClientConfig>, kind: HandshakeKind) {
    let tls = TlsSocket::connect(process.tls_address(), config, "localhost").unwrap();
    assert_eq!(tls.handshake(), kind);
    assert_eq!(tls.client().get("/health").status, 200);
}

#[test]
fn a_handshake_may_end_anywhere() {
    let authority = Authority::new();
    let process = serve(&authority, &[]);
    let descriptors = process.descriptors_at_rest();
    for version in VERSIONS {
        let mut config = client_config(&authority, version, None);
        config.resumption = rustls::client::Resumption::disabled();
        let config = Arc::new(config);
        assert!(cuts_everywhere(&process, &config) >= 3, "{version:?}");
        is_served(&process, &config, HandshakeKind::Full);
    }
    process.comes_to_rest(descriptors);
}

/// A ticket is good again after the connection that brought it was cut.
#[test]
fn a_resumed_handshake_may_end_anywhere() {
    let authority = Authority::new();
    let process = serve(&authority, &[]);
    let descriptors = process.descriptors_at_rest();
    for version in VERSIONS {
        for record in 0..RECORDS_MAX {
            let mut whole = false;
            for place in PLACES {
                for how in LEAVES {
                    // TLS 1.3 uses a ticket once, so each has one of its own.
                    let config = Arc::new(client_config(&authority, version, None));
                    is_served(&process, &config, HandshakeKind::Full);
                    let mut socket = tcp(process.tls_address());
                    let mut client = connection(&config, "localhost");
                    let cut = Cut { record, place };
                    whole = handshake(&mut client, &mut socket, Some(cut)).unwrap();
                    if whole {
                        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Resumed));
                        break;
                    }
                    leave(socket, how);
                }
            }
            if whole {
                assert!(record >= 3, "{version:?}");
                break;
            }
        }
    }
    process.comes_to_rest(descriptors);
}

#[test]
fn a_handshake_with_a_client_certificate_may_end_anywhere() {
    let authority = Authority::new();
    let own = authority.leaf("client", &["client.test"]);
    let process = serve(&authority, &["--tls-client-ca", &authority.file()]);
    let descriptors = process.descriptors_at_rest();
    for version in VERSIONS {
        let mut config = client_config(&authority, version, Some(&own));
        config.resumption = rustls::client::Resumption::disabled();
        let config = Arc::new(config);
        assert!(cuts_everywhere(&process, &config) >= 3, "{version:?}");
        is_served(&process, &config, HandshakeKind::Full);
    }
    process.comes_to_rest(descriptors);
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let authority = Authority::new();
    let process = serve(&authority, &[]);
    let descriptors = process.descriptors_at_rest();
    for version in VERSIONS {
        let config = Arc::new(client_config(&authority, version, None));
        let mut socket = tcp(process.tls_address());
        let mut client = connection(&config, "localhost");
        client.writer().write_all(b"GET /health HTTP/1.1\r\nhost: p\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight).unwrap();
            }
            for byte in flight {
                socket.write_all(&[byte]).unwrap();
            }
            assert_ne!(client.read_tls(&mut socket).unwrap(), 0);
            client.process_new_packets().unwrap();
            // There may be nothing for us in what came.
            let _ = std::io::Read::read_to_end(&mut client.reader(), &mut answer);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{version:?}");
    }
    process.comes_to_rest(descriptors);
}

/// Where the next connection is cut, and how it ends.
type NextCut = Arc<Mutex<(Cut, Leave)>>;

/// A backend that cuts each handshake, if it has not ended before.
fn cutting_backend(config: ServerConfig, next: NextCut) -> (Backend, Arc<AtomicUsize>) {
    let config = Arc::new(config);
    let whole = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&whole);
    let backend = Backend::start(move |conn: &mut Conn| {
        let (cut, how) = *next.lock().unwrap();
        let mut server = ServerConnection::new(Arc::clone(&config)).unwrap();
        if handshake(&mut server, &mut conn.socket, Some(cut)).unwrap() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        leave(conn.socket.try_clone().unwrap(), how);
        if how != Leave::Reset {
            conn.close();
        }
    });
    (backend, whole)
}

/// It is told as what it is, never waited out and never tried in plain.
#[test]
fn a_backends_handshake_may_end_anywhere() {
    let authority = Authority::new();
    let leaf = authority.leaf("backend", &["127.0.0.1"]);
    for version in VERSIONS {
        let next = Arc::new(Mutex::new((Cut { record: 0, place: Place::Before }, Leave::Close)));
        let mut config = server_config(&leaf, version);
        // They come behind the handshake, where a cut is the request's.
        config.send_tls13_tickets = 0;
        let (backend, whole) = cutting_backend(config, Arc::clone(&next));
        let url = format!("https://{}", backend.address);
        let process = Process::serve_urls(&[url], &["--backend-ca", &authority.file()]);
        let descriptors = process.descriptors_at_rest();
        let mut client = process.client();
        let mut cuts = 0;
        'everywhere: for record in 0..RECORDS_MAX {
            for place in PLACES {
                for how in [Leave::Close, Leave::Reset] {
                    let cut = Cut { record, place };
                    *next.lock().unwrap() = (cut, how);
                    for path in [CHAT, "/v1/messages"] {
                        let answer = client.post(path, "", chat(1));
                        if whole.load(Ordering::SeqCst) > 0 {
                            break 'everywhere;
                        }
                        let case = format!("{version:?} {cut:?} {how:?} {path}");
                        assert_eq!(answer.status, 502, "{case}: {}", answer.text());
                        if path == CHAT {
                            let word = error_word(path, &answer.body);
                            assert_eq!(word, "tls_handshake_failed", "{case}");
                        }
                    }
                    cuts += 1;
                }
            }
        }
        assert!(cuts >= 20, "{version:?}: {cuts}");
        drop(client);
        process.comes_to_rest(descriptors);
    }
}
