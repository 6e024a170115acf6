//! A bell that a shard rings for itself: it is heard only after the event loop
//! has been to the kernel, so whoever waits for it has let everybody else go
//! first.
#![allow(unsafe_code, reason = "an eventfd is made and used here")]

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use super::{KernelStream, Stream};

/// An eventfd (eventfd(2)); used by one task at a time.
pub(super) struct Bell {
    fd: OwnedFd,
    poll: KernelStream,
}

impl Bell {
    /// `None` when the kernel has no descriptor for it.
    pub(super) fn hang() -> Option<Rc<Self>> {
        // SAFETY: the call takes no pointer.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return None;
        }
        // SAFETY: the descriptor is new, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let poll = KernelStream::from_fd(fd.try_clone().ok()?).ok()?;
        Some(Rc::new(Self { fd, poll }))
    }

    /// Rings and waits until it is heard.
    pub(super) async fn ring(&self) -> io::Result<()> {
        self.silence();
        let mut heard = pin!(self.poll.readable());
        let rung = Cell::new(false);
        poll_fn(|cx| {
            let result = heard.as_mut().poll(cx);
            // Only now, as epoll takes what it has heard before for news.
            if result.is_pending() && !rung.replace(true) {
                self.strike();
            }
            match result {
                Poll::Ready(Ok(())) if !rung.get() => Poll::Ready(Err(io::ErrorKind::Other.into())),
                result => result,
            }
        })
        .await
    }

    fn strike(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the buffer has the eight bytes that an eventfd takes. It
        // cannot be full, as it was silenced before.
        unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    fn silence(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: the buffer has the eight bytes that an eventfd gives. If it
        // has not been rung there is nothing to read, which is as good.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}
