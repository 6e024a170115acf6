//! The runtime seam: a small set of traits, and monoio behind them.
//!
//! Everything above is generic over [`World`]; the kernel's world is
//! [`KernelWorld`]. This is the only room that names monoio, io_uring or libc,
//! and the only one with `unsafe`.
//!
//! Two rules hold for whoever calls a [`Stream`]:
//!
//! 1. A future of `recv`, `recv_cancelable` or `send` owns a kernel operation
//!    and is never dropped before it is done. A deadline shuts the socket
//!    down, and the operation then ends by itself.
//! 2. A future of `readable` owns a poll only and may be dropped.

mod accept;
mod bell;
mod clock;
mod cores;
mod driver;
mod mailbox;
mod resolver;
mod signals;
mod stream;
mod thread;
mod world;

use std::{future::Future, io, ops::Range};

pub use accept::{Listener, Peer, Socket, bind, probe};
pub use clock::{Clock, unix_time};
pub use cores::{allowed_cores, allowed_descriptors, pin_to, seed, use_ordinary_pages};
pub use driver::{DriverChoice, DriverInForce, Runtime, build, is_exhaustion};
pub use mailbox::{Letterbox, Mailbox, Unsent, mailbox};
pub use resolver::{Lookup, Resolved, Resolver, Watched};
pub use signals::{Signal, on_signals};
pub use stream::KernelStream;
pub use thread::spawn_thread;
pub use world::{ConnectAddress, KernelWorld, operations};

use crate::base::Instant;
use bell::Bell;

/// A buffer comes back from an operation together with its result.
pub type Transfer = (io::Result<usize>, Vec<u8>);

/// What a receive leaves free at the end of a buffer, so that a chunk can be
/// closed behind what came (`\r\n0\r\n\r\n`) without moving it.
pub const TAIL_ROOM: usize = 8;

/// What is known of a peer once its stream is established.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Established {
    /// An earlier connection was resumed (RFC 8446, section 2.2).
    pub resumed: bool,
    /// The name that the peer has proven to be its own.
    pub name: Option<Box<str>>,
}

/// One connected byte stream, used by one task.
pub trait Stream: 'static {
    /// Receives into the spare capacity behind what `buffer` holds, save for
    /// the last [`TAIL_ROOM`] bytes; there must be some. `Ok(0)` is the end of
    /// the stream.
    fn recv(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer>;

    /// Like `recv`, and [`Stream::cancel_recv`] ends it early with
    /// `ECANCELED` and the buffer, unless bytes had come first.
    fn recv_cancelable(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer>;

    /// Ends a `recv_cancelable` that is under way. Its result must still be
    /// awaited.
    fn cancel_recv(&self);

    /// Sends some of `part` of `buffer`: at least one byte, maybe not all.
    ///
    /// What this and `try_send` have not taken must be offered again before
    /// anything else is sent, or the stream is given up: a part of it may be
    /// encrypted already.
    fn send(&self, buffer: Vec<u8>, part: Range<usize>) -> impl Future<Output = Transfer>;

    /// Sends what the kernel takes of `bytes` at once, by a plain system call;
    /// zero if nothing. For a small piece that is cheaper than an operation,
    /// and it is on its way now and not at the end of the shard's turn.
    fn try_send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits, without holding a buffer, until `recv` would not wait.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;

    /// Whether nobody on the way can read or change what is sent.
    fn is_secure(&self) -> bool;

    /// Makes a new stream ready for bytes; on a plain one there is nothing to
    /// do. Called once, before any of them. Owns polls only and may be dropped,
    /// with the stream.
    fn establish(&self) -> impl Future<Output = io::Result<Established>>;

    /// Ends both directions; operations under way end by themselves.
    fn shutdown(&self);

    /// Ends the sending direction only: the peer sees the end of the stream.
    fn finish(&self);

    /// Ends a `send` that is under way, and all sending; what the peer still
    /// sends is received.
    fn stop_sending(&self);

    /// Makes the close a reset, so that the peer cannot take it for an
    /// ordinary end; then shuts down.
    fn abort(&self);

    /// Whether the peer has sent nothing since the last receive: no byte, no
    /// end. Costs a system call; not for the hot path.
    fn is_quiet(&self) -> bool;
}

/// A stream as the kernel gives it, on which others can be built.
pub trait Transport: Stream {
    /// Receives what is there behind what `buffer` holds, by a plain system
    /// call: `None` if nothing is. Not for the hot path; see `recv` for the
    /// room and the end of the stream.
    fn try_recv(&self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>>;

    /// Like `send`, and [`Transport::cancel_send`] ends it early.
    fn send_cancelable(
        &self,
        buffer: Vec<u8>,
        part: Range<usize>,
    ) -> impl Future<Output = Transfer>;

    /// Ends a `send_cancelable` that is under way. Its result must still be
    /// awaited.
    fn cancel_send(&self);

    /// Waits until `try_send` takes something again. May be dropped.
    fn writable(&self) -> impl Future<Output = io::Result<()>>;
}

/// A listening socket of one shard.
pub trait Listen: 'static {
    type Socket;

    /// Waits until there may be somebody to accept. May be dropped.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;

    /// Accepts one connection; `None` when nobody waits.
    fn accept(&self) -> io::Result<Option<Self::Socket>>;
}

/// An accepted socket on its way to the shard that will serve it.
pub trait Accepted: Send + 'static {
    fn peer(&self) -> Peer;

    /// Sends what the peer takes at once of `answer`, and closes.
    fn refuse(self, answer: &[u8]);
}

/// What one shard's code may ask of the world outside it.
pub trait World: Clone + 'static {
    type Stream: Stream;
    type Socket: Accepted;
    type Listener: Listen<Socket = Self::Socket>;
    /// What connections to one backend are secured with.
    type Security: Default + Clone + Send + Sync + 'static;

    fn now(&self) -> Instant;

    /// Makes an accepted socket this shard's own.
    fn adopt(&self, socket: Self::Socket) -> io::Result<Self::Stream>;

    /// Connects; the stream is still to be established. Owns no buffer, so it
    /// may be dropped at a deadline.
    fn connect(
        &self,
        to: &ConnectAddress,
        security: &Self::Security,
    ) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Waits until everything that is ready now has had its turn: the way for
    /// long work to let others go first. May be dropped.
    fn next_turn(&self) -> impl Future<Output = ()>;

    /// Runs `task` on this shard. A panic in it is contained and counted.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Runs a task that the shard cannot be without: a panic in it ends the
    /// shard, and with it the process. It is better started anew than deaf.
    fn spawn_vital(&self, task: impl Future<Output = ()> + 'static);

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
}
