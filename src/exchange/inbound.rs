//! What a client sends, and the receive that is always armed.
//!
//! While an answer is under way the next receive is armed already. It is both
//! the wait for the next request and the watch for the client's leaving: when
//! it ends with the end of the stream, the client is gone; when it brings
//! bytes, they are the next request and wait for their turn. The receive owns
//! a kernel operation, so it lives here, beside the work, is polled with it,
//! and is never dropped while under way.
//!
//! ```text
//!            arm              bytes
//!   Held ───────────► Armed ─────────► Held
//!                        │ end, error, cancelled
//!                        └───────────► Ended (Held, and no more will come)
//! ```
//!
//! The receive owns the buffer that it fills, so nothing is held beside it. But
//! a client that has sent its next request ahead is watched as well: then the
//! receive is given a second buffer, what it brings is put behind what is held,
//! and the second buffer goes back. What is held can be looked at all the time,
//! as the next request may be whole already.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{
    base::Buffers,
    rt::{TAIL_ROOM, Transfer},
};

/// The most a head or a pipelined request may make the buffer grow at once.
const GROWTH_BYTES: usize = 16 * 1024;

/// Object-safe, so that the story of a request need not name the future's
/// type. One virtual call a poll.
pub trait Inbound {
    /// Receives more behind what is held. `Ok(0)` is the end of the stream,
    /// and stays the answer from then on. `bytes_max` bounds what is held.
    fn poll_fill(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>>;

    /// Keeps a receive armed and says whether the client is gone. Once
    /// `ahead_max` bytes are held, at most a buffer more, the client is not
    /// read any further and its leaving shows when we send.
    fn poll_watch(self: Pin<&mut Self>, cx: &mut Context<'_>, ahead_max: usize) -> bool;

    /// What is held. A receive that is armed into the only buffer leaves it
    /// empty; one that is armed into a second leaves it as it is.
    fn held(self: Pin<&mut Self>) -> &mut Vec<u8>;

    fn is_armed(&self) -> bool;
}

/// Receives more; `Ok(0)` is the end.
pub async fn fill(mut inbound: Pin<&mut dyn Inbound>, bytes_max: usize) -> io::Result<usize> {
    poll_fn(|cx| inbound.as_mut().poll_fill(cx, bytes_max)).await
}

pin_project_lite::pin_project! {
    /// [`Inbound`] over any way to start a receive.
    pub struct Armed<'b, A, F> {
        arm: A,
        #[pin]
        receive: Option<F>,
        // What is held; without capacity while the receive has its buffer.
        buffer: Vec<u8>,
        ended: bool,
        // Where a second buffer is from.
        buffers: &'b RefCell<Buffers>,
    }
}

impl<'b, A, F> Armed<'b, A, F>
where
    A: Fn(Vec<u8>) -> F,
    F: Future<Output = Transfer>,
{
    /// `arm` starts a receive behind what the buffer holds.
    pub fn new(arm: A, buffers: &'b RefCell<Buffers>) -> Self {
        let buffer = buffers.borrow_mut().lend();
        Self { arm, receive: None, buffer, ended: false, buffers }
    }

    /// Gives the buffer back, with what it holds. No receive is armed.
    pub fn return_buffer(self: Pin<&mut Self>) {
        let this = self.project();
        debug_assert!(this.receive.is_none(), "a buffer is lent to the kernel");
        this.buffers.borrow_mut().give_back(mem::take(this.buffer));
    }

    /// Awaits the receive that is armed and keeps what it brings.
    #[inline]
    fn poll_armed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut this = self.project();
        let (result, brought) = ready!(poll_receive(this.receive.as_mut(), cx));
        this.receive.set(None);
        *this.ended = !matches!(result, Ok(1..));
        if this.buffer.capacity() == 0 {
            *this.buffer = brought;
        } else {
            this.buffers.borrow_mut().give_back(put_behind(this.buffer, brought));
        }
        Poll::Ready(result)
    }
}

impl<A, F> Inbound for Armed<'_, A, F>
where
    A: Fn(Vec<u8>) -> F,
    F: Future<Output = Transfer>,
{
    fn poll_fill(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        let mut this = self.as_mut().project();
        if *this.ended {
            return Poll::Ready(Ok(0));
        }
        if this.receive.is_none() {
            let buffer = &mut *this.buffer;
            if buffer.capacity() - buffer.len() <= TAIL_ROOM {
                let room = bytes_max.saturating_sub(buffer.len());
                buffer.reserve_exact(GROWTH_BYTES.min(room).max(1) + TAIL_ROOM);
            }
            this.receive.set(Some((this.arm)(mem::take(buffer))));
        }
        self.poll_armed(cx)
    }

    fn poll_watch(mut self: Pin<&mut Self>, cx: &mut Context<'_>, ahead_max: usize) -> bool {
        while !self.ended {
            let mut this = self.as_mut().project();
            if this.receive.is_none() {
                let buffer = match this.buffer.len() {
                    0 => mem::take(this.buffer),
                    1.. if this.buffer.len() < ahead_max => this.buffers.borrow_mut().lend(),
                    1.. => break,
                };
                debug_assert!(buffer.capacity() > TAIL_ROOM, "no room reads as the end");
                this.receive.set(Some((this.arm)(buffer)));
            }
            // Bytes are the next request; the end is told below.
            if self.as_mut().poll_armed(cx).is_pending() {
                break;
            }
        }
        self.ended
    }

    fn held(self: Pin<&mut Self>) -> &mut Vec<u8> {
        self.project().buffer
    }

    fn is_armed(&self) -> bool {
        self.receive.is_some()
    }
}

/// Keeps what a second buffer brought, and returns the one that is spare now.
#[cold]
fn put_behind(held: &mut Vec<u8>, brought: Vec<u8>) -> Vec<u8> {
    if held.is_empty() {
        return mem::replace(held, brought);
    }
    held.extend_from_slice(&brought);
    brought
}

#[inline]
fn poll_receive<F: Future<Output = Transfer>>(
    receive: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Transfer> {
    match receive.as_pin_mut() {
        Some(receive) => receive.poll(cx),
        // Not reached: both callers have armed it.
        None => Poll::Ready((Ok(0), Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::ready,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    /// Watches a client that sends pieces of 100 bytes at once, so many, and
    /// then its end. Returns how many it was asked for, what is held, and
    /// whether the client is gone.
    fn watched(pieces: usize, ahead_max: usize) -> (usize, usize, bool) {
        let asked = Cell::new(0);
        let buffers = RefCell::new(Buffers::new(1024, 2));
        let arm = |mut buffer: Vec<u8>| {
            let bytes = if asked.get() < pieces { 100 } else { 0 };
            asked.set(asked.get() + 1);
            buffer.resize(buffer.len() + bytes, b'x');
            ready((Ok(bytes), buffer))
        };
        let mut armed = pin!(Armed::new(arm, &buffers));
        let gone = armed.as_mut().poll_watch(&mut Context::from_waker(Waker::noop()), ahead_max);
        (asked.get(), armed.held().len(), gone)
    }

    #[test]
    fn an_end_behind_what_was_sent_ahead_is_seen() {
        assert_eq!(watched(0, 250), (1, 0, true));
        assert_eq!(watched(1, 250), (2, 100, true));
        assert_eq!(watched(2, 250), (3, 200, true));
    }

    #[test]
    fn nobody_is_read_ahead_beyond_the_bound() {
        assert_eq!(watched(9, 250), (3, 300, false));
        assert_eq!(watched(9, 1), (1, 100, false));
    }
}
