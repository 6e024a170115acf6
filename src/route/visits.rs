//! Which models may be asked of a request for one of them, and in which order.
//!
//! A failure of a kind looks at the fallbacks of that kind: of the model that
//! has failed, then of those that were asked before it, the latest first. Those
//! that have come in for a prompt that is too long, or declined, and then fail,
//! fall back to their own general fallbacks, and then to others that are there
//! for such a prompt; never back to those that are not.
//!
//! ```text
//! a ──general──► b          a, b                    for any prompt
//! │              └─context──► long ──general──► x   for a long one
//! └─policy──► other                                 for one that was declined
//! ```

use super::{Cause, ModelId, RoutePlan, STEPS_MAX, Why};

/// One model, for one kind of prompt: what is asked once of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub model: ModelId,
    /// In which list it was first found.
    pub why: Why,
    /// What has brought the request to it, or to those that have it as their
    /// fallback: general where nothing was wrong with the prompt.
    prompt: Cause,
    /// The visits that are its fallbacks, by their cause.
    fallbacks: [Box<[u8]>; 3],
}

const CAUSES: [Cause; 3] = [Cause::General, Cause::ContextWindow, Cause::ContentPolicy];

/// The visits of one model that are kept: more than there are steps would have
/// none.
const VISITS_MAX: usize = STEPS_MAX;
const _: () = assert!(VISITS_MAX <= VisitSet::BITS as usize);

/// The visits that are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VisitSet(u32);

impl VisitSet {
    pub(super) const BITS: u32 = u32::BITS;

    pub(super) fn from_bits(bits: usize) -> Self {
        Self(bits as u32)
    }

    pub(super) fn bits(self) -> usize {
        self.0 as usize
    }

    pub(super) fn insert(&mut self, visit: u8) {
        self.0 |= 1_u32.checked_shl(visit.into()).unwrap_or_default();
    }

    /// The latest first: those of a list come behind whoever has the list.
    fn latest_first(self) -> impl Iterator<Item = usize> {
        (0..Self::BITS).rev().filter(move |visit| self.0 >> visit & 1 == 1).map(|v| v as usize)
    }

    /// The visit that follows `failed`, which is over, when it fails so.
    pub(super) fn next(self, visits: &[Visit], failed: u8, cause: Cause) -> Option<u8> {
        let prompt = visits.get(usize::from(failed))?.prompt;
        if cause != Cause::General {
            return self.next_of(visits, cause, |_| true);
        }
        let of_its_kind = self.next_of(visits, cause, |visit| visit.prompt == prompt);
        let others = || self.next_of(visits, prompt, |_| prompt != Cause::General);
        of_its_kind.or_else(others)
    }

    /// The first fallback for this cause, of those that are over and that
    /// count, whose model was not asked.
    fn next_of(
        self,
        visits: &[Visit],
        cause: Cause,
        counts: impl Fn(&Visit) -> bool,
    ) -> Option<u8> {
        let over = || self.latest_first().filter_map(|visit| visits.get(visit));
        let fallbacks = over().filter(|visit| counts(visit));
        let fallbacks = fallbacks.flat_map(|visit| visit.fallbacks_for(cause));
        let is_new = |fallback: &&u8| {
            let model = visits.get(usize::from(**fallback)).map(|visit| visit.model);
            over().all(|visit| Some(visit.model) != model)
        };
        fallbacks.copied().find(|fallback| is_new(&fallback))
    }
}

impl Visit {
    fn fallbacks_for(&self, cause: Cause) -> &[u8] {
        let [general, context_window, content_policy] = &self.fallbacks;
        match cause {
            Cause::General => general,
            Cause::ContextWindow => context_window,
            Cause::ContentPolicy => content_policy,
        }
    }
}

/// All visits that a request for this model may come to: itself first, then for
/// each kind of prompt those that are there for it, each followed by its own.
/// What is beyond the bound is left out.
pub(super) fn visits(plan: &RoutePlan, first: ModelId) -> Box<[Visit]> {
    let mut found = Found { plan, places: vec![(first, Cause::General, Why::Candidate)] };
    found.add_all(first, Cause::General);
    // One kind of prompt may lead to the other, and back.
    let mut looked_at = [0; 2];
    while looked_at.iter().any(|looked_at| *looked_at < found.places.len()) {
        for (looked_at, cause) in looked_at.iter_mut().zip([CAUSES[1], CAUSES[2]]) {
            for place in std::mem::replace(looked_at, found.places.len())..found.places.len() {
                let (model, _, _) = found.places[place];
                found.add_all(model, cause);
            }
        }
    }
    let visits = found.places.iter().map(|&(model, prompt, why)| {
        let fallbacks = CAUSES.map(|cause| {
            let prompt = if cause == Cause::General { prompt } else { cause };
            let models = found.fallbacks(model, cause).iter();
            models.filter_map(|id| found.place(*id, prompt)).map(|place| place as u8).collect()
        });
        Visit { model, why, prompt, fallbacks }
    });
    visits.collect()
}

struct Found<'p> {
    plan: &'p RoutePlan,
    places: Vec<(ModelId, Cause, Why)>,
}

impl<'p> Found<'p> {
    fn fallbacks(&self, model: ModelId, cause: Cause) -> &'p [ModelId] {
        let Some(model) = self.plan.models.get(model.0) else { return &[] };
        let fallbacks = &model.fallbacks;
        match cause {
            Cause::General => &fallbacks.general,
            Cause::ContextWindow => &fallbacks.context_window,
            Cause::ContentPolicy => &fallbacks.content_policy,
        }
    }

    fn place(&self, model: ModelId, prompt: Cause) -> Option<usize> {
        self.places.iter().position(|(known, of, _)| (*known, *of) == (model, prompt))
    }

    /// A model's fallbacks for a kind of prompt, each with its own: those for
    /// when it fails, then those for when the prompt is wrong for it as well. No
    /// recursion: a chain may be as long as there are models.
    fn add_all(&mut self, model: ModelId, prompt: Cause) {
        let mut waiting = self.listed(model, prompt);
        while let Some((id, why)) = waiting.pop() {
            if self.places.len() < VISITS_MAX && self.place(id, prompt).is_none() {
                self.places.push((id, prompt, why));
                if prompt != Cause::General {
                    waiting.extend(self.listed(id, prompt));
                }
                waiting.extend(self.listed(id, Cause::General));
            }
        }
    }

    /// A model's fallbacks for a cause, the last one first.
    fn listed(&self, model: ModelId, cause: Cause) -> Vec<(ModelId, Why)> {
        let why = match cause {
            Cause::General => Why::Fallback,
            Cause::ContextWindow => Why::ContextWindow,
            Cause::ContentPolicy => Why::ContentPolicy,
        };
        self.fallbacks(model, cause).iter().rev().map(|id| (*id, why)).collect()
    }
}
