use std::sync::OnceLock;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer},
    version::{TLS12, TLS13},
};

use super::*;

const NAME: &str = "proxy.test";

/// A certificate of its own authority, made once.
fn certificate() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    static MADE: OnceLock<rcgen::CertifiedKey<rcgen::KeyPair>> = OnceLock::new();
    let made = MADE.get_or_init(|| rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    (made.cert.der().clone(), key)
}

/// Two ends of a connection that have not spoken yet.
fn ends(version: &'static rustls::SupportedProtocolVersion) -> (Session, Session) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (certificate, key) = certificate();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(NAME).unwrap();
    (Session::server(Arc::new(server)).unwrap(), Session::client(Arc::new(client), name).unwrap())
}

/// One end, with what it has not been able to open yet.
struct End {
    session: Session,
    torn: Vec<u8>,
    plain: Vec<u8>,
    closed: bool,
}

impl End {
    fn new(session: Session) -> Self {
        Self { session, torn: Vec::new(), plain: Vec::new(), closed: false }
    }

    /// Takes bytes in pieces of so many, and returns what it answers.
    fn take(&mut self, bytes: &[u8], piece: usize) -> Result<Vec<u8>, SessionFault> {
        let (mut scratch, mut replies) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            self.torn.extend_from_slice(piece);
            let opened = self.session.open(&mut self.torn, &mut scratch, &mut replies)?;
            assert!(opened.plain <= opened.used && opened.used <= self.torn.len());
            self.plain.extend_from_slice(&self.torn[..opened.plain]);
            self.torn.drain(..opened.used);
            self.closed |= opened.closed;
        }
        Ok(replies)
    }

    fn says(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut out = vec![0; sealed_bytes_max(plaintext.len())];
        let length = self.session.seal(&mut [], plaintext, &mut out).unwrap();
        out.truncate(length);
        out
    }
}

/// Two ends that have shaken hands, every message cut in pieces of so many
/// bytes.
fn connected(version: &'static rustls::SupportedProtocolVersion, piece: usize) -> (End, End) {
    let (server, client) = ends(version);
    let (mut server, mut client) = (End::new(server), End::new(client));
    let mut replies = Vec::new();
    client.session.open(&mut [], &mut Vec::new(), &mut replies).unwrap();
    while !replies.is_empty() {
        let answer = server.take(&replies, piece).unwrap();
        replies = client.take(&answer, piece).unwrap();
    }
    assert!(!server.session.is_handshaking() && !client.session.is_handshaking());
    (server, client)
}

#[test]
fn hands_are_shaken_however_the_bytes_come() {
    for version in [&TLS12, &TLS13] {
        for piece in [1, 2, 3, 5, 100, 1000, usize::MAX] {
            let (mut server, mut client) = connected(version, piece);
            let said = server.says(b"hello");
            client.take(&said, piece).unwrap();
            assert_eq!(client.plain, b"hello");
        }
    }
}

#[test]
fn plaintext_of_every_length_comes_out_as_it_went_in() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut client) = connected(version, usize::MAX);
        for length in [1, 2, 1000, RECORD_PLAIN_MAX, RECORD_PLAIN_MAX + 1, 4 * RECORD_PLAIN_MAX] {
            let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let said = client.says(&text);
            assert!(said.len() <= sealed_bytes_max(length));
            server.take(&said, 4096).unwrap();
            assert_eq!(server.plain, text);
            assert!(server.torn.is_empty());
            server.plain.clear();
        }
    }
}

#[test]
fn records_are_opened_in_place_and_the_rest_is_left() {
    let (mut server, mut client) = connected(&TLS13, usize::MAX);
    let mut bytes = [client.says(b"one"), client.says(b"two"), client.says(b"three")].concat();
    let cut = bytes.len() - 1;
    let (mut scratch, mut replies) = (Vec::new(), Vec::new());
    let opened = server.session.open(&mut bytes[..cut], &mut scratch, &mut replies).unwrap();
    assert_eq!(&bytes[..opened.plain], b"onetwo");
    assert!(!opened.closed && replies.is_empty() && scratch.is_empty());
    let opened =
        server.session.open(&mut bytes[opened.used..], &mut scratch, &mut replies).unwrap();
    assert_eq!(opened.plain, 5);
}

#[test]
fn the_end_is_told_and_nothing_is_taken_behind_it() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut client) = connected(version, usize::MAX);
        let mut said = client.says(b"last");
        let mut out = [0; 256];
        let length = client.session.close(&mut [], &mut out).unwrap();
        said.extend_from_slice(&out[..length]);
        server.take(&said, 7).unwrap();
        assert_eq!(server.plain, b"last");
        assert!(server.closed);
        // The other direction goes on, whoever listens.
        assert!(!server.says(b"answer").is_empty());
    }
}

fn swapped<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

#[test]
fn who_has_told_the_end_looks_at_nothing_behind_it() {
    for version in [&TLS12, &TLS13] {
        let (server, client) = connected(version, usize::MAX);
        for (mut ended, mut other) in [(server, client), swapped(connected(version, 7))] {
            ended.session.close(&mut [], &mut [0; 256]).unwrap();
            let said = other.says(b"more");
            assert_eq!(ended.take(&said, 7).unwrap(), b"");
            assert_eq!(ended.take(b"no record at all", usize::MAX).unwrap(), b"");
            assert!(ended.plain.is_empty() && ended.torn.is_empty());
        }
    }
}

#[test]
fn a_forged_record_ends_the_connection_with_an_alert() {
    let (mut server, mut client) = connected(&TLS13, usize::MAX);
    let mut said = client.says(b"forged");
    let last = said.len() - 1;
    said[last] ^= 1;
    let mut replies = Vec::new();
    let fault = server.session.open(&mut said, &mut Vec::new(), &mut replies).unwrap_err();
    assert_eq!(fault.kind, SessionFaultKind::Protocol);
    assert!(!replies.is_empty());
    let mut out = [0; 256];
    assert!(server.session.seal(&mut [], b"more", &mut out).is_err());
    assert_eq!(client.take(&replies, usize::MAX).unwrap_err().kind, SessionFaultKind::PeerAlert);
}

#[test]
fn what_is_not_tls_is_named() {
    let (server, _) = ends(&TLS13);
    let fault = End::new(server).take(b"GET / HTTP/1.1\r\n\r\n", usize::MAX).unwrap_err();
    assert_eq!(fault.kind, SessionFaultKind::NotTls);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_a_failed_verification() {
    let (server, _) = ends(&TLS13);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let distrustful = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(NAME).unwrap();
    let (mut server, mut client) =
        (End::new(server), Session::client(Arc::new(distrustful), name).unwrap());
    let mut hello = Vec::new();
    client.open(&mut [], &mut Vec::new(), &mut hello).unwrap();
    let answer = server.take(&hello, usize::MAX).unwrap();
    let fault = End::new(client).take(&answer, usize::MAX).unwrap_err();
    assert_eq!(fault.kind, SessionFaultKind::Verification);
}
