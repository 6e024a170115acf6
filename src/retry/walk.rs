//! One request's way from failure to failure: who has been asked, what may
//! follow, and when it is over.

use std::time::Duration;

use smallvec::SmallVec;

use super::{Budget, Class, Paid, Repeatable, RetryPlan};
use crate::base::{BackendId, Chance, Instant};

/// Connections that may end on one request before a byte of an answer. Once or
/// twice is an accident of the backends', as when half of them are restarted;
/// three times may be the request's doing, and a fourth backend is not risked
/// for it.
const CUTS_MAX: u32 = 3;

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

/// A step, and what stands for its model. Steps of one model share its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub step: usize,
    pub model: Option<usize>,
}

/// Steps that may follow and were not asked yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// How many of the same model: an attempt is kept for each.
    pub of_model: u32,
    /// Whether there are some of other models, which have attempts of their own.
    pub of_others: bool,
}

/// Where the next attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At another backend of the same step.
    Another,
    /// At the next step: this one has had its attempts.
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
    /// For whose attempts it stands.
    model: Option<usize>,
    /// From when on it may be asked again.
    ready_at: Instant,
}

/// How often backends were asked for one model.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    model: Option<usize>,
    asked: u32,
    /// Those of them to which nothing could be sent: these are no attempts, as
    /// long as somebody is there who was not asked and is well.
    unsent: u32,
}

/// The way of one request.
#[derive(Debug)]
pub struct Walk<'p> {
    plan: &'p RetryPlan,
    repeatable: Repeatable,
    attempts: u32,
    /// The same for each model.
    counts: SmallVec<[Count; 1]>,
    /// The steps that were asked, a bit for each.
    asked: u64,
    cuts: u32,
    rounds: u32,
    is_hedged: bool,
    /// Who has failed in this round.
    tried: SmallVec<[Tried; 1]>,
}

impl<'p> Walk<'p> {
    /// The steps that are told apart.
    pub const STEPS_MAX: usize = u64::BITS as usize;

    #[must_use]
    pub fn new(plan: &'p RetryPlan, repeatable: Repeatable) -> Self {
        Self {
            plan,
            repeatable,
            attempts: 0,
            counts: SmallVec::new(),
            asked: 0,
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
    pub fn begins(&mut self, at: At) {
        self.asked |= bit(at.step);
        self.count(at.model).asked += 1;
        self.attempts += 1;
    }

    /// Whether a step was asked before.
    #[must_use]
    pub fn has_asked(&self, step: usize) -> bool {
        self.asked & bit(step) != 0
    }

    /// Whether any backend was asked for a model.
    #[must_use]
    pub fn has_asked_model(&self, model: Option<usize>) -> bool {
        self.of(model).asked > 0
    }

    /// Whether a step may be asked: each once, and then as long as its model has
    /// attempts left.
    #[must_use]
    pub fn may_ask(&self, at: At) -> bool {
        !self.has_asked(at.step) || self.left(at.model) > 0
    }

    /// Whether a second backend may be asked beside the one that is asked now,
    /// should that be late: once for each request, as an attempt like any
    /// other.
    #[must_use]
    pub fn may_hedge(&self, at: At, ahead: Ahead) -> bool {
        let has_left = self.left(at.model) > ahead.of_model;
        !self.is_hedged && has_left && self.repeatable.after(Class::Timeout)
    }

    /// A second backend was asked beside one.
    pub fn hedged(&mut self, at: At) {
        self.is_hedged = true;
        self.begins(at);
    }

    /// Whether only those that are well may be asked by a step: it was asked as
    /// often as may be, and not heard.
    #[must_use]
    pub fn is_for_well(&self, at: At) -> bool {
        self.has_asked(at.step) && self.of(at.model).asked >= self.plan.attempts
    }

    /// A backend has failed that was asked by this step.
    pub fn failed(&mut self, backend: BackendId, at: At, failed: Failed, now: Instant) {
        self.count(at.model).unsent += u32::from(failed.class.is_before_sending());
        self.cuts += u32::from(failed.class == Class::Cut);
        let is_borne = failed.after.is_none_or(|after| after <= self.plan.retry_after_max);
        let ready_at = if failed.class.may_heal() && is_borne {
            now.after(failed.after.unwrap_or_default())
        } else {
            Instant::NEVER
        };
        let step = (!failed.class.is_of_host()).then_some(at.step);
        self.tried.push(Tried { backend, step, model: at.model, ready_at });
    }

    /// A model's answer is no failure, and asks for another model.
    pub fn redirected(&mut self, backend: BackendId, at: At) {
        let (step, model) = (Some(at.step), at.model);
        self.tried.push(Tried { backend, step, model, ready_at: Instant::NEVER });
    }

    /// What may follow this failure, which has been told. Within a model the
    /// plan's attempts bound what follows; each step is asked once all the same.
    pub fn next(&self, class: Class, at: At, ahead: Ahead) -> Result<Next, GivenUp> {
        if !self.plan.on.has(class) || !self.repeatable.after(class) || self.cuts >= CUTS_MAX {
            return Err(GivenUp::NotAgain);
        }
        if self.left(at.model) > ahead.of_model {
            return Ok(Next::Another);
        }
        if ahead.of_model > 0 || ahead.of_others {
            return Ok(Next::Step);
        }
        // Nobody is told not to try again because we do not.
        Err(if self.attempts > 1 { GivenUp::AttemptsSpent } else { GivenUp::NotAgain })
    }

    /// Pays for an attempt after this failure.
    /// Where nothing was sent nobody has worked on the request, and to ask
    /// another is no more load.
    pub fn pay(&self, class: Class, budget: &Budget, now: Instant) -> Result<Paid, GivenUp> {
        if class.is_before_sending() {
            return Ok(Paid::Nothing);
        }
        budget.withdraw(now).ok_or(GivenUp::BudgetSpent)
    }

    /// Everybody has been asked. Says when some of them may be asked again whose
    /// model has attempts left, if that is before `deadline`: after a pause of any
    /// length up to one that doubles with each round (full jitter), or when the
    /// first of them is ready.
    pub fn next_round(
        &mut self,
        now: Instant,
        deadline: Instant,
        chance: &mut Chance,
    ) -> Result<Instant, GivenUp> {
        let heals = |tried: &&Tried| tried.ready_at != Instant::NEVER;
        // Who could not be reached is not tried for ever.
        let may_ask = |tried: &&Tried| self.of(tried.model).asked < self.plan.attempts;
        let ready_at =
            self.tried.iter().filter(heals).filter(may_ask).map(|one| one.ready_at).min();
        let Some(ready_at) = ready_at else {
            let is_spent = self.tried.iter().any(|tried| heals(&tried));
            return Err(if is_spent { GivenUp::AttemptsSpent } else { GivenUp::NobodyLeft });
        };
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

    /// How many attempts a model has left.
    fn left(&self, model: Option<usize>) -> u32 {
        let Count { asked, unsent, .. } = self.of(model);
        self.plan.attempts.saturating_sub(asked - unsent)
    }

    fn of(&self, model: Option<usize>) -> Count {
        self.counts.iter().find(|count| count.model == model).copied().unwrap_or_default()
    }

    fn count(&mut self, model: Option<usize>) -> &mut Count {
        let place = self.counts.iter().position(|count| count.model == model);
        let place = place.unwrap_or_else(|| {
            self.counts.push(Count { model, ..Count::default() });
            self.counts.len() - 1
        });
        &mut self.counts[place]
    }
}

/// Steps beyond the last bit pass for one.
fn bit(step: usize) -> u64 {
    1 << step.min(Walk::STEPS_MAX - 1)
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
