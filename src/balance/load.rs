//! What all shards know of one backend: one block of atomics on a cache line
//! of its own.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::{apart::Apart, engine::Engine, estimate::Estimate, front::Front, health::Health};
use crate::base::Instant;

/// Aligned to two lines, as the neighbour of a line is fetched along with it.
/// What every choice reads stands in the first two.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Load {
    /// Three counts in one word: see [`Counts`].
    counts: AtomicU64,
    /// Estimated tokens of the prompts that wait for their first byte.
    backlog: AtomicU64,
    /// When the last first token came, or the first began to be waited for.
    progress_at: AtomicU64,
    /// How many times as long as a usual backend of the fleet it takes to the
    /// first token, whatever the prompt's size.
    pub slowness: Estimate,
    /// Seconds for each token of an answer.
    pub pace: Estimate,
    /// Seconds that failures make it look slower.
    pub penalty: Estimate,
    pub health: Health,
    pub engine: Engine,
    /// Seconds to the first byte, whatever was asked.
    pub first_byte: Estimate,
    /// Requests that it has declined lately, for those who compare requests:
    /// it looks as if it still worked on them.
    pub declined: Estimate,
    /// Who stands in front of those that wait for a place here.
    pub front: Front,
    picks: AtomicU64,
    failures: AtomicU64,
    /// Tokens of prompts whose beginning was looked up, and of those that it
    /// had read already.
    prompt_tokens: AtomicU64,
    prompt_tokens_read: AtomicU64,
    /// Models that it has had no room for.
    pub apart: Apart,
}

/// Requests of one backend, 20 bits for each count: a change of several is
/// one operation.
///
/// ```text
/// waiting for the first byte | those of them that wait for a token | streams
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts(u64);

impl Counts {
    const BITS: u32 = 20;
    const WAITING: u64 = 1;
    const DUE: u64 = 1 << Self::BITS;
    const STREAMS: u64 = 1 << (2 * Self::BITS);

    fn count(self, unit: u64) -> u32 {
        (self.0 / unit) as u32 & ((1 << Self::BITS) - 1)
    }

    /// Before their first byte.
    pub fn waiting(self) -> u32 {
        self.count(Self::WAITING)
    }

    /// Those of them whose first byte is the model's first token.
    pub fn due(self) -> u32 {
        self.count(Self::DUE)
    }

    /// Past their first byte.
    pub fn streams(self) -> u32 {
        self.count(Self::STREAMS)
    }

    pub fn in_flight(self) -> u32 {
        self.waiting() + self.streams()
    }

    /// Whether one more has room beside them.
    fn fits(self, room: Room) -> bool {
        self.in_flight() < room.in_flight && self.waiting() < room.waiting
    }

    /// What one request that waits adds.
    fn of_waiting(due: bool) -> u64 {
        Self::WAITING + if due { Self::DUE } else { 0 }
    }
}

/// How many requests a backend may have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub in_flight: u32,
    /// Of them before their first byte.
    pub waiting: u32,
}

impl Room {
    /// As many as can be counted.
    pub const WIDE: Self =
        Self { in_flight: (1 << Counts::BITS) - 1, waiting: (1 << Counts::BITS) - 1 };
}

/// One backend's figures, as they are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    pub waiting: u32,
    pub streams: u32,
    pub ejected: bool,
    /// Models that leave it alone, as it has no room for them.
    pub ejected_models: usize,
    pub probed_unhealthy: bool,
    /// The part of its share that it is given since it came.
    pub share: f32,
    /// Requests of others that wait in its engine, as far as it has said so.
    pub engine_waiting: f32,
    pub engine_running: f32,
    /// The part of its engine's cache that is in use.
    pub kv_usage: f32,
    /// Seconds to the first token of a prompt of 1,000 tokens, with nothing
    /// ahead of it; `None` before any was seen.
    pub first_token: Option<f32>,
    /// Seconds for each token of an answer.
    pub pace: Option<f32>,
    /// Of prompts that were sent to it by what they begin with, and of those
    /// what it is thought to have read already.
    pub prompt_tokens: u64,
    pub prompt_tokens_read: u64,
    pub picks: u64,
    pub failures: u64,
}

impl Load {
    pub fn counts(&self) -> Counts {
        // Whoever sees that a token is due also sees since when.
        Counts(self.counts.load(Acquire))
    }

    pub fn has_room(&self, room: Room) -> bool {
        self.counts().fits(room)
    }

    pub fn backlog(&self) -> u64 {
        self.backlog.load(Relaxed)
    }

    pub fn picks(&self) -> u64 {
        self.picks.load(Relaxed)
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// A request is sent here, if it has room, whatever other shards do at the
    /// same moment. Returns the tokens that wait, its own included.
    pub fn begin(&self, tokens: u64, due: bool, room: Room, now: Instant) -> Option<u64> {
        if due && self.counts().due() == 0 {
            self.progress_at.store(now.as_nanos(), Relaxed);
        }
        let more = |word| Counts(word).fits(room).then(|| word + Counts::of_waiting(due));
        self.counts.fetch_update(Release, Relaxed, more).ok()?;
        self.picks.fetch_add(1, Relaxed);
        Some(self.backlog.fetch_add(tokens, Relaxed) + tokens)
    }

    /// Its first byte has come.
    pub fn to_stream(&self, tokens: u64, due: bool, now: Instant) {
        let change = Counts::STREAMS.wrapping_sub(Counts::of_waiting(due));
        self.counts.fetch_add(change, Relaxed);
        self.backlog.fetch_sub(tokens, Relaxed);
        if due {
            self.progress_at.store(now.as_nanos(), Relaxed);
        }
    }

    /// It is over without a first byte.
    pub fn end_waiting(&self, tokens: u64, due: bool) {
        self.counts.fetch_sub(Counts::of_waiting(due), Relaxed);
        self.backlog.fetch_sub(tokens, Relaxed);
    }

    pub fn end_stream(&self) {
        self.counts.fetch_sub(Counts::STREAMS, Relaxed);
    }

    pub fn count_read(&self, tokens: u64, read: u64) {
        self.prompt_tokens.fetch_add(tokens, Relaxed);
        self.prompt_tokens_read.fetch_add(read, Relaxed);
    }

    pub fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens.load(Relaxed)
    }

    pub fn prompt_tokens_read(&self) -> u64 {
        self.prompt_tokens_read.load(Relaxed)
    }

    pub fn count_failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// Seconds for which a first token is due and none has come.
    pub fn silence(&self, counts: Counts, now: Instant) -> f32 {
        if counts.due() == 0 {
            return 0.0;
        }
        super::seconds(now.since(Instant::from_nanos(self.progress_at.load(Relaxed))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default().after(Duration::from_secs(seconds))
    }

    #[track_caller]
    fn check(load: &Load, waiting: u32, due: u32, streams: u32, backlog: u64) {
        let counts = load.counts();
        let found = (counts.waiting(), counts.due(), counts.streams(), load.backlog());
        assert_eq!(found, (waiting, due, streams, backlog));
    }

    #[test]
    fn every_count_is_given_back() {
        let load = Load::default();
        assert_eq!(load.begin(10, true, Room::WIDE, at(0)), Some(10));
        assert_eq!(load.begin(20, false, Room::WIDE, at(0)), Some(30));
        assert_eq!(load.begin(30, true, Room::WIDE, at(0)), Some(60));
        check(&load, 3, 2, 0, 60);
        load.to_stream(10, true, at(1));
        load.to_stream(20, false, at(1));
        check(&load, 1, 1, 2, 30);
        load.end_waiting(30, true);
        check(&load, 0, 0, 2, 0);
        load.end_stream();
        load.end_stream();
        check(&load, 0, 0, 0, 0);
        assert_eq!((load.picks(), load.counts()), (3, Counts::default()));
    }

    #[test]
    fn a_backend_is_silent_while_a_token_is_due() {
        let load = Load::default();
        let silence = |seconds| load.silence(load.counts(), at(seconds));
        load.begin(1, false, Room::WIDE, at(0));
        assert_eq!(silence(5), 0.0);
        load.begin(1, true, Room::WIDE, at(5));
        load.begin(1, true, Room::WIDE, at(6));
        assert_eq!(silence(7), 2.0);
        load.to_stream(1, true, at(8));
        assert_eq!(silence(9), 1.0);
        load.end_waiting(1, true);
        assert_eq!(silence(99), 0.0);
    }

    #[test]
    fn nobody_has_more_than_its_room_whoever_asks_at_once() {
        let (load, room) = (Load::default(), Room { in_flight: 7, waiting: 5 });
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if load.begin(3, true, room, at(1)).is_none() {
                            continue;
                        }
                        taken.fetch_add(1, Relaxed);
                        let counts = load.counts();
                        assert!(counts.in_flight() <= 7 && counts.waiting() <= 5, "{counts:?}");
                        std::thread::yield_now();
                        load.to_stream(3, true, at(1));
                        load.end_stream();
                    }
                });
            }
        });
        check(&load, 0, 0, 0, 0);
        assert_eq!(load.picks(), taken.load(Relaxed), "only what was sent is counted");
    }

    #[test]
    fn room_is_for_those_that_wait_and_for_all() {
        let load = Load::default();
        let begin =
            |in_flight, waiting| load.begin(1, false, Room { in_flight, waiting }, at(0)).is_some();
        assert!(!begin(0, 9) && !begin(9, 0));
        assert!(begin(1, 1) && !begin(1, 9) && !begin(9, 1));
        load.to_stream(1, false, at(0));
        assert!(!begin(1, 1) && begin(2, 1));
    }

    #[test]
    fn one_that_waits_for_its_first_token_is_not_taken_for_silent_since_long() {
        let load = Load::default();
        load.begin(1, true, Room::WIDE, at(1));
        load.to_stream(1, true, at(2));
        load.begin(1, true, Room::WIDE, at(5000));
        assert_eq!(load.silence(load.counts(), at(5001)), 1.0);
    }

    #[test]
    fn a_backend_has_its_lines_to_itself() {
        assert_eq!((size_of::<Load>(), align_of::<Load>()), (768, 128));
        assert!(std::mem::offset_of!(Load, apart) >= 128);
        let read_by_all = std::mem::offset_of!(Load, first_byte);
        assert!(read_by_all <= 128, "{read_by_all}");
    }
}
