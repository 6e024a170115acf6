//! The kernel's world: monoio's drivers behind [`World`].

use std::{
    cell::{Cell, OnceCell},
    future::Future,
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::PathBuf,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, Type};

use super::{Bell, Clock, KernelStream, Socket, Transport, World, accept::set_blocking_for_driver};
use crate::base::{Instant, TICK};

thread_local! {
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
    static EPOLL: Cell<bool> = const { Cell::new(false) };
    /// None if it could not be hung up.
    static BELL: OnceCell<Option<Rc<Bell>>> = const { OnceCell::new() };
}

/// Tasks that panicked in this process.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// How many ring operations (or, on epoll, transfers) this shard has started.
#[must_use]
pub fn operations() -> u64 {
    OPERATIONS.get()
}

pub(super) fn count_operation() {
    OPERATIONS.set(OPERATIONS.get() + 1);
}

pub(super) fn on_epoll() -> bool {
    EPOLL.get()
}

pub(super) fn set_on_epoll(epoll: bool) {
    EPOLL.set(epoll);
}

/// Where a backend can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl ConnectAddress {
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// The world of one shard's thread. It is used only on that thread, inside
/// [`super::Runtime::block_on`].
#[derive(Clone, Copy, Debug)]
pub struct KernelWorld {
    clock: Clock,
}

impl KernelWorld {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock }
    }

    /// Tasks that panicked, in all shards of this process.
    #[must_use]
    pub fn panics() -> u64 {
        PANICS.load(Ordering::Relaxed)
    }
}

impl World for KernelWorld {
    type Stream = KernelStream;
    type Socket = Socket;
    type Listener = super::Listener;
    /// Plain connections only; `wire/` has others.
    type Security = ();

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn adopt(&self, socket: Socket) -> io::Result<KernelStream> {
        set_blocking_for_driver(&socket.fd)?;
        KernelStream::from_fd(socket.fd)
    }

    /// A plain non-blocking `connect` and a poll: unlike a connect operation
    /// it can be given up at a deadline without a trace.
    async fn connect(&self, to: &ConnectAddress, (): &()) -> io::Result<KernelStream> {
        let (socket, address) = match to {
            ConnectAddress::Tcp(address) => {
                let domain = Domain::for_address(*address);
                let socket = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
                socket.set_tcp_nodelay(true)?;
                (socket, SockAddr::from(*address))
            }
            ConnectAddress::Unix(path) => {
                (RawSocket::new(Domain::UNIX, Type::STREAM, None)?, SockAddr::unix(path)?)
            }
        };
        socket.set_nonblocking(true)?;
        let is_local = address.is_unix();
        let under_way = loop {
            match socket.connect(&address) {
                Ok(()) => break false,
                Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => break true,
                // The queue of a Unix socket is full (connect(2)), and there is
                // nothing to poll for: it is asked again until our caller gives
                // up. The sleep is large and rare, so it is not kept in here.
                Err(error) if is_local && error.kind() == io::ErrorKind::WouldBlock => {
                    Box::pin(self.sleep_until(self.now().after(TICK))).await;
                }
                Err(error) => return Err(error),
            }
        };
        let probe = socket.try_clone()?;
        let stream = KernelStream::from_fd(OwnedFd::from(socket))?;
        if under_way {
            stream.writable().await?;
            if let Some(error) = probe.take_error()? {
                return Err(error);
            }
        }
        set_blocking_for_driver(&probe)?;
        Ok(stream)
    }

    async fn next_turn(&self) {
        let rung = match BELL.with(|bell| bell.get_or_init(Bell::hang).clone()) {
            Some(bell) => bell.ring().await,
            None => Err(io::ErrorKind::OutOfMemory.into()),
        };
        if rung.is_err() {
            // Not on the spot, but surely later.
            self.sleep_until(self.now().after(TICK)).await;
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // The handle is of no use: a task ends by itself.
        drop(monoio::spawn(Contained { task: Some(task) }));
    }

    fn spawn_vital(&self, task: impl Future<Output = ()> + 'static) {
        // Not contained: the panic unwinds through the event loop, out of
        // `Runtime::block_on`.
        drop(monoio::spawn(task));
    }

    async fn sleep_until(&self, at: Instant) {
        monoio::time::sleep_until(self.clock.to_std(at).into()).await;
    }
}

pin_project_lite::pin_project! {
    /// A task whose panic costs the task and not the thread.
    struct Contained<F> {
        #[pin]
        task: Option<F>,
    }
}

impl<F: Future<Output = ()>> Future for Contained<F> {
    type Output = ();

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        let Some(task) = self.as_mut().project().task.as_pin_mut() else {
            return std::task::Poll::Ready(());
        };
        // What the task alone owned is dropped below and not looked at again;
        // what it shared with its shard is changed by whole statements only.
        match catch_unwind(AssertUnwindSafe(|| task.poll(cx))) {
            Ok(std::task::Poll::Pending) => std::task::Poll::Pending,
            Ok(std::task::Poll::Ready(())) => std::task::Poll::Ready(()),
            Err(_) => {
                PANICS.fetch_add(1, Ordering::Relaxed);
                // Dropping may panic as well, and must not cost the thread.
                let _ = catch_unwind(AssertUnwindSafe(|| self.project().task.set(None)));
                std::task::Poll::Ready(())
            }
        }
    }
}
