//! Hedging: when a backend is late, and how many requests of all may be asked
//! of a second one for that.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// When a backend is late with the beginning of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HedgeAfter {
    #[default]
    Never,
    Time(Duration),
    /// So many hundredths of the time that a usual backend would take for the
    /// prompt and for what waits ahead of it.
    Expected {
        percent: u32,
    },
}

impl HedgeAfter {
    /// A backend is not late before it may have answered.
    pub const PERCENT_MIN: u32 = 100;
    /// Longer waits are better told as a time.
    pub const PERCENT_MAX: u32 = 10_000;
    /// An answer that comes so soon is never late: a second one would hardly
    /// come sooner.
    const EXPECTED_MIN: Duration = Duration::from_millis(20);

    /// How long a backend is waited for; `expected` is only asked if it
    /// matters, and without it nobody is late.
    pub fn delay(self, expected: impl FnOnce() -> Option<Duration>) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Time(time) => Some(time),
            Self::Expected { percent } => {
                let hundredth = expected()? / 100;
                Some(hundredth.saturating_mul(percent).max(Self::EXPECTED_MIN))
            }
        }
    }
}

/// What one hedge takes. A request puts in its percentage of it.
const HEDGE: u64 = 100;
/// The most that is saved: a quiet hour does not pay for a flood, and what a
/// shard tells of at once still fits.
const SAVED_MAX: u64 = 32 * HEDGE;

/// How many hedges all shards together may make: a hard share of the requests
/// that have come. Nothing is granted besides, as a hedge is work that nobody
/// may have needed. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct HedgeCap {
    /// In hundredths of a hedge.
    saved: AtomicU64,
}

impl HedgeCap {
    /// So many requests have come, of which each allows this share of a hedge.
    pub fn deposit(&self, requests: u32, percent: u32) {
        let more = u64::from(requests) * u64::from(percent);
        self.put(more);
    }

    /// Takes room for one hedge; false if there is none.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        let take = |saved: u64| saved.checked_sub(HEDGE);
        self.saved.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// What was taken last was not needed.
    pub fn give_back(&self) {
        self.put(HEDGE);
    }

    fn put(&self, more: u64) {
        let put = |saved: u64| Some(saved.saturating_add(more).min(SAVED_MAX));
        // It always has something to say.
        let _ = self.saved.fetch_update(Relaxed, Relaxed, put);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(cap: &HedgeCap, asked: usize) -> usize {
        (0..asked).filter(|_| cap.withdraw()).count()
    }

    #[test]
    fn a_backend_is_late_after_a_time_or_a_multiple_of_what_is_expected() {
        let millis = Duration::from_millis;
        let twice = HedgeAfter::Expected { percent: 200 };
        for (after, expected, delay) in [
            (HedgeAfter::Never, Some(millis(100)), None),
            (HedgeAfter::Time(millis(5)), None, Some(millis(5))),
            (HedgeAfter::Time(millis(5)), Some(millis(100)), Some(millis(5))),
            (twice, None, None),
            (twice, Some(millis(100)), Some(millis(200))),
            (HedgeAfter::Expected { percent: 150 }, Some(millis(100)), Some(millis(150))),
            (twice, Some(millis(1)), Some(millis(20))),
            (twice, Some(Duration::MAX), Some(Duration::MAX)),
        ] {
            assert_eq!(after.delay(|| expected), delay, "{after:?} {expected:?}");
        }
    }

    #[test]
    fn hedges_are_a_hard_share_of_the_requests() {
        let cap = HedgeCap::default();
        assert_eq!(granted(&cap, 10), 0, "nothing is granted for nothing");
        let mut hedges = 0;
        for request in 1..=10_000_usize {
            cap.deposit(1, 5);
            hedges += granted(&cap, 1);
            assert_eq!(hedges, request * 5 / 100, "after {request} requests");
        }
    }

    #[test]
    fn little_is_saved() {
        let cap = HedgeCap::default();
        cap.deposit(1_000_000, 100);
        assert_eq!(granted(&cap, 1000), 32);
        cap.deposit(100, 10);
        cap.give_back();
        assert_eq!(granted(&cap, 1000), 11);
    }

    #[test]
    fn shards_share_one_cap() {
        let cap = HedgeCap::default();
        cap.deposit(20, 100);
        let granted = std::thread::scope(|scope| {
            let shards: Vec<_> = (0..4).map(|_| scope.spawn(|| granted(&cap, 1000))).collect();
            shards.into_iter().map(|shard| shard.join().unwrap()).sum::<usize>()
        });
        assert_eq!(granted, 20);
    }
}
