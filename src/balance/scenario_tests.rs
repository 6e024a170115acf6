//! What each policy makes of the scenarios (`scenario`), in virtual time and
//! from fixed seeds: the choice alone, with shards that are chosen by chance.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    scenario::{
        ANSWER_TOKENS, BACKENDS, BAD, Chooser, Engine, FLOOR, Found, KNOWN_AFTER, PACE, PATIENCE,
        Scenario,
    },
    *,
};
use crate::base::{Chance, Instant};

const SECONDS: f64 = 60.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    FirstToken,
    End,
    Failure,
    GivesUp,
}

fn at(seconds: f64) -> Instant {
    // Not zero, so that nothing is taken for unset.
    Instant::from_nanos(1_000_000_000 + (seconds * 1e9) as u64)
}

/// A world of requests under way.
struct World<'f> {
    scenario: Scenario,
    engines: [Engine; BACKENDS],
    events: BinaryHeap<Reverse<(u64, usize, Event)>>,
    requests: Vec<Request<'f>>,
    waits: Vec<f64>,
    errors: usize,
}

struct Request<'f> {
    ticket: Option<Ticket<'f>>,
    came_at: f64,
}

impl<'f> World<'f> {
    /// A request has come to this backend.
    fn serve(&mut self, backend: usize, tokens: usize, now: f64, ticket: Option<Ticket<'f>>) {
        let request = self.requests.len();
        self.requests.push(Request { ticket, came_at: now });
        let mut later = |seconds: f64, event| {
            self.events.push(Reverse(((seconds * 1e9) as u64, request, event)));
        };
        let scenario = self.scenario;
        if scenario.fails_at_once(backend) {
            return later(now + 0.001, Event::Failure);
        }
        if scenario.never_answers(backend) {
            return later(now + PATIENCE, Event::GivesUp);
        }
        let engine = &mut self.engines[backend];
        let read_at = scenario.read_at(backend, engine, tokens, now);
        engine.free_at = read_at;
        engine.served += 1;
        let slower = scenario.slower(backend);
        let first = read_at + FLOOR * slower;
        if scenario.streamed() {
            later(first, Event::FirstToken);
        }
        later(first + PACE * slower * (ANSWER_TOKENS - 1) as f64, Event::End);
    }

    /// Everything that happens until then.
    fn run_until(&mut self, until: f64) {
        while let Some(&Reverse((nanos, request, event))) = self.events.peek() {
            let now = nanos as f64 / 1e9;
            if now > until {
                return;
            }
            self.events.pop();
            let request = &mut self.requests[request];
            let waited = now - request.came_at;
            let is_known = request.came_at >= KNOWN_AFTER;
            match event {
                Event::FirstToken => {
                    if let Some(ticket) = &mut request.ticket {
                        ticket.first_byte(at(now));
                    }
                    if is_known {
                        self.waits.push(waited);
                    }
                }
                Event::End => {
                    let outturn = Outturn {
                        prompt_tokens: None,
                        completion_tokens: ANSWER_TOKENS as u64,
                        at_backends_pace: true,
                    };
                    if let Some(ticket) = request.ticket.take() {
                        ticket.done(outturn, at(now));
                    }
                    if is_known && !self.scenario.streamed() {
                        self.waits.push(waited);
                    }
                }
                Event::Failure => {
                    if let Some(ticket) = request.ticket.take() {
                        ticket.failed(None, at(now));
                    }
                    self.errors += 1;
                }
                Event::GivesUp => {
                    if let Some(ticket) = request.ticket.take() {
                        ticket.left(at(now));
                    }
                    self.errors += 1;
                    if is_known {
                        self.waits.push(waited);
                    }
                }
            }
        }
    }
}

fn run(scenario: Scenario, chooser: Chooser, shards: usize, seed: u64) -> Found {
    let fleet = Fleet::new(BACKENDS, chooser.balancing());
    let mut turns: Vec<Turn> = (0..shards).map(|shard| Turn::new(&fleet, shard)).collect();
    let mut chances: Vec<Chance> =
        (0..shards).map(|shard| Chance::seeded(seed + 1 + shard as u64)).collect();
    let mut arrivals = Chance::seeded(seed);
    let mut world = World {
        scenario,
        engines: [Engine::default(); BACKENDS],
        events: BinaryHeap::new(),
        requests: Vec::new(),
        waits: Vec::new(),
        errors: 0,
    };
    let (mut now, mut known, mut bad) = (0.0, 0, 0);
    while now < SECONDS {
        now += scenario.pause(&mut arrivals);
        let (tokens, shard) = (scenario.tokens(&mut arrivals), arrivals.below(shards));
        world.run_until(now);
        let shape = if scenario.streamed() { Shape::Streamed } else { Shape::Whole };
        let work = Work { prompt_bytes: tokens as u32 * 4, shape };
        let (backend, ticket) = if chooser == Chooser::Oracle {
            (scenario.soonest(&world.engines, tokens, now), None)
        } else {
            let (turn, chance) = (&mut turns[shard], &mut chances[shard]);
            let (among, policy) = (fleet.everyone(), fleet.policy());
            let ask = Ask::new(among, policy, work);
            let ticket = fleet.pick(turn, &ask, at(now), chance).unwrap();
            (ticket.backend().0, Some(ticket))
        };
        if now >= KNOWN_AFTER {
            known += 1;
            bad += usize::from(backend == BAD);
        }
        world.serve(backend, tokens, now, ticket);
    }
    world.run_until(f64::INFINITY);
    for backend in (0..BACKENDS).map(BackendId) {
        let figures = fleet.figures(backend, at(now)).unwrap();
        assert_eq!((figures.waiting, figures.streams), (0, 0), "{scenario:?} {chooser:?}");
    }
    Found::of(&mut world.waits, world.errors, bad as f64 / known as f64)
}

/// Runs everybody and prints the table. Returns ours and the oracle's.
fn compare(scenario: Scenario, shards: usize) -> (Found, Found) {
    let row = |chooser| {
        let found = run(scenario, chooser, shards, 7);
        #[allow(clippy::print_stdout, reason = "the table is what the test shows")]
        {
            println!("{}", found.row(scenario, shards, chooser));
        }
        found
    };
    for policy in [Policy::RoundRobin, Policy::LeastInFlight, Policy::PeakEwma] {
        row(Chooser::Plain(policy));
    }
    (row(Chooser::Ours(Policy::LeastLatency)), row(Chooser::Oracle))
}

/// At most so many per cent to the bad one, and so many times the oracle's
/// tail.
#[track_caller]
fn check(scenario: Scenario, bad_share_max: f64, tail_max: f64) {
    for shards in [1, 4, 16] {
        let (ours, oracle) = compare(scenario, shards);
        assert!(ours.bad_share <= bad_share_max, "{scenario:?} {shards}: {ours:?}");
        assert!(ours.p99 <= oracle.p99 * tail_max, "{scenario:?} {shards}: {ours:?} {oracle:?}");
    }
}

#[test]
fn a_slow_backend_gets_next_to_nothing() {
    check(Scenario::Slow, 0.5, 1.3);
}

#[test]
fn a_black_hole_swallows_next_to_nothing() {
    check(Scenario::BlackHole, 0.5, 1.3);
}

#[test]
fn a_stalled_backend_gets_next_to_nothing() {
    check(Scenario::Stall, 0.5, 1.3);
}

#[test]
fn a_backend_that_stalls_whole_answers_is_known_when_the_first_clients_leave() {
    check(Scenario::StallOfWhole, 0.8, 1.3);
}

#[test]
fn a_cold_backend_warms_up_without_a_queue() {
    check(Scenario::Cold, 15.0, 1.3);
}

#[test]
fn short_prompts_do_not_wait_behind_long_ones() {
    // Nobody is bad here: it has an eighth, more or less.
    check(Scenario::TwoSizes, 20.0, 1.3);
}
