//! What a TLS stream holds between two steps. Nothing here waits.

use std::io;

use crate::tls::{Opened, RECORD_BYTES_MAX, Session, SessionFault};

/// The most that is held of what cannot be opened yet: a handshake message
/// that comes in many records (rustls takes 64 KiB of it), and one more record.
pub(super) const TORN_MAX: usize = 64 * 1024 + RECORD_BYTES_MAX;
/// The same of a client after its handshake: it has nothing long to say there,
/// five bytes of a key update at most (RFC 8446, section 4.6.3).
pub(super) const TORN_MAX_OF_CLIENT: usize = RECORD_BYTES_MAX + 1024;

#[derive(Default)]
pub(super) struct State {
    /// `None` until the handshake begins.
    pub(super) session: Option<Session>,
    /// What has come of a record that is not whole yet.
    pub(super) torn: Vec<u8>,
    /// The most that it may hold.
    pub(super) torn_max: usize,
    /// It holds whole records: see [`Opened::is_fragmented`].
    pub(super) is_fragmented: bool,
    /// Plaintext that found no room in its receiver's buffer.
    pub(super) over: Vec<u8>,
    /// Records that the kernel has not taken yet.
    pub(super) unsent: Vec<u8>,
    /// Bytes of plaintext in `unsent` whose sender still counts them as his.
    pub(super) owed: usize,
    /// An operation is sending what was unsent.
    pub(super) sending: bool,
    /// The peer sends no more (close_notify).
    pub(super) closed: bool,
    /// What came behind plaintext that has not been told yet.
    pub(super) fault: Option<SessionFault>,
}

impl State {
    pub(super) fn new() -> Self {
        Self { torn_max: TORN_MAX, ..Self::default() }
    }

    #[inline]
    pub(super) fn seal(&mut self, plaintext: &[u8], out: &mut [u8]) -> io::Result<usize> {
        let fragments = if self.is_fragmented { &mut *self.torn } else { &mut [] };
        let session = self.session.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        session.seal(fragments, plaintext, out).map_err(io_error)
    }

    /// Keeps what could not be opened yet.
    pub(super) fn keep(&mut self, rest: &[u8], opened: &Opened) -> io::Result<()> {
        debug_assert!(self.torn.is_empty(), "it was opened together with what came");
        if self.fault.is_some() {
            return Ok(()); // Nobody will open it any more.
        }
        if rest.len() > self.torn_max {
            return Err(io::Error::other("a message of the handshake is too long"));
        }
        self.is_fragmented = opened.is_fragmented;
        self.torn.extend_from_slice(rest);
        Ok(())
    }
}

#[cold]
pub(super) fn io_error(fault: SessionFault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}
