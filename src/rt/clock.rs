//! The world's clock: the one place that asks for the time.
#![allow(clippy::disallowed_methods, reason = "this is the room the others are sent to")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::Instant;

/// Monotonic time since the clock was started. Copies agree, so one clock is
/// shared by all shards of a process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    #[must_use]
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    #[must_use]
    pub fn now(self) -> Instant {
        let nanos = self.start.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The same moment on the standard library's clock.
    #[must_use]
    pub fn to_std(self, at: Instant) -> std::time::Instant {
        // An hour ahead is as good as never, and cannot overflow.
        let ahead = at.since(self.now()).min(Duration::from_secs(3600));
        std::time::Instant::now() + ahead
    }
}

/// Time since 1970, for what is shown to people and to other machines.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
