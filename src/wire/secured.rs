//! One TLS stream over a plain one; `receiving.rs` has how plaintext comes in.
//!
//! Sending: what is sealed and not taken by the kernel is kept, and the last
//! byte of it counts as not sent until it is: so the caller comes again.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io, mem,
    ops::Range,
    rc::Rc,
    sync::Arc,
};

use super::{
    Shared,
    shared::SEAL_PLAIN_MAX,
    state::{State, io_error},
};
use crate::{
    rt::{Established, Stream, Transfer, Transport},
    tls::{BackendTls, Opened, sealed_bytes_max},
};

/// See the room's drawing.
pub struct Secured<S> {
    pub(super) inner: S,
    pub(super) shared: Rc<Shared>,
    pub(super) role: Role,
    pub(super) state: RefCell<State>,
    /// The receive under way was cancelled.
    pub(super) cancelled: Cell<bool>,
    /// Nothing is sent any more.
    stopped: Cell<bool>,
}

/// Which side we are.
pub(super) enum Role {
    Server,
    Client(Arc<BackendTls>),
}

impl<S: Transport> Secured<S> {
    /// A client's connection, of which nothing has been read yet.
    pub fn of_client(inner: S, shared: Rc<Shared>) -> Self {
        Self::new(inner, shared, Role::Server)
    }

    /// A connection to a backend, on which nothing has been sent yet.
    pub fn to_backend(inner: S, tls: Arc<BackendTls>, shared: Rc<Shared>) -> Self {
        Self::new(inner, shared, Role::Client(tls))
    }

    fn new(inner: S, shared: Rc<Shared>, role: Role) -> Self {
        Self {
            inner,
            shared,
            role,
            state: RefCell::new(State::new()),
            cancelled: Cell::new(false),
            stopped: Cell::new(false),
        }
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
        let mut opened = opened.map_err(io_error)?;
        state.closed |= opened.closed;
        state.fault = opened.fault.take();
        Ok(opened)
    }

    /// Sends what was not asked for, or keeps it for the next send.
    fn reply(&self, state: &mut State, replies: &[u8]) {
        if self.stopped.get() {
            return; // It would stand in the middle of a record.
        }
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
        if !state.unsent.is_empty() || state.sending || self.stopped.get() {
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
        self.cancelled.set(true);
        self.inner.cancel_recv();
    }

    async fn send(&self, buffer: Vec<u8>, part: Range<usize>) -> Transfer {
        let plaintext = buffer.get(part).unwrap_or_default();
        let plaintext = plaintext.get(..SEAL_PLAIN_MAX).unwrap_or(plaintext);
        let mut result = self.seal_if_nothing_is_owed(plaintext);
        let mut unsent = mem::take(&mut self.state.borrow_mut().unsent);
        while result.is_ok() && !unsent.is_empty() {
            if self.stopped.get() {
                result = Err(io::ErrorKind::BrokenPipe.into());
                break;
            }
            let whole = 0..unsent.len();
            let sent;
            (sent, unsent) = self.inner.send_cancelable(unsent, whole).await;
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
        if self.stopped.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
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
            !state.over.is_empty() || state.closed || state.fault.is_some()
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

    /// A record may be cut in its middle, so the end of the sending direction
    /// would be an attack to the peer, and the end of its answer.
    fn stop_sending(&self) {
        self.stopped.set(true);
        self.inner.cancel_send();
    }

    fn abort(&self) {
        self.inner.abort();
    }

    /// Part of a record is no request yet, so it counts as nothing.
    fn is_quiet(&self) -> bool {
        let state = self.state.borrow();
        state.over.is_empty() && !state.closed && state.fault.is_none() && self.inner.is_quiet()
    }
}

#[cfg(test)]
#[path = "secured_tests.rs"]
mod tests;
