//! Room taken from a budget; it gives itself back.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Counter;

/// A share of a budget, as long as it lives.
#[derive(Debug)]
pub struct Permit<'s> {
    /// What all shards hold. It is counted without a limit too: a reload may
    /// bring one, which then holds at once.
    budget: &'s AtomicUsize,
    gauge: &'s Counter,
    amount: usize,
    max: Option<usize>,
}

impl<'s> Permit<'s> {
    /// Takes `amount`, if what all shards hold stays within `max`.
    pub fn take(
        budget: &'s AtomicUsize,
        gauge: &'s Counter,
        amount: usize,
        max: Option<usize>,
    ) -> Option<Self> {
        Self { budget, gauge, amount: 0, max }.extended(amount)
    }

    pub fn amount(&self) -> usize {
        self.amount
    }

    /// The same permit for `more`; without room the whole permit is given
    /// back.
    pub fn extended(mut self, more: usize) -> Option<Self> {
        self.gauge.add(more as u64);
        self.amount += more;
        let held = self.budget.fetch_add(more, Ordering::Relaxed) + more;
        self.max.is_none_or(|max| held <= max).then_some(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.gauge.subtract(self.amount as u64);
        self.budget.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_whole_again_however_it_was_taken() {
        let (budget, gauge) = (AtomicUsize::new(0), Counter::default());
        let take = |amount| Permit::take(&budget, &gauge, amount, Some(10));
        let first = take(6).unwrap();
        assert!(take(5).is_none(), "beyond the budget");
        let first = first.extended(4).unwrap();
        assert!(take(1).is_none(), "the budget is spent");
        assert!(first.extended(1).is_none(), "the whole permit goes with what is too much");
        assert_eq!((budget.load(Ordering::Relaxed), gauge.read()), (0, 0));
        drop(take(10).unwrap());
        assert_eq!((budget.load(Ordering::Relaxed), gauge.read()), (0, 0));
    }

    #[test]
    fn what_was_taken_without_a_limit_counts_against_one_that_comes() {
        let (budget, gauge) = (AtomicUsize::new(0), Counter::default());
        let permit = Permit::take(&budget, &gauge, 3, None).unwrap();
        assert_eq!(gauge.read(), 3);
        assert!(Permit::take(&budget, &gauge, 1, Some(3)).is_none());
        drop(permit);
        assert_eq!((budget.load(Ordering::Relaxed), gauge.read()), (0, 0));
    }
}
