//! What an engine says of itself. It knows also of the requests that others
//! have sent it.

use super::{estimate::Estimate, load::Counts};
use crate::base::Instant;

/// Seconds in which what an engine has said is forgotten.
const ENGINE_DECAY: f32 = 10.0;
/// What another's prompt is taken for, as nobody tells its size.
const USUAL_PROMPT_TOKENS: f32 = 1000.0;

/// One look at an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EngineFigures {
    /// Requests in its queue.
    pub waiting: u32,
    /// Requests that it works on.
    pub running: u32,
    /// How much of its cache of keys and values is taken, from 0 to 1; 0 where
    /// it does not tell.
    pub kv_usage: f32,
}

/// What it has said last, as far as it is not known anyway.
#[derive(Debug, Default)]
pub struct Engine {
    /// Requests in its queue that are not ours.
    foreign: Estimate,
    /// How full it is, from 0 to 1.
    fullness: Estimate,
}

impl Engine {
    /// `ours` are our own requests at the same moment, of so many that the
    /// backend works on at once.
    pub fn note(&self, figures: EngineFigures, ours: Counts, capacity: f32, now: Instant) {
        let foreign = figures.waiting.saturating_sub(ours.waiting());
        self.foreign.set(foreign as f32, now);
        let occupancy = figures.running as f32 / capacity;
        self.fullness.set(occupancy.max(figures.kv_usage).clamp(0.0, 1.0), now);
    }

    /// Tokens of prompts of others that wait there.
    pub fn foreign_tokens(&self, now: Instant) -> f32 {
        self.foreign.drifting(0.0, now, ENGINE_DECAY) * USUAL_PROMPT_TOKENS
    }

    /// From 0 to 1; 0 when nothing is known.
    pub fn fullness(&self, now: Instant) -> f32 {
        self.fullness.drifting(0.0, now, ENGINE_DECAY)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::balance::load::Load;

    /// What is known so long after an engine has said this, with one request
    /// of ours waiting there, and room for a hundred.
    #[track_caller]
    fn check(figures: EngineFigures, age: Duration, tokens: f32, fullness: f32) {
        let load = Load::default();
        let now = Instant::from_nanos(1_000_000_000);
        load.begin(10, true, now);
        load.engine.note(figures, load.counts(), 100.0, now);
        let later = now.after(age);
        let found = (load.engine.foreign_tokens(later), load.engine.fullness(later));
        let is_near = |a: f32, b: f32| (a - b).abs() <= 0.01 * b;
        assert!(is_near(found.0, tokens) && is_near(found.1, fullness), "{found:?}");
    }

    #[test]
    fn what_is_ours_is_not_counted_twice() {
        let figures = EngineFigures { waiting: 1, running: 50, kv_usage: 0.0 };
        check(figures, Duration::ZERO, 0.0, 0.5);
        check(EngineFigures { waiting: 4, ..figures }, Duration::ZERO, 3000.0, 0.5);
        check(EngineFigures { waiting: 0, ..figures }, Duration::ZERO, 0.0, 0.5);
    }

    #[test]
    fn the_fuller_of_house_and_cache_counts() {
        let figures = EngineFigures { waiting: 0, running: 50, kv_usage: 0.75 };
        check(figures, Duration::ZERO, 0.0, 0.75);
        check(EngineFigures { running: 1000, ..figures }, Duration::ZERO, 0.0, 1.0);
    }

    #[test]
    fn what_was_said_long_ago_is_forgotten() {
        let figures = EngineFigures { waiting: 11, running: 0, kv_usage: 0.8 };
        let e = std::f32::consts::E;
        check(figures, Duration::from_secs(10), 10_000.0 / e, 0.8 / e);
    }
}
