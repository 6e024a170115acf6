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

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::rt::{TAIL_ROOM, Transfer};

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

    /// Keeps the receive armed until it brings bytes, and says whether the
    /// client is gone.
    fn poll_watch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool;

    /// What is held. Empty while a receive is armed: call it only after
    /// `poll_fill` was ready.
    fn held(self: Pin<&mut Self>) -> &mut Vec<u8>;

    fn is_armed(&self) -> bool;
}

/// Receives more; `Ok(0)` is the end.
pub async fn fill(mut inbound: Pin<&mut dyn Inbound>, bytes_max: usize) -> io::Result<usize> {
    poll_fn(|cx| inbound.as_mut().poll_fill(cx, bytes_max)).await
}

pin_project_lite::pin_project! {
    /// [`Inbound`] over any way to start a receive.
    pub struct Armed<A, F> {
        arm: A,
        #[pin]
        receive: Option<F>,
        // What is held; empty and without capacity while armed.
        buffer: Vec<u8>,
        ended: bool,
    }
}

impl<A, F> Armed<A, F>
where
    A: Fn(Vec<u8>) -> F,
    F: Future<Output = Transfer>,
{
    /// `arm` starts a receive behind what the buffer holds.
    pub fn new(arm: A, buffer: Vec<u8>) -> Self {
        Self { arm, receive: None, buffer, ended: false }
    }

    /// The buffer, when no receive is armed.
    pub fn take_buffer(self: Pin<&mut Self>) -> Option<Vec<u8>> {
        let this = self.project();
        this.receive.is_none().then(|| std::mem::take(this.buffer))
    }
}

impl<A, F> Inbound for Armed<A, F>
where
    A: Fn(Vec<u8>) -> F,
    F: Future<Output = Transfer>,
{
    fn poll_fill(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(Ok(0));
        }
        if this.receive.is_none() {
            let buffer = &mut *this.buffer;
            if buffer.capacity() - buffer.len() <= TAIL_ROOM {
                let room = bytes_max.saturating_sub(buffer.len());
                buffer.reserve_exact(GROWTH_BYTES.min(room).max(1) + TAIL_ROOM);
            }
            this.receive.set(Some((this.arm)(std::mem::take(buffer))));
        }
        let (result, buffer) = ready!(poll_receive(this.receive.as_mut(), cx));
        *this.buffer = buffer;
        this.receive.set(None);
        *this.ended = !matches!(result, Ok(1..));
        Poll::Ready(result)
    }

    fn poll_watch(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        // A client that sends ahead is not read any further: what it has sent
        // must be at hand when its turn comes, and a receive would lend it to
        // the kernel. Its leaving shows when we send.
        let may_arm = self.receive.is_some() || self.buffer.is_empty();
        if may_arm && !self.ended {
            // Bytes are the next request; the end is told below.
            let _ = self.as_mut().poll_fill(cx, 0);
        }
        self.ended
    }

    fn held(self: Pin<&mut Self>) -> &mut Vec<u8> {
        debug_assert!(self.receive.is_none(), "the buffer is lent to the kernel");
        self.project().buffer
    }

    fn is_armed(&self) -> bool {
        self.receive.is_some()
    }
}

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
