//! All backends as all shards see them, and what one shard keeps for itself to
//! choose among them.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use super::{
    BackendId, Balancing, EngineFigures, Figures, Probed, Ticket, Work,
    choice::Choice,
    cost::{Terms, Usual},
    load::Load,
    prompts::Prompts,
};
use crate::base::{Chance, Instant};

/// How often a shard works out what is usual. The estimates it is worked out
/// from move in seconds.
const USUAL_EVERY: Duration = Duration::from_millis(250);

/// What is known of all backends. One for the process; it outlives changes of
/// addresses.
#[derive(Debug)]
pub struct Fleet {
    loads: Box<[Load]>,
    balancing: Balancing,
    pub(super) prompts: Prompts,
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
            loads: (0..backends).map(|_| Load::default()).collect(),
            balancing,
            prompts: Prompts::default(),
            usual: numbers(Usual::GUESS).map(|number| AtomicU32::new(number.to_bits())),
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
        let is_out = |load: &&Load| load.health.is_ejected(now);
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

    /// Probes have found a backend to be so. To be told again and again: an
    /// unhealthy one is left alone as soon as the others bear it.
    pub fn set_probed(&self, backend: BackendId, probed: Probed, now: Instant) {
        let Some(load) = self.loads.get(backend.0) else { return };
        if probed == Probed::Healthy || load.health.is_ejected(now) {
            return load.health.set_probed(probed);
        }
        if self.ejecting.swap(true, Ordering::Acquire) {
            return; // The next probe is soon enough.
        }
        let out = self.loads.iter().filter(|load| load.health.is_ejected(now)).count();
        if 2 * (out + 1) <= self.loads.len() {
            load.health.set_probed(probed);
        }
        self.ejecting.store(false, Ordering::Release);
    }

    /// What the engine of a backend has said of itself.
    pub fn note_engine(&self, backend: BackendId, figures: EngineFigures, now: Instant) {
        if let Some(load) = self.loads.get(backend.0) {
            load.engine.note(figures, load.counts(), self.balancing.capacity as f32, now);
        }
    }

    fn refresh_usual(&self, turn: &mut Turn, now: Instant) {
        if turn.usual_at.is_some_and(|at| now.since(at) < USUAL_EVERY) {
            return;
        }
        turn.usual_at = Some(now);
        let mut median = |figure: fn(&Load) -> Option<f32>, guess| {
            turn.sorted.clear();
            turn.sorted.extend(self.loads.iter().filter_map(figure));
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

fn numbers(usual: Usual) -> [f32; 3] {
    [usual.slowness, usual.pace, usual.first_byte]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many backends these are found unhealthy in turn: those that are
    /// left alone for it.
    #[track_caller]
    fn check(backends: usize, unhealthy: &[usize], expected: &[usize]) {
        let fleet = Fleet::new(backends, Balancing::DEFAULT);
        let now = Instant::default();
        let tell = |place: usize, probed| fleet.set_probed(BackendId(place), probed, now);
        unhealthy.iter().for_each(|&place| tell(place, Probed::Unhealthy));
        let is_out = |place: &usize| fleet.loads[*place].health.is_ejected(now);
        let out: Vec<usize> = (0..backends).filter(is_out).collect();
        assert_eq!(out, expected, "{unhealthy:?} of {backends}");
        (0..backends).for_each(|place| tell(place, Probed::Healthy));
        assert!((0..backends).all(|place| !is_out(&place)), "all are well again");
    }

    #[test]
    fn the_last_half_is_never_left_alone_for_its_probes() {
        check(1, &[0], &[]);
        check(2, &[0, 1], &[0]);
        check(3, &[1, 2, 0], &[1]);
        check(4, &[3, 2, 1, 0], &[2, 3]);
        check(4, &[3, 3, 3, 1], &[1, 3]);
        check(2, &[7], &[]);
    }
}
