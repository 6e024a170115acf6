//! When requests are meant to be sent. Pure: the same seed, the same times.

use std::time::Duration;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Arrivals {
    /// Evenly spaced.
    Constant,
    /// Independent of each other, as from many clients: bunches and lulls.
    Poisson,
}

/// An endless-looking list of offsets from the start, ended by `total`.
pub struct Schedule {
    gap_seconds: f64,
    arrivals: Arrivals,
    state: u64,
    total_seconds: f64,
    next_seconds: f64,
}

impl Schedule {
    pub fn new(rate: f64, arrivals: Arrivals, seed: u64, total: Duration) -> Schedule {
        Schedule {
            gap_seconds: 1.0 / rate,
            arrivals,
            state: seed,
            total_seconds: total.as_secs_f64(),
            next_seconds: 0.0,
        }
    }

    /// Uniform over (0, 1]. The generator is splitmix64 (Steele, Lea, Flood 2014).
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((mixed >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let offset = self.next_seconds;
        if offset >= self.total_seconds {
            return None;
        }
        self.next_seconds += match self.arrivals {
            Arrivals::Constant => self.gap_seconds,
            Arrivals::Poisson => -self.uniform().ln() * self.gap_seconds,
        };
        Some(Duration::from_secs_f64(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(arrivals: Arrivals, seed: u64) -> Vec<Duration> {
        Schedule::new(1000.0, arrivals, seed, Duration::from_secs(10)).collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced() {
        let offsets = offsets(Arrivals::Constant, 1);
        // One more or less is rounding.
        assert!((9_999..=10_001).contains(&offsets.len()), "{}", offsets.len());
        for pair in offsets.windows(2) {
            assert_eq!((pair[1] - pair[0]).as_micros().div_ceil(10), 100);
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread() {
        let offsets = offsets(Arrivals::Poisson, 7);
        // Mean 10,000, standard deviation 100.
        assert!((9_500..10_500).contains(&offsets.len()), "{}", offsets.len());
        let gaps: Vec<f64> = offsets.windows(2).map(|p| (p[1] - p[0]).as_secs_f64()).collect();
        // Of exponential gaps, 1/e are longer than the mean.
        let long = gaps.iter().filter(|gap| **gap > 0.001).count() as f64 / gaps.len() as f64;
        assert!((0.34..0.40).contains(&long), "{long}");
    }

    #[test]
    fn the_same_seed_gives_the_same_times_and_another_gives_others() {
        assert_eq!(offsets(Arrivals::Poisson, 3), offsets(Arrivals::Poisson, 3));
        assert_ne!(offsets(Arrivals::Poisson, 3), offsets(Arrivals::Poisson, 4));
    }
}
