//! A client that has taken over its connection's keys, and so seals whatever
//! record it likes.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite,
    crypto::cipher::{
        AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks,
        OutboundPlainMessage,
    },
};

use super::{GET, TlsSocket, whole_answer};

pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const DATA: u8 = 23;

pub const WARNING: u8 = 1;
pub const FATAL: u8 = 2;
pub const CLOSE_NOTIFY: u8 = 0;

/// Largest plaintext of one record (RFC 8446, 5.1).
pub const RECORD_MAX: usize = 1 << 14;

pub struct Forge {
    pub socket: TcpStream,
    seals: (Box<dyn MessageEncrypter>, u64),
    opens: (Box<dyn MessageDecrypter>, u64),
}

/// What one record held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: u8,
    pub bytes: Vec<u8>,
}

impl Forge {
    /// After a handshake and one answered request, so that the tickets have
    /// been read.
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Self {
        let mut tls = TlsSocket::connect(address, config, name).unwrap();
        assert_eq!(tls.get(), 200);
        let suite = tls.0.conn.negotiated_cipher_suite().unwrap();
        let socket = tls.0.sock;
        let secrets = tls.0.conn.dangerous_extract_secrets().unwrap();
        let mut seals = seals(suite, secrets.tx.1);
        // AES-GCM wants to have seen the first nonce before the others.
        let first = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::new_empty(),
        };
        seals.encrypt(first, 0).unwrap();
        Self {
            socket,
            seals: (seals, secrets.tx.0),
            opens: (opens(suite, secrets.rx.1), secrets.rx.0),
        }
    }

    /// One record, sealed; nothing else about it is checked.
    pub fn sealed(&mut self, kind: u8, bytes: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ: ContentType::from(kind),
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(bytes),
        };
        let sealed = self.seals.0.encrypt(message, self.seals.1).unwrap();
        self.seals.1 += 1;
        sealed.encode()
    }

    /// Sends one record; false when the other side does not take it any more.
    pub fn send(&mut self, kind: u8, bytes: &[u8]) -> bool {
        let record = self.sealed(kind, bytes);
        self.socket.write_all(&record).is_ok()
    }

    pub fn alert(&mut self, level: u8, description: u8) -> bool {
        self.send(ALERT, &[level, description])
    }

    /// The next record opened; none at the end of the connection.
    ///
    /// # Errors
    /// A reset, or nothing within the patience of the socket.
    pub fn record(&mut self) -> io::Result<Option<Record>> {
        let mut header = [0; 5];
        match self.socket.read(&mut header[..1])? {
            0 => return Ok(None),
            _ => self.socket.read_exact(&mut header[1..])?,
        }
        let mut payload = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        self.socket.read_exact(&mut payload)?;
        let kind = ContentType::from(header[0]);
        let sealed = InboundOpaqueMessage::new(kind, ProtocolVersion::TLSv1_2, &mut payload);
        let opened = self.opens.0.decrypt(sealed, self.opens.1).unwrap();
        self.opens.1 += 1;
        Ok(Some(Record { kind: u8::from(opened.typ), bytes: opened.payload.to_vec() }))
    }

    /// Everything until the connection ends, and whether it ended in order.
    pub fn rest(&mut self) -> (Vec<Record>, bool) {
        let mut records = Vec::new();
        loop {
            match self.record() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => return (records, true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("it is neither answered nor closed, after {records:?}")
                }
                Err(_) => return (records, false),
            }
        }
    }

    /// A request in one record, and the status of its answer.
    pub fn get(&mut self) -> u16 {
        assert!(self.send(DATA, GET));
        let mut answer = Vec::new();
        loop {
            let record = self.record().unwrap().expect("an answer");
            if record.kind == DATA {
                answer.extend_from_slice(&record.bytes);
            }
            if let Some(status) = whole_answer(&answer) {
                return status;
            }
        }
    }
}

fn key_and_iv(secrets: ConnectionTrafficSecrets) -> (AeadKey, Iv) {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
        _ => panic!("an unknown cipher"),
    }
}

/// How many bytes of the nonce TLS 1.2 takes from the handshake; GCM sends
/// the others with each record.
fn fixed_bytes(iv: &Iv, gcm: bool) -> usize {
    if gcm { 4 } else { iv.as_ref().len() }
}

fn is_gcm(secrets: &ConnectionTrafficSecrets) -> bool {
    !matches!(secrets, ConnectionTrafficSecrets::Chacha20Poly1305 { .. })
}

fn seals(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> Box<dyn MessageEncrypter> {
    let gcm = is_gcm(&secrets);
    let (key, iv) = key_and_iv(secrets);
    match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => {
            let (fixed, explicit) = iv.as_ref().split_at(fixed_bytes(&iv, gcm));
            suite.aead_alg.encrypter(key, fixed, explicit)
        }
    }
}

fn opens(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> Box<dyn MessageDecrypter> {
    let gcm = is_gcm(&secrets);
    let (key, iv) = key_and_iv(secrets);
    match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.decrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => {
            suite.aead_alg.decrypter(key, &iv.as_ref()[..fixed_bytes(&iv, gcm)])
        }
    }
}
