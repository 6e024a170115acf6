//! The flags of `serve` about the choice of a backend.

use std::num::{NonZeroU8, NonZeroU32};

use clap::Args;
use clap::builder::PossibleValue;

use super::values::count;
use crate::base::units::Time;
use crate::config::{Balancing, Ejection, Policy};

#[derive(Debug, Args)]
pub(super) struct BalancingFlags {
    /// How a backend is chosen: by default the one that would answer soonest
    #[arg(long, value_enum, default_value_t = PolicyWord(Policy::default()))]
    policy: PolicyWord,
    /// Answers that a backend writes at once before each of them slows
    #[arg(
        long, value_name = "COUNT", value_parser = count::<u32>,
        default_value_t = Balancing::DEFAULT.capacity
    )]
    backend_capacity: u32,
    /// Failures in a row for which a backend is left alone; 0 is never
    #[arg(
        long, value_name = "COUNT", value_parser = count::<u32>,
        default_value_t = Ejection::DEFAULT.after.map_or(0, NonZeroU32::get)
    )]
    eject_after: u32,
    /// The same for fewer successes in a hundred, of its last answers; 0 is never
    #[arg(
        long, value_name = "PERCENT", value_parser = count::<u8>,
        default_value_t = Ejection::DEFAULT.below_percent.map_or(0, NonZeroU8::get)
    )]
    eject_below: u8,
    /// How long it is left alone at first; twice as long each time it fails again
    #[arg(long, value_name = "TIME", default_value_t = Time(Ejection::DEFAULT.pause))]
    eject_pause: Time,
    /// The longest that it is left alone, also where it asks for more (retry-after)
    #[arg(long, value_name = "TIME", default_value_t = Time(Ejection::DEFAULT.pause_max))]
    eject_pause_max: Time,
}

impl BalancingFlags {
    pub(super) fn written(&self) -> Balancing {
        Balancing {
            policy: self.policy.0,
            capacity: self.backend_capacity,
            ejection: Ejection {
                after: NonZeroU32::new(self.eject_after),
                below_percent: NonZeroU8::new(self.eject_below),
                pause: self.eject_pause.0,
                pause_max: self.eject_pause_max.0,
            },
        }
    }
}

/// [`Policy`] as a word; `-` stands for `_` as well.
#[derive(Clone, Copy, Debug)]
struct PolicyWord(Policy);

impl clap::ValueEnum for PolicyWord {
    fn value_variants<'a>() -> &'a [Self] {
        const WORDS: [PolicyWord; Policy::ALL.len()] = {
            let mut words = [PolicyWord(Policy::LeastLatency); Policy::ALL.len()];
            let mut place = 0;
            while place < words.len() {
                words[place] = PolicyWord(Policy::ALL[place]);
                place += 1;
            }
            words
        };
        &WORDS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let dashed = match self.0 {
            Policy::LeastLatency => "least-latency",
            Policy::RoundRobin => "round-robin",
            Policy::LeastInFlight => "least-in-flight",
            Policy::PeakEwma => "peak-ewma",
            Policy::Random => "random",
            Policy::PowerOfTwo => "power-of-two",
        };
        Some(PossibleValue::new(self.0.name()).alias(dashed))
    }
}
