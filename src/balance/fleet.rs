//! All backends as all shards see them, and what one shard keeps for itself to
//! choose among them.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{
    Ask, BackendId, Balancing, EngineFigures, Figures, ModelKey, NoPick, Policy, Reach, Ticket,
    Turn,
    blocks::BLOCK_BYTES,
    choice::Choice,
    cost::{Terms, Usual},
    left::Left,
    load::Load,
    peers::{Peers, bear_without},
    prefixes::Prefixes,
    prompts::Prompts,
    seat::{Seat, mix},
};
use crate::base::{Chance, Instant};

/// How often a shard works out what is usual. The estimates it is worked out
/// from move in seconds.
const USUAL_EVERY: Duration = Duration::from_millis(250);

/// Places that a choice may lose to other shards, one after the other, before
/// the backends pass for full: each time somebody else was served.
const RACES_MAX: usize = 16;

/// What is known of all backends of one plan. It outlives changes of addresses;
/// what is known of a backend outlives plans that leave it as it is.
#[derive(Debug)]
pub struct Fleet {
    /// Each on cache lines of its own, and shared with the fleets of other
    /// plans that have the same backend.
    pub(super) loads: Box<[Arc<Load>]>,
    /// Those of plans before that may still work on requests of these plans.
    left: Left,
    pub(super) seats: Box<[Seat]>,
    everyone: Box<[BackendId]>,
    /// Who stands in for whom.
    peers: Box<[Peers]>,
    /// Who has read which conversations; made when it is asked for first, as it
    /// takes megabytes.
    prefixes: OnceLock<Arc<Prefixes>>,
    /// Whether all weigh the same, and something.
    is_even: bool,
    pub(super) balancing: Balancing,
    pub(super) prompts: Arc<Prompts>,
    /// The bits of the numbers of [`Usual`] that are medians.
    usual: [AtomicU32; 3],
    /// Whether any backend has ever had no room for a model that is told apart:
    /// here, or in the plans before.
    pub(super) tells_models_apart: Arc<AtomicBool>,
    /// A shard decides whether to eject: no other does at that moment, or
    /// both might find that there is room for one more.
    pub(super) ejecting: AtomicBool,
}

impl Fleet {
    /// Backends of which nothing is said but that they are there.
    #[must_use]
    pub fn new(backends: usize, balancing: Balancing) -> Self {
        let seats = (0..backends).map(|place| Seat::of(&place.to_string()));
        Self::of(seats.collect(), balancing)
    }

    #[must_use]
    pub fn of(seats: Vec<Seat>, balancing: Balancing) -> Self {
        let loads = seats.iter().map(|_| Arc::default()).collect();
        Self::with(loads, Arc::default(), Usual::GUESS, seats, balancing)
    }

    /// The fleet of a plan that follows this one's, of `seats`. `known` says of
    /// each of them which backend it was here; what is known of it goes on,
    /// requests under way included. So it is with one that left and comes back
    /// while requests of that time are under way. The share of the others grows
    /// from `now` on.
    #[must_use]
    pub fn followed_by(
        &self,
        known: &[Option<BackendId>],
        seats: Vec<Seat>,
        balancing: Balancing,
        now: Instant,
    ) -> Self {
        let is_of = |place: usize| known.get(place).copied().flatten();
        let mut left = self.left.clone();
        left.forget();
        let load = |(place, seat): (usize, &Seat)| match is_of(place) {
            Some(known) => self.loads.get(known.0).map(Arc::clone),
            None => left.take(seat),
        };
        let loads: Vec<_> = seats.iter().enumerate().map(load).collect();
        for (place, load) in self.loads.iter().enumerate() {
            if !known.contains(&Some(BackendId(place))) {
                left.add(self.seats[place], load);
            }
        }
        let came: Vec<_> = (0..loads.len()).filter(|&place| loads[place].is_none()).collect();
        let loads = loads.into_iter().map(Option::unwrap_or_default).collect();
        let prompts = Arc::clone(&self.prompts);
        let mut next = Self::with(loads, prompts, self.usual(), seats, balancing);
        next.left = left;
        next.tells_models_apart = Arc::clone(&self.tells_models_apart);
        // Who has read what is told by the backends' places.
        let same =
            (0..next.loads.len()).all(|place| known.get(place) == Some(&Some(BackendId(place))));
        let as_much = self.balancing.prefix_bytes == balancing.prefix_bytes;
        if same && as_much && self.loads.len() == next.loads.len() {
            next.prefixes.clone_from(&self.prefixes);
        }
        came.into_iter().for_each(|place| next.came(BackendId(place), now));
        next
    }

    /// The same, where not everyone stands in for everyone.
    #[must_use]
    pub fn with_peers(mut self, peers: Vec<Peers>) -> Self {
        self.peers = peers.into();
        self
    }

    fn with(
        loads: Box<[Arc<Load>]>,
        prompts: Arc<Prompts>,
        usual: Usual,
        seats: Vec<Seat>,
        balancing: Balancing,
    ) -> Self {
        let first_weight = seats.first().map_or(1, |seat| seat.weight);
        Self {
            loads,
            left: Left::default(),
            everyone: (0..seats.len()).map(BackendId).collect(),
            peers: Box::new([Peers::everyone(seats.len())]),
            is_even: first_weight > 0 && seats.iter().all(|seat| seat.weight == first_weight),
            prefixes: OnceLock::new(),
            seats: seats.into(),
            balancing,
            prompts,
            usual: numbers(usual).map(|number| AtomicU32::new(number.to_bits())),
            tells_models_apart: Arc::default(),
            ejecting: AtomicBool::new(false),
        }
    }

    /// Chooses a backend, and counts the request there.
    ///
    /// # Errors
    /// When there is nobody to choose.
    pub fn pick(
        &self,
        turn: &mut Turn,
        ask: &Ask<'_>,
        now: Instant,
        chance: &mut Chance,
    ) -> Result<Ticket<'_>, NoPick> {
        self.refresh_usual(turn, now);
        let tokens = self.prompts.tokens(ask.work.prompt_bytes);
        let terms = Terms {
            line: self.prompts.line(),
            usual: self.usual(),
            capacity: self.balancing.decode_slots as f32,
            tokens,
            shape: ask.work.shape,
            model: ask.model,
            now,
        };
        let prefixes = (ask.policy == Policy::Prefix).then(|| self.prefixes());
        let held = prefixes.map(|prefixes| prefixes.held(ask.hashes)).unwrap_or_default();
        let choice = Choice {
            loads: &self.loads,
            seats: &self.seats,
            is_even: self.is_even,
            policy: ask.policy,
            slow_start: self.balancing.slow_start,
            gate: ask.conversation.map_or_else(|| chance.fraction(), gate_of),
            conversation: ask.conversation,
            held: &held,
            tokens_per_block: prefixes
                .map_or(0.0, |_| self.prompts.tokens(BLOCK_BYTES as u32) as f32),
            patience: self.balancing.affinity_percent as f32 / 100.0,
            terms,
            among: ask.among,
            tried: ask.tried,
            is_first: ask.is_first && ask.tried.is_empty(),
            reach: ask.reach,
        };
        for _ in 0..RACES_MAX {
            let Some(chosen) = choice.make(turn, chance) else { break };
            let work = (ask.work, chosen.tokens);
            // Another shard may have taken the place meanwhile.
            let begun = Ticket::begin(self, chosen.backend, work, chosen.room, now);
            let Some(ticket) = begun else { continue };
            let ticket = ticket.of_model(ask.model);
            if ask.policy.is_affine() {
                turn.give(chosen.backend);
            }
            if let Some(prefixes) = prefixes {
                prefixes.note(ask.hashes, chosen.backend);
                self.load(chosen.backend).count_read(tokens, tokens - chosen.tokens.min(tokens));
            }
            return Ok(ticket);
        }
        Err(if self.is_open(ask, now) { NoPick::Full } else { NoPick::Nobody })
    }

    /// Whether somebody would be chosen if only it bore one more request.
    #[must_use]
    pub fn is_open(&self, ask: &Ask<'_>, now: Instant) -> bool {
        ask.among.iter().any(|backend| {
            let load = self.load(*backend);
            // Who proves itself is not waited for where others need not.
            let is_in_reach = ask.reach == Reach::Anyone
                || load.is_well(ask.model, now) && !load.health.is_on_probation();
            is_in_reach && !ask.tried.contains(backend)
        })
    }

    /// Whether it matters which model is asked for, before a backend has no room
    /// for it.
    #[must_use]
    pub fn tells_models_apart(&self) -> bool {
        self.tells_models_apart.load(Ordering::Relaxed)
    }

    /// Every backend.
    #[must_use]
    pub fn everyone(&self) -> &[BackendId] {
        &self.everyone
    }

    /// How a backend is chosen where nothing else is said.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.balancing.policy
    }

    fn prefixes(&self) -> &Prefixes {
        let bytes = self.balancing.prefix_bytes;
        self.prefixes.get_or_init(|| Arc::new(Prefixes::new(self.seats.len(), bytes)))
    }

    pub(super) fn load(&self, backend: BackendId) -> &Load {
        &self.loads[backend.0]
    }

    pub(super) fn usual(&self) -> Usual {
        // Each number is an estimate of its own, so they need not be of one
        // moment.
        let number = |place: usize| f32::from_bits(self.usual[place].load(Ordering::Relaxed));
        Usual {
            slowness: number(0),
            pace: number(1),
            first_byte: number(2),
            tokens: self.prompts.usual_tokens().unwrap_or(Usual::GUESS.tokens),
        }
    }

    /// Whether any backend is not known to be out of reach.
    #[must_use]
    pub fn any_ready(&self, now: Instant) -> bool {
        self.loads.iter().any(|load| !load.health.is_resting(now))
    }

    /// Whether nothing speaks against a backend.
    #[must_use]
    pub fn is_well(&self, backend: BackendId, now: Instant) -> bool {
        self.loads.get(backend.0).is_some_and(|load| load.health.is_well(now))
    }

    /// One backend's figures, as they are shown; `None` if there is none.
    #[must_use]
    pub fn figures(&self, backend: BackendId, now: Instant) -> Option<Figures> {
        let load = self.loads.get(backend.0)?;
        let counts = load.counts();
        let slowness = load.slowness.last();
        let others = load.engine.others(now);
        Some(Figures {
            waiting: counts.waiting(),
            streams: counts.streams(),
            ejected: load.health.is_ejected(now),
            ejected_models: load.ejected_models(now),
            probed_unhealthy: load.health.is_probed_unhealthy(),
            share: load.health.share(self.balancing.slow_start, now),
            engine_waiting: others.waiting,
            engine_running: others.running,
            kv_usage: others.kv_usage,
            first_token: slowness.map(|slowness| slowness * self.prompts.line().at(1000.0)),
            pace: load.pace.last(),
            prompt_tokens: load.prompt_tokens(),
            prompt_tokens_read: load.prompt_tokens_read(),
            picks: load.picks(),
            failures: load.failures(),
        })
    }

    /// How many tokens a prompt of so many bytes has, more or less.
    #[must_use]
    pub fn tokens_of(&self, prompt_bytes: u32) -> u64 {
        self.prompts.tokens(prompt_bytes)
    }

    /// What a backend's engine has told of itself.
    pub fn note_engine(&self, backend: BackendId, figures: EngineFigures, now: Instant) {
        if let Some(load) = self.loads.get(backend.0) {
            load.engine.note(figures, load.counts(), now);
        }
    }

    /// A backend was not there before: its share grows from now on, and its
    /// cache is empty.
    pub fn came(&self, backend: BackendId, now: Instant) {
        if let Some(load) = self.loads.get(backend.0) {
            load.health.came(now);
        }
        if let Some(prefixes) = self.prefixes.get() {
            prefixes.forget(backend);
        }
    }

    /// Whether the others bear it that a backend is left out, by this model at
    /// least.
    pub(super) fn bears_without(
        &self,
        backend: BackendId,
        model: Option<ModelKey>,
        now: Instant,
    ) -> bool {
        bear_without(&self.peers, backend, |one| self.load(*one).is_out(model, now))
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
            ..Usual::GUESS
        };
        for (shared, number) in self.usual.iter().zip(numbers(usual)) {
            shared.store(number.to_bits(), Ordering::Relaxed);
        }
    }
}

/// A conversation passes the same gates each time.
fn gate_of(conversation: u64) -> f32 {
    (mix(conversation) >> 40) as f32 / (1_u32 << 24) as f32
}

fn numbers(usual: Usual) -> [f32; 3] {
    [usual.slowness, usual.pace, usual.first_byte]
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
