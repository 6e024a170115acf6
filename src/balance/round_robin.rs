//! Each backend in its turn, but none that has just refused a connection.

use std::time::Duration;

use crate::base::Instant;

/// A backend's place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(pub usize);

/// How long a backend that could not be reached is left alone. Short: with
/// one shard's traffic this costs one failed connect a second, and a backend
/// that was restarted is found again at once.
pub const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// One shard's turn order.
#[derive(Debug)]
pub struct RoundRobin {
    next: usize,
    resting_until: Vec<Instant>,
}

impl RoundRobin {
    /// `first` is where this shard begins, so that shards that start together
    /// do not all begin with the same backend.
    #[must_use]
    pub fn new(backends: usize, first: usize) -> Self {
        Self { next: first, resting_until: vec![Instant::default(); backends] }
    }

    /// The next backend that is not in `tried`. One that rests is taken only
    /// when nobody else is left: it may be back, and an error is certain
    /// otherwise.
    pub fn pick(&mut self, now: Instant, tried: &[BackendId]) -> Option<BackendId> {
        let count = self.resting_until.len();
        let mut resting = None;
        for step in 0..count {
            let id = BackendId((self.next + step) % count);
            if tried.contains(&id) {
                continue;
            }
            if self.resting_until[id.0] <= now {
                self.next = (id.0 + 1) % count;
                return Some(id);
            }
            resting.get_or_insert(id);
        }
        resting
    }

    /// The backend could not be reached.
    pub fn failed(&mut self, id: BackendId, now: Instant) {
        self.resting_until[id.0] = now.after(REST_AFTER_FAILURE);
    }

    /// The backend was reached.
    pub fn reached(&mut self, id: BackendId) {
        self.resting_until[id.0] = Instant::default();
    }

    /// Whether any backend is not known to be out of reach.
    #[must_use]
    pub fn any_ready(&self, now: Instant) -> bool {
        self.resting_until.iter().any(|&until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn picks(robin: &mut RoundRobin, now: Instant, times: usize) -> Vec<usize> {
        (0..times).filter_map(|_| robin.pick(now, &[])).map(|id| id.0).collect()
    }

    #[test]
    fn every_backend_has_its_turn() {
        assert_eq!(picks(&mut RoundRobin::new(3, 1), at(0), 6), [1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn an_unreachable_backend_is_left_alone_for_a_while() {
        let mut robin = RoundRobin::new(3, 0);
        robin.failed(BackendId(1), at(0));
        assert_eq!(picks(&mut robin, at(999), 4), [0, 2, 0, 2]);
        assert_eq!(picks(&mut robin, at(1000), 3), [0, 1, 2]);
    }

    #[test]
    fn a_resting_backend_is_tried_when_nobody_else_is_left() {
        let mut robin = RoundRobin::new(2, 0);
        robin.failed(BackendId(0), at(0));
        assert_eq!(robin.pick(at(1), &[BackendId(1)]), Some(BackendId(0)));
        assert_eq!(robin.pick(at(1), &[BackendId(0), BackendId(1)]), None);
    }

    #[test]
    fn no_backend_is_ready_when_all_rest() {
        let mut robin = RoundRobin::new(2, 0);
        robin.failed(BackendId(0), at(0));
        assert!(robin.any_ready(at(1)));
        robin.failed(BackendId(1), at(0));
        assert!(!robin.any_ready(at(1)));
        robin.reached(BackendId(1));
        assert!(robin.any_ready(at(1)));
    }
}
