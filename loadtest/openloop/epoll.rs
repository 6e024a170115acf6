//! The three system calls that std lacks: epoll, its exact wait, timer slack.
//!
//! This is the generator's only unsafe code. It exists because intended send
//! times need microseconds, where the runtimes at hand tick in milliseconds.
#![expect(unsafe_code, reason = "system calls without a wrapper in std")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

const EVENTS_PER_WAIT_MAX: usize = 256;

pub struct Epoll {
    descriptor: OwnedFd,
    ready: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointer.
        let descriptor = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was just made and has no other owner.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Epoll { descriptor, ready: Vec::with_capacity(EVENTS_PER_WAIT_MAX) })
    }

    /// Reports `token` for as long as the socket has something to read. Closing
    /// the socket takes it out again.
    pub fn add(&self, socket: BorrowedFd<'_>, token: usize) -> io::Result<()> {
        let mut event =
            libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: token as u64 };
        // SAFETY: `event` outlives the call, and the kernel keeps no pointer to it.
        check(unsafe {
            libc::epoll_ctl(
                self.descriptor.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                socket.as_raw_fd(),
                &raw mut event,
            )
        })?;
        Ok(())
    }

    /// Waits until a socket is readable or the time is over; the tokens.
    pub fn wait(&mut self, timeout: Duration, tokens: &mut Vec<usize>) -> io::Result<()> {
        let timeout = libc::timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        self.ready.clear();
        // SAFETY: the buffer has room for EVENTS_PER_WAIT_MAX events, `timeout`
        // outlives the call, and a null signal mask of size 8 changes nothing.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.descriptor.as_raw_fd(),
                self.ready.as_mut_ptr(),
                EVENTS_PER_WAIT_MAX,
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                8_usize,
            )
        };
        let count = match usize::try_from(count) {
            Ok(count) => count.min(EVENTS_PER_WAIT_MAX),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => 0,
                error => return Err(error),
            },
        };
        // SAFETY: the kernel has filled the first `count` entries.
        unsafe { self.ready.set_len(count) };
        tokens.clear();
        tokens.extend(self.ready.iter().map(|event| event.u64 as usize));
        Ok(())
    }
}

/// Lets this thread's waits end on time; by default they may end 50 us late.
pub fn exact_timers() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) })?;
    Ok(())
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
