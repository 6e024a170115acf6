//! One figure that is seen again and again, and when it was last seen: both in
//! one word, so that they always fit each other without a lock. Two shards
//! that see it at once may lose one of the two samples, which an estimate
//! bears.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::base::Instant;

/// The figure's bits above, its time below.
#[derive(Debug)]
pub struct Estimate(AtomicU64);

/// No figure yet: the bits of a number that is none.
const NONE: u64 = u64::MAX;

/// Time is kept in ticks of 2^24 ns, 17 ms, of which half the range of `u32`
/// is more than a year.
const TICK_BITS: u32 = 24;
const TICK_SECONDS: f32 = (1 << TICK_BITS) as f32 / 1e9;

impl Default for Estimate {
    fn default() -> Self {
        Self(AtomicU64::new(NONE))
    }
}

impl Estimate {
    /// The figure as last seen, and how many seconds ago that was.
    pub fn read(&self, now: Instant) -> Option<(f32, f32)> {
        let word = self.0.load(Relaxed);
        if word == NONE {
            return None;
        }
        // Another shard's clock was read a moment later: that is no age.
        let ticks = tick(now).wrapping_sub(word as u32).cast_signed().max(0);
        Some((f32::from_bits((word >> 32) as u32), ticks as f32 * TICK_SECONDS))
    }

    /// As last seen, whenever that was.
    pub fn last(&self) -> Option<f32> {
        let word = self.0.load(Relaxed);
        (word != NONE).then(|| f32::from_bits((word >> 32) as u32))
    }

    pub fn set(&self, figure: f32, now: Instant) {
        debug_assert!(figure.is_finite() && figure >= 0.0, "{figure}");
        self.0.store(u64::from(figure.to_bits()) << 32 | u64::from(tick(now)), Relaxed);
    }

    pub fn forget(&self) {
        self.0.store(NONE, Relaxed);
    }

    /// A sample above the figure replaces it; to one below it the figure comes
    /// down in `decay` seconds to a third of what lay between.
    pub fn peak(&self, sample: f32, now: Instant, decay: f32) {
        let figure = match self.read(now) {
            Some((figure, age)) if figure > sample => {
                sample + (figure - sample) * (-age / decay).exp()
            }
            _ => sample,
        };
        self.set(figure, now);
    }

    /// Goes to the sample from either side.
    pub fn mean(&self, sample: f32, now: Instant, decay: f32) {
        let figure = match self.read(now) {
            Some((figure, age)) => sample + (figure - sample) * (-age / decay).exp(),
            None => sample,
        };
        self.set(figure, now);
    }

    /// Only a sample above the figure says something.
    pub fn at_least(&self, sample: f32, now: Instant, decay: f32) {
        if sample > self.drifting(0.0, now, decay) {
            self.set(sample, now);
        }
    }

    /// What the figure may be now, as nothing has been seen of it since: it
    /// drifts to `common`. Without a figure it is that.
    pub fn drifting(&self, common: f32, now: Instant, decay: f32) -> f32 {
        match self.read(now) {
            Some((figure, age)) => common + (figure - common) * (-age / decay).exp(),
            None => common,
        }
    }
}

fn tick(now: Instant) -> u32 {
    (now.as_nanos() >> TICK_BITS) as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DECAY: f32 = 10.0;

    fn at(seconds: u64) -> Instant {
        Instant::default().after(Duration::from_secs(seconds))
    }

    #[track_caller]
    fn check(estimate: &Estimate, seconds: u64, expected: f32) {
        let (figure, _) = estimate.read(at(seconds)).unwrap();
        assert!((figure - expected).abs() < 0.01 * expected, "{figure} for {expected}");
    }

    #[test]
    fn a_peak_is_believed_at_once_and_forgotten_slowly() {
        let estimate = Estimate::default();
        assert_eq!(estimate.read(at(0)), None);
        estimate.peak(1.0, at(0), DECAY);
        estimate.peak(9.0, at(1), DECAY);
        check(&estimate, 1, 9.0);
        estimate.peak(1.0, at(11), DECAY);
        check(&estimate, 11, 1.0 + 8.0 / 1.0_f32.exp());
    }

    #[test]
    fn a_mean_goes_both_ways() {
        let estimate = Estimate::default();
        estimate.mean(1.0, at(0), DECAY);
        estimate.mean(2.0, at(10), DECAY);
        check(&estimate, 10, 2.0 - 1.0 / 1.0_f32.exp());
        estimate.mean(0.5, at(1000), DECAY);
        check(&estimate, 1000, 0.5);
    }

    #[test]
    fn a_lower_bound_lowers_nothing() {
        let estimate = Estimate::default();
        estimate.at_least(3.0, at(0), DECAY);
        estimate.at_least(2.0, at(1), DECAY);
        check(&estimate, 1, 3.0);
        estimate.at_least(4.0, at(2), DECAY);
        check(&estimate, 2, 4.0);
    }

    #[test]
    fn what_is_not_seen_drifts_to_what_is_common() {
        let estimate = Estimate::default();
        assert!((estimate.drifting(2.0, at(0), DECAY) - 2.0).abs() < 1e-6);
        estimate.set(5.0, at(0));
        assert!((estimate.drifting(2.0, at(0), DECAY) - 5.0).abs() < 1e-6);
        let after = estimate.drifting(2.0, at(100), DECAY);
        assert!((2.0..2.001).contains(&after), "{after}");
    }

    #[test]
    fn a_clock_that_is_a_moment_behind_makes_nothing_old() {
        let estimate = Estimate::default();
        estimate.set(1.0, at(5));
        assert_eq!(estimate.read(at(4)), Some((1.0, 0.0)));
    }

    #[test]
    fn a_figure_is_read_as_it_was_written_at_any_time() {
        for seconds in [0, 1, 72_057_594, 100_000_000, 18_000_000_000] {
            let estimate = Estimate::default();
            estimate.set(0.125, at(seconds));
            let (figure, age) = estimate.read(at(seconds + 1)).unwrap();
            assert_eq!(figure, 0.125);
            assert!((0.97..1.03).contains(&age), "{age} at {seconds}");
        }
    }
}
