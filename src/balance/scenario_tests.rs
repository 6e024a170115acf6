//! Eight backends of which one is bad, in virtual time and from fixed seeds:
//! what each policy makes of them, beside an oracle that knows every queue.
//!
//! A backend reads one prompt after another, at a constant rate, and writes
//! any number of answers at once. Requests arrive by chance (Poisson), at
//! shards by chance, and every policy meets the same ones.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::*;
use crate::base::{Chance, Instant};

const BACKENDS: usize = 8;
/// The bad one.
const BAD: usize = 3;
const SECONDS: f64 = 60.0;
/// From here on the bad one is to be known.
const KNOWN_AFTER: f64 = 1.0;
/// What every first token takes, whatever waits.
const FLOOR: f64 = 0.02;
const PER_TOKEN: f64 = 0.0001;
const PACE: f64 = 0.02;
const ANSWER_TOKENS: u64 = 50;
/// How long a client waits for a first token.
const PATIENCE: f64 = 10.0;
const SHORT: u64 = 100;
const LONG: u64 = 30_000;

/// What is wrong with the bad one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scenario {
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
enum Chooser {
    /// With ejection.
    Ours(Policy),
    /// Without.
    Plain(Policy),
    /// Knows when each backend would have read the prompt.
    Oracle,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Seconds to the first token.
    median: f64,
    p99: f64,
    /// Of all requests after the first second, in per cent.
    bad_share: f64,
    errors: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    FirstToken,
    End,
    Failure,
    GivesUp,
}

/// One backend's engine.
#[derive(Clone, Copy, Debug, Default)]
struct Engine {
    free_at: f64,
    served: u32,
}

impl Scenario {
    /// Seconds between two arrivals: the well ones work 60 % of their time, or
    /// half of it where prompts differ so much.
    fn gap(self) -> f64 {
        match self {
            Self::TwoSizes => {
                let mean = 0.98 * SHORT as f64 + 0.02 * LONG as f64;
                mean * PER_TOKEN / (BACKENDS as f64 * 0.5)
            }
            _ => SHORT as f64 * PER_TOKEN / ((BACKENDS - 1) as f64 * 0.6),
        }
    }

    fn tokens(self, chance: &mut Chance) -> u64 {
        if self == Self::TwoSizes && chance.below(50) == 0 { LONG } else { SHORT }
    }

    /// When this backend would have read the prompt; never, if it is bad so.
    fn read_at(self, backend: usize, engine: &Engine, tokens: u64, now: f64) -> f64 {
        let times = match self {
            Self::Slow if backend == BAD => 5.0,
            Self::Cold if backend == BAD && engine.served < 20 => 10.0,
            Self::BlackHole | Self::Stall | Self::StallOfWhole if backend == BAD => f64::INFINITY,
            _ => 1.0,
        };
        engine.free_at.max(now) + tokens as f64 * PER_TOKEN * times
    }
}

fn at(seconds: f64) -> Instant {
    // Not zero, so that nothing is taken for unset.
    Instant::from_nanos(1_000_000_000 + (seconds * 1e9) as u64)
}

fn balancing(policy: Policy, ejects: bool) -> Balancing {
    let mut balancing = Balancing { policy, ..Balancing::DEFAULT };
    if !ejects {
        balancing.ejection.after = None;
        balancing.ejection.below_percent = None;
    }
    balancing
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
    fn serve(&mut self, backend: usize, tokens: u64, now: f64, ticket: Option<Ticket<'f>>) {
        let request = self.requests.len();
        self.requests.push(Request { ticket, came_at: now });
        let mut later = |seconds: f64, event| {
            self.events.push(Reverse(((seconds * 1e9) as u64, request, event)));
        };
        match self.scenario {
            Scenario::BlackHole if backend == BAD => later(now + 0.001, Event::Failure),
            Scenario::Stall | Scenario::StallOfWhole if backend == BAD => {
                later(now + PATIENCE, Event::GivesUp)
            }
            _ => {
                let engine = &mut self.engines[backend];
                let read_at = self.scenario.read_at(backend, engine, tokens, now);
                engine.free_at = read_at;
                engine.served += 1;
                let slower = self.scenario == Scenario::Slow && backend == BAD;
                let times = if slower { 5.0 } else { 1.0 };
                let first = read_at + FLOOR * times;
                if self.scenario != Scenario::StallOfWhole {
                    later(first, Event::FirstToken);
                }
                later(first + PACE * times * (ANSWER_TOKENS - 1) as f64, Event::End);
            }
        }
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
                        completion_tokens: ANSWER_TOKENS,
                        at_backends_pace: true,
                    };
                    if let Some(ticket) = request.ticket.take() {
                        ticket.done(outturn, at(now));
                    }
                    if is_known && self.scenario == Scenario::StallOfWhole {
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

fn run(scenario: Scenario, chooser: Chooser, shards: usize, seed: u64) -> Outcome {
    let fleet = match chooser {
        Chooser::Ours(policy) => Fleet::new(BACKENDS, balancing(policy, true)),
        Chooser::Plain(policy) => Fleet::new(BACKENDS, balancing(policy, false)),
        Chooser::Oracle => Fleet::new(BACKENDS, Balancing::DEFAULT),
    };
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
        let uniform = (arrivals.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        now += -(1.0 - uniform).ln() * scenario.gap();
        let (tokens, shard) = (scenario.tokens(&mut arrivals), arrivals.below(shards));
        world.run_until(now);
        let whole = scenario == Scenario::StallOfWhole;
        let shape = if whole { Shape::Whole } else { Shape::Streamed };
        let work = Work { prompt_bytes: tokens as u32 * 4, shape };
        let (backend, ticket) = if chooser == Chooser::Oracle {
            let read_at = |&b: &usize| scenario.read_at(b, &world.engines[b], tokens, now);
            let all = 0..BACKENDS;
            let best = all.min_by(|a, b| read_at(a).total_cmp(&read_at(b)));
            (best.unwrap(), None)
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
    outcome(&mut world.waits, world.errors, bad as f64 / known as f64)
}

fn outcome(waits: &mut [f64], errors: usize, bad_share: f64) -> Outcome {
    waits.sort_unstable_by(f64::total_cmp);
    let quantile = |of: f64| waits[((waits.len() - 1) as f64 * of) as usize];
    Outcome { median: quantile(0.5), p99: quantile(0.99), bad_share: bad_share * 100.0, errors }
}

/// Runs everybody and prints the table. Returns ours and the oracle's.
fn compare(scenario: Scenario, shards: usize) -> (Outcome, Outcome) {
    let row = |chooser| {
        let found = run(scenario, chooser, shards, 7);
        #[allow(clippy::print_stdout, reason = "the table is what the test shows")]
        {
            let Outcome { median, p99, bad_share, errors } = found;
            let (median, p99) = (median * 1e3, p99 * 1e3);
            println!(
                "{:10} {shards:2} shards  {:28} p50 {median:8.1} ms  p99 {p99:8.1} ms  \
                 to the bad one {bad_share:6.2} %  errors {errors}",
                format!("{scenario:?}"),
                format!("{chooser:?}"),
            );
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
