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
    client::{Interrupt, Wait},
};
use crate::rt::{Stream, Transfer, World};

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
            let operation = stream.send(buffer, left.clone());
            let sending = Sending {
                stage,
                client: self,
                stream,
                operation,
                bytes: left.len(),
                wait,
                turn: Turn::Begun,
                interrupt: None,
            };
            let ((result, returned), interrupt) = sending.await;
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
            let operation = stream.send(buffer, part.clone());
            let sending = Sending {
                stage,
                client: self,
                stream,
                operation,
                bytes: part.len(),
                wait,
                turn: Turn::Loud,
                interrupt: None,
            };
            let ((result, returned), interrupt) = sending.await;
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

/// How a send is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Begun,
    Quiet,
    Loud,
    /// The request must end, which the client can only be told once this is
    /// sent. A nudge later it is, or the client takes nothing. (The kernel may
    /// not even have seen it yet: what ends the request may come in the very
    /// turn that began the send.)
    Warned(Interrupt),
}

pin_project! {
    /// A send that is awaited to its end. When the request must end, the
    /// stream is shut down, and the send then ends by itself.
    struct Sending<'a, W: World, F> {
        stage: &'a Stage<W>,
        client: &'a Client<W::Stream>,
        stream: &'a W::Stream,
        #[pin]
        operation: F,
        bytes: usize,
        wait: Wait,
        turn: Turn,
        interrupt: Option<Interrupt>,
    }
}

impl<W: World, F: Future<Output = Transfer>> Future for Sending<'_, W, F> {
    type Output = (Transfer, Option<Interrupt>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_mut().project();
        if *this.turn == Turn::Begun {
            *this.turn = Turn::Quiet;
            this.client.wait_for(this.stage, Wait::Nudge);
            // Starts the operation (on epoll: does it) and wakes nobody.
            let begun = this.operation.poll(&mut Context::from_waker(Waker::noop()));
            return begun.map(|result| (result, None));
        }
        if let Poll::Ready((result, buffer)) = this.operation.poll(cx) {
            let interrupt = match *this.turn {
                // One that took some would have to be waited for again.
                Turn::Warned(reason) if result.as_ref().is_ok_and(|sent| sent < this.bytes) => {
                    Some(reason)
                }
                _ => *this.interrupt,
            };
            return Poll::Ready(((result, buffer), interrupt));
        }
        if this.interrupt.is_none() {
            self.wait_on();
        }
        Poll::Pending
    }
}

impl<W: World, F> Sending<'_, W, F> {
    /// It is not done: waits for longer, or ends it.
    fn wait_on(self: Pin<&mut Self>) {
        let this = self.project();
        let was_quiet = *this.turn == Turn::Quiet;
        if was_quiet {
            *this.turn = Turn::Loud;
            this.client.was_slow();
        }
        let ends = match (*this.turn, this.client.interrupt()) {
            (Turn::Warned(reason), _) if this.client.deadline_passed() => Some(reason),
            (_, Some(Interrupt::ClientGone)) => Some(Interrupt::ClientGone),
            (Turn::Warned(_), _) => None,
            (_, Some(reason @ (Interrupt::Deadline(Wait::Total) | Interrupt::Drained))) => {
                *this.turn = Turn::Warned(reason);
                this.client.wait_for(this.stage, Wait::Nudge);
                None
            }
            (_, Some(reason)) => Some(reason),
            (_, None) => {
                if was_quiet {
                    this.client.wait_for(this.stage, *this.wait);
                }
                None
            }
        };
        if ends.is_some() {
            *this.interrupt = ends;
            this.stream.shutdown();
        }
    }
}
