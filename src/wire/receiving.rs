//! How plaintext comes in. The caller's buffer takes the records, and what
//! they held takes their place in it; a record that is too long for it is
//! gathered apart.

use std::{
    future::Future,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{
    Secured,
    state::{State, io_error},
};
use crate::{
    rt::{TAIL_ROOM, Transfer, Transport},
    tls::record_bytes,
};

pin_project! {
    /// Plaintext on its way. Written out, so that it is hardly larger than the
    /// receive that it waits for: a plain stream's has to fit into the same
    /// place.
    pub(super) struct Receiving<'a, S, A, F> {
        secured: &'a Secured<S>,
        start: A,
        // What the buffer held when it was lent.
        held: usize,
        // Empty while a receive has it.
        buffer: Vec<u8>,
        #[pin]
        under_way: Option<F>,
    }
}

impl<S, A, F> Future for Receiving<'_, S, A, F>
where
    S: Transport,
    A: Fn(Vec<u8>) -> F,
    F: Future<Output = Transfer>,
{
    type Output = Transfer;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Transfer> {
        let mut this = self.project();
        let secured = *this.secured;
        loop {
            if let Some(under_way) = this.under_way.as_mut().as_pin_mut() {
                let (result, buffer) = ready!(under_way.poll(cx));
                this.under_way.set(None);
                *this.buffer = buffer;
                if let Some(result) = secured.received(result, this.buffer, *this.held) {
                    return Poll::Ready((result, mem::take(this.buffer)));
                }
                // It was cancelled when it had brought a part of a record:
                // nobody would cancel the next one.
                if secured.cancelled.get() {
                    let cancelled = Err(io::ErrorKind::Interrupted.into());
                    return Poll::Ready((cancelled, mem::take(this.buffer)));
                }
            }
            if let Some(result) = secured.prepare(this.buffer) {
                return Poll::Ready((result, mem::take(this.buffer)));
            }
            this.under_way.set(Some((this.start)(mem::take(this.buffer))));
        }
    }
}

impl<S: Transport> Secured<S> {
    /// Receives plaintext behind what `buffer` holds. `start` begins a receive
    /// of records.
    #[inline]
    pub(super) fn receive<A, F>(&self, buffer: Vec<u8>, start: A) -> Receiving<'_, S, A, F>
    where
        A: Fn(Vec<u8>) -> F,
        F: Future<Output = Transfer>,
    {
        self.cancelled.set(false);
        Receiving { secured: self, start, held: buffer.len(), buffer, under_way: None }
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
        if let Some(fault) = state.fault.take() {
            return Some(Err(io_error(fault)));
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
