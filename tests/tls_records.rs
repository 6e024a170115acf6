//! Records that no decent peer sends, before the handshake and after it: each
//! ends its connection at once or is borne, and never costs anybody else.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{io::Write, net::TcpStream, sync::Arc};

use rustls::{
    ClientConfig, SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use support::{
    process::Process,
    tls::{
        GET, TlsSocket, VERSIONS,
        authority::Authority,
        client_config, connection,
        forge::{
            ALERT, CHANGE_CIPHER_SPEC, CLOSE_NOTIFY, DATA, FATAL, Forge, HANDSHAKE, RECORD_MAX,
            Record, WARNING,
        },
        steps::{self, Leave, leave},
        tcp,
    },
};

const USER_CANCELED: u8 = 90;
const NO_RENEGOTIATION: u8 = 100;
const KEY_UPDATE: u8 = 24;

type Version = &'static SupportedProtocolVersion;

struct World {
    process: Process,
    configs: [Arc<ClientConfig>; 2],
    descriptors: usize,
}

impl World {
    fn start() -> Self {
        let authority = Authority::new();
        let leaf = authority.leaf("server", &["localhost"]);
        let process = Process::serve_tls(&leaf, &["http://127.0.0.1:1".to_owned()], &[]);
        let configs = VERSIONS.map(|version| Arc::new(client_config(&authority, version, None)));
        let descriptors = process.descriptors_at_rest();
        Self { process, configs, descriptors }
    }

    fn config(&self, version: Version) -> &Arc<ClientConfig> {
        &self.configs[usize::from(version == &TLS13)]
    }

    fn forge(&self, version: Version) -> Forge {
        Forge::connect(self.process.tls_address(), self.config(version), "localhost")
    }

    fn tcp(&self) -> TcpStream {
        tcp(self.process.tls_address())
    }

    /// A handshake of an ordinary client on this socket, and a request.
    fn handshake_on(&self, mut socket: TcpStream, version: Version) -> std::io::Result<()> {
        let mut client = connection(self.config(version), "localhost");
        steps::handshake(&mut client, &mut socket, None).map(drop)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for config in &self.configs {
            let address = self.process.tls_address();
            let tls = TlsSocket::connect(address, config, "localhost").unwrap();
            assert_eq!(tls.client().get("/health").status, 200);
        }
        self.process.comes_to_rest(self.descriptors);
    }
}

/// The connection ends without a byte of an answer; what it still says are
/// alerts.
#[track_caller]
fn is_ended(mut forge: Forge, case: &str) -> Vec<Record> {
    let (records, _) = forge.rest();
    assert!(records.iter().all(|record| record.kind == ALERT), "{case}: {records:?}");
    records
}

#[test]
fn every_alert_before_the_handshake_ends_it_or_is_borne() {
    let world = World::start();
    for description in 0..=255 {
        for level in [WARNING, FATAL] {
            let mut socket = world.tcp();
            socket.write_all(&[ALERT, 3, 3, 0, 2, level, description]).unwrap();
            let served = world.handshake_on(socket, VERSIONS[usize::from(description & 1)]);
            if level == FATAL {
                assert!(served.is_err(), "fatal {description} was borne");
            }
        }
    }
}

#[test]
fn every_alert_after_the_handshake_is_heeded() {
    let world = World::start();
    for version in VERSIONS {
        for description in 0..=255 {
            for level in [WARNING, FATAL] {
                let mut forge = world.forge(version);
                assert!(forge.alert(level, description));
                let case = format!("{:?}, {level} {description}", version);
                // Warnings are borne in TLS 1.2; in TLS 1.3 there is but one
                // (RFC 8446, 6).
                let borne = level == WARNING && (version == &TLS12 || description == USER_CANCELED);
                if borne && description != CLOSE_NOTIFY {
                    assert_eq!(forge.get(), 200, "{case}");
                } else {
                    is_ended(forge, &case);
                }
            }
        }
    }
}

#[test]
fn a_close_notify_is_answered_with_one() {
    let world = World::start();
    for version in VERSIONS {
        let mut forge = world.forge(version);
        assert!(forge.alert(WARNING, CLOSE_NOTIFY));
        let (records, in_order) = forge.rest();
        let notify = Record { kind: ALERT, bytes: vec![WARNING, CLOSE_NOTIFY] };
        assert_eq!((records, in_order), (vec![notify], true), "{:?}", version);
    }
}

/// Who has been told the end may still speak; nobody listens.
#[test]
fn records_behind_the_last_answer_are_not_looked_at() {
    let world = World::start();
    for version in VERSIONS {
        for said in [&[23, 3, 3, 0, 1, 0][..], &[99, 0, 0, 0, 1, 0], &[21, 3, 3, 0, 2, 2, 40]] {
            let mut forge = world.forge(version);
            let request = b"GET /health HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n";
            assert!(forge.send(DATA, request));
            let answer = forge.record().unwrap().expect("an answer");
            assert!(answer.bytes.starts_with(b"HTTP/1.1 200 "));
            // It may have closed already.
            let _ = forge.socket.write_all(said);
            let (records, _) = forge.rest();
            let notify = Record { kind: ALERT, bytes: vec![WARNING, CLOSE_NOTIFY] };
            assert_eq!(records, [notify], "{version:?}, {said:?}");
        }
    }
}

#[test]
fn malformed_alerts_end_the_connection() {
    let world = World::start();
    for version in VERSIONS {
        for bytes in [&[][..], &[FATAL], &[0, 40], &[3, 40], &[255, 40]] {
            let mut forge = world.forge(version);
            forge.send(ALERT, bytes);
            is_ended(forge, &format!("{:?} {bytes:?}", version));
        }
    }
}

/// A warning costs its sender next to nothing, so there may be a few only.
#[test]
fn a_flood_of_warnings_ends_the_connection() {
    let world = World::start();
    for version in VERSIONS {
        let mut forge = world.forge(version);
        let sent = (0..10_000).take_while(|_| forge.alert(WARNING, USER_CANCELED)).count();
        is_ended(forge, &format!("{:?}, {sent} sent", version));
    }
}

#[test]
fn a_few_empty_records_are_borne_and_a_flood_is_not() {
    let world = World::start();
    for version in VERSIONS {
        let mut forge = world.forge(version);
        for _ in 0..8 {
            assert!(forge.send(DATA, b""));
        }
        assert_eq!(forge.get(), 200, "{:?}", version);
        let sent = (0..10_000).take_while(|_| forge.send(DATA, b"")).count();
        is_ended(forge, &format!("{:?}, {sent} sent", version));
    }
}

#[test]
fn a_record_is_full_at_its_limit_and_refused_beyond() {
    let world = World::start();
    for version in VERSIONS {
        let case = format!("{:?}", version);
        let head = b"GET /health HTTP/1.1\r\nhost: p\r\nx: ";
        let padding = vec![b'y'; RECORD_MAX - head.len() - 4];
        let request = [&head[..], &padding, b"\r\n\r\n"].concat();
        let mut forge = world.forge(version);
        assert!(forge.send(DATA, &request));
        let answer = forge.record().unwrap().unwrap();
        assert!(answer.bytes.starts_with(b"HTTP/1.1 200 "), "{case}: {answer:?}");

        let mut forge = world.forge(version);
        forge.send(DATA, &[&request[..], b"z"].concat());
        is_ended(forge, &case);
    }
}

/// The bytes that a header announces are not waited for.
#[test]
fn a_header_that_announces_too_much_ends_the_connection_at_once() {
    let world = World::start();
    for length in [0x4801_u16, 0x7fff, 0xffff] {
        let [high, low] = length.to_be_bytes();
        for kind in [HANDSHAKE, DATA, ALERT] {
            let mut socket = world.tcp();
            socket.write_all(&[kind, 3, 3, high, low]).unwrap();
            assert!(world.handshake_on(socket, &TLS13).is_err(), "{kind} {length}");
        }
        for version in VERSIONS {
            let mut forge = world.forge(version);
            forge.socket.write_all(&[DATA, 3, 3, high, low]).unwrap();
            is_ended(forge, &format!("{:?} {length}", version));
        }
    }
}

#[test]
fn records_of_other_types_and_versions_end_the_connection() {
    let world = World::start();
    let kinds = (0..=255).filter(|kind| !(CHANGE_CIPHER_SPEC..=DATA).contains(kind));
    // Capitals begin a request in plain, which is answered in plain.
    for kind in kinds.filter(|kind| !kind.is_ascii_uppercase()) {
        let mut socket = world.tcp();
        socket.write_all(&[kind, 3, 3, 0, 1, 0]).unwrap();
        assert!(world.handshake_on(socket, &TLS13).is_err(), "{kind}");
    }
    for major in (0..=255).filter(|major| *major != 3) {
        let mut socket = world.tcp();
        socket.write_all(&[HANDSHAKE, major, 1, 0, 4, 1, 0, 0, 0]).unwrap();
        assert!(world.handshake_on(socket, &TLS13).is_err(), "{major}");
    }
    for version in VERSIONS {
        for kind in (0..=255).filter(|kind| !(CHANGE_CIPHER_SPEC..=DATA).contains(kind)) {
            let mut forge = world.forge(version);
            forge.send(kind, b"x");
            is_ended(forge, &format!("{:?}, {kind} sealed", version));
        }
    }
}

#[test]
fn a_record_that_was_tampered_with_ends_the_connection() {
    let world = World::start();
    for version in VERSIONS {
        let length = world.forge(version).sealed(DATA, GET).len();
        // The first and the last byte of what is sealed, and one between. Its
        // type is not among them: TLS 1.3 seals the true one, and the other
        // is a constant that rustls does not look at.
        for at in [5, 5 + 8, length - 1] {
            let mut forge = world.forge(version);
            let mut record = forge.sealed(DATA, GET);
            record[at] ^= 1;
            forge.socket.write_all(&record).unwrap();
            is_ended(forge, &format!("{:?}, byte {at}", version));
        }
        // In plain, twice the same, and one that was left out.
        let mut forge = world.forge(version);
        forge.socket.write_all(&[DATA, 3, 3, 0, 4, b'G', b'E', b'T', b' ']).unwrap();
        is_ended(forge, "in plain");
        let mut forge = world.forge(version);
        let record = forge.sealed(DATA, b"GET ");
        forge.socket.write_all(&[&record[..], &record].concat()).unwrap();
        is_ended(forge, "replayed");
        let mut forge = world.forge(version);
        let _left_out = forge.sealed(DATA, b"GET ");
        forge.send(DATA, GET);
        is_ended(forge, "left out");
    }
}

/// The first message of a handshake, without its record.
fn client_hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut flight = Vec::new();
    connection(config, "localhost").write_tls(&mut flight).unwrap();
    flight.split_off(5)
}

#[test]
fn a_renegotiation_is_refused_and_a_second_ends_the_connection() {
    let world = World::start();
    let hello = client_hello(world.config(&TLS12));
    let mut forge = world.forge(&TLS12);
    assert!(forge.send(HANDSHAKE, &hello));
    let refusal = forge.record().unwrap().unwrap();
    assert_eq!(refusal, Record { kind: ALERT, bytes: vec![WARNING, NO_RENEGOTIATION] });
    assert_eq!(forge.get(), 200);
    let sent = (0..1000).take_while(|_| forge.send(HANDSHAKE, &hello)).count();
    is_ended(forge, &format!("{sent} sent"));
    // TLS 1.3 has none.
    let mut forge = world.forge(&TLS13);
    forge.send(HANDSHAKE, &hello);
    is_ended(forge, "TLS 1.3");
}

#[test]
fn handshake_messages_after_the_handshake_end_the_connection() {
    let world = World::start();
    for version in VERSIONS {
        for kind in (0..=255).filter(|kind| ![1, KEY_UPDATE].contains(kind)) {
            let mut forge = world.forge(version);
            forge.send(HANDSHAKE, &[kind, 0, 0, 0]);
            is_ended(forge, &format!("{:?}, {kind}", version));
        }
        let mut forge = world.forge(version);
        forge.send(CHANGE_CIPHER_SPEC, &[1]);
        is_ended(forge, "a change of ciphers");
        let mut forge = world.forge(version);
        forge.send(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 2]);
        is_ended(forge, "an update of keys that there is not");
    }
    // There may be no end of a message that never ends.
    let mut forge = world.forge(&TLS13);
    assert!(forge.send(HANDSHAKE, &[KEY_UPDATE, 0xff, 0xff, 0xff]));
    let sent = (0..4096).take_while(|_| forge.send(HANDSHAKE, &[0; RECORD_MAX])).count();
    is_ended(forge, &format!("{sent} records"));
}

#[test]
fn a_message_of_the_handshake_may_not_grow_without_end() {
    let world = World::start();
    let mut socket = world.tcp();
    socket.write_all(&[HANDSHAKE, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]).unwrap();
    let mut record = vec![HANDSHAKE, 3, 1, 0x40, 0];
    record.resize(5 + RECORD_MAX, 0);
    let before = world.process.memory_kib("VmRSS");
    let sent = (0..1024).take_while(|_| socket.write_all(&record).is_ok()).count();
    // A client hello has 64 KiB at most; what the kernel holds comes on top.
    assert!(sent < 1024, "16 MiB of one hello were taken");
    leave(socket, Leave::Close);
    let grown = world.process.memory_kib("VmRSS").saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB");
}

#[test]
fn a_change_of_ciphers_in_the_handshake_is_borne_twice_at_most() {
    let world = World::start();
    let mut socket = world.tcp();
    let mut changes = Vec::new();
    for _ in 0..10_000 {
        changes.extend_from_slice(&[CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1]);
    }
    // It may have been ended in the middle of them.
    let _ = socket.write_all(&changes);
    assert!(world.handshake_on(socket, &TLS13).is_err());
}

#[test]
fn keys_are_updated_on_demand() {
    let world = World::start();
    let address = world.process.tls_address();
    let mut tls = TlsSocket::connect(address, world.config(&TLS13), "localhost").unwrap();
    for _ in 0..100 {
        tls.0.conn.refresh_traffic_keys().unwrap();
        assert_eq!(tls.get(), 200);
    }
}

/// Each update asks for one in return, so a flood would be answered by one.
#[test]
fn a_flood_of_key_updates_ends_the_connection() {
    let world = World::start();
    let address = world.process.tls_address();
    let mut tls = TlsSocket::connect(address, world.config(&TLS13), "localhost").unwrap();
    for _ in 0..10_000 {
        tls.0.conn.refresh_traffic_keys().unwrap();
    }
    // It may be ended in the middle of them.
    let _ = tls.flush();
    let _ = tls.write_all(GET); // as above
    let mut answer = Vec::new();
    assert!(std::io::Read::read_to_end(&mut tls, &mut answer).is_err(), "an orderly end");
    assert_eq!(answer, b"");
}
