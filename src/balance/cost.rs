//! How soon a backend would answer one more request, in seconds.
//!
//! ```text
//! cost = slowness · (floor + per_token · (tokens waiting + mine))   its prefill
//!      + silence beyond what those that wait explain                a stall
//!      + pace · g(in flight / capacity)                             its decoding
//!      + penalty                                                    its failures
//! g(x) = x / (1 - x), up to a full house
//! ```
//!
//! What others have sent to the same engine counts as if we had, where it says
//! so (`engine`): what waits there as prompts of the usual length. A cache of
//! keys and values that is full is a full house, whoever has filled it.
//!
//! `slowness` and `pace` are the backend's own, and drift to the fleet's median
//! while nothing is seen of it: a slow backend that idles must not become the
//! cheapest, and one that was slow once must be tried again.

use super::{apart::ModelKey, load::Load, prompts::Line, ticket::Shape};
use crate::base::Instant;

/// Seconds in which a peak is forgotten.
pub const PEAK_DECAY: f32 = 10.0;
/// Seconds in which a backend of which nothing is seen becomes a usual one.
pub const DRIFT: f32 = 20.0;
/// The same for one that has not proven itself: its first answers may be slow
/// because they are its first, and only more of them can tell.
pub const DRIFT_OF_NEW: f32 = DRIFT / 8.0;
/// A backend of which nothing is known passes for a little better than usual:
/// requests that come one at a time would else never come to it.
const UNKNOWN: f32 = 0.9;
/// Seconds in which the pace of answers follows.
pub const PACE_DECAY: f32 = 10.0;
/// How full a house is told from a fuller one.
const OCCUPANCY_MAX: f32 = 0.95;

/// What is usual among the backends of the fleet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    pub slowness: f32,
    pub pace: f32,
    /// Seconds to the first byte; zero before any was seen.
    pub first_byte: f32,
    /// Of a prompt.
    pub tokens: f32,
}

impl Usual {
    /// Before anything was seen: each is as fast as the line says, writes fifty
    /// tokens a second, and is asked a page.
    pub const GUESS: Self = Self { slowness: 1.0, pace: 0.02, first_byte: 0.0, tokens: 500.0 };
}

/// What a cost depends on besides the backend.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub line: Line,
    pub usual: Usual,
    pub capacity: f32,
    /// Of the request that is to be sent.
    pub tokens: u64,
    pub shape: Shape,
    /// Whose request it is, where it names a model.
    pub model: Option<ModelKey>,
    pub now: Instant,
}

/// The cost of sending the request to this backend.
pub fn cost(load: &Load, terms: &Terms) -> f32 {
    let Terms { line, usual, now, .. } = *terms;
    let counts = load.counts();
    let others = load.engine.others(now);
    let backlog = load.backlog() as f32 + others.waiting * usual.tokens;
    let slowness = slowness(load, usual.slowness, now);
    let prefill = slowness * line.at(backlog + terms.tokens as f32);
    let explained = slowness * line.at(backlog);
    let stall = (load.silence(counts, now) - explained).max(0.0);
    let pace = load.pace.drifting(usual.pace, now, DRIFT);
    let in_flight = counts.in_flight() as f32 + others.running;
    let occupancy = (in_flight / terms.capacity).max(others.kv_usage).min(OCCUPANCY_MAX);
    let mut decoding = pace * occupancy / (1.0 - occupancy);
    if terms.shape == Shape::Whole {
        // Its client waits for the last token: a backend that writes at half
        // the pace is to have half of such answers under way.
        decoding += pace * (in_flight + 1.0);
    }
    prefill + stall + decoding + load.penalty(terms.model, now)
}

fn slowness(load: &Load, usual: f32, now: Instant) -> f32 {
    let drift = if load.health.is_proven() { DRIFT } else { DRIFT_OF_NEW };
    match load.slowness.last() {
        Some(_) => load.slowness.drifting(usual, now, drift),
        None => usual * UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::balance::{EngineFigures, load::Room};

    const TERMS: Terms = Terms {
        line: Line { floor: 0.05, per_token: 0.0001 },
        usual: Usual::GUESS,
        capacity: 100.0,
        tokens: 1000,
        shape: Shape::Streamed,
        model: None,
        now: Instant::from_nanos(1_000_000_000_000),
    };

    fn ago(seconds: u64) -> Instant {
        Instant::from_nanos(TERMS.now.as_nanos() - seconds * 1_000_000_000)
    }

    /// Sends this backend a request.
    fn send(tokens: u64, due: bool, at: Instant) -> impl Fn(&Load) {
        move |load| {
            load.begin(tokens, due, Room::WIDE, at);
        }
    }

    /// What a change makes of the cost of an idle, usual backend.
    #[track_caller]
    fn check(change: impl FnOnce(&Load), shape: Shape, expected: f32) {
        let load = Load::default();
        (0..16).for_each(|_| load.health.begun(TERMS.now));
        load.slowness.set(1.0, TERMS.now);
        change(&load);
        let found = cost(&load, &Terms { shape, ..TERMS });
        assert!((found - expected).abs() < 0.01 * expected, "{found} for {expected}");
    }

    #[test]
    fn an_idle_backend_costs_the_prompt() {
        check(|_| {}, Shape::Streamed, 0.15);
    }

    #[test]
    fn an_unknown_backend_is_a_little_better_than_usual() {
        let found = cost(&Load::default(), &TERMS);
        assert!((found - 0.135).abs() < 0.001, "{found}");
    }

    #[test]
    fn prompts_that_wait_come_first() {
        let soon = TERMS.now;
        check(send(30_000, true, soon), Shape::Streamed, 3.15);
    }

    #[test]
    fn a_slow_backend_costs_as_many_times_more() {
        check(|load| load.slowness.set(5.0, TERMS.now), Shape::Streamed, 0.75);
        check(
            |load| load.slowness.set(5.0, ago(20)),
            Shape::Streamed,
            0.15 * (1.0 + 4.0 * (-1.0_f32).exp()),
        );
    }

    #[test]
    fn silence_counts_beyond_what_the_prompts_explain() {
        check(send(1000, true, ago(9)), Shape::Streamed, 0.25 + 9.0 - 0.15);
        check(send(100_000, true, ago(9)), Shape::Streamed, 10.15);
        // A whole answer comes when it is written.
        check(send(1000, false, ago(9)), Shape::Streamed, 0.25);
    }

    #[test]
    fn what_others_have_sent_to_an_engine_counts_and_fades() {
        let figures = EngineFigures { waiting: 4, running: 50, kv_usage: 0.1 };
        let note = |at| move |load: &Load| load.engine.note(figures, load.counts(), at);
        let decoding = 0.02 * 0.5 / 0.5;
        check(note(TERMS.now), Shape::Streamed, 0.15 + 4.0 * 0.05 + decoding);
        check(note(ago(60)), Shape::Streamed, 0.15);
    }

    #[test]
    fn a_full_cache_is_a_full_house() {
        let figures = EngineFigures { kv_usage: 0.9, ..EngineFigures::default() };
        let full = |load: &Load| load.engine.note(figures, load.counts(), TERMS.now);
        check(full, Shape::Streamed, 0.15 + 0.02 * 9.0);
    }

    #[test]
    fn a_full_house_costs_its_pace_many_times() {
        let house = |requests| {
            move |load: &Load| {
                (0..requests).for_each(|_| send(0, false, TERMS.now)(load));
                load.pace.set(0.1, TERMS.now);
            }
        };
        check(house(50), Shape::Streamed, 0.15 + 0.1);
        check(house(1000), Shape::Streamed, 0.15 + 1.9);
        check(house(50), Shape::Whole, 0.15 + 0.1 + 5.1);
    }

    #[test]
    fn a_failure_makes_a_backend_look_slow_for_a_while() {
        check(|load| load.penalty.set(5.0, TERMS.now), Shape::Streamed, 5.15);
        check(
            |load| load.penalty.set(5.0, ago(10)),
            Shape::Streamed,
            0.15 + 5.0 * (-1.0_f32).exp(),
        );
        let long_ago = Duration::from_secs(100).as_secs();
        check(|load| load.penalty.set(5.0, ago(long_ago)), Shape::Streamed, 0.15);
    }
}
