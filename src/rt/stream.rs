//! A connected socket of the kernel's world.
#![allow(unsafe_code, reason = "buffers are lent to the kernel here")]

use std::{
    cell::{RefCell, UnsafeCell},
    io,
    net::Shutdown,
    ops::Range,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll},
};

use monoio::{
    buf::{IoBuf, IoBufMut},
    io::{
        AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent, Canceller,
    },
    net::TcpStream,
};
use socket2::SockRef;

use super::{Established, Stream, TAIL_ROOM, Transfer, Transport, world::count_operation};

/// A TCP or Unix socket. monoio's `TcpStream` asks nothing of its descriptor
/// that a Unix socket could not do, so one type serves both.
pub struct KernelStream {
    inner: UnsafeCell<TcpStream>,
    /// Present while a cancelable receive is or was under way.
    canceller: RefCell<Option<Canceller>>,
    /// The same of a cancelable send.
    send_canceller: RefCell<Option<Canceller>>,
}

impl KernelStream {
    /// Must run on the shard that will use the stream. On io_uring the
    /// descriptor must block (the ring waits, not the thread); on epoll it
    /// must not.
    pub(super) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is owned, and its ownership is passed on.
        let std_stream = unsafe { std::net::TcpStream::from_raw_fd(fd.into_raw_fd()) };
        let inner = TcpStream::from_std(std_stream)?;
        let (canceller, send_canceller) = (RefCell::new(None), RefCell::new(None));
        Ok(Self { inner: UnsafeCell::new(inner), canceller, send_canceller })
    }

    fn shared(&self) -> &TcpStream {
        // SAFETY: shared use only; the exclusive borrows below never touch
        // the stream after their call has returned.
        unsafe { &*self.inner.get() }
    }

    /// monoio's transfers ask for `&mut self`, but only clone the reference
    /// counted descriptor out of it when they are started; receiving and
    /// sending at once is what its own `Split` does in the same way.
    #[allow(clippy::mut_from_ref, reason = "see above")]
    fn exclusive(&self) -> &mut TcpStream {
        // SAFETY: the stream is used by one thread (it is not `Sync`), and
        // no caller reads through the reference once the operation has been
        // submitted, so two of them never act at the same time.
        unsafe { &mut *self.inner.get() }
    }

    fn with_socket<R>(&self, act: impl FnOnce(SockRef<'_>) -> R) -> R {
        // SAFETY: the stream holds the descriptor open during the call.
        let fd = unsafe { BorrowedFd::borrow_raw(self.shared().as_raw_fd()) };
        act(SockRef::from(&fd))
    }
}

impl Stream for KernelStream {
    fn recv(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer> {
        count_operation();
        Unwrapped { transfer: self.exclusive().read(Tail(buffer)) }
    }

    fn recv_cancelable(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer> {
        count_operation();
        let handle = self.canceller.borrow_mut().get_or_insert_with(Canceller::new).handle();
        Unwrapped { transfer: self.exclusive().cancelable_read(Tail(buffer), handle) }
    }

    fn cancel_recv(&self) {
        if let Some(canceller) = self.canceller.borrow_mut().take() {
            count_operation();
            drop(canceller.cancel());
        }
    }

    fn send(&self, buffer: Vec<u8>, part: Range<usize>) -> impl Future<Output = Transfer> {
        count_operation();
        debug_assert!(part.start < part.end && part.end <= buffer.len());
        let part = Part { buffer, start: part.start, end: part.end };
        Unwrapped { transfer: self.exclusive().write(part) }
    }

    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        count_operation();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        match self.with_socket(|socket| socket.send_with_flags(bytes, flags)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    async fn readable(&self) -> io::Result<()> {
        count_operation();
        self.shared().readable(false).await
    }

    fn is_secure(&self) -> bool {
        false
    }

    fn establish(&self) -> impl Future<Output = io::Result<Established>> {
        std::future::ready(Ok(Established::default()))
    }

    fn shutdown(&self) {
        // Fails only when the peer has ended the connection already.
        let _ = self.with_socket(|socket| socket.shutdown(Shutdown::Both));
    }

    fn finish(&self) {
        // Fails only when the peer has ended the connection already.
        let _ = self.with_socket(|socket| socket.shutdown(Shutdown::Write));
    }

    /// The peer sees the end of what we send, and a send that waits fails.
    fn stop_sending(&self) {
        self.finish();
    }

    fn abort(&self) {
        // A Unix socket has no reset; there the shutdown alone must do.
        let _ = self.with_socket(|socket| socket.set_linger(Some(std::time::Duration::ZERO)));
        // Receiving ends at once; sending ends by the reset at the close.
        let _ = self.with_socket(|socket| socket.shutdown(Shutdown::Read));
    }

    fn is_quiet(&self) -> bool {
        let mut byte = [0_u8; 1];
        // SAFETY: the descriptor is open and `byte` can take one byte.
        let got = unsafe {
            libc::recv(
                self.shared().as_raw_fd(),
                byte.as_mut_ptr().cast(),
                byte.len(),
                libc::MSG_PEEK | libc::MSG_DONTWAIT,
            )
        };
        got < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
    }
}

impl Transport for KernelStream {
    fn try_recv(&self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        count_operation();
        let held = buffer.len();
        let spare = buffer.spare_capacity_mut();
        let room = spare.len().saturating_sub(TAIL_ROOM);
        let spare = spare.get_mut(..room).unwrap_or_default();
        let received = self.with_socket(|socket| socket.recv_with_flags(spare, libc::MSG_DONTWAIT));
        match received {
            Ok(bytes) => {
                // SAFETY: the kernel has initialised so many bytes behind `held`.
                unsafe { buffer.set_len(held + bytes) };
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send_cancelable(
        &self,
        buffer: Vec<u8>,
        part: Range<usize>,
    ) -> impl Future<Output = Transfer> {
        count_operation();
        let handle = self.send_canceller.borrow_mut().get_or_insert_with(Canceller::new).handle();
        let part = Part { buffer, start: part.start, end: part.end };
        Unwrapped { transfer: self.exclusive().cancelable_write(part, handle) }
    }

    fn cancel_send(&self) {
        if let Some(canceller) = self.send_canceller.borrow_mut().take() {
            count_operation();
            drop(canceller.cancel());
        }
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> {
        count_operation();
        self.shared().writable(false)
    }
}

pin_project_lite::pin_project! {
    /// A transfer of monoio's, and then the plain buffer. Written out, as an
    /// `async` block would hold the transfer twice.
    struct Unwrapped<F> {
        #[pin]
        transfer: F,
    }
}

impl<F, B> Future for Unwrapped<F>
where
    F: Future<Output = (io::Result<usize>, B)>,
    B: Into<Vec<u8>>,
{
    type Output = Transfer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Transfer> {
        self.project().transfer.poll(cx).map(|(result, buffer)| (result, buffer.into()))
    }
}

impl From<Tail> for Vec<u8> {
    fn from(tail: Tail) -> Self {
        tail.0
    }
}

impl From<Part> for Vec<u8> {
    fn from(part: Part) -> Self {
        part.buffer
    }
}

/// The spare capacity behind what a buffer holds. (A bare `Vec` would be
/// overwritten from its start.)
struct Tail(Vec<u8>);

// SAFETY: the pointer stays valid while `Tail` is owned by the operation, as
// a vector's allocation does not move with the vector; `bytes_total` is less than
// what was allocated behind it; `set_init` is called with what the kernel wrote.
unsafe impl IoBufMut for Tail {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.spare_capacity_mut().as_mut_ptr().cast()
    }

    fn bytes_total(&mut self) -> usize {
        self.0.spare_capacity_mut().len().saturating_sub(TAIL_ROOM)
    }

    unsafe fn set_init(&mut self, written: usize) {
        let len = self.0.len() + written;
        debug_assert!(len <= self.0.capacity());
        // SAFETY: the kernel has initialised `written` bytes behind `len`.
        unsafe { self.0.set_len(len) };
    }
}

/// A range of a buffer that is to be sent.
struct Part {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

// SAFETY: the allocation does not move with the vector, and the range was
// checked against its length when the part was made.
unsafe impl IoBuf for Part {
    fn read_ptr(&self) -> *const u8 {
        self.buffer.get(self.start..self.end).unwrap_or_default().as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.buffer.get(self.start..self.end).unwrap_or_default().len()
    }
}
