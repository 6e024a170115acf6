//! Eight backends of which one is bad: what is asked of the choice alone
//! (`scenario_tests`) and of whole shards (`sim/scenarios`), and in which words
//! both say what they found.
//!
//! A backend reads one prompt after another, at a constant rate, and writes any
//! number of answers at once. Requests come by chance (Poisson), and every
//! chooser meets the same ones.

use std::fmt;

use super::{Balancing, Policy};
use crate::base::Chance;

pub const BACKENDS: usize = 8;
/// The bad one.
pub const BAD: usize = 3;
/// Seconds, as all times here. From here on the bad one is to be known.
pub const KNOWN_AFTER: f64 = 1.0;
/// How long a client waits for a first token, or for a whole answer.
pub const PATIENCE: f64 = 10.0;
/// What every first token takes, whatever waits.
pub const FLOOR: f64 = 0.02;
pub const PER_TOKEN: f64 = 0.0001;
pub const PACE: f64 = 0.02;
pub const ANSWER_TOKENS: usize = 50;
const SHORT: usize = 100;
const LONG: usize = 30_000;
/// Requests of which a cold one takes long.
const COLD_REQUESTS: u32 = 20;

/// What is wrong with the bad one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// It takes five times as long.
    Slow,
    /// It answers 500 at once.
    BlackHole,
    /// It takes requests and never answers.
    Stall,
    /// The same, and nobody asks for a stream.
    StallOfWhole,
    /// It has just come, and its first requests take ten times as long.
    Cold,
    /// Nothing; but one prompt in fifty is 300 times as long.
    TwoSizes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Chooser {
    /// With ejection.
    Ours(Policy),
    /// Without.
    Plain(Policy),
    /// Knows when each backend would have read the prompt.
    Oracle,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Seconds to the first token (to the last of a whole answer).
    pub median: f64,
    pub p99: f64,
    /// Of all requests after the first second, in per cent.
    pub bad_share: f64,
    pub errors: usize,
}

/// One backend's engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Engine {
    pub free_at: f64,
    pub served: u32,
}

impl Scenario {
    /// Between two arrivals, on average: the well ones work 60 % of their time,
    /// or half of it where prompts differ so much.
    pub fn gap(self) -> f64 {
        match self {
            Self::TwoSizes => {
                let mean = 0.98 * SHORT as f64 + 0.02 * LONG as f64;
                mean * PER_TOKEN / (BACKENDS as f64 * 0.5)
            }
            _ => SHORT as f64 * PER_TOKEN / ((BACKENDS - 1) as f64 * 0.6),
        }
    }

    /// From one arrival to the next.
    pub fn pause(self, chance: &mut Chance) -> f64 {
        let uniform = (chance.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        -(1.0 - uniform).ln() * self.gap()
    }

    /// A prompt's.
    pub fn tokens(self, chance: &mut Chance) -> usize {
        if self == Self::TwoSizes && chance.below(50) == 0 { LONG } else { SHORT }
    }

    pub fn streamed(self) -> bool {
        self != Self::StallOfWhole
    }

    pub fn fails_at_once(self, backend: usize) -> bool {
        backend == BAD && self == Self::BlackHole
    }

    pub fn never_answers(self, backend: usize) -> bool {
        backend == BAD && matches!(self, Self::Stall | Self::StallOfWhole)
    }

    /// How many times as long as usual this backend takes to write.
    pub fn slower(self, backend: usize) -> f64 {
        if backend == BAD && self == Self::Slow { 5.0 } else { 1.0 }
    }

    /// When this backend would have read a prompt; never, if it is bad so.
    pub fn read_at(self, backend: usize, engine: &Engine, tokens: usize, now: f64) -> f64 {
        let is_cold = backend == BAD && self == Self::Cold && engine.served < COLD_REQUESTS;
        let times = if self.fails_at_once(backend) || self.never_answers(backend) {
            f64::INFINITY
        } else if is_cold {
            10.0
        } else {
            self.slower(backend)
        };
        engine.free_at.max(now) + tokens as f64 * PER_TOKEN * times
    }

    /// Who would have read it first, as the oracle knows.
    pub fn soonest(self, engines: &[Engine; BACKENDS], tokens: usize, now: f64) -> usize {
        let read_at = |&backend: &usize| self.read_at(backend, &engines[backend], tokens, now);
        let best = (0..BACKENDS).min_by(|a, b| read_at(a).total_cmp(&read_at(b)));
        best.expect("eight backends")
    }
}

impl Chooser {
    pub fn balancing(self) -> Balancing {
        let (policy, ejects) = match self {
            Self::Ours(policy) => (policy, true),
            Self::Plain(policy) => (policy, false),
            Self::Oracle => return Balancing::DEFAULT,
        };
        let mut balancing = Balancing { policy, ..Balancing::DEFAULT };
        if !ejects {
            balancing.ejection.after = None;
            balancing.ejection.below_percent = None;
        }
        balancing
    }
}

impl Found {
    pub fn of(waits: &mut [f64], errors: usize, bad_share: f64) -> Self {
        waits.sort_unstable_by(f64::total_cmp);
        let quantile = |of: f64| waits[((waits.len() - 1) as f64 * of) as usize];
        Self { median: quantile(0.5), p99: quantile(0.99), bad_share: bad_share * 100.0, errors }
    }

    /// The row of a table.
    pub fn row(&self, scenario: Scenario, shards: usize, chooser: Chooser) -> String {
        let (scenario, chooser) = (format!("{scenario:?}"), format!("{chooser:?}"));
        format!("{scenario:13} {shards:>2} shards  {chooser:22} {self}")
    }
}

impl fmt::Display for Found {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, p99, bad_share, errors } = self;
        let (median, p99) = (median * 1e3, p99 * 1e3);
        write!(to, "p50 {median:8.1} ms  p99 {p99:8.1} ms  ")?;
        write!(to, "to the bad one {bad_share:6.2} %  errors {errors}")
    }
}
