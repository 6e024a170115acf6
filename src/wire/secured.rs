//! One TLS stream over a plain one.
//!
//! Receiving: the caller's buffer takes the records, and what they held takes
//! their place in it. A record that is too long for it is gathered apart.
//!
//! Sending: what is sealed and not taken by the kernel is kept, and the last
//! byte of it counts as not sent until it is: so the caller comes again.

use std::{cell::RefCell, future::Future, io, mem, ops::Range, rc::Rc, sync::Arc};

use super::{Shared, shared::SEAL_PLAIN_MAX};
use crate::{
    rt::{Established, Stream, TAIL_ROOM, Transfer, Transport},
    tls::{
        BackendTls, Opened, RECORD_BYTES_MAX, Session, SessionFault, record_bytes, sealed_bytes_max,
    },
};

/// The most that is held of what cannot be opened yet: a handshake message
/// that comes in many records (rustls takes 64 KiB of it), and one more record.
pub(super) const TORN_MAX: usize = 64 * 1024 + RECORD_BYTES_MAX;

/// See the room's drawing.
pub struct Secured<S> {
    pub(super) inner: S,
    pub(super) shared: Rc<Shared>,
    pub(super) role: Role,
    pub(super) state: RefCell<State>,
}

/// Which side we are.
pub(super) enum Role {
    Server,
    Client(Arc<BackendTls>),
}

#[derive(Default)]
pub(super) struct State {
    /// `None` until the handshake begins.
    pub(super) session: Option<Session>,
    /// What has come of a record that is not whole yet.
    pub(super) torn: Vec<u8>,
    /// It holds whole records: see [`Opened::is_fragmented`].
    is_fragmented: bool,
    /// Plaintext that found no room in its receiver's buffer.
    pub(super) over: Vec<u8>,
    /// Records that the kernel has not taken yet.
    pub(super) unsent: Vec<u8>,
    /// Bytes of plaintext in `unsent` whose sender still counts them as his.
    owed: usize,
    /// An operation is sending what was unsent.
    sending: bool,
    /// The peer sends no more (close_notify).
    pub(super) closed: bool,
}

impl<S: Transport> Secured<S> {
    /// A client's connection, of which nothing has been read yet.
    pub fn of_client(inner: S, shared: Rc<Shared>) -> Self {
        Self { inner, shared, role: Role::Server, state: RefCell::default() }
    }

    /// A connection to a backend, on which nothing has been sent yet.
    pub fn to_backend(inner: S, tls: Arc<BackendTls>, shared: Rc<Shared>) -> Self {
        Self { inner, shared, role: Role::Client(tls), state: RefCell::default() }
    }

    /// Receives plaintext behind what `buffer` holds. `start` begins a receive
    /// of records.
    async fn receive<F>(&self, mut buffer: Vec<u8>, start: impl Fn(Vec<u8>) -> F) -> Transfer
    where
        F: Future<Output = Transfer>,
    {
        let held = buffer.len();
        loop {
            if let Some(result) = self.prepare(&mut buffer) {
                return (result, buffer);
            }
            let result;
            (result, buffer) = start(buffer).await;
            if let Some(result) = self.received(result, &mut buffer, held) {
                return (result, buffer);
            }
        }
    }

    /// The result, if there is one already. Otherwise a torn record is put
    /// into the buffer that receives the rest of it, if it has the room.
    fn prepare(&self, buffer: &mut Vec<u8>) -> Option<io::Result<usize>> {
        let state = &mut *self.state.borrow_mut();
        let room = room_in(buffer);
        if !state.over.is_empty() {
            let bytes = room.min(state.over.len());
            buffer.extend(state.over.drain(..bytes));
            if state.over.is_empty() {
                state.over = Vec::new();
            }
            return Some(Ok(bytes));
        }
        if state.closed {
            return Some(Ok(0));
        }
        if state.session.is_none() {
            return Some(Err(io::ErrorKind::NotConnected.into()));
        }
        let torn = &mut state.torn;
        let whole = record_bytes(torn).unwrap_or_default().max(torn.len() + 1);
        // Fragments stay, as whoever seals must show them.
        if !state.is_fragmented && whole <= room {
            buffer.append(torn);
            *torn = Vec::new();
        }
        None
    }

    /// Opens what was received behind the `held` bytes of a buffer. `None`: it
    /// held no plaintext.
    fn received(
        &self,
        result: io::Result<usize>,
        buffer: &mut Vec<u8>,
        held: usize,
    ) -> Option<io::Result<usize>> {
        let mut state = self.state.borrow_mut();
        if !matches!(result, Ok(1..)) {
            // What was torn before still is, as a receive may be cancelled.
            state.torn.extend_from_slice(buffer.get(held..).unwrap_or_default());
            buffer.truncate(held);
            return Some(end_of(result));
        }
        let opened = if state.torn.is_empty() {
            self.open_here(&mut state, buffer, held)
        } else {
            self.open_apart(&mut state, buffer, held)
        };
        match opened {
            Ok(0) if state.closed => Some(Ok(0)),
            Ok(0) => None,
            result => Some(result),
        }
    }

    /// The plaintext takes the place of the records it was in.
    fn open_here(&self, state: &mut State, buffer: &mut Vec<u8>, held: usize) -> io::Result<usize> {
        let records = buffer.get_mut(held..).unwrap_or_default();
        let opened = self.open(state, records);
        let opened = opened.and_then(|opened| {
            state.keep(records.get(opened.used..).unwrap_or_default(), &opened)?;
            Ok(opened.plain)
        });
        buffer.truncate(held + opened.as_ref().copied().unwrap_or_default());
        opened
    }

    /// The records go where the torn one is; the plaintext comes back, and what
    /// finds no room waits for the next receive.
    fn open_apart(
        &self,
        state: &mut State,
        buffer: &mut Vec<u8>,
        held: usize,
    ) -> io::Result<usize> {
        let mut records = mem::take(&mut state.torn);
        records.extend_from_slice(buffer.get(held..).unwrap_or_default());
        buffer.truncate(held);
        let opened = self.open(state, &mut records)?;
        state.keep(records.get(opened.used..).unwrap_or_default(), &opened)?;
        let plaintext = records.get(..opened.plain).unwrap_or_default();
        let (now, later) = plaintext.split_at(room_in(buffer).min(plaintext.len()));
        buffer.extend_from_slice(now);
        state.over.extend_from_slice(later);
        Ok(now.len())
    }

    /// Opens records in place and sends what must be said in return.
    pub(super) fn open(&self, state: &mut State, records: &mut [u8]) -> io::Result<Opened> {
        let session = state.session.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let scratch = &mut *self.shared.scratch.borrow_mut();
        let opened = session.open(records, &mut scratch.plain, &mut scratch.replies);
        if !scratch.replies.is_empty() {
            self.reply(state, &scratch.replies);
            scratch.replies.clear();
        }
        let opened = opened.map_err(io_error)?;
        state.closed |= opened.closed;
        Ok(opened)
    }

    /// Sends what was not asked for, or keeps it for the next send.
    fn reply(&self, state: &mut State, replies: &[u8]) {
        let mut sent = 0;
        if state.unsent.is_empty() && !state.sending {
            // A connection that takes nothing any more shows when it is used.
            sent = self.inner.try_send(replies).unwrap_or_default();
        }
        state.unsent.extend_from_slice(replies.get(sent..).unwrap_or_default());
    }

    /// Sends what is left over from before; false if some of it still is.
    fn send_left_over(&self, state: &mut State) -> io::Result<bool> {
        if state.sending {
            return Ok(false);
        }
        if !state.unsent.is_empty() {
            let sent = self.inner.try_send(&state.unsent)?;
            state.unsent.drain(..sent);
            if !state.unsent.is_empty() {
                return Ok(false);
            }
            state.unsent = Vec::new();
        }
        Ok(true)
    }

    /// Begins an operation that sends what is unsent: `plaintext`, unless some
    /// of it is there already.
    fn seal_if_nothing_is_owed(&self, plaintext: &[u8]) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        if state.owed == 0 {
            let at = state.unsent.len();
            let mut unsent = mem::take(&mut state.unsent);
            unsent.resize(at + sealed_bytes_max(plaintext.len()), 0);
            let sealed = state.seal(plaintext, unsent.get_mut(at..).unwrap_or_default());
            unsent.truncate(at + sealed.as_ref().copied().unwrap_or_default());
            state.unsent = unsent;
            sealed?;
            state.owed = plaintext.len();
        }
        state.sending = true;
        Ok(())
    }

    /// Says that no more will be sent, if that can be said now. What a cut has
    /// left behind is not followed by an orderly end. Nothing is received any
    /// more behind it; where an answer may still come, as to a request that is
    /// refused in mid-body, a send is under way and it is not said.
    fn say_end(&self) {
        let state = &mut *self.state.borrow_mut();
        if !state.unsent.is_empty() || state.sending {
            return;
        }
        let fragments = if state.is_fragmented { &mut *state.torn } else { &mut [] };
        let Some(session) = state.session.as_mut() else { return };
        let sealed = &mut self.shared.scratch.borrow_mut().sealed;
        if let Ok(bytes) = session.close(fragments, sealed) {
            // Whether the peer still takes it changes nothing any more.
            let _ = self.inner.try_send(sealed.get(..bytes).unwrap_or_default());
        }
    }
}

impl<S: Transport> Stream for Secured<S> {
    fn recv(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer> {
        self.receive(buffer, |buffer| self.inner.recv(buffer))
    }

    fn recv_cancelable(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer> {
        self.receive(buffer, |buffer| self.inner.recv_cancelable(buffer))
    }

    fn cancel_recv(&self) {
        self.inner.cancel_recv();
    }

    async fn send(&self, buffer: Vec<u8>, part: Range<usize>) -> Transfer {
        let plaintext = buffer.get(part).unwrap_or_default();
        let plaintext = plaintext.get(..SEAL_PLAIN_MAX).unwrap_or(plaintext);
        let mut result = self.seal_if_nothing_is_owed(plaintext);
        let mut unsent = mem::take(&mut self.state.borrow_mut().unsent);
        while result.is_ok() && !unsent.is_empty() {
            let whole = 0..unsent.len();
            let sent;
            (sent, unsent) = self.inner.send(unsent, whole).await;
            result = match sent {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    unsent.drain(..sent);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if unsent.is_empty() {
                // What a receive had to say in the meantime.
                unsent = mem::take(&mut self.state.borrow_mut().unsent);
            }
        }
        let mut state = self.state.borrow_mut();
        state.sending = false;
        (result.map(|()| mem::take(&mut state.owed)), buffer)
    }

    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let state = &mut *self.state.borrow_mut();
        if !self.send_left_over(state)? {
            return Ok(0);
        }
        let mut taken = mem::take(&mut state.owed);
        debug_assert!(taken <= bytes.len(), "what was left over is offered again");
        let sealed = &mut self.shared.scratch.borrow_mut().sealed;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let piece = rest.get(..SEAL_PLAIN_MAX).unwrap_or(rest);
            let length = state.seal(piece, sealed)?;
            let sealed = sealed.get(..length).unwrap_or_default();
            taken += piece.len();
            let sent = self.inner.try_send(sealed)?;
            if sent < length {
                state.unsent.extend_from_slice(sealed.get(sent..).unwrap_or_default());
                state.owed = 1;
                return Ok(taken - 1);
            }
        }
        Ok(taken)
    }

    async fn readable(&self) -> io::Result<()> {
        let has_plaintext = {
            let state = self.state.borrow();
            !state.over.is_empty() || state.closed
        };
        if has_plaintext { Ok(()) } else { self.inner.readable().await }
    }

    fn is_secure(&self) -> bool {
        true
    }

    fn establish(&self) -> impl Future<Output = io::Result<Established>> {
        self.shake_hands()
    }

    /// Without a word of an orderly end: the stream may be cut here.
    fn shutdown(&self) {
        self.inner.shutdown();
    }

    fn finish(&self) {
        self.say_end();
        self.inner.finish();
    }

    fn abort(&self) {
        self.inner.abort();
    }

    fn is_quiet(&self) -> bool {
        let state = self.state.borrow();
        state.torn.is_empty() && state.over.is_empty() && !state.closed && self.inner.is_quiet()
    }
}

impl State {
    #[inline]
    fn seal(&mut self, plaintext: &[u8], out: &mut [u8]) -> io::Result<usize> {
        let fragments = if self.is_fragmented { &mut *self.torn } else { &mut [] };
        let session = self.session.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        session.seal(fragments, plaintext, out).map_err(io_error)
    }

    /// Keeps what could not be opened yet.
    pub(super) fn keep(&mut self, rest: &[u8], opened: &Opened) -> io::Result<()> {
        debug_assert!(self.torn.is_empty(), "it was opened together with what came");
        if rest.len() > TORN_MAX {
            return Err(io::Error::other("a message of the handshake comes in too small pieces"));
        }
        self.is_fragmented = opened.is_fragmented;
        self.torn.extend_from_slice(rest);
        Ok(())
    }
}

/// Room for plaintext behind what a buffer holds.
fn room_in(buffer: &Vec<u8>) -> usize {
    (buffer.capacity() - buffer.len()).saturating_sub(TAIL_ROOM)
}

/// What a receive of records means that brought none. The end of the bytes is
/// no end of the stream: that comes in a record (RFC 8446, section 6.1).
fn end_of(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Err(error),
    }
}

#[cold]
pub(super) fn io_error(fault: SessionFault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

#[cfg(test)]
#[path = "secured_tests.rs"]
mod tests;
