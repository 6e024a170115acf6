//! A connected stream, plain or secured.

use std::{
    future::Future,
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use super::Secured;
use crate::rt::{Established, Stream, Transfer, Transport};

/// Boxed where it is secured, so that a plain one is not larger for it.
pub enum Wire<S> {
    Plain(S),
    Secured(Box<Secured<S>>),
}

/// Does the same on whichever it is.
macro_rules! either {
    ($wire:expr, $stream:ident => $do:expr) => {
        match $wire {
            Wire::Plain($stream) => $do,
            Wire::Secured($stream) => $do,
        }
    };
    (future $wire:expr, $stream:ident => $do:expr) => {
        match $wire {
            Wire::Plain($stream) => Either::Plain { future: $do },
            Wire::Secured($stream) => Either::Secured { future: $do },
        }
    };
}

// Inlined by force, as a plain stream must not pay for what may stand in its
// place.
impl<S: Transport> Stream for Wire<S> {
    #[inline(always)]
    fn recv(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer> {
        either!(future self, stream => stream.recv(buffer))
    }

    #[inline(always)]
    fn recv_cancelable(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer> {
        either!(future self, stream => stream.recv_cancelable(buffer))
    }

    fn cancel_recv(&self) {
        either!(self, stream => stream.cancel_recv());
    }

    fn send(&self, buffer: Vec<u8>, part: Range<usize>) -> impl Future<Output = Transfer> {
        match self {
            Self::Plain(stream) => Either::Plain { future: stream.send(buffer, part) },
            // Large, and only for what a slow peer has not taken at once.
            Self::Secured(stream) => {
                Either::Secured { future: Box::pin(stream.send(buffer, part)) }
            }
        }
    }

    #[inline(always)]
    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.try_send(bytes))
    }

    #[inline(always)]
    fn readable(&self) -> impl Future<Output = io::Result<()>> {
        either!(future self, stream => stream.readable())
    }

    fn is_secure(&self) -> bool {
        either!(self, stream => stream.is_secure())
    }

    fn establish(&self) -> impl Future<Output = io::Result<Established>> {
        match self {
            Self::Plain(stream) => Either::Plain { future: stream.establish() },
            // Large, and over soon.
            Self::Secured(stream) => Either::Secured { future: Box::pin(stream.establish()) },
        }
    }

    fn shutdown(&self) {
        either!(self, stream => stream.shutdown());
    }

    fn finish(&self) {
        either!(self, stream => stream.finish());
    }

    fn stop_sending(&self) {
        either!(self, stream => stream.stop_sending());
    }

    fn abort(&self) {
        either!(self, stream => stream.abort());
    }

    fn is_quiet(&self) -> bool {
        either!(self, stream => stream.is_quiet())
    }
}

pin_project_lite::pin_project! {
    /// One of two futures with the same output.
    #[project = EitherProjected]
    enum Either<P, T> {
        Plain { #[pin] future: P },
        Secured { #[pin] future: T },
    }
}

impl<P: Future, T: Future<Output = P::Output>> Future for Either<P, T> {
    type Output = P::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            EitherProjected::Plain { future } => future.poll(cx),
            EitherProjected::Secured { future } => future.poll(cx),
        }
    }
}
