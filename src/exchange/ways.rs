//! The ways to have a request answered, as the walk of its attempts sees them:
//! which backends a step asks, by which name they know the model, and which
//! step follows when it fails. Where nothing was decided of a request there is
//! one step, and all backends are in it.

use super::answer::Answer;
use crate::{
    balance::Reach,
    base::BackendId,
    retry::Reason,
    route::{Cause, Decision, ModelId, Why},
    rt::Stream,
};

/// The steps of one request.
#[derive(Clone, Copy, Debug)]
pub struct Ways<'d>(Option<&'d Decision<'d>>);

impl<'d> Ways<'d> {
    pub fn of(decision: Option<&'d Decision<'_>>) -> Self {
        Self(decision)
    }

    /// Who answers in this step; `None` is everybody.
    pub fn backends(self, step: usize) -> Option<&'d [BackendId]> {
        Some(self.0?.step(step)?.backends)
    }

    /// Whose model the step is; `None` is none of the plan's.
    pub fn model(self, step: usize) -> Option<ModelId> {
        self.0?.step(step)?.model
    }

    /// What they call the model, if it is not what the client has written.
    pub fn rename(self, step: usize) -> Option<&'d str> {
        self.0?.step(step)?.rename
    }

    /// Whom a round asks first that begins with this step: where others follow
    /// it, those that are well.
    pub fn first_reach(self, step: usize) -> Reach {
        match self.after(step, Reason::General) {
            Some(_) => Reach::Well,
            None => Reach::Anyone,
        }
    }

    /// Whether both ask a backend for the same.
    pub fn are_same(self, step: usize, other: usize) -> bool {
        step == other || self.rename(step) == self.rename(other)
    }

    /// Has an answer of this step say how it was come by, where anything was
    /// decided.
    pub fn tell<S: Stream>(self, step: usize, answer: &mut Answer<'_, S>) {
        if let Some(decision) = self.0.filter(|decision| decision.is_telling()) {
            answer.tell_route(|out| decision.write_reason(step, out));
        }
    }

    /// The same for an answer of our own.
    pub fn reason(self, step: usize) -> Option<Vec<u8>> {
        let decision = self.0.filter(|decision| decision.is_telling())?;
        let mut reason = Vec::new();
        decision.write_reason(step, &mut reason);
        Some(reason)
    }

    /// Whether it is another model's, asked because of a failure.
    pub fn is_fallback(self, step: usize) -> bool {
        let step = self.0.and_then(|decision| decision.step(step));
        step.is_some_and(|step| step.why != Why::Candidate)
    }

    /// The step that follows when this one has failed so.
    pub fn after(self, step: usize, reason: Reason) -> Option<usize> {
        let cause = match reason {
            Reason::General => Cause::General,
            Reason::ContextWindow => Cause::ContextWindow,
            Reason::ContentPolicy => Cause::ContentPolicy,
        };
        self.0?.step_after(step, cause)
    }
}
