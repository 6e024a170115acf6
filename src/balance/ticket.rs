//! One request at one backend, from the choice to its end. It says exactly
//! once how it went, and gives its counts back however it goes, in a panic
//! too.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::{
    BackendId, Fleet, ModelKey,
    apart::Slot,
    cost::{PACE_DECAY, PEAK_DECAY},
    load::{Load, Room},
    seconds,
};
use crate::base::Instant;

/// What a failure counts for at least: who fails fast must not look fast.
pub const FAILURE: Duration = Duration::from_secs(5);
/// The share of a penalty that an answer leaves.
const PENALTY_LEFT: f32 = 0.5;
/// Requests that a backend may be thought to work on, of those that it has
/// declined: as many as vLLM runs at once by default, a full house.
const DECLINED_MAX: f32 = 256.0;
/// How many times as long as usual a whole answer may take without being
/// suspicious.
const WHOLE_SPREAD: f32 = 3.0;
/// Fewer tokens say little of the pace.
const PACE_TOKENS_MIN: u64 = 8;

/// What a request asks of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes of the text that the model reads.
    pub prompt_bytes: u32,
    pub shape: Shape,
}

/// How the work shows from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Each token comes as it is written.
    Streamed,
    /// The answer comes when its last token is written.
    Whole,
    /// The prompt is read and nothing is written: embeddings, ranks.
    Read,
    /// No work of a model's, as far as we know: its times say nothing.
    #[default]
    Other,
}

/// What an answer that came whole came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outturn {
    /// As the backend has counted them.
    pub prompt_tokens: Option<u64>,
    /// As counted, else as events.
    pub completion_tokens: u64,
    /// The client took what came as it came, so that the pace is the
    /// backend's.
    pub at_backends_pace: bool,
}

/// A request that has been sent to a backend, or is about to be.
#[derive(Debug)]
pub struct Ticket<'f> {
    fleet: &'f Fleet,
    backend: BackendId,
    work: Work,
    /// Where the backend has others, too, and may have room for them.
    model: Option<ModelKey>,
    tokens: u64,
    /// Tokens that waited when it was sent, its own included.
    ahead: u64,
    sent_at: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    /// Since its first byte.
    Begun(Instant),
    /// Its counts have been given back.
    Over,
}

impl Shape {
    /// Whether the first byte comes when the prompt is read.
    fn shows_first_token(self) -> bool {
        matches!(self, Self::Streamed | Self::Read)
    }
}

impl<'f> Ticket<'f> {
    /// Takes a place at the backend, if there is one.
    pub(super) fn begin(
        fleet: &'f Fleet,
        backend: BackendId,
        (work, tokens): (Work, u64),
        room: Room,
        now: Instant,
    ) -> Option<Self> {
        let due = work.shape.shows_first_token();
        let ahead = fleet.load(backend).begin(tokens, due, room, now)?;
        let (model, phase) = (None, Phase::Waiting);
        Some(Self { fleet, backend, work, model, tokens, ahead, sent_at: now, phase })
    }

    /// The model that it asks for, where that was not known when its place was
    /// taken; it is needed for [`Self::no_room`].
    #[must_use]
    pub fn of_model(mut self, model: Option<ModelKey>) -> Self {
        self.model = model.filter(|_| !self.fleet.seats[self.backend.0].serves_one);
        self
    }

    /// Whether it asks for one of the models that the backend has.
    #[must_use]
    pub fn is_of_model(&self) -> bool {
        self.model.is_some()
    }

    #[must_use]
    pub fn backend(&self) -> BackendId {
        self.backend
    }

    /// Its first byte has not come yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// How long a usual backend takes to the first byte for this prompt and for
    /// what waited ahead of it; `None` where that does not show, or before any
    /// was seen.
    #[must_use]
    pub fn expected(&self) -> Option<Duration> {
        self.fleet.prompts.usual_tokens().filter(|_| self.is_due())?;
        let seconds = self.fleet.usual().slowness * self.fleet.prompts.line().at(self.ahead as f32);
        Duration::try_from_secs_f32(seconds).ok()
    }

    /// What it has been worth to the backend until now: tokens of the prompt
    /// that it had not read, and how long it has been there.
    #[must_use]
    pub fn spent(&self, now: Instant) -> (u64, Duration) {
        (self.tokens, now.since(self.sent_at))
    }

    /// A connection to the backend was made.
    pub fn reached(&self) {
        self.load().health.reached();
    }

    /// The first byte of an answer has come, and of a stream the first event.
    pub fn first_byte(&mut self, now: Instant) {
        if self.phase != Phase::Waiting {
            return;
        }
        self.phase = Phase::Begun(now);
        let load = self.load();
        load.to_stream(self.tokens, self.is_due(), now);
        load.health.begun(now);
        if let Some(slot) = self.slot(now) {
            slot.health.begun(now);
        }
        let taken = seconds(now.since(self.sent_at));
        load.first_byte.peak(taken, now, PEAK_DECAY);
        if self.is_due() {
            let ahead = self.ahead as f32;
            self.fleet.prompts.learn_usual(self.tokens);
            self.fleet.prompts.set_scale(ahead, taken);
            load.slowness.peak(taken / self.fleet.prompts.line().at(ahead), now, PEAK_DECAY);
            // As a usual backend would have taken it: one slow backend must
            // not make slowness the measure.
            let usual = self.fleet.usual().slowness;
            let own = load.slowness.last().unwrap_or(usual).max(f32::MIN_POSITIVE);
            self.fleet.prompts.learn_line(ahead, taken * usual / own);
        }
    }

    /// The answer has come whole.
    pub fn done(mut self, outturn: Outturn, now: Instant) {
        self.first_byte(now);
        let load = self.load();
        load.health.succeeded();
        let slot = self.slot(now);
        if let Some(slot) = slot {
            slot.health.succeeded();
        }
        let for_model = slot.map(|slot| &slot.penalty);
        for counts_against_it in [&load.penalty, &load.declined].into_iter().chain(for_model) {
            if counts_against_it.last().is_some_and(|figure| figure > 0.0) {
                let left = counts_against_it.drifting(0.0, now, PEAK_DECAY) * PENALTY_LEFT;
                counts_against_it.set(left, now);
            }
        }
        if let Some(tokens) = outturn.prompt_tokens {
            self.fleet.prompts.learn_tokens(self.work.prompt_bytes, tokens);
        }
        if let Some(pace) = self.pace(outturn, now) {
            load.pace.mean(pace, now, PACE_DECAY);
        }
        self.give_back();
    }

    /// The backend could not be connected to: it has seen nothing.
    /// As [`Self::failed`] otherwise.
    pub fn unreachable(self, now: Instant) -> Option<Duration> {
        self.load().health.rest(now);
        self.failed(None, now)
    }

    /// The backend has failed. `retry_after` is what it asks for. Returns for
    /// how long it is left alone, if it is from now on.
    pub fn failed(mut self, retry_after: Option<Duration>, now: Instant) -> Option<Duration> {
        let load = self.load();
        let retry_after = retry_after.map(|asked| self.fleet.bearable(asked));
        let sample = seconds(retry_after.unwrap_or_default().max(FAILURE));
        load.penalty.peak(sample, now, PEAK_DECAY);
        load.first_byte.peak(sample, now, PEAK_DECAY);
        let pause = self.fleet.judge(self.backend, retry_after, now);
        self.give_back();
        pause
    }

    /// The backend has no room for the request. Where it has other models, that
    /// is said of this one alone. `retry_after` and what is returned are as of
    /// [`Self::failed`].
    pub fn no_room(mut self, retry_after: Option<Duration>, now: Instant) -> Option<Duration> {
        let load = self.load();
        if self.model.is_some() && !self.fleet.tells_models_apart() {
            self.fleet.tells_models_apart.store(true, Relaxed);
        }
        let slot = self.model.and_then(|model| Some((model, load.tell_apart(model, now)?)));
        let Some((model, slot)) = slot else { return self.failed(retry_after, now) };
        let asked = retry_after.map(|asked| self.fleet.bearable(asked));
        let sample = seconds(asked.unwrap_or_default().max(FAILURE));
        slot.penalty.peak(sample, now, PEAK_DECAY);
        let pause = self.fleet.judge_for(self.backend, (model, slot), asked, now);
        self.give_back();
        pause
    }

    /// The backend has declined the request for what it says (4xx). That is an
    /// answer and no failure, but none of the work: who declines at once always
    /// looks idle, and would draw every request. So the backend is known from
    /// now on, as a usual one, and looks as much later for a while as a request
    /// usually takes: again for each, up to what a failure counts for. Where
    /// requests under way are compared, each counts as one of them for that while.
    pub fn declined(mut self, now: Instant) {
        let (load, usual) = (self.load(), self.fleet.usual());
        if load.slowness.last().is_none() {
            load.slowness.set(usual.slowness, now);
        }
        let prefill = usual.slowness * self.fleet.prompts.line().at(self.tokens as f32);
        let left = load.penalty.drifting(0.0, now, PEAK_DECAY);
        let more = left + usual.first_byte.max(prefill);
        load.penalty.set(more.min(seconds(FAILURE).max(left)), now);
        let declined = load.declined.drifting(0.0, now, PEAK_DECAY) + 1.0;
        load.declined.set(declined.min(DECLINED_MAX), now);
        self.give_back();
    }

    /// The request ended for a reason that is not the backend's: its client
    /// left, or its time was over. It took at least as long as that.
    pub fn left(mut self, now: Instant) {
        if self.phase == Phase::Waiting {
            self.note_wait(seconds(now.since(self.sent_at)), now);
        }
        self.give_back();
    }

    /// It has waited so long for a first byte that did not come.
    fn note_wait(&self, waited: f32, now: Instant) {
        let usual = self.fleet.usual().first_byte;
        if self.is_due() {
            let expected = self.fleet.prompts.line().at(self.ahead as f32);
            self.load().slowness.at_least(waited / expected, now, PEAK_DECAY);
        } else if self.work.shape == Shape::Whole && usual > 0.0 {
            // How long it would have written is not known, and usual answers
            // differ by a few times.
            let excess = (waited - WHOLE_SPREAD * usual).max(0.0);
            self.load().penalty.at_least(excess, now, PEAK_DECAY);
        }
    }

    fn load(&self) -> &'f Load {
        self.fleet.load(self.backend)
    }

    /// What is known of its model, where that had no room lately.
    fn slot(&self, now: Instant) -> Option<&'f Slot> {
        self.load().apart(self.model, now)
    }

    fn is_due(&self) -> bool {
        self.work.shape.shows_first_token()
    }

    /// Seconds for each token of the answer, if it tells.
    fn pace(&self, outturn: Outturn, now: Instant) -> Option<f32> {
        let Phase::Begun(begun_at) = self.phase else { return None };
        if !outturn.at_backends_pace || outturn.completion_tokens < PACE_TOKENS_MIN {
            return None;
        }
        let tokens = outturn.completion_tokens as f32;
        match self.work.shape {
            Shape::Streamed => Some(seconds(now.since(begun_at)) / (tokens - 1.0)),
            Shape::Whole => {
                let slowness = self.load().slowness.last().unwrap_or(self.fleet.usual().slowness);
                let prefill = slowness * self.fleet.prompts.line().at(self.tokens as f32);
                let taken = seconds(now.since(self.sent_at));
                // The prefill is a guess: it may not be all.
                Some((taken - prefill).max(taken / 2.0) / tokens)
            }
            Shape::Read | Shape::Other => None,
        }
    }

    fn give_back(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Waiting => self.load().end_waiting(self.tokens, self.is_due()),
            Phase::Begun(_) => self.load().end_stream(),
            Phase::Over => {}
        }
    }
}

/// Who drops it has nothing to say of the backend.
impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
#[path = "ticket_tests.rs"]
mod tests;
