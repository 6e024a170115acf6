//! A backend has answered, and the answer faults the request (400 to 499, or an
//! error in a stream): whether that is told, or another model is asked.

use super::{Turn, Way};
use crate::{
    balance::Ticket,
    exchange::{
        answer::Answer,
        ask::{AttemptFault, Word},
        hold::{Unheld, complaint, hold},
        verdict,
    },
    llm::{Complaint, Trouble},
    retry::{GivenUp, Reason},
    rt::World,
};

/// Whether an answer faults the request; `about` is what its first event does.
/// Any other is the end.
pub(super) fn is_fault<S>(answer: &Answer<'_, S>, about: Option<Complaint>) -> bool {
    about.is_some() || matches!(answer.head.status, 400..=499)
}

impl<'s, W: World> Way<'s, '_, W> {
    /// A backend has answered with a fault of the request. That is the end as
    /// well, but for a model that cannot answer this, where another one is there
    /// for that.
    pub(super) async fn answered_fault(
        &mut self,
        answer: Box<Answer<'s, W::Stream>>,
        about: Option<Complaint>,
        ticket: Ticket<'s>,
    ) -> Result<Turn<'s, W::Stream>, AttemptFault> {
        let status = answer.head.status;
        // These are told of the prompt; a 401 or 404 is not. Whether a model is
        // too small for it matters to nobody while another one is only full.
        let may_be_about_prompt = about.is_some() || matches!(status, 400 | 413 | 422);
        if !may_be_about_prompt || self.is_waited_for() || !self.has_step_for_prompt() {
            return self.faulted(answer, ticket).await;
        }
        let held = match hold(self.stage, self.client, answer).await {
            Ok(held) => held,
            Err(Unheld::Passes(answer) | Unheld::Slow(answer)) => {
                return self.faulted(answer, ticket).await;
            }
            Err(Unheld::Lost) => {
                verdict::cut(self.stage, ticket, &Trouble::BackendCut);
                return self.end(Trouble::BackendCut.into()).map(Turn::Told);
            }
            Err(Unheld::Interrupted(interrupt)) => {
                return self.end(interrupt.into()).map(Turn::Told);
            }
        };
        let reason = match about.unwrap_or_else(|| complaint(&held)) {
            Complaint::ContextWindow => Some(Reason::ContextWindow),
            Complaint::ContentPolicy => Some(Reason::ContentPolicy),
            Complaint::OfRequest | Complaint::OfBackend => None,
        };
        let step = reason.and_then(|reason| Some((self.ways.after(self.step, reason)?, reason)));
        let Some((step, reason)) = step else {
            return self.faulted(held, ticket).await;
        };
        self.walk.redirected(ticket.backend(), self.at(self.step));
        if status >= 400 {
            ticket.declined(self.stage.now());
        }
        match &self.first {
            None => self.first = Some(Word::Answer(held)),
            Some(_) => held.lost(self.stage),
        }
        self.go_to(step, reason);
        Ok(Turn::On)
    }

    /// The answer faults the request, and no other model is there for that: it
    /// is told, unless it is a fallback's and there is something better.
    async fn faulted(
        &mut self,
        answer: Box<Answer<'s, W::Stream>>,
        ticket: Ticket<'s>,
    ) -> Result<Turn<'s, W::Stream>, AttemptFault> {
        let has_better = !self.full.is_empty() || matches!(self.first, Some(Word::Answer(_)));
        if self.ways.is_fallback(self.step) && has_better {
            return self.passed_over(answer, ticket).await;
        }
        Ok(Turn::Told((answer, Some(ticket))))
    }

    /// A fallback has declined what another model may take: one that failed
    /// before, whose error is told then, or one that was only full.
    async fn passed_over(
        &mut self,
        answer: Box<Answer<'s, W::Stream>>,
        ticket: Ticket<'s>,
    ) -> Result<Turn<'s, W::Stream>, AttemptFault> {
        if matches!(self.first, Some(Word::Answer(_))) {
            answer.lost(self.stage);
        } else {
            match hold(self.stage, self.client, answer).await {
                Ok(held) => self.first = Some(Word::Answer(held)),
                Err(Unheld::Passes(answer) | Unheld::Slow(answer)) => {
                    return Ok(Turn::Told((answer, Some(ticket))));
                }
                Err(Unheld::Lost) => self.note(Trouble::BackendCut),
                Err(Unheld::Interrupted(interrupt)) => {
                    return self.end(interrupt.into()).map(Turn::Told);
                }
            }
        }
        self.walk.redirected(ticket.backend(), self.at(self.step));
        ticket.declined(self.stage.now());
        if self.next_step() {
            Ok(Turn::On)
        } else {
            self.give_up(GivenUp::NobodyLeft).map(Turn::Told)
        }
    }

    /// Whether this is a fallback of a model that was only full.
    fn is_waited_for(&self) -> bool {
        !self.full.is_empty() && self.ways.is_fallback(self.step)
    }

    /// Whether another model is there for what this one says of the prompt.
    fn has_step_for_prompt(&self) -> bool {
        [Reason::ContextWindow, Reason::ContentPolicy]
            .into_iter()
            .any(|reason| self.ways.after(self.step, reason).is_some())
    }
}
