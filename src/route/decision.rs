//! What was decided of one request: the ways to have it answered, in order.
//!
//! ```text
//! steps  candidate, candidate, │ fallback, … │ context window, … │ content policy, …
//!        ─── any failure ────► │ ──────────► │  only on a failure of that kind
//! ```
//!
//! Which step follows one depends on the models that were asked before it. So a
//! step's number holds the way to it: its place in the list, and a bit for each
//! visit that is over. It stays a plain number, larger than those of the steps
//! before it on its way, and nothing of a decision changes while it is walked.

use smallvec::SmallVec;

use super::{
    ModelId, RouteTable,
    visits::{Visit, VisitSet},
};
use crate::base::BackendId;

/// The ways to have a request answered that are kept. A chain of fallbacks
/// this long has run out of time before it has run out of models.
pub const STEPS_MAX: usize = 32;
/// The bits of a step's number that are its place in the list.
const PLACE_BITS: u32 = STEPS_MAX.ilog2();
const _: () = assert!(STEPS_MAX.is_power_of_two() && PLACE_BITS + VisitSet::BITS <= usize::BITS);
/// The rules in shadow that are told of one request.
pub const SHADOWS_MAX: usize = 8;

/// A rule's place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub usize);

/// Why a step is there, and with it when it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// One of the model's own.
    Candidate,
    /// Another model's, for when the model's own have failed.
    Fallback,
    /// Another model's, for a prompt that was too long.
    ContextWindow,
    /// Another model's, for a prompt that was declined.
    ContentPolicy,
}

/// How a step has failed, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    General,
    ContextWindow,
    ContentPolicy,
}

/// One way to have a request answered: one of these backends is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'d> {
    /// Never empty, and all of the request's dialect.
    pub backends: &'d [BackendId],
    /// What they call the model; `None` is what the client has written.
    pub rename: Option<&'d str>,
    /// The model that this step belongs to; `None` is the name itself.
    pub model: Option<ModelId>,
    pub why: Why,
}

/// A step, as it is kept: the table has the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// In the table's list.
    pub candidate: u32,
    pub why: Why,
    /// The visit of the model that it belongs to.
    pub visit: u8,
    /// The client has written another name than the backends know.
    pub renames: bool,
    /// The backends of which dialects are meant: see `Candidate::backends`.
    pub speaks: Speaks,
}

/// Which dialect a backend must speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Any,
    OpenAi,
    Anthropic,
}

/// What a rule in shadow would have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    pub rule: RuleId,
    /// `None` is that it would only have mirrored.
    pub model: Option<ModelId>,
}

/// Where a request goes, and why.
#[derive(Clone, Debug)]
pub struct Decision<'t> {
    pub(super) table: &'t RouteTable,
    /// The rule that has decided, if one has.
    pub rule: Option<RuleId>,
    /// The model that answers; `None` is the name as the client wrote it.
    pub model: Option<ModelId>,
    /// The models that may be asked; empty where the name is its own model.
    pub(super) visits: &'t [Visit],
    pub(super) steps: SmallVec<[Entry; 4]>,
    /// The backends of candidates whose list in the table is not right for
    /// this name: several patterns meet it, or some serve another one.
    pub(super) gathered: Vec<(u32, Box<[BackendId]>)>,
    pub(super) mirror: Option<Entry>,
    /// The rules in shadow that applied, in their order.
    pub shadows: SmallVec<[Shadow; 2]>,
}

impl Decision<'_> {
    /// How many steps there are; at least one.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The step of this number: the first is 0, those behind it are told by
    /// [`Self::step_after`]. A place in the list is a number as well, of a step
    /// before which nobody was asked.
    #[must_use]
    pub fn step(&self, number: usize) -> Option<Step<'_>> {
        self.entry(number).map(|entry| self.whole(*entry))
    }

    /// The step that is taken when this one has failed: the next of its model,
    /// or of a model that is there for this failure. No model is asked twice.
    #[must_use]
    pub fn step_after(&self, number: usize, cause: Cause) -> Option<usize> {
        let failed = self.entry(number)?;
        let next = self.steps.get(Self::place_of(number) + 1);
        if cause == Cause::General && next.is_some_and(|next| next.visit == failed.visit) {
            return Some(number + 1);
        }
        if self.visits.len() <= 1 {
            return None; // It falls back to nobody, as most models do.
        }
        let (mut over, mut visit, mut cause) =
            (VisitSet::from_bits(number >> PLACE_BITS), failed.visit, cause);
        // Nobody serves those before the first step.
        (0..self.steps.first()?.visit).for_each(|visit| over.insert(visit));
        loop {
            over.insert(visit);
            visit = over.next(self.visits, visit, cause)?;
            if let Some(place) = self.steps.iter().position(|entry| entry.visit == visit) {
                return Some(over.bits() << PLACE_BITS | place);
            }
            // Nobody serves it in this dialect, and it has failed by that.
            cause = Cause::General;
        }
    }

    /// A step's place in the list, below [`STEPS_MAX`]: the same by whichever way
    /// it was come to.
    #[must_use]
    pub fn place_of(number: usize) -> usize {
        number % STEPS_MAX
    }

    fn entry(&self, number: usize) -> Option<&Entry> {
        self.steps.get(Self::place_of(number))
    }

    /// Where a copy goes whose answer nobody sees.
    #[must_use]
    pub fn mirror(&self) -> Option<Step<'_>> {
        self.mirror.map(|entry| self.whole(entry))
    }

    /// Whether there was anything to decide: without models, rules and names
    /// of backends there is nothing to tell.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        !self.table.is_plain()
    }

    /// Appends the value of `x-tokenring-route` for an answer that came by the
    /// step of this number: `rule=hard; model=big; step=candidate`.
    pub fn write_reason(&self, number: usize, out: &mut Vec<u8>) {
        let step = self.entry(number);
        let model = step.map_or(self.model, |entry| self.whole(*entry).model);
        out.extend_from_slice(b"rule=");
        out.extend_from_slice(
            self.rule.map_or("none", |rule| self.table.rule_name(rule)).as_bytes(),
        );
        out.extend_from_slice(b"; model=");
        out.extend_from_slice(
            model.map_or("as-written", |model| self.table.model_word(model)).as_bytes(),
        );
        out.extend_from_slice(b"; step=");
        out.extend_from_slice(step.map_or("none", |entry| entry.why.word()).as_bytes());
        for shadow in &self.shadows {
            out.extend_from_slice(b"; shadow=");
            out.extend_from_slice(self.table.rule_name(shadow.rule).as_bytes());
            if let Some(model) = shadow.model {
                out.extend_from_slice(b"; shadow-model=");
                out.extend_from_slice(self.table.model_word(model).as_bytes());
            }
        }
    }

    fn whole(&self, entry: Entry) -> Step<'_> {
        let step = self.table.step(entry);
        match self.gathered.iter().find(|(candidate, _)| *candidate == entry.candidate) {
            Some((_, backends)) => Step { backends, ..step },
            None => step,
        }
    }
}

impl Why {
    /// As it is told in `x-tokenring-route`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Fallback => "fallback",
            Self::ContextWindow => "context-window",
            Self::ContentPolicy => "content-policy",
        }
    }
}
