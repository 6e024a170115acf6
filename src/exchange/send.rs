//! Sending, and not waiting for what will not take long.
//!
//! The kernel takes a small piece at once, so the task that sent it need not
//! be woken to hear of it: the next thing it waits for (the answer, the next
//! piece, the next request) wakes it soon enough, and then the send is done.
//! That spares one turn of the task for each send, half of all its turns.
//!
//! ```text
//! begun ──► quiet: nobody is woken ──► done, seen at the next turn
//!             │ a turn came and it is not done, or 20 ms passed (the nudge)
//!             ▼
//!           loud: an ordinary wait with its deadline
//! ```

use std::{
    future::Future,
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;

use super::{
    Client, Stage,
    client::{Guarded, Interrupt, Wait},
};
use crate::rt::{Stream, World};

/// The most that is sent quietly. A fresh socket's send buffer takes several
/// times as much; what is larger is a bulk transfer, which soon fills it.
const QUIET_BYTES_MAX: usize = 4 * 1024;

/// Why not everything was sent.
#[derive(Debug)]
pub enum SendFault {
    Interrupted(Interrupt),
    Closed,
    /// The peer has reset the connection, or the kernel has given it up.
    Io(#[allow(dead_code, reason = "for the log")] io::Error),
}

impl<S: Stream> Client<S> {
    /// Sends all of `part` to `stream`, a backend's or the client's own. The
    /// deadline starts anew with every piece that the peer takes. The buffer
    /// always comes back.
    ///
    /// A small part is sent quietly: whoever waits for this alone waits up to
    /// a nudge longer than it takes.
    pub async fn send_quietly<W: World<Stream = S>>(
        &self,
        stage: &Stage<W>,
        stream: &S,
        mut buffer: Vec<u8>,
        part: Range<usize>,
        wait: Wait,
    ) -> (Result<(), SendFault>, Vec<u8>) {
        let mut left = part;
        if !left.is_empty() && left.len() <= QUIET_BYTES_MAX && !self.is_slow() {
            let operation = self.guard(stream, stream.send(buffer, left.clone()));
            let quiet = Quiet { stage, client: self, operation, wait, turn: Turn::Begun };
            let ((result, returned), interrupt) = quiet.await;
            buffer = returned;
            match taken(result, interrupt) {
                Ok(sent) => left.start += sent,
                Err(fault) => return (Err(fault), buffer),
            }
        }
        self.send_all(stage, stream, buffer, left, wait).await
    }

    /// Sends all of `part` and is woken as soon as it is sent.
    pub async fn send_all<W: World<Stream = S>>(
        &self,
        stage: &Stage<W>,
        stream: &S,
        mut buffer: Vec<u8>,
        mut part: Range<usize>,
        wait: Wait,
    ) -> (Result<(), SendFault>, Vec<u8>) {
        while !part.is_empty() {
            self.wait_for(stage, wait);
            let ((result, returned), interrupt) =
                self.guard(stream, stream.send(buffer, part.clone())).await;
            buffer = returned;
            match taken(result, interrupt) {
                Ok(sent) => part.start += sent,
                Err(fault) => return (Err(fault), buffer),
            }
        }
        (Ok(()), buffer)
    }
}

fn taken(result: io::Result<usize>, interrupt: Option<Interrupt>) -> Result<usize, SendFault> {
    match (result, interrupt) {
        (_, Some(interrupt)) => Err(SendFault::Interrupted(interrupt)),
        (Ok(0), None) => Err(SendFault::Closed),
        (Ok(sent), None) => Ok(sent),
        (Err(error), None) => Err(SendFault::Io(error)),
    }
}

/// How often a quiet send has been looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Begun,
    Quiet,
    Loud,
}

pin_project! {
    struct Quiet<'a, W: World, F> {
        stage: &'a Stage<W>,
        client: &'a Client<W::Stream>,
        #[pin]
        operation: Guarded<'a, W::Stream, W::Stream, F>,
        wait: Wait,
        turn: Turn,
    }
}

impl<W: World, F: Future> Future for Quiet<'_, W, F> {
    type Output = (F::Output, Option<Interrupt>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if *this.turn == Turn::Begun {
            *this.turn = Turn::Quiet;
            this.client.wait_for(this.stage, Wait::Nudge);
            // Starts the operation (on epoll: does it) and wakes nobody.
            return this.operation.poll(&mut Context::from_waker(Waker::noop()));
        }
        let polled = this.operation.poll(cx);
        if polled.is_pending() && *this.turn == Turn::Quiet {
            *this.turn = Turn::Loud;
            this.client.was_slow();
            this.client.wait_for(this.stage, *this.wait);
        }
        polled
    }
}
