//! Conversations that begin alike, at eight engines that each keep what they
//! have read lately, in virtual time and from a fixed seed: how much of the
//! prompts each policy lets an engine find in its cache, and how soon the first
//! token comes.
//!
//! An engine reads one prompt after another, at a constant rate, and only what
//! its cache has not; it writes any number of answers at once. Its cache holds
//! a number of blocks and drops those that were not used for longest.
//! Conversations come by chance, have one of a few beginnings, and go on for a
//! few turns, each with all that was said before.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::{blocks::BLOCK_BYTES, seat::mix, *};
use crate::base::{Chance, Instant};

const BACKENDS: usize = 8;
const SECONDS: f64 = 120.0;
/// From here on the caches are warm.
const WARM_AFTER: f64 = 30.0;
/// Kinds of conversations, by what they begin with, and how long that is.
const BEGINNINGS: usize = 24;
const BEGINNING_BYTES: [usize; 3] = [2_000, 6_000, 16_000];
const TURNS: usize = 6;
/// What each turn adds: a question, and the answer before it.
const TURN_BYTES: usize = 1_800;
/// Seconds between an answer and the next turn, on average.
const THINKING: f64 = 8.0;
const FLOOR: f64 = 0.02;
const PER_TOKEN: f64 = 0.0001;
const PACE: f64 = 0.02;
const ANSWER_TOKENS: u64 = 50;
const BYTES_PER_TOKEN: f64 = 4.0;
/// Text that an engine's cache holds: a third of what is talked about at a time.
const CACHE_BYTES: usize = 700_000;

/// Who chooses.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Chooser {
    Of(Policy),
    /// Whoever has read most of it, whatever waits there; else anybody.
    Longest,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Of all blocks of prompts, those that were in the cache, in per cent.
    hits: f64,
    median: f64,
    p99: f64,
    /// The most that a backend was given, of its fair share.
    largest_share: f64,
}

/// The cache of keys and values: what it holds, and when that was used last.
#[derive(Default)]
struct Engine {
    blocks: HashMap<u64, u64>,
    used: BinaryHeap<Reverse<(u64, u64)>>,
    uses: u64,
    free_at: f64,
}

impl Engine {
    /// Reads a prompt; says how many of its blocks it had.
    fn read(&mut self, prompt: &[u64]) -> usize {
        let had = prompt.iter().take_while(|block| self.blocks.contains_key(block)).count();
        // What a block stands for is of no use without those before it, so the
        // deepest goes first.
        for &block in prompt.iter().rev() {
            self.uses += 1;
            self.blocks.insert(block, self.uses);
            self.used.push(Reverse((self.uses, block)));
        }
        while self.blocks.len() > CACHE_BYTES / BLOCK_BYTES {
            let Some(Reverse((when, block))) = self.used.pop() else { break };
            if self.blocks.get(&block) == Some(&when) {
                self.blocks.remove(&block);
            }
        }
        had
    }
}

/// One conversation.
#[derive(Clone, Copy)]
struct Talk {
    id: u64,
    beginning: usize,
    turn: usize,
}

impl Talk {
    fn bytes(self) -> usize {
        BEGINNING_BYTES[self.beginning % BEGINNING_BYTES.len()] + (self.turn + 1) * TURN_BYTES
    }

    /// Its text: what is common to all of its kind, then its own.
    fn text(self) -> Vec<u8> {
        let common = BEGINNING_BYTES[self.beginning % BEGINNING_BYTES.len()];
        let words = |of: u64, bytes: usize| {
            let word = move |place| mix(of << 32 | place as u64).to_le_bytes();
            (0..bytes.div_ceil(8)).flat_map(word).take(bytes)
        };
        let own = words(self.id + 1000, self.bytes() - common);
        words(self.beginning as u64, common).chain(own).collect()
    }

    /// The blocks as an engine tells them apart, by another way than ours.
    fn blocks(self) -> Vec<u64> {
        let common = BEGINNING_BYTES[self.beginning % BEGINNING_BYTES.len()] / BLOCK_BYTES;
        let of = |place| if place < common { self.beginning as u64 } else { self.id + 1000 };
        (0..self.bytes() / BLOCK_BYTES).map(|place| of(place) << 32 | place as u64).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Asks,
    FirstToken,
    End,
}

fn at(seconds: f64) -> Instant {
    Instant::from_nanos(1_000_000_000 + (seconds * 1e9) as u64)
}

fn wait(mean: f64, chance: &mut Chance) -> f64 {
    f64::from(chance.exponential()) * mean
}

struct World<'f> {
    engines: Vec<Engine>,
    events: BinaryHeap<Reverse<(u64, Event, usize)>>,
    asked: Vec<(Talk, Option<Ticket<'f>>)>,
    waits: Vec<f64>,
    given: [usize; BACKENDS],
    blocks: usize,
    hits: usize,
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

impl World<'_> {
    /// The engine reads the prompt, and answers later. Returns how long that
    /// takes to the first token.
    fn serve(&mut self, backend: usize, talk: Talk, request: usize, now: f64) {
        let prompt = talk.blocks();
        let engine = &mut self.engines[backend];
        let had = engine.read(&prompt);
        let bytes = talk.bytes() - had * BLOCK_BYTES;
        engine.free_at = engine.free_at.max(now) + bytes as f64 / BYTES_PER_TOKEN * PER_TOKEN;
        let first = engine.free_at + FLOOR;
        let end = first + PACE * (ANSWER_TOKENS - 1) as f64;
        self.events.push(Reverse((nanos(first), Event::FirstToken, request)));
        self.events.push(Reverse((nanos(end), Event::End, request)));
        if now >= WARM_AFTER {
            self.hits += had;
            self.blocks += prompt.len();
            self.given[backend] += 1;
            self.waits.push(first - now);
        }
    }
}

/// `gap` are the seconds between two conversations that begin.
fn run(chooser: Chooser, shards: usize, gap: f64, seed: u64) -> Outcome {
    let policy = match chooser {
        Chooser::Of(policy) => policy,
        Chooser::Longest => Policy::Random,
    };
    // What we think that a cache holds is not what it holds.
    let prefix_bytes = CACHE_BYTES * 3 / 2;
    let fleet = Fleet::new(BACKENDS, Balancing { policy, prefix_bytes, ..Balancing::DEFAULT });
    let mut turns: Vec<Turn> = (0..shards).map(|shard| Turn::new(&fleet, shard)).collect();
    let (mut chance, mut arrivals) = (Chance::seeded(seed + 1), Chance::seeded(seed));
    let mut world = World {
        engines: (0..BACKENDS).map(|_| Engine::default()).collect(),
        events: BinaryHeap::new(),
        asked: Vec::new(),
        waits: Vec::new(),
        given: [0; BACKENDS],
        blocks: 0,
        hits: 0,
    };
    let mut begins_at = 0.0;
    while begins_at < SECONDS {
        // A few beginnings are asked for much more than others.
        let beginning = arrivals.below(BEGINNINGS).min(arrivals.below(BEGINNINGS));
        let talk = Talk { id: world.asked.len() as u64, beginning, turn: 0 };
        world.events.push(Reverse((nanos(begins_at), Event::Asks, world.asked.len())));
        world.asked.push((talk, None));
        begins_at += wait(gap, &mut arrivals);
    }
    while let Some(Reverse((time, event, request))) = world.events.pop() {
        let now = time as f64 / 1e9;
        let talk = world.asked[request].0;
        match event {
            Event::Asks => {
                let text = talk.text();
                let hashes = hashes(&[&text], seed);
                let work = Work { prompt_bytes: text.len() as u32, shape: Shape::Streamed };
                let ask = Ask {
                    conversation: Some(talk.id),
                    hashes: &hashes,
                    ..Ask::new(fleet.everyone(), policy, work)
                };
                let backend = if chooser == Chooser::Longest {
                    let blocks = talk.blocks();
                    let known = |engine: &Engine| {
                        blocks.iter().take_while(|block| engine.blocks.contains_key(block)).count()
                    };
                    let anybody = chance.below(BACKENDS);
                    let all = (0..BACKENDS).map(|step| (anybody + step) % BACKENDS);
                    all.rev().max_by_key(|&backend| known(&world.engines[backend])).unwrap()
                } else {
                    let turn = &mut turns[arrivals.below(shards)];
                    let ticket = fleet.pick(turn, &ask, at(now), &mut chance).unwrap();
                    let backend = ticket.backend().0;
                    world.asked[request].1 = Some(ticket);
                    backend
                };
                world.serve(backend, talk, request, now);
            }
            Event::FirstToken => {
                if let Some(ticket) = &mut world.asked[request].1 {
                    ticket.first_byte(at(now));
                }
            }
            Event::End => {
                let outturn = Outturn {
                    prompt_tokens: None,
                    completion_tokens: ANSWER_TOKENS,
                    at_backends_pace: true,
                };
                if let Some(ticket) = world.asked[request].1.take() {
                    ticket.done(outturn, at(now));
                }
                let next = now + wait(THINKING, &mut arrivals);
                if talk.turn + 1 < TURNS && next < SECONDS {
                    let place = world.asked.len();
                    world.asked.push((Talk { turn: talk.turn + 1, ..talk }, None));
                    world.events.push(Reverse((nanos(next), Event::Asks, place)));
                }
            }
        }
    }
    outcome(&mut world)
}

fn outcome(world: &mut World<'_>) -> Outcome {
    let waits = &mut world.waits;
    waits.sort_unstable_by(f64::total_cmp);
    let quantile = |of: f64| waits[((waits.len() - 1) as f64 * of) as usize];
    let most = world.given.iter().max().copied().unwrap_or_default();
    let all: usize = world.given.iter().sum();
    Outcome {
        hits: world.hits as f64 / world.blocks as f64 * 100.0,
        median: quantile(0.5),
        p99: quantile(0.99),
        largest_share: most as f64 * BACKENDS as f64 / all as f64,
    }
}

fn row(chooser: Chooser, shards: usize, gap: f64) -> Outcome {
    let found = run(chooser, shards, gap, 7);
    #[allow(clippy::print_stdout, reason = "the table is what the test shows")]
    {
        let Outcome { hits, median, p99, largest_share } = found;
        println!(
            "{:5.0} conversations/s  {shards:2} shards  {:18} hits {hits:5.1} %  p50 {:8.1} ms  \
             p99 {:8.1} ms  largest share {largest_share:5.2}",
            1.0 / gap,
            format!("{chooser:?}"),
            median * 1e3,
            p99 * 1e3,
        );
    }
    found
}

/// Runs everybody under a load, and holds `prefix` to what it promises.
#[track_caller]
fn check(conversations_per_second: f64) {
    let gap = 1.0 / conversations_per_second;
    let round_robin = row(Chooser::Of(Policy::RoundRobin), 1, gap);
    row(Chooser::Of(Policy::LeastLatency), 1, gap);
    row(Chooser::Of(Policy::SessionHash), 1, gap);
    let longest = row(Chooser::Longest, 1, gap);
    for shards in [1, 4, 16] {
        let ours = row(Chooser::Of(Policy::Prefix), shards, gap);
        assert!(ours.hits > round_robin.hits + 10.0, "{shards}: {ours:?} {round_robin:?}");
        assert!(ours.p99 < round_robin.p99 / 2.0, "{shards}: {ours:?} {round_robin:?}");
        assert!(ours.hits > longest.hits - 5.0, "{shards}: {ours:?} {longest:?}");
        assert!(ours.p99 < longest.p99 * 1.3, "{shards}: {ours:?} {longest:?}");
        assert!(ours.largest_share <= 1.25, "{shards}: {ours:?}");
    }
}

#[test]
fn conversations_go_on_where_they_were_read_under_a_light_load() {
    check(8.0);
}

#[test]
fn conversations_go_on_where_they_were_read_under_a_load_that_others_do_not_bear() {
    check(15.0);
}
