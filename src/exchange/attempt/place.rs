//! A place for a request: at once at the first step that has one, or after a
//! wait at the first of all those that were only full.

use super::Way;
use crate::{
    balance::{Ask, BackendId, ModelKey, NoPick, Reach, Ticket},
    exchange::{ask::AttemptFault, attempt::named_model, queue, understand::Asked},
    retry::{Failing, Reason},
    rt::World,
};

impl<'s, W: World> Way<'s, '_, W> {
    /// Whom a step does not ask again.
    pub(super) fn tried(&self, of: usize) -> Failing {
        self.walk.tried(|step| self.ways.are_same(step, of))
    }

    /// The same ticket, told which model was asked for by it if it was made when
    /// nobody told models apart.
    pub(super) fn told_model<'t>(&mut self, asked: &Asked<'_>, ticket: Ticket<'t>) -> Ticket<'t> {
        if ticket.is_of_model() {
            return ticket;
        }
        if self.model.is_none() {
            self.model = named_model(asked);
        }
        ticket.of_model(self.model)
    }

    /// Whom a step may ask next.
    pub(super) fn whom<'k>(
        &'k self,
        step: usize,
        asked: &'k Asked<'_>,
        tried: &'k [BackendId],
    ) -> Ask<'k> {
        let stage = self.stage;
        let among = self.ways.backends(step).unwrap_or(stage.fleet.everyone());
        let (conversation, hashes) = (asked.conversation.key, &asked.conversation.hashes[..]);
        let policy = stage.policies.of(self.ways.model(step));
        let ask = Ask::new(among, policy, asked.work);
        let is_for_well = self.walk.is_for_well(self.at(step));
        let reach = if is_for_well { Reach::Well } else { self.reach };
        let is_first = self.walk.attempts() == 0;
        let rename = self.ways.rename(step).map(|name| ModelKey::of(name.as_bytes()));
        let model = rename.or(self.model);
        Ask { tried, reach, is_first, model, conversation, hashes, ..ask }
    }

    /// A place at a backend of this step. Where another step is there for that,
    /// a full one is not waited for, and who is left alone is not asked.
    pub(super) async fn place(
        &mut self,
        asked: &Asked<'_>,
    ) -> Result<Option<Ticket<'s>>, AttemptFault> {
        if std::mem::take(&mut self.waits) {
            return Box::pin(self.place_at_any(asked)).await;
        }
        if !self.walk.may_ask(self.at(self.step)) {
            return Ok(None);
        }
        let (stage, client, tried) = (self.stage, self.client, self.tried(self.step));
        let ask = self.whom(self.step, asked, &tried);
        let placed = queue::at_once(stage, &ask, asked.priority);
        let is_last = self.ways.after(self.step, Reason::General).is_none();
        if is_last && self.full.is_empty() {
            if !matches!(placed, Err(NoPick::Full)) {
                return Ok(placed.ok());
            }
            // Meanwhile models may come to be told apart.
            let ask = Ask { model: ask.model.or_else(|| named_model(asked)), ..ask };
            let wait = queue::wait(stage, client, std::slice::from_ref(&ask), asked.priority);
            return Ok(Box::pin(wait).await?.map(|(_, ticket)| ticket));
        }
        let step = self.step;
        self.full.retain(|full| *full != step);
        if matches!(placed, Err(NoPick::Full)) {
            self.full.push(step);
        }
        Ok(placed.ok())
    }

    /// A place at any of the steps that were only full: that one is walked then.
    async fn place_at_any(
        &mut self,
        asked: &Asked<'_>,
    ) -> Result<Option<Ticket<'s>>, AttemptFault> {
        let mut steps = std::mem::take(&mut self.full);
        steps.retain(|step| self.walk.may_ask(self.at(*step)));
        if steps.is_empty() {
            return Ok(None);
        }
        let tried: Vec<_> = steps.iter().map(|step| self.tried(*step)).collect();
        let asks = steps.iter().zip(&tried).map(|(step, tried)| self.whom(*step, asked, tried));
        let asks: Vec<_> = asks.collect();
        let placed = queue::wait(self.stage, self.client, &asks, asked.priority).await?;
        drop(asks);
        let Some((index, ticket)) = placed else { return Ok(None) };
        let step = steps.remove(index);
        self.full = steps;
        self.go_to(step, Reason::General);
        Ok(Some(ticket))
    }
}
