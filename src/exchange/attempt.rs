//! Verb five: backends are asked, until one begins an answer that is none of
//! failure. Each failure is put into a class, and `retry` says what may follow.
//!
//! - The steps of the decision are walked in their order; in each, backends
//!   that have not failed this request yet: under the step's model, or in a way
//!   that is no model's. When all have, those that may do better a moment later
//!   are asked again, from the first step on.
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

use super::{
    Client, Stage,
    answer::Answer,
    ask::{Asking, AttemptFault, Word, ask_backend},
    errand::{Errand, Shared},
    hedge::{Beside, Heard, ask_beside, late_at},
    queue,
    understand::Asked,
    verdict,
    watch::Interrupt,
    ways::Ways,
};
use crate::{
    balance::{Ask, BackendId, NoPick, Reach, Ticket},
    llm::Model,
    retry::{Class, Failed, Failing, GivenUp, Next, Paid, Reason, Walk},
    route::Decision,
    rt::World,
};

/// An answer to relay, with the ticket of its backend while that is not judged.
pub type Begun<'s, S> = (Answer<'s, S>, Option<Ticket<'s>>);

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
    let mut way = Way {
        stage,
        client,
        ways,
        walk,
        step: 0,
        round_from: 0,
        reach: ways.first_reach(0),
        full: None,
        waits: false,
        fallback: None,
        owed: None,
        shared: Shared::default(),
        first: None,
        after: None,
    };
    way.walk_on(asked).await
}

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
    /// The first step of this round that was passed over as it was full.
    full: Option<usize>,
    /// Nobody else who is well is left, and this step is waited for.
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
    /// The failure after which another attempt has been paid for, and how.
    after: Option<(Class, Paid)>,
}

/// Why there is no further attempt.
enum Stuck {
    GivenUp(GivenUp),
    Interrupted(Interrupt),
}

/// What follows an attempt.
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one, and is moved once")]
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
            self.walk.begins();
            if let Some(reason) = self.fallback.take() {
                self.stage.counters.count_fallback(reason);
                self.owed = self.owed.filter(|_| self.step != self.round_from);
            }
            if let Some((class, _)) = self.after.take() {
                self.stage.counters.count_retry(class);
            }
            let name = self.ways.rename(self.step);
            asked.outgoing.get_mut().rename(asked.model.map(Model::place), name);
            let Heard { mut asking, ticket } = match self.ask(asked, ticket).await {
                Ok(heard) => heard,
                Err(fault) => return self.end(fault),
            };
            if self.stage.settings.headers.own
                && let Some(answer) = asking.answer()
            {
                self.ways.tell(self.step, answer);
            }
            let turn = match asking {
                Asking::Begun(answer, about) => self.answered(answer, about, ticket).await?,
                Asking::Failed(failed, word) => self.failed(failed, word, ticket).await?,
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

    /// Asks the backend of this ticket, and another one beside it if it is late.
    async fn ask(
        &mut self,
        asked: &Asked<'_>,
        ticket: Ticket<'s>,
    ) -> Result<Heard<'s, W::Stream>, AttemptFault> {
        let (stage, client, outgoing) = (self.stage, self.client, &asked.outgoing);
        let errand = Errand { client, watch: client, asked, outgoing, shared: &self.shared };
        let may_hedge = stage.settings.retry.hedges() && self.walk.may_hedge(self.steps_left());
        let late_at = may_hedge.then(|| late_at(stage, asked, &ticket)).flatten();
        let Some(late_at) = late_at else {
            let asking = ask_backend(stage, &errand, &ticket).await;
            return Ok(Heard { asking, ticket });
        };
        let tried = self.tried();
        let beside = Beside { ask: self.whom(asked, &tried), late_at };
        let both = ask_beside(stage, &errand, ticket, beside).await;
        if !both.is_hedged {
            return Ok(both.heard);
        }
        self.walk.hedged();
        let mut heard = both.heard;
        if let Some((failed, word, ticket)) = both.failed_before {
            self.walk.failed(ticket.backend(), self.step, failed, stage.now());
            verdict::failure(stage, ticket, failed);
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

    /// Whom this step does not ask again.
    fn tried(&self) -> Failing {
        self.walk.tried(|step| self.ways.are_same(step, self.step))
    }

    /// Whom this step may ask next.
    fn whom<'k>(&'k self, asked: &'k Asked<'_>, tried: &'k [BackendId]) -> Ask<'k> {
        let stage = self.stage;
        let among = self.ways.backends(self.step).unwrap_or(stage.fleet.everyone());
        let (conversation, hashes) = (asked.conversation.key, &asked.conversation.hashes[..]);
        let policy = stage.policies.of(self.ways.model(self.step));
        let ask = Ask::new(among, policy, asked.work);
        Ask { tried, reach: self.reach, conversation, hashes, ..ask }
    }

    /// A place at a backend of this step. Where another step is there for that,
    /// a full one is not waited for, and who is left alone is not asked.
    async fn place(&mut self, asked: &Asked<'_>) -> Result<Option<Ticket<'s>>, AttemptFault> {
        let (stage, client, tried) = (self.stage, self.client, self.tried());
        let waits = std::mem::take(&mut self.waits);
        let ask = self.whom(asked, &tried);
        if !waits && self.ways.after(self.step, Reason::General).is_some() {
            let placed = queue::at_once(stage, &ask, asked.priority);
            if matches!(placed, Err(NoPick::Full)) {
                self.full.get_or_insert(self.step);
            }
            return Ok(placed.ok());
        }
        queue::place(stage, client, &ask, asked.priority).await
    }

    /// A backend has failed.
    async fn failed(
        &mut self,
        failed: Failed,
        word: Word<'s, W::Stream>,
        ticket: Ticket<'s>,
    ) -> Result<Turn<'s, W::Stream>, AttemptFault> {
        let (stage, class) = (self.stage, failed.class);
        self.walk.failed(ticket.backend(), self.step, failed, stage.now());
        verdict::failure(stage, ticket, failed);
        let steps_left = self.steps_left();
        let next = self.walk.next(class, steps_left);
        let (next, paid) = match next.and_then(|next| Ok((next, self.pay(class)?))) {
            Ok(paid) => paid,
            Err(given_up) => return self.give_up_with(word, given_up).map(Turn::Told),
        };
        match self.keep(word).await {
            Ok(None) => {}
            Ok(Some(answer)) => return Ok(Turn::Told((answer, None))),
            Err(fault) => return self.end(fault).map(Turn::Told),
        }
        self.after = Some((class, paid));
        if next == Next::Step
            && let Some(step) = self.ways.after(self.step, Reason::General)
        {
            self.go_to(step, Reason::General);
        }
        Ok(Turn::On)
    }

    /// Nobody is left in this step who has not been asked: goes on to the next
    /// one, or to one that was full, to wait there, or once more to those where
    /// nobody is well, or waits until some may be asked again.
    async fn leave_step(&mut self) -> Result<(), Stuck> {
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
        (self.reach, self.full) = (self.ways.first_reach(self.step), None);
        client.pause(stage, begins).await.map_err(Stuck::Interrupted)
    }

    /// Goes on to the next step, or to one that was full, to wait there; says
    /// whether there is one.
    fn next_step(&mut self) -> bool {
        if let Some(step) = self.ways.after(self.step, Reason::General) {
            self.go_to(step, Reason::General);
            return true;
        }
        let full = self.full.take();
        if let Some(step) = full {
            self.go_to(step, Reason::General);
            self.waits = true;
        }
        full.is_some()
    }

    fn go_to(&mut self, step: usize, reason: Reason) {
        self.step = step;
        let fallback = self.ways.is_fallback(step).then_some(reason);
        if reason != Reason::General {
            (self.round_from, self.owed) = (step, fallback);
            (self.reach, self.full) = (self.ways.first_reach(step), None);
        }
        self.fallback = if step == self.round_from { self.owed } else { fallback };
    }

    /// How many general fallbacks are behind this step.
    fn steps_left(&self) -> usize {
        let next = |step: &usize| self.ways.after(*step, Reason::General);
        std::iter::successors(next(&self.step), next).count()
    }

    fn pay(&self, class: Class) -> Result<Paid, GivenUp> {
        let stage = self.stage;
        let paid = self.walk.pay(class, stage.retry_budget(), stage.now());
        if paid == Err(GivenUp::BudgetSpent) {
            stage.counters.retry_budget_exhausted.increment();
        }
        paid
    }
}
