//! What the loop asks of a client, whatever the client does with the server.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::tally::{Fault, Tally};
use crate::transport::Dialer;

pub trait Client: Sized {
    /// Whether all clients connect before the first intended time. Those whose
    /// connecting is itself the work do not.
    const CONNECTS_EARLY: bool;

    fn open(dialer: &Dialer, tally: &mut Tally) -> io::Result<Self>;

    fn socket(&self) -> BorrowedFd<'_>;

    /// Whether something is awaited from the server.
    fn is_busy(&self) -> bool;

    fn start(&mut self, start: Start<'_>, tally: &mut Tally) -> Result<(), Fault>;

    /// Takes what has come; epoll reports again when more is there.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        expect_events: Option<u64>,
        tally: &mut Tally,
    ) -> Result<Received, Fault>;
}

/// What the next request is.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    pub request: &'a [u8],
    pub intended: Instant,
    pub now: Instant,
    pub measured: bool,
    pub sse: bool,
}

pub enum Received {
    /// More is to come.
    Part,
    /// The answer is whole, and the connection may be used again.
    Whole,
    /// The answer is whole, or there was none to wait for; the server closed.
    Closed,
}
