//! The loop against small TLS servers of known behaviour.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use clap::Parser;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::args::{Mode, Target};
use crate::transport::Tls;
use crate::trust;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UNTIL_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nok";

type Session = StreamOwned<ServerConnection, TcpStream>;

struct Server {
    address: SocketAddr,
    authority: tempfile::NamedTempFile,
    work: JoinHandle<()>,
}

/// Serves so many connections, one after the other.
fn server(connections: usize, serve: impl Fn(Session) + Send + 'static) -> Server {
    let names = vec!["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let mut authority = tempfile::NamedTempFile::new().unwrap();
    authority.write_all(cert.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let work = move || {
        for _ in 0..connections {
            let (socket, _) = listener.accept().unwrap();
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            serve(StreamOwned::new(session, socket));
        }
    };
    Server { address, authority, work: thread::Builder::new().spawn(work).unwrap() }
}

fn arguments(server: &Server, options: &[&str]) -> Args {
    let url = format!("https://{}/", server.address);
    let mut words = vec!["openloop", "--url", &url, "--duration", "1", "--warm-up", "0"];
    words.extend(options);
    Args::parse_from(words)
}

fn load<C: Client>(server: Server, options: &[&str]) -> anyhow::Result<Tally> {
    let authority: PathBuf = server.authority.path().to_owned();
    let args = arguments(&server, &[options, &["--ca", authority.to_str().unwrap()]].concat());
    let target = Target::parse(&args.url).unwrap();
    let tls = Tls { config: trust::client_config(&args)?, name: args.server_name()? };
    let dialer = Dialer { address: target.address, tls: Some(tls) };
    let request = args.request(&target)?;
    let mut run = Run::<C>::new(&args, &dialer, &request, 1, false)?;
    let Ok(Mode::Open { rate }) = args.mode() else { panic!("an open loop was asked for") };
    run.drive(Schedule::new(rate, args.arrivals, 1, args.total()))?;
    let Run { tally, connections, .. } = run;
    drop(connections); // a server may wait for its client to leave
    server.work.join().unwrap();
    Ok(tally)
}

/// Goes through the handshake and waits for the client to leave.
fn agree(mut session: Session) {
    let mut buffer = [0; 1024];
    assert_eq!(session.read(&mut buffer).unwrap(), 0, "a client that says good-bye");
    session.conn.send_close_notify();
    session.flush().unwrap();
}

fn check_handshakes(version: &str, options: &[&str], expected: &[(&str, u64)]) {
    let options = [&["--rate", "3", "--handshakes", "--tls-version", version], options].concat();
    let tally = load::<Handshake>(server(3, agree), &options).unwrap();
    assert_eq!((tally.completed, &tally.faults), (3, &BTreeMap::new()), "{options:?}");
    let agreements: Vec<_> = tally.agreements.iter().map(|(a, n)| (a.as_str(), *n)).collect();
    assert_eq!(agreements, expected, "{options:?}");
    assert_eq!(tally.latency.count(), 3);
}

#[test]
fn a_handshake_is_full_unless_it_is_to_be_resumed() {
    const V1_3: &str = "TLSv1_3 TLS13_AES_128_GCM_SHA256 X25519";
    const V1_2: &str = "TLSv1_2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 X25519";
    const V1_2_AGAIN: &str = "TLSv1_2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 -";
    let said = |agreement: &str, kind: &str| format!("{agreement} {kind}");
    check_handshakes("1.3", &[], &[(&said(V1_3, "Full"), 3)]);
    check_handshakes("1.2", &[], &[(&said(V1_2, "Full"), 3)]);
    let resumed = [(&*said(V1_3, "Full"), 1), (&*said(V1_3, "Resumed"), 2)];
    check_handshakes("1.3", &["--resume"], &resumed);
    // Without a key exchange of its own, the session has no group.
    let resumed = [(&*said(V1_2_AGAIN, "Resumed"), 2), (&*said(V1_2, "Full"), 1)];
    check_handshakes("1.2", &["--resume"], &resumed);
}

fn check_failed_handshake(serve: impl Fn(&mut TcpStream) + Send + 'static, expected: Fault) {
    let server = server(1, move |mut session| serve(&mut session.sock));
    let tally = load::<Handshake>(server, &["--rate", "1", "--handshakes"]).unwrap();
    assert_eq!(tally.faults, BTreeMap::from([(expected, 1)]));
    assert_eq!((tally.completed, tally.agreements.len()), (0, 0));
}

#[test]
fn a_handshake_that_does_not_end_well_is_a_fault() {
    fn hello(socket: &mut TcpStream) {
        assert!(socket.read(&mut [0; 4096]).unwrap() > 0);
    }
    check_failed_handshake(hello, Fault::Cut);
    let in_clear = |socket: &mut TcpStream| {
        hello(socket);
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    };
    check_failed_handshake(in_clear, Fault::Tls);
}

/// Answers one request, and then ends the connection in one of two ways.
fn check_answer(answer: &'static [u8], says_good_bye: bool, expected: Option<Fault>) {
    let server = server(1, move |mut session| {
        assert!(session.read(&mut [0; 4096]).unwrap() > 0);
        session.write_all(answer).unwrap();
        if says_good_bye {
            session.conn.send_close_notify();
        }
        session.flush().unwrap();
        session.sock.shutdown(Shutdown::Write).unwrap();
        // Until the client has closed too: an unread byte would be a reset.
        while !matches!(session.sock.read(&mut [0; 4096]), Ok(0) | Err(_)) {}
    });
    let tally = load::<Connection>(server, &["--rate", "1"]).unwrap();
    assert_eq!(tally.faults.keys().next().copied(), expected, "{says_good_bye}");
    assert_eq!(tally.completed, u64::from(expected.is_none()));
}

#[test]
fn an_end_that_was_not_announced_is_a_cut() {
    check_answer(ANSWER, true, None);
    check_answer(ANSWER, false, None);
    check_answer(UNTIL_CLOSE, true, None);
    check_answer(UNTIL_CLOSE, false, Some(Fault::Cut));
}

#[test]
fn another_name_or_authority_is_not_taken() {
    let refused = |server: Server, options: &[&str]| {
        let error = load::<Connection>(server, options).err().unwrap();
        let cause = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(cause, Some(ErrorKind::InvalidData), "{error:#}");
    };
    // The client's alert ends it.
    let greet = |mut session: Session| assert!(session.read(&mut [0; 1]).is_err());
    refused(server(1, greet), &["--rate", "1", "--server-name", "example.org"]);
    let mut other = server(1, greet);
    other.authority = server(0, greet).authority;
    refused(other, &["--rate", "1"]);
}
