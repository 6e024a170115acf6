//! How many attempts beyond the first all shards together may make: a share of
//! the requests of the last seconds, so that retries cannot multiply the load
//! that has caused them, and a few each second besides, so that a quiet proxy
//! can retry at all. What is not needed after all goes back to where it came
//! from.
//!
//! ```text
//! requests ──deposit──► balance ──┐
//!                          │ fades├──withdraw──► a retry ──give back──► either
//!                          ▼      │
//!         a few each second ──────┘
//! ```

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::base::Instant;

/// What one retry takes. A request puts in its percentage of it.
const RETRY: u64 = 100;
/// What was put in fades to a third within this time.
const MEMORY: Duration = Duration::from_secs(10);
/// How often it fades: a step is short beside its memory.
const STEP: Duration = Duration::from_millis(250);
/// Retries each second that need no balance.
const FLOOR: u64 = 5;
const FLOOR_INTERVAL: Duration = Duration::from_millis(1000 / FLOOR);

/// What was taken for an attempt beyond the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paid {
    /// It costs nothing.
    Nothing,
    OfBalance,
    /// One of the few of each second.
    OfFloor,
}

/// The budget. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Budget {
    /// In hundredths of a retry.
    balance: AtomicU64,
    faded_at: AtomicU64,
    /// Until when the floor's retries are spoken for.
    floor_until: AtomicU64,
}

impl Budget {
    /// So many requests have come, of which each allows this share of a retry.
    /// What was there before fades first: what comes now has not aged.
    pub fn deposit(&self, requests: u32, percent: u32, now: Instant) {
        self.fade(now);
        self.balance.fetch_add(u64::from(requests) * u64::from(percent), Relaxed);
    }

    /// Takes room for one retry, if there is any.
    #[must_use]
    pub fn withdraw(&self, now: Instant) -> Option<Paid> {
        self.fade(now);
        let take = |balance: u64| balance.checked_sub(RETRY);
        if self.balance.fetch_update(Relaxed, Relaxed, take).is_ok() {
            return Some(Paid::OfBalance);
        }
        self.withdraw_floor(now).then_some(Paid::OfFloor)
    }

    /// What was taken was not needed. The floor's does not become balance,
    /// which would be there beside the floor of the seconds that come.
    pub fn give_back(&self, paid: Paid) {
        match paid {
            Paid::Nothing => {}
            Paid::OfBalance => {
                self.balance.fetch_add(RETRY, Relaxed);
            }
            Paid::OfFloor => {
                let before = |until: u64| until.checked_sub(FLOOR_INTERVAL.as_nanos() as u64);
                // The interval was added when it was taken, so it is there.
                let _ = self.floor_until.fetch_update(Relaxed, Relaxed, before);
            }
        }
    }

    fn fade(&self, now: Instant) {
        let faded_at = self.faded_at.load(Relaxed);
        let since = now.since(Instant::from_nanos(faded_at));
        if since < STEP
            || self.faded_at.compare_exchange(faded_at, now.as_nanos(), Relaxed, Relaxed).is_err()
        {
            return; // It has faded, or another shard lets it.
        }
        let kept = (-since.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        let fade = |balance: u64| Some((balance as f64 * kept) as u64);
        // It always has something to say.
        let _ = self.balance.fetch_update(Relaxed, Relaxed, fade);
    }

    /// One retry each interval, and those of one second at once.
    fn withdraw_floor(&self, now: Instant) -> bool {
        let latest = now.after(Duration::from_secs(1)).as_nanos();
        let take = |until: u64| {
            let until = Instant::from_nanos(until.max(now.as_nanos()));
            Some(until.after(FLOOR_INTERVAL).as_nanos()).filter(|until| *until <= latest)
        };
        self.floor_until.fetch_update(Relaxed, Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::default().after(Duration::from_millis(millis))
    }

    fn granted(budget: &Budget, now: Instant, asked: usize) -> usize {
        (0..asked).filter(|_| budget.withdraw(now).is_some()).count()
    }

    #[test]
    fn a_quiet_proxy_may_retry_a_few_times_a_second() {
        let budget = Budget::default();
        assert_eq!(granted(&budget, at(10_000), 100), 5);
        assert_eq!(granted(&budget, at(10_100), 100), 0);
        assert_eq!(granted(&budget, at(10_400), 100), 2);
        assert_eq!(granted(&budget, at(20_000), 100), 5);
    }

    #[test]
    fn retries_stay_within_their_share_of_recent_requests() {
        let budget = Budget::default();
        let mut retries = 0;
        // A thousand a second for a minute, of which every one wants a retry.
        for millisecond in 0..60_000 {
            budget.deposit(1, 20, at(millisecond));
            retries += granted(&budget, at(millisecond), 1);
        }
        let bound = 60_000 / 5 + 5 * 61;
        assert!((11_000..=bound).contains(&retries), "{retries}");
    }

    #[test]
    fn what_was_not_used_fades() {
        let budget = Budget::default();
        budget.deposit(10_000, 20, at(0));
        let left = granted(&budget, at(10_000), 5000);
        assert!((700..800).contains(&left), "{left}");
        budget.deposit(10_000, 20, at(10_000));
        assert_eq!(granted(&budget, at(300_000), 5000), 5, "only the floor after minutes");
    }

    #[test]
    fn what_came_a_moment_ago_is_there_after_minutes_without_a_failure() {
        for quiet_seconds in [0, 75, 3600] {
            let budget = Budget::default();
            // A fifth of a hundred a second, remembered for ten seconds.
            for second in 0..quiet_seconds + 60 {
                budget.deposit(100, 20, at(second * 1000));
            }
            let granted = granted(&budget, at((quiet_seconds + 60) * 1000), 1000);
            assert!((180..=215).contains(&granted), "{quiet_seconds}: {granted}");
        }
    }

    #[test]
    fn what_was_not_needed_goes_back_to_where_it_came_from() {
        let budget = Budget::default();
        for second in 10..20 {
            let taken: Vec<_> = (0..9).filter_map(|_| budget.withdraw(at(second * 1000))).collect();
            assert_eq!(taken, [Paid::OfFloor; 5], "nothing of the last second's is saved");
            taken.into_iter().for_each(|paid| budget.give_back(paid));
        }
        assert_eq!(granted(&budget, at(19_000), 9), 5, "what was given back is there");
        budget.give_back(Paid::OfFloor);
        assert_eq!(granted(&budget, at(60_000), 9), 5, "and it grows no older than a second");

        budget.deposit(5, 20, at(60_000));
        assert_eq!(budget.withdraw(at(60_000)), Some(Paid::OfBalance));
        budget.give_back(Paid::OfBalance);
        budget.give_back(Paid::Nothing);
        assert_eq!(granted(&budget, at(60_000), 9), 1);
    }

    #[test]
    fn a_budget_of_nothing_is_the_floor() {
        let budget = Budget::default();
        budget.deposit(1_000_000, 0, at(0));
        assert_eq!(granted(&budget, at(5_000), 100), 5);
    }

    #[test]
    fn shards_share_one_budget() {
        let budget = Budget::default();
        budget.deposit(5000, 20, at(0));
        let granted = std::thread::scope(|scope| {
            let shards: Vec<_> =
                (0..4).map(|_| scope.spawn(|| granted(&budget, at(1), 1000))).collect();
            shards.into_iter().map(|shard| shard.join().unwrap()).sum::<usize>()
        });
        assert_eq!(granted, 1005);
    }
}
