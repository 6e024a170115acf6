//! All backends as all shards see them, and what one shard keeps for itself to
//! choose among them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{
    BackendId, Balancing, Figures, Ticket, Work,
    choice::Choice,
    cost::{Terms, Usual},
    load::Load,
    prompts::Prompts,
};
use crate::base::{Chance, Instant};

/// How often a shard works out what is usual. The estimates it is worked out
/// from move in seconds.
const USUAL_EVERY: Duration = Duration::from_millis(250);

/// What is known of all backends of one plan. It outlives changes of addresses;
/// what is known of a backend outlives plans that leave it as it is.
#[derive(Debug)]
pub struct Fleet {
    /// Each on cache lines of its own, and shared with the fleets of other
    /// plans that have the same backend.
    loads: Box<[Arc<Load>]>,
    balancing: Balancing,
    pub(super) prompts: Arc<Prompts>,
    /// The bits of the numbers of [`Usual`].
    usual: [AtomicU32; 3],
    /// A shard decides whether to eject: no other does at that moment, or
    /// both might find that there is room for one more.
    ejecting: AtomicBool,
}

/// What one shard keeps to choose with.
#[derive(Debug)]
pub struct Turn {
    /// Whose turn it is.
    next: usize,
    usual_at: Option<Instant>,
    /// Room to sort estimates in.
    sorted: Vec<f32>,
}

impl Turn {
    /// `first` is where this shard begins, so that shards that start together
    /// do not all begin with the same backend.
    #[must_use]
    pub fn new(fleet: &Fleet, first: usize) -> Self {
        let backends = fleet.loads.len();
        Self { next: first % backends.max(1), usual_at: None, sorted: Vec::with_capacity(backends) }
    }
}

impl Fleet {
    #[must_use]
    pub fn new(backends: usize, balancing: Balancing) -> Self {
        Self {
            loads: (0..backends).map(|_| Arc::default()).collect(),
            balancing,
            prompts: Arc::default(),
            usual: bits(Usual::GUESS),
            ejecting: AtomicBool::new(false),
        }
    }

    /// The fleet of a plan that follows this one's. `known` says of each of its
    /// backends which one it was here; what is known of it goes on, requests
    /// under way included.
    #[must_use]
    pub fn followed_by(&self, known: &[Option<BackendId>], balancing: Balancing) -> Self {
        let load = |known: &Option<BackendId>| {
            let load = known.and_then(|known| self.loads.get(known.0));
            load.map(Arc::clone).unwrap_or_default()
        };
        Self {
            loads: known.iter().map(load).collect(),
            balancing,
            prompts: Arc::clone(&self.prompts),
            usual: bits(self.usual()),
            ejecting: AtomicBool::new(false),
        }
    }

    /// Chooses a backend that is not in `tried`, and counts the request there.
    pub fn pick(
        &self,
        turn: &mut Turn,
        work: Work,
        tried: &[BackendId],
        now: Instant,
        chance: &mut Chance,
    ) -> Option<Ticket<'_>> {
        self.refresh_usual(turn, now);
        let tokens = self.prompts.tokens(work.prompt_bytes);
        let terms = Terms {
            line: self.prompts.line(),
            usual: self.usual(),
            capacity: self.balancing.capacity as f32,
            tokens,
            shape: work.shape,
            now,
        };
        let policy = self.balancing.policy;
        let choice = Choice { loads: &self.loads, policy, terms, tried };
        let chosen = choice.make(&mut turn.next, chance)?;
        Some(Ticket::begin(self, chosen, work, tokens, now))
    }

    pub(super) fn load(&self, backend: BackendId) -> &Load {
        &self.loads[backend.0]
    }

    pub(super) fn usual(&self) -> Usual {
        // Each number is an estimate of its own, so they need not be of one
        // moment.
        let number = |place: usize| f32::from_bits(self.usual[place].load(Ordering::Relaxed));
        Usual { slowness: number(0), pace: number(1), first_byte: number(2) }
    }

    /// Whether any backend is not known to be out of reach.
    #[must_use]
    pub fn any_ready(&self, now: Instant) -> bool {
        self.loads.iter().any(|load| !load.health.is_resting(now))
    }

    /// One backend's figures, as they are shown; `None` if there is none.
    #[must_use]
    pub fn figures(&self, backend: BackendId, now: Instant) -> Option<Figures> {
        let load = self.loads.get(backend.0)?;
        let counts = load.counts();
        let slowness = load.slowness.last();
        Some(Figures {
            waiting: counts.waiting(),
            streams: counts.streams(),
            ejected: load.health.is_ejected(now),
            first_token: slowness.map(|slowness| slowness * self.prompts.line().at(1000.0)),
            pace: load.pace.last(),
            picks: load.picks(),
            failures: load.failures(),
        })
    }

    /// How long a backend is left alone that asks for so long.
    pub(super) fn bearable(&self, asked: Duration) -> Duration {
        asked.min(self.balancing.ejection.pause_max)
    }

    /// A backend has failed. It may have asked to be left alone for a time.
    /// Returns for how long it is, if it is from now on.
    pub(super) fn judge(
        &self,
        backend: BackendId,
        asked: Option<Duration>,
        now: Instant,
    ) -> Option<Duration> {
        let ejection = &self.balancing.ejection;
        let load = self.load(backend);
        load.count_failure();
        let pause = load.health.failed(ejection, now);
        let longest = pause.max(asked)?;
        if self.ejecting.swap(true, Ordering::Acquire) {
            return None; // Its next failure is soon enough.
        }
        let is_out = |load: &&Arc<Load>| load.health.is_ejected(now);
        let out = self.loads.iter().filter(is_out).count();
        let is_more = usize::from(!load.health.is_ejected(now));
        // Never more than half: what is left could not bear it, and would
        // fail in its turn.
        let is_borne = 2 * (out + is_more) <= self.loads.len();
        if is_borne {
            load.health.eject(longest, pause.is_some(), now);
        }
        self.ejecting.store(false, Ordering::Release);
        is_borne.then_some(longest)
    }

    fn refresh_usual(&self, turn: &mut Turn, now: Instant) {
        if turn.usual_at.is_some_and(|at| now.since(at) < USUAL_EVERY) {
            return;
        }
        turn.usual_at = Some(now);
        let mut median = |figure: fn(&Load) -> Option<f32>, guess| {
            turn.sorted.clear();
            turn.sorted.extend(self.loads.iter().filter_map(|load| figure(load)));
            turn.sorted.sort_unstable_by(f32::total_cmp);
            // Of two in the middle the lower: of two backends, the fast one.
            let middle = turn.sorted.len().saturating_sub(1) / 2;
            turn.sorted.get(middle).copied().unwrap_or(guess)
        };
        let usual = Usual {
            slowness: median(|load| load.slowness.last(), Usual::GUESS.slowness),
            pace: median(|load| load.pace.last(), Usual::GUESS.pace),
            first_byte: median(|load| load.first_byte.last(), Usual::GUESS.first_byte),
        };
        for (shared, number) in self.usual.iter().zip(numbers(usual)) {
            shared.store(number.to_bits(), Ordering::Relaxed);
        }
    }
}

fn bits(usual: Usual) -> [AtomicU32; 3] {
    numbers(usual).map(|number| AtomicU32::new(number.to_bits()))
}

fn numbers(usual: Usual) -> [f32; 3] {
    [usual.slowness, usual.pace, usual.first_byte]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(fleet: &Fleet, tried: &[BackendId]) -> BackendId {
        let (mut turn, mut chance) = (Turn::new(fleet, 0), Chance::seeded(1));
        let now = Instant::from_nanos(1);
        let ticket = fleet.pick(&mut turn, Work::default(), tried, now, &mut chance).unwrap();
        let backend = ticket.backend();
        ticket.failed(None, now);
        backend
    }

    #[test]
    fn what_is_known_of_a_backend_goes_with_it_into_the_next_plan() {
        let now = Instant::from_nanos(1);
        let before = Fleet::new(2, Balancing::DEFAULT);
        assert_eq!(pick(&before, &[BackendId(0)]), BackendId(1));
        before.prompts.learn_line(1000.0, 0.001);
        let after = before.followed_by(&[None, Some(BackendId(1)), None], Balancing::DEFAULT);
        let failures =
            |fleet: &Fleet, place| fleet.figures(BackendId(place), now).unwrap().failures;
        assert_eq!([failures(&after, 0), failures(&after, 1), failures(&after, 2)], [0, 1, 0]);
        assert_eq!(after.prompts.line(), before.prompts.line());
        // A request that is still told by the plan before counts in both.
        let _ = pick(&before, &[BackendId(0)]);
        assert_eq!(failures(&after, 1), 2);
    }

    #[test]
    fn a_backend_that_was_none_of_the_plan_before_begins_anew() {
        let before = Fleet::new(1, Balancing::DEFAULT);
        let _ = pick(&before, &[]);
        let after = before.followed_by(&[Some(BackendId(7))], Balancing::DEFAULT);
        assert_eq!(after.figures(BackendId(0), Instant::from_nanos(1)).unwrap().picks, 0);
    }
}
