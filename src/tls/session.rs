//! One TLS connection, without its socket: records in, plaintext out, and the
//! other way round. The state machine is rustls' (its unbuffered interface, so
//! nothing is kept here while nothing is under way).
//!
//! ```text
//! open: [record][record][part of a record]
//!        └─ plaintext takes their place ─┐
//!       [plaintext       ]…………[part of a record]
//!        0 ‥ plain             used ‥
//! seal: plaintext ──► [record] or, if it is long, [full record][full record][record]
//! ```

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, HandshakeKind, ServerConfig,
    client::{ClientConnectionData, UnbufferedClientConnection},
    pki_types::{CertificateDer, ServerName},
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{
        ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
        UnbufferedStatus, WriteTraffic,
    },
};

use super::{SessionFault, SessionFaultKind};

/// The most plaintext that one record holds (RFC 8446, section 5.1).
pub const RECORD_PLAIN_MAX: usize = 1 << 14;
/// What a record adds at most: its header and the expansion that RFC 8446,
/// section 5.2, and RFC 5246, section 6.2.3, allow.
pub const RECORD_OVERHEAD_MAX: usize = 5 + 2048;
/// A record as it is on the wire.
pub const RECORD_BYTES_MAX: usize = RECORD_PLAIN_MAX + RECORD_OVERHEAD_MAX;
/// Room for what our own cipher suites add to a record, and with every piece
/// for a key update in front of it.
const SEAL_OVERHEAD: usize = 64;

/// What became of some bytes: see the drawing above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of plaintext, at the front.
    pub plain: usize,
    /// Where the bytes begin that are no whole record yet.
    pub used: usize,
    /// The peer has said that it sends no more (close_notify).
    pub closed: bool,
    /// What is left holds whole records: fragments of a handshake message that
    /// is not whole yet. They must be shown to every further call.
    pub is_fragmented: bool,
    /// What came behind the plaintext has ended the connection.
    pub fault: Option<SessionFault>,
}

/// One side of a connection.
pub struct Session {
    side: Side,
    /// Nothing more can be done with it. rustls must not be asked again: it
    /// would look for bytes that are not there any more.
    over: bool,
    /// Our end has been written (close_notify). From then on rustls is not
    /// shown what comes: it asserts that no alert follows that one.
    has_ended: bool,
}

enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

impl Session {
    /// # Errors
    /// A configuration that cannot be used.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, SessionFault> {
        let side = Side::Server(Box::new(UnbufferedServerConnection::new(config)?));
        Ok(Self { side, over: false, has_ended: false })
    }

    /// # Errors
    /// A configuration that cannot be used.
    pub fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, SessionFault> {
        let side = Side::Client(Box::new(UnbufferedClientConnection::new(config, name)?));
        Ok(Self { side, over: false, has_ended: false })
    }

    /// Opens the records in `bytes`, which begins with what was left the last
    /// time. What must be sent in return, an alert too if this fails, is put
    /// behind `replies`; `scratch` is used and left empty.
    ///
    /// # Errors
    /// The peer's fault; the connection is over.
    pub fn open(
        &mut self,
        bytes: &mut [u8],
        scratch: &mut Vec<u8>,
        replies: &mut Vec<u8>,
    ) -> Result<Opened, SessionFault> {
        if self.has_ended {
            return Ok(Opened { used: bytes.len(), ..Opened::default() });
        }
        let result = self.unless_over(|side| match side {
            Side::Server(server) => open(&mut **server, bytes, scratch, replies),
            Side::Client(client) => open(&mut **client, bytes, scratch, replies),
        });
        scratch.clear();
        self.over |= result.as_ref().is_ok_and(|opened| opened.fault.is_some());
        result
    }

    /// Seals all of `plaintext` into records at the front of `out`, which has
    /// [`sealed_bytes_max`] bytes of room, and says how long they are.
    /// `fragments` is what [`Opened::is_fragmented`] speaks of.
    ///
    /// # Errors
    /// A connection that is over, or whose keys are used up.
    pub fn seal(
        &mut self,
        fragments: &mut [u8],
        plaintext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SessionFault> {
        self.unless_over(|side| match side {
            Side::Server(server) => seal(&mut **server, fragments, plaintext, out),
            Side::Client(client) => seal(&mut **client, fragments, plaintext, out),
        })
    }

    /// Writes that no more will be sent (close_notify). What comes after that
    /// is left out.
    ///
    /// # Errors
    /// A connection that is over, or not there yet.
    pub fn close(&mut self, fragments: &mut [u8], out: &mut [u8]) -> Result<usize, SessionFault> {
        let written = self.unless_over(|side| match side {
            Side::Server(server) => close(&mut **server, fragments, out),
            Side::Client(client) => close(&mut **client, fragments, out),
        })?;
        self.has_ended = true;
        Ok(written)
    }

    #[inline]
    fn unless_over<T>(
        &mut self,
        act: impl FnOnce(&mut Side) -> Result<T, SessionFault>,
    ) -> Result<T, SessionFault> {
        if self.over {
            return Err(ours("the connection is over"));
        }
        let result = act(&mut self.side);
        self.over = result.is_err();
        result
    }

    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Server(server) => server.is_handshaking(),
            Side::Client(client) => client.is_handshaking(),
        }
    }

    #[must_use]
    pub fn is_resumed(&self) -> bool {
        let kind = match &self.side {
            Side::Server(server) => server.handshake_kind(),
            Side::Client(client) => client.handshake_kind(),
        };
        kind == Some(HandshakeKind::Resumed)
    }

    /// The peer's own certificate. A resumed connection has
    /// that of the one it resumes.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        let chain = match &self.side {
            Side::Server(server) => server.peer_certificates(),
            Side::Client(client) => client.peer_certificates(),
        };
        chain?.first()
    }
}

/// Room that `plain` bytes of plaintext need when they are sealed.
#[must_use]
pub const fn sealed_bytes_max(plain: usize) -> usize {
    plain + (plain / RECORD_PLAIN_MAX + 2) * SEAL_OVERHEAD
}

/// Both sides' one verb, so that what follows is written once.
trait Records {
    type Data;

    /// There is something that the peer has not been sent yet.
    fn has_to_say(&self) -> bool;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

fn open<R: Records>(
    session: &mut R,
    bytes: &mut [u8],
    scratch: &mut Vec<u8>,
    replies: &mut Vec<u8>,
) -> Result<Opened, SessionFault> {
    let mut opened = Opened::default();
    loop {
        scratch.clear();
        let UnbufferedStatus { mut discard, state } =
            session.process(bytes.get_mut(opened.used..).unwrap_or_default());
        let goes_on = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    scratch.extend_from_slice(record.payload);
                    discard += record.discard;
                }
                true
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(&mut data, replies)?;
                true
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done(); // Whoever called sends the replies.
                true
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                opened.closed = true;
                false
            }
            Ok(ConnectionState::ReadEarlyData(_)) => {
                return Err(SessionFault {
                    kind: SessionFaultKind::Protocol,
                    reason: "early data, which was not offered".to_owned(),
                });
            }
            // To be written, or to be read: what came is used up.
            Ok(_) => false,
            Err(error) => {
                put_alert(session, replies);
                if opened.plain == 0 {
                    return Err(error.into());
                }
                // What came in order before is the peer's word all the same.
                opened.fault = Some(error.into());
                return Ok(opened);
            }
        };
        opened.used = (opened.used + discard).min(bytes.len());
        // Plaintext is shorter than the records it was in, which are behind.
        let place = bytes.get_mut(opened.plain..opened.plain + scratch.len());
        let place = place.filter(|_| opened.plain + scratch.len() <= opened.used);
        if let Some(place) = place {
            place.copy_from_slice(scratch);
            opened.plain += scratch.len();
        } else {
            debug_assert!(false, "plaintext is longer than its records");
        }
        if !goes_on {
            opened.is_fragmented = holds_record(bytes.get(opened.used..).unwrap_or_default());
            return Ok(opened);
        }
    }
}

/// The length of the record that begins here, header and all; as far as its
/// header has come.
#[must_use]
pub fn record_bytes(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [_, _, _, high, low, ..] => Some(5 + usize::from(u16::from_be_bytes([high, low]))),
        _ => None,
    }
}

fn holds_record(bytes: &[u8]) -> bool {
    record_bytes(bytes).is_some_and(|length| length <= bytes.len())
}

/// The connection is over; the peer is told why, if there is something to tell.
/// As long as there is, rustls does not look for bytes.
fn put_alert<R: Records>(session: &mut R, replies: &mut Vec<u8>) {
    while session.has_to_say()
        && let Ok(ConnectionState::EncodeTlsData(mut data)) = session.process(&mut []).state
        && encode(&mut data, replies).is_ok()
    {}
}

fn encode<Data>(
    data: &mut EncodeTlsData<'_, Data>,
    replies: &mut Vec<u8>,
) -> Result<(), SessionFault> {
    let at = replies.len();
    loop {
        match data.encode(replies.get_mut(at..).unwrap_or_default()) {
            Ok(written) => {
                replies.truncate(at + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > replies.len() - at =>
            {
                replies.resize(at + required_size, 0);
            }
            Err(error) => return Err(ours(error)),
        }
    }
}

fn seal<R: Records>(
    session: &mut R,
    fragments: &mut [u8],
    plaintext: &[u8],
    out: &mut [u8],
) -> Result<usize, SessionFault> {
    write(session, fragments, out, |traffic, out| traffic.encrypt(plaintext, out))
}

fn close<R: Records>(
    session: &mut R,
    fragments: &mut [u8],
    out: &mut [u8],
) -> Result<usize, SessionFault> {
    write(session, fragments, out, |traffic, out| traffic.queue_close_notify(out))
}

/// Writes what rustls has to say first, and then what is to be said.
fn write<R: Records>(
    session: &mut R,
    fragments: &mut [u8],
    out: &mut [u8],
    mut say: impl FnMut(&mut WriteTraffic<'_, R::Data>, &mut [u8]) -> Result<usize, EncryptError>,
) -> Result<usize, SessionFault> {
    let mut written = 0;
    loop {
        let room = out.get_mut(written..).unwrap_or_default();
        match session.process(fragments).state? {
            ConnectionState::WriteTraffic(mut traffic) => {
                return Ok(written + say(&mut traffic, room).map_err(ours)?);
            }
            ConnectionState::EncodeTlsData(mut data) => {
                written += data.encode(room).map_err(ours)?;
            }
            ConnectionState::TransmitTlsData(data) => data.done(),
            // The peer sends no more, which is no reason not to.
            ConnectionState::PeerClosed => {}
            _ => return Err(ours("nothing can be sent now")),
        }
    }
}

#[cold]
fn ours(error: impl fmt::Display) -> SessionFault {
    SessionFault { kind: SessionFaultKind::Protocol, reason: error.to_string() }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
