//! The world's clock: the one place that asks for the time.
#![allow(clippy::disallowed_methods, reason = "this is the room the others are sent to")]
#![allow(unsafe_code, reason = "the kernel's clock is read here")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::Instant;

/// Monotonic time since the clock was started. Copies agree, so one clock is
/// shared by all shards of a process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What the kernel's clock said then, in nanoseconds.
    start: u64,
}

impl Clock {
    #[must_use]
    pub fn start() -> Self {
        Self { start: monotonic_nanos() }
    }

    #[must_use]
    pub fn now(self) -> Instant {
        Instant::from_nanos(monotonic_nanos().saturating_sub(self.start))
    }

    /// The same moment on the standard library's clock.
    #[must_use]
    pub fn to_std(self, at: Instant) -> std::time::Instant {
        // An hour ahead is as good as never, and cannot overflow.
        let ahead = at.since(self.now()).min(Duration::from_secs(3600));
        std::time::Instant::now() + ahead
    }
}

/// The clock that the standard library's `Instant` reads, whose differences take
/// longer to work out than it takes to read it; a request asks four times.
fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` can take what the call writes. The call cannot fail: every
    // Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    // Neither is ever negative: the clock counts from the start of the machine.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Time since 1970, for what is shown to people and to other machines.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
