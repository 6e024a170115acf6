//! One request's way from failure to failure: who has been asked, what may
//! follow, and when it is over.

use std::time::Duration;

use smallvec::SmallVec;

use super::{Budget, Class, Paid, Repeatable, RetryPlan};
use crate::base::{BackendId, Chance, Instant};

/// Connections that may end on one request before a byte of an answer. Once is
/// an accident of the backend's; twice may be the request's doing, and a third
/// backend is not risked for it.
const CUTS_MAX: u32 = 2;

/// One failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    pub class: Class,
    /// For how long the backend asks to be left alone.
    pub after: Option<Duration>,
}

/// For whose sake another model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Backends fail, or have no room.
    General,
    /// The prompt is longer than the model reads.
    ContextWindow,
    /// The model's provider declines to answer.
    ContentPolicy,
}

impl Reason {
    pub const ALL: [Self; 3] = [Self::General, Self::ContextWindow, Self::ContentPolicy];

    /// As a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
        }
    }
}

/// Where the next attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At another backend of the same step.
    Another,
    /// At the next step: the attempts that are left are kept for it.
    Step,
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// Not after this failure, or not for this request.
    NotAgain,
    AttemptsSpent,
    BudgetSpent,
    /// Everybody has been asked, and nobody may be asked again in time.
    NobodyLeft,
}

impl GivenUp {
    /// Whether the client is to be told not to try again either. Where nobody
    /// is left only for the time that a backend asks for, it may.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::AttemptsSpent | Self::BudgetSpent)
    }
}

/// Backends that have failed.
pub type Failing = SmallVec<[BackendId; 3]>;

/// One that has failed.
#[derive(Clone, Copy, Debug)]
struct Tried {
    backend: BackendId,
    /// By which step it was asked; `None` is that it would fail in each.
    step: Option<usize>,
    /// From when on it may be asked again.
    ready_at: Instant,
}

/// The way of one request.
#[derive(Debug)]
pub struct Walk<'p> {
    plan: &'p RetryPlan,
    repeatable: Repeatable,
    attempts: u32,
    /// Attempts beyond the plan's, for models that were asked for a reason
    /// which is no failure.
    granted: u32,
    cuts: u32,
    rounds: u32,
    is_hedged: bool,
    /// Who has failed in this round.
    tried: SmallVec<[Tried; 3]>,
}

impl<'p> Walk<'p> {
    #[must_use]
    pub fn new(plan: &'p RetryPlan, repeatable: Repeatable) -> Self {
        Self {
            plan,
            repeatable,
            attempts: 0,
            granted: 0,
            cuts: 0,
            rounds: 0,
            is_hedged: false,
            tried: SmallVec::new(),
        }
    }

    /// Whom not to ask by a step; `is_same` says of each step whether it asks
    /// for the same model as that one.
    #[must_use]
    pub fn tried(&self, is_same: impl Fn(usize) -> bool) -> Failing {
        let fails = |tried: &&Tried| tried.step.is_none_or(&is_same);
        self.tried.iter().filter(fails).map(|tried| tried.backend).collect()
    }

    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// A backend is asked.
    pub fn begins(&mut self) {
        self.attempts += 1;
    }

    /// Whether a second backend may be asked beside the one that is asked now,
    /// should that be late: once for each request, as an attempt like any
    /// other. `steps_left` as in [`Self::next`].
    #[must_use]
    pub fn may_hedge(&self, steps_left: usize) -> bool {
        let kept = u32::try_from(steps_left).unwrap_or(u32::MAX);
        let left = (self.plan.attempts + self.granted).saturating_sub(self.attempts);
        !self.is_hedged && left > kept && self.repeatable.after(Class::Timeout)
    }

    /// A second backend was asked beside one.
    pub fn hedged(&mut self) {
        self.is_hedged = true;
        self.attempts += 1;
    }

    /// A backend has failed that was asked by this step.
    pub fn failed(&mut self, backend: BackendId, step: usize, failed: Failed, now: Instant) {
        self.cuts += u32::from(failed.class == Class::Cut);
        let is_borne = failed.after.is_none_or(|after| after <= self.plan.retry_after_max);
        let ready_at = if failed.class.may_heal() && is_borne {
            now.after(failed.after.unwrap_or_default())
        } else {
            Instant::NEVER
        };
        let step = (!failed.class.is_of_host()).then_some(step);
        self.tried.push(Tried { backend, step, ready_at });
    }

    /// A model's answer is no failure, and asks for another model.
    pub fn redirected(&mut self, backend: BackendId, step: usize) {
        self.granted += 1;
        self.tried.push(Tried { backend, step: Some(step), ready_at: Instant::NEVER });
    }

    /// What may follow this failure, which has been told. `steps_left` are
    /// those of general fallbacks behind this one: an attempt is kept for each.
    pub fn next(&self, class: Class, steps_left: usize) -> Result<Next, GivenUp> {
        if !self.plan.on.has(class) || !self.repeatable.after(class) || self.cuts >= CUTS_MAX {
            return Err(GivenUp::NotAgain);
        }
        let most = self.plan.attempts + self.granted;
        if self.attempts >= most {
            let was_off = self.plan.attempts <= 1;
            return Err(if was_off { GivenUp::NotAgain } else { GivenUp::AttemptsSpent });
        }
        let kept = u32::try_from(steps_left).unwrap_or(u32::MAX);
        Ok(if kept > 0 && most - self.attempts <= kept { Next::Step } else { Next::Another })
    }

    /// Pays for an attempt after this failure. Where nothing was sent nobody
    /// has worked on the request, and to ask another is no more load.
    pub fn pay(&self, class: Class, budget: &Budget, now: Instant) -> Result<Paid, GivenUp> {
        if class.is_before_sending() {
            return Ok(Paid::Nothing);
        }
        budget.withdraw(now).ok_or(GivenUp::BudgetSpent)
    }

    /// Everybody has been asked. Says when some of them may be asked again, if
    /// that is before `deadline`: after a pause of any length up to one that
    /// doubles with each round (full jitter), or when the first of them is ready.
    pub fn next_round(
        &mut self,
        now: Instant,
        deadline: Instant,
        chance: &mut Chance,
    ) -> Result<Instant, GivenUp> {
        let ready_at = self.tried.iter().map(|tried| tried.ready_at).min();
        let ready_at = ready_at.unwrap_or(Instant::NEVER);
        if ready_at == Instant::NEVER {
            return Err(GivenUp::NobodyLeft);
        }
        self.rounds += 1;
        let most = usize::try_from(self.plan.pause(self.rounds).as_nanos()).unwrap_or(usize::MAX);
        let pause = Duration::from_nanos(chance.below(most.max(1)) as u64);
        let at = ready_at.max(now.after(pause));
        if at >= deadline {
            return Err(GivenUp::NobodyLeft);
        }
        self.tried.retain(|tried| tried.ready_at > at);
        Ok(at)
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
