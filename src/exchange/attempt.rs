//! Verb five: backends are asked, until one begins an answer that is none of
//! failure. Each failure is put into a class, and `retry` says what may follow.
//!
//! - The steps of the decision are walked in their order; in each, backends
//!   that have not failed this request yet: under the step's model, or in a way
//!   that is no model's. When all have, those that may do better a moment later
//!   are asked again, from the first step on.
//! - A step whose backends are full is passed over. Where none had room, the
//!   first place at any of them decides which is walked.
//! - What a step asks of the model's name and of credentials is written anew
//!   for each attempt; nothing of one backend's goes to another.
//! - An error is held while others are asked. If nobody answers, the client
//!   gets the first answer that a backend gave, byte for byte, and not the last
//!   one's accident; where none gave any, our own first trouble.
//! - An answer of a fallback that faults the request (400 to 499) is no better
//!   than the error for which the fallback was asked, and no answer for a model
//!   that was only full: that one is waited for.

mod answered;
mod last_words;
mod onward;
mod place;

use smallvec::SmallVec;

use super::{
    Client, Stage,
    answer::Answer,
    ask::{Asking, AttemptFault, Word, ask_backend},
    errand::{Errand, Shared},
    hedge::{Beside, Heard, ask_beside, late_at},
    own_fields::of_refusal,
    understand::Asked,
    verdict,
    ways::Ways,
};
use crate::{
    balance::{ModelKey, Reach, Ticket},
    base::Instant,
    llm::{MODEL_BYTES_MAX, Model},
    retry::{Class, Failed, Paid, Reason, Walk},
    route::{Decision, STEPS_MAX},
    rt::World,
};
use answered::is_fault;
use onward::Stuck;

/// An answer to relay, with the ticket of its backend while that is not judged.
pub type Begun<'s, S> = (Box<Answer<'s, S>>, Option<Ticket<'s>>);

/// Asks backends until one begins to answer. The request in `asked` is not
/// needed any more after that.
pub async fn attempt<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
    decision: Option<&Decision<'_>>,
) -> Result<Begun<'s, W::Stream>, AttemptFault> {
    stage.count_for_retries();
    let walk = Walk::new(&stage.settings.retry, asked.repeatable);
    let ways = Ways::of(decision);
    // Where nobody tells models apart, the name is looked at when it is needed: it
    // stands in the body as it came.
    let tells_apart = decision.is_some() || stage.fleet.tells_models_apart();
    let mut way = Way {
        stage,
        client,
        ways,
        walk,
        step: 0,
        round_from: 0,
        reach: ways.first_reach(0),
        full: Full::new(),
        waits: false,
        fallback: None,
        owed: None,
        shared: Shared::default(),
        first: None,
        after: None,
        paid: Paid::Nothing,
        model: if tells_apart { named_model(asked) } else { None },
    };
    let begun = way.walk_on(asked).await;
    if begun.is_err() && stage.settings.headers.own {
        let reason = ways.reason(way.step);
        asked.come_by = of_refusal(way.shared.asks.get(), reason.as_deref());
    }
    begun
}

/// The model that the client has named.
pub(super) fn named_model(asked: &Asked<'_>) -> Option<ModelKey> {
    let (outgoing, mut room) = (asked.outgoing.borrow(), [0; MODEL_BYTES_MAX]);
    Some(ModelKey::of(asked.model?.name(outgoing.body(), &mut room)))
}

/// Steps whose backends bear no more, for now.
type Full = SmallVec<[usize; 2]>;

/// The way of one request from backend to backend.
struct Way<'s, 'a, W: World> {
    stage: &'s Stage<W>,
    client: &'a Client<W::Stream>,
    ways: Ways<'a>,
    walk: Walk<'s>,
    /// The step that is walked, and the one where a round begins.
    step: usize,
    round_from: usize,
    /// Whom the steps ask: those that are well, until no step has one.
    reach: Reach,
    /// The steps of this round, in their order, that were passed over as they
    /// were full.
    full: Full,
    /// Nobody else who is well is left, and those steps are waited for.
    waits: bool,
    /// The step that is walked is a fallback, and has asked nobody yet.
    fallback: Option<Reason>,
    /// The same of the step where a round begins, however often the round is
    /// walked before somebody is asked there.
    owed: Option<Reason>,
    /// What its asks have in common.
    shared: Shared,
    /// What the client is told if nobody answers.
    first: Option<Word<'s, W::Stream>>,
    /// The failure after which another attempt is to be made, …
    after: Option<Class>,
    /// … and how that has been paid for.
    paid: Paid,
    /// The model that the client asks for, where it is told apart.
    model: Option<ModelKey>,
}

const _: () = assert!(STEPS_MAX <= Walk::STEPS_MAX, "each step is told apart");

/// What follows an attempt.
enum Turn<'s, S> {
    /// Another attempt.
    On,
    Told(Begun<'s, S>),
}

impl<'s, W: World> Way<'s, '_, W> {
    async fn walk_on(
        &mut self,
        asked: &mut Asked<'_>,
    ) -> Result<Begun<'s, W::Stream>, AttemptFault> {
        loop {
            let ticket = match self.place(asked).await {
                Ok(Some(ticket)) => ticket,
                Ok(None) => match self.leave_step().await {
                    Ok(()) => continue,
                    Err(Stuck::GivenUp(given_up)) => return self.give_up(given_up),
                    Err(Stuck::Interrupted(interrupt)) => return self.end(interrupt.into()),
                },
                Err(fault) => return self.end(fault),
            };
            self.begins();
            let name = self.ways.rename(self.step);
            asked.outgoing.get_mut().rename(asked.model.map(Model::place), name);
            let (mut asking, ticket) = match self.late_at(asked, &ticket) {
                None => (ask_backend(self.stage, &self.errand(asked), &ticket).await, ticket),
                Some(at) => match Box::pin(self.ask_two(asked, ticket, at)).await {
                    Ok(Heard { asking, ticket }) => (asking, ticket),
                    Err(fault) => return self.end(fault),
                },
            };
            if self.stage.settings.headers.own
                && let Some(answer) = asking.answer()
            {
                self.ways.tell(self.step, answer);
            }
            // What is rare and large stands in boxes, so that a usual request is
            // not larger for it.
            let turn = match asking {
                Asking::Begun(answer, about) if !is_fault(&answer, about) => {
                    return Ok((answer, Some(ticket)));
                }
                Asking::Begun(answer, about) => {
                    Box::pin(self.answered_fault(answer, about, ticket)).await?
                }
                Asking::Failed(failed, word) => {
                    Box::pin(self.failed(asked, failed, word, ticket)).await?
                }
                Asking::Ended(fault) => {
                    verdict::ended(self.stage, ticket, &fault);
                    return self.end(fault);
                }
            };
            if let Turn::Told(begun) = turn {
                return Ok(begun);
            }
        }
    }

    /// A backend has a place for the request.
    fn begins(&mut self) {
        let at = self.at(self.step);
        // What is not asked again is no retry.
        if !self.walk.has_asked_model(at.model) {
            self.take_back();
        }
        self.paid = Paid::Nothing;
        self.walk.begins(at);
        if let Some(reason) = self.fallback.take() {
            self.stage.counters.count_fallback(reason);
            self.owed = self.owed.filter(|_| self.step != self.round_from);
        }
        if let Some(class) = self.after.take() {
            self.stage.counters.count_retry(class);
        }
    }

    /// What a backend of this step is asked.
    fn errand<'e>(&'e self, asked: &'e Asked<'_>) -> Errand<'e, W::Stream> {
        let (client, outgoing) = (self.client, &asked.outgoing);
        Errand { client, watch: client, asked, outgoing, shared: &self.shared }
    }

    /// When the backend of this ticket is late, if another one may be asked
    /// beside it then.
    fn late_at(&self, asked: &Asked<'_>, ticket: &Ticket<'_>) -> Option<Instant> {
        let may_hedge = self.stage.settings.retry.hedges()
            && self.walk.may_hedge(self.at(self.step), self.ahead());
        may_hedge.then(|| late_at(self.stage, asked, ticket)).flatten()
    }

    /// Asks the backend of this ticket, and another one beside it if it is late.
    async fn ask_two(
        &mut self,
        asked: &Asked<'_>,
        ticket: Ticket<'s>,
        late_at: Instant,
    ) -> Result<Heard<'s, W::Stream>, AttemptFault> {
        let (stage, at) = (self.stage, self.at(self.step));
        let tried = self.tried(self.step);
        let beside = Beside { ask: self.whom(self.step, asked, &tried), late_at };
        let both = ask_beside(stage, &self.errand(asked), ticket, beside).await;
        if !both.is_hedged {
            return Ok(both.heard);
        }
        self.walk.hedged(at);
        let mut heard = both.heard;
        if let Some((failed, word, ticket)) = both.failed_before {
            self.walk.failed(ticket.backend(), at, failed, stage.now());
            verdict::failure(stage, self.told_model(asked, ticket), failed);
            if matches!(heard.asking, Asking::Failed(..)) {
                if let Some(too_large) = self.keep(word).await? {
                    too_large.lost(stage);
                }
            } else if let Word::Answer(answer) = word {
                answer.lost(stage);
            }
        }
        if let Some(answer) = heard.asking.answer() {
            answer.amend(self.shared.asks.get(), false);
        }
        Ok(heard)
    }

    /// A backend has failed.
    async fn failed(
        &mut self,
        asked: &Asked<'_>,
        failed: Failed,
        word: Word<'s, W::Stream>,
        ticket: Ticket<'s>,
    ) -> Result<Turn<'s, W::Stream>, AttemptFault> {
        let (stage, class) = (self.stage, failed.class);
        self.walk.failed(ticket.backend(), self.at(self.step), failed, stage.now());
        verdict::failure(stage, self.told_model(asked, ticket), failed);
        let next = match self.next(class) {
            Ok(next) => next,
            Err(given_up) => return self.give_up_with(word, given_up).map(Turn::Told),
        };
        // The attempt that was paid for may not come to be.
        match self.keep(word).await {
            Ok(None) => {}
            Ok(Some(answer)) => {
                self.take_back();
                return Ok(Turn::Told((answer, None)));
            }
            Err(fault) => {
                self.take_back();
                return self.end(fault).map(Turn::Told);
            }
        }
        self.after = Some(class);
        self.go_on(next);
        Ok(Turn::On)
    }
}
