//! Where the walk goes after a failure, and when nobody is left in a step:
//! what is walked on, paid for and waited for.

use super::{Full, Way};
use crate::{
    balance::Reach,
    exchange::watch::Interrupt,
    retry::{Ahead, At, Class, GivenUp, Next, Paid, Reason},
    route::Decision,
    rt::World,
};

/// Why there is no further attempt.
pub(super) enum Stuck {
    GivenUp(GivenUp),
    Interrupted(Interrupt),
}

/// Where the next attempt is made.
pub(super) enum Onward {
    Here,
    NextStep,
    To(usize),
    /// At whichever of those is free first that were full and whose models
    /// nobody was asked for yet.
    NewOfFull,
}

impl<W: World> Way<'_, '_, W> {
    /// Nobody is left in this step who has not been asked: goes on to the next
    /// one, or to those that were full, to wait there, or once more to those where
    /// nobody is well, or waits until some may be asked again.
    pub(super) async fn leave_step(&mut self) -> Result<(), Stuck> {
        if self.next_step() {
            return Ok(());
        }
        if self.reach == Reach::Well {
            (self.step, self.fallback) = (self.round_from, self.owed);
            self.reach = Reach::Anyone;
            return Ok(());
        }
        let (stage, client) = (self.stage, self.client);
        let (now, deadline) = (stage.now(), client.must_end_at());
        let round = self.walk.next_round(now, deadline, &mut stage.chance.borrow_mut());
        let begins = round.map_err(Stuck::GivenUp)?;
        (self.step, self.fallback) = (self.round_from, self.owed);
        (self.reach, self.full) = (self.ways.first_reach(self.step), Full::new());
        client.pause(stage, begins).await.map_err(Stuck::Interrupted)
    }

    /// Goes on where the next attempt is to be made.
    pub(super) fn go_on(&mut self, next: Onward) {
        match next {
            Onward::Here => {}
            Onward::NextStep => {
                self.next_step();
            }
            Onward::To(step) => self.go_to(step, Reason::General),
            Onward::NewOfFull => {
                let full = std::mem::take(&mut self.full);
                self.full = full.into_iter().filter(|step| self.is_new(*step)).collect();
                self.waits = true;
            }
        }
    }

    /// Goes on to the next step, or to those that were full, to wait there; says
    /// whether there is one.
    pub(super) fn next_step(&mut self) -> bool {
        if let Some(step) = self.ways.after(self.step, Reason::General) {
            self.go_to(step, Reason::General);
            return true;
        }
        self.waits = !self.full.is_empty();
        self.waits
    }

    pub(super) fn go_to(&mut self, step: usize, reason: Reason) {
        self.step = step;
        let fallback = self.ways.is_fallback(step).then_some(reason);
        if reason != Reason::General {
            (self.round_from, self.owed) = (step, fallback);
            (self.reach, self.full) = (self.ways.first_reach(step), Full::new());
        }
        self.fallback = if step == self.round_from { self.owed } else { fallback };
    }

    /// The steps behind this one, for after a failure, that were not asked yet.
    fn behind(&self) -> impl Iterator<Item = usize> {
        let next = |step: &usize| self.ways.after(*step, Reason::General);
        std::iter::successors(next(&self.step), next).filter(|step| !self.has_asked(*step))
    }

    /// Those of the steps that were full which are not behind this one.
    fn passed(&self) -> impl Iterator<Item = usize> {
        let unasked = self.full.iter().copied().filter(|step| !self.has_asked(*step));
        unasked.filter(|full| self.behind().all(|step| step != *full))
    }

    fn has_asked(&self, step: usize) -> bool {
        self.walk.has_asked(self.at(step).step)
    }

    pub(super) fn ahead(&self) -> Ahead {
        let own = self.at(self.step).model;
        let steps = self.behind().chain(self.passed());
        steps.fold(Ahead::default(), |ahead, step| match self.at(step).model == own {
            true => Ahead { of_model: ahead.of_model + 1, ..ahead },
            false => Ahead { of_others: true, ..ahead },
        })
    }

    pub(super) fn at(&self, step: usize) -> At {
        let place = Decision::place_of(step);
        At { step: place, model: self.ways.model(step).map(|model| model.0) }
    }

    /// Whether nobody was asked for its model yet.
    fn is_new(&self, step: usize) -> bool {
        !self.walk.has_asked_model(self.at(step).model)
    }

    /// Where the next attempt is made after this failure. It is paid for, but not
    /// where it is the first one at another model: that is what a fallback is
    /// there for, and no more load on who has failed. So where nothing is left to
    /// pay with, the next such model is asked.
    pub(super) fn next(&mut self, class: Class) -> Result<Onward, GivenUp> {
        let next = self.walk.next(class, self.at(self.step), self.ahead())?;
        let new = match self.behind().find(|step| self.is_new(*step)) {
            Some(step) => Some(Onward::To(step)),
            None => self.passed().any(|step| self.is_new(step)).then_some(Onward::NewOfFull),
        };
        if next == Next::Step && self.is_new_next() {
            return Ok(Onward::NextStep);
        }
        match self.walk.pay(class, self.stage.retry_budget(), self.stage.now()) {
            Ok(paid) => self.paid = paid,
            Err(given_up) => {
                self.stage.counters.retry_budget_exhausted.increment();
                return new.ok_or(given_up);
            }
        }
        Ok(if next == Next::Step { Onward::NextStep } else { Onward::Here })
    }

    /// Whether the next step, or all that were full where there is none, are such.
    fn is_new_next(&self) -> bool {
        match self.ways.after(self.step, Reason::General) {
            Some(step) => self.is_new(step),
            None => self.full.iter().all(|step| self.is_new(*step)),
        }
    }

    /// What was paid for an attempt is not needed.
    pub(super) fn take_back(&mut self) {
        let paid = std::mem::replace(&mut self.paid, Paid::Nothing);
        self.stage.retry_budget().give_back(paid);
    }
}
