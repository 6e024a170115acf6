//! What the operator may say about asking again.

use std::time::Duration;

use super::{Class, Classes, HedgeAfter};

/// Everything that is decided after a failure asks its operator's wishes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPlan {
    /// How often backends are asked for one request, at most, for each model that
    /// may answer it; each step of the walk once all the same.
    pub attempts: u32,
    /// The failures after which another attempt may follow.
    pub on: Classes,
    /// Attempts beyond the first, as a share of recent requests.
    pub budget_percent: u32,
    /// The longest pause before the first further round, and …
    pub backoff: Duration,
    /// … before any: it doubles each time.
    pub backoff_max: Duration,
    /// The longest wait that a backend may ask for (`retry-after`) and get.
    pub retry_after_max: Duration,
    /// When a second backend is asked beside one that is late.
    pub hedge_after: HedgeAfter,
    /// Second backends asked so, as a share of the requests.
    pub hedge_percent_max: u32,
}

impl RetryPlan {
    pub const DEFAULT: Self = Self {
        attempts: 3,
        on: Classes::ALL,
        budget_percent: 20,
        backoff: Duration::from_millis(50),
        backoff_max: Duration::from_secs(1),
        retry_after_max: Duration::from_secs(5),
        hedge_after: HedgeAfter::Never,
        hedge_percent_max: 5,
    };
    /// More would be a loop, not a retry; each is a place in a list.
    pub const ATTEMPTS_MAX: u32 = 10;
    /// As many retries as requests: twice the load is the most that is borne.
    pub const BUDGET_PERCENT_MAX: u32 = 100;
    /// As for retries.
    pub const HEDGE_PERCENT_MAX: u32 = 100;

    /// Whether late backends are not waited for alone.
    #[must_use]
    pub fn hedges(&self) -> bool {
        self.hedge_after != HedgeAfter::Never
    }

    /// The longest pause before this round, of which the second is number 1.
    pub(super) fn pause(&self, round: u32) -> Duration {
        /// Beyond it every pause is the longest.
        const DOUBLINGS_MAX: u32 = 16;
        let doublings = round.saturating_sub(1).min(DOUBLINGS_MAX);
        self.backoff.saturating_mul(1 << doublings).min(self.backoff_max)
    }
}

const _: () = {
    assert!(RetryPlan::DEFAULT.attempts <= RetryPlan::ATTEMPTS_MAX);
    assert!(RetryPlan::DEFAULT.budget_percent <= RetryPlan::BUDGET_PERCENT_MAX);
    assert!(Class::ALL.len() < u16::BITS as usize, "a bit for each class");
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest() {
        let pauses: Vec<_> =
            (1..=7).map(|round| RetryPlan::DEFAULT.pause(round).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(RetryPlan::DEFAULT.pause(u32::MAX), RetryPlan::DEFAULT.backoff_max);
    }
}
