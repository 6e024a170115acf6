//! What an engine says of itself, as far as it says more than we know: work
//! that others have sent it, and how full its cache is. What it has said fades,
//! as it is only true for a moment.

use super::{estimate::Estimate, load::Counts};
use crate::base::Instant;

/// Seconds in which figures lose two thirds of their weight.
const FADE: f32 = 3.0;

/// What an engine tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EngineFigures {
    /// Requests that wait in its queue.
    pub waiting: u32,
    /// Requests that it works on.
    pub running: u32,
    /// The part of its cache of keys and values that is in use, from 0 to 1.
    pub kv_usage: f32,
}

/// One engine's figures, less what we have sent it ourselves.
#[derive(Debug, Default)]
pub struct Engine {
    waiting: Estimate,
    running: Estimate,
    kv_usage: Estimate,
}

/// What they come to at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Others {
    pub waiting: f32,
    pub running: f32,
    pub kv_usage: f32,
}

impl Engine {
    /// `ours` are the requests that it has of us.
    pub fn note(&self, figures: EngineFigures, ours: Counts, now: Instant) {
        // Ours are among those it counts, and which of the two they are is not
        // known: those that others have running are the least that there can be.
        let all = figures.waiting.saturating_add(figures.running);
        let others = all.saturating_sub(ours.in_flight());
        let waiting = figures.waiting.min(others);
        self.waiting.set(waiting as f32, now);
        self.running.set((others - waiting) as f32, now);
        // What is no number is no figure.
        let kv_usage = if figures.kv_usage.is_nan() { 0.0 } else { figures.kv_usage };
        self.kv_usage.set(kv_usage.clamp(0.0, 1.0), now);
    }

    pub fn others(&self, now: Instant) -> Others {
        let fading = |estimate: &Estimate| match estimate.last() {
            None | Some(0.0) => 0.0,
            Some(_) => estimate.drifting(0.0, now, FADE),
        };
        Others {
            waiting: fading(&self.waiting),
            running: fading(&self.running),
            kv_usage: fading(&self.kv_usage),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::balance::load::{Load, Room};

    fn at(seconds: u64) -> Instant {
        Instant::default().after(Duration::from_secs(seconds))
    }

    /// What is told with so many requests of ours under way.
    #[track_caller]
    fn check(waiting: u32, running: u32, kv_usage: f32, ours: u32, expected: [f32; 3]) {
        let load = Load::default();
        for _ in 0..ours {
            load.begin(1, false, Room::WIDE, at(1)).unwrap();
        }
        let figures = EngineFigures { waiting, running, kv_usage };
        load.engine.note(figures, load.counts(), at(1));
        let others = load.engine.others(at(1));
        assert_eq!([others.waiting, others.running, others.kv_usage], expected);
    }

    #[test]
    fn what_we_have_sent_ourselves_does_not_count_twice() {
        check(4, 10, 0.5, 0, [4.0, 10.0, 0.5]);
        check(4, 10, 0.5, 8, [4.0, 2.0, 0.5]);
        check(4, 10, 0.5, 12, [2.0, 0.0, 0.5]);
        check(4, 10, 0.5, 99, [0.0, 0.0, 0.5]);
    }

    #[test]
    fn figures_that_cannot_be_are_held_to_what_can() {
        check(u32::MAX, u32::MAX, 7.0, 0, [u32::MAX as f32, 0.0, 1.0]);
        check(0, 0, f32::NAN, 0, [0.0, 0.0, 0.0]);
        check(0, 0, -1.0, 0, [0.0, 0.0, 0.0]);
    }

    #[test]
    fn old_figures_fade() {
        let engine = Engine::default();
        assert_eq!(engine.others(at(0)).waiting, 0.0);
        let figures = EngineFigures { waiting: 100, running: 100, kv_usage: 1.0 };
        engine.note(figures, Counts::default(), at(1));
        let others = engine.others(at(13));
        assert!(others.waiting < 2.0 && others.running < 2.0 && others.kv_usage < 0.02);
    }
}
