//! The decision: what one request is, held against the table.

use std::ops::RangeInclusive;

use smallvec::SmallVec;

use super::{
    Conditions, Decision, HeadFacts, ModelId, RouteTable, RuleId, Shadow, Why,
    decision::{Entry, SHADOWS_MAX, STEPS_MAX, Speaks},
    names::Place,
    split::{is_among, standing, winner},
    table::{CompiledRule, Model},
    visits::Visit,
};
use crate::{
    base::{BackendId, mixed},
    llm::Dialect,
};

/// What is known of a request at no further cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query<'a> {
    /// As the client has written it; `None` where the API asks for none.
    pub model: Option<&'a [u8]>,
    pub head: HeadFacts,
    pub stream: bool,
    pub tools: bool,
    /// Estimated.
    pub prompt_tokens: u64,
    /// What the backend must speak; `None` where that does not matter.
    pub dialect: Option<Dialect>,
    /// A number of chance, for shares of requests and not of conversations.
    pub dice: u64,
}

/// What must be looked for in the body, and is, only when it is asked for.
pub trait Content {
    fn images(&mut self) -> bool;
    /// From 0 to 1.
    fn complexity(&mut self) -> f32;
    /// Whether the complexity may be this much or more, as far as that is told
    /// sooner than how much it is.
    fn may_be_as_complex_as(&mut self, _least: f32) -> bool {
        true
    }
    /// Who talks, as a hash that stays the same from turn to turn.
    fn conversation(&mut self) -> u64;
}

/// Why nobody can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// Nobody has named it; these are near.
    Unknown { near: Vec<Box<str>> },
    /// Only rules have named it, and none of them applies.
    NoRule,
    /// It is served, but not in the request's dialect.
    OtherDialect,
}

impl RouteTable {
    /// Decides where a request goes.
    pub fn decide(
        &self,
        query: &Query<'_>,
        content: &mut dyn Content,
    ) -> Result<Decision<'_>, Unrouted> {
        let (place, rules, name_is_looked_up) = self.names.find(query.model);
        if place == Place::Unknown {
            self.refuse_unknown(query.model.unwrap_or_default())?;
        }
        let mut decision = self.blank();
        let mut content = Asked::new(query.head.session, content);
        let mut chosen = None;
        for &id in rules {
            let rule_id = RuleId(id as usize);
            if !self.terms.get(rule_id.0).is_some_and(|terms| terms.are_met(query)) {
                continue;
            }
            let Some(rule) = self.rules.get(rule_id.0) else { continue };
            if !rule.rest_is_met(query, !name_is_looked_up, &mut content) {
                continue;
            }
            let arm = rule.arm(&mut content);
            if rule.shadow {
                if decision.shadows.len() < SHADOWS_MAX {
                    decision.shadows.push(Shadow { rule: rule_id, model: arm });
                }
                continue;
            }
            if let Some(mirror) = &rule.mirror
                && decision.mirror.is_none()
                && is_among(mixed(query.dice ^ rule.hash), mirror.percent)
            {
                self.mirror(&mut decision, mirror.model, (query, &place), &mut content);
            }
            if arm.is_some() {
                decision.rule = Some(rule_id);
                chosen = arm;
                break;
            }
        }
        self.fill(&mut decision, chosen, place, query, &mut content)?;
        Ok(decision)
    }

    /// Rules that ask for no name are for those that somebody has named: a name
    /// that was misspelt is answered by nobody.
    fn refuse_unknown(&self, name: &[u8]) -> Result<(), Unrouted> {
        let is_known = self.names.have_rules(name);
        is_known.then_some(()).ok_or_else(|| Unrouted::Unknown { near: self.near(name) })
    }

    fn blank(&self) -> Decision<'_> {
        Decision {
            table: self,
            rule: None,
            model: None,
            visits: &[],
            steps: SmallVec::new(),
            gathered: Vec::new(),
            mirror: None,
            shadows: SmallVec::new(),
        }
    }

    /// Writes the steps.
    fn fill<'t>(
        &'t self,
        decision: &mut Decision<'t>,
        chosen: Option<ModelId>,
        place: Place,
        query: &Query<'_>,
        content: &mut Asked<'_>,
    ) -> Result<(), Unrouted> {
        let speaks = Speaks::of(query.dialect);
        let own = if let Place::Model(id) = place { Some(id) } else { None };
        match (chosen.or(own), place) {
            (Some(model), _) => {
                decision.model = Some(model);
                self.walk(decision, model, (own, query), content);
            }
            (None, Place::Itself(candidate)) => {
                let why = Why::Candidate;
                let entry = Entry { candidate, why, visit: 0, renames: false, speaks };
                if self.is_served(entry, query, decision) {
                    decision.steps.push(entry);
                }
            }
            (None, Place::Gathered(backends)) => {
                let speak = |id: &BackendId| self.names.speaks(*id, query.dialect);
                let backends: Box<[_]> = backends.into_iter().filter(speak).collect();
                if !backends.is_empty() {
                    let candidate = self.names.anywhere();
                    let (why, visit, renames) = (Why::Candidate, 0, false);
                    decision.steps.push(Entry { candidate, why, visit, renames, speaks });
                    decision.gathered.push((candidate, backends));
                }
            }
            (None, Place::Model(_) | Place::Unknown) => return Err(Unrouted::NoRule),
        }
        if decision.steps.is_empty() { Err(Unrouted::OtherDialect) } else { Ok(()) }
    }

    /// The steps of a model and of all that it falls back to.
    fn walk<'t>(
        &'t self,
        decision: &mut Decision<'t>,
        first: ModelId,
        (own, query): (Option<ModelId>, &Query<'_>),
        content: &mut Asked<'_>,
    ) {
        let Some(model) = self.models.get(first.0) else { return };
        decision.visits = &model.visits;
        for (visit, Visit { model, why, .. }) in model.visits.iter().enumerate() {
            let Some(visited) = self.models.get(model.0) else { continue };
            let renames = own != Some(*model);
            let (why, visit, speaks) = (*why, visit as u8, Speaks::of(query.dialect));
            visited.ranked(query.dice, content, |candidate| {
                let entry = Entry { candidate, why, visit, renames, speaks };
                if decision.steps.len() < STEPS_MAX && self.is_served(entry, query, decision) {
                    decision.steps.push(entry);
                }
            });
        }
    }

    /// The first way to have the mirror's model answer.
    fn mirror(
        &self,
        decision: &mut Decision<'_>,
        id: ModelId,
        (query, place): (&Query<'_>, &Place),
        content: &mut Asked<'_>,
    ) {
        let renames = *place != Place::Model(id);
        let speaks = Speaks::of(query.dialect);
        let Some(model) = self.models.get(id.0) else { return };
        model.ranked(query.dice, content, |candidate| {
            let why = Why::Candidate;
            let entry = Entry { candidate, why, visit: 0, renames, speaks };
            if decision.mirror.is_none() && self.is_served(entry, query, decision) {
                decision.mirror = Some(entry);
            }
        });
    }

    /// Whether anybody serves this step. Keeps who does where that is not what
    /// the table says.
    fn is_served(&self, entry: Entry, query: &Query<'_>, decision: &mut Decision<'_>) -> bool {
        let Some(candidate) = self.candidates.get(entry.candidate as usize) else { return false };
        let backends = candidate.speaking(entry.speaks);
        if !candidate.by_name || decision.gathered.iter().any(|(of, _)| *of == entry.candidate) {
            return !backends.is_empty();
        }
        let own = candidate.own.as_deref().filter(|_| entry.renames);
        let name = own.map(str::as_bytes).or(query.model).unwrap_or_default();
        let serves = |id: &&BackendId| self.names.serves(**id, name);
        let serving = backends.iter().filter(serves).count();
        if (1..backends.len()).contains(&serving) {
            let serving = backends.iter().filter(serves).copied().collect();
            decision.gathered.push((entry.candidate, serving));
        }
        serving > 0
    }
}

impl CompiledRule {
    /// Whether what is not among its terms is as the rule wants it.
    pub(super) fn rest_is_met(
        &self,
        query: &Query<'_>,
        looks_at_name: bool,
        content: &mut Asked<'_>,
    ) -> bool {
        let Conditions { models, images, complexity, .. } = &self.when;
        self.head.iter().skip(1).all(|place| query.head.meets(*place))
            && (!looks_at_name
                || models.is_empty()
                || query.model.is_some_and(|name| models.iter().any(|m| m.meets(name))))
            && images.is_none_or(|wanted| wanted == content.images())
            && complexity.as_ref().is_none_or(|range| content.is_within(range))
    }

    /// The model that the conversation falls to.
    pub(super) fn arm(&self, content: &mut Asked<'_>) -> Option<ModelId> {
        if let [arm] = &*self.to {
            return Some(arm.model);
        }
        let key = if self.to.is_empty() { 0 } else { content.conversation() ^ self.hash };
        let parts = self.arm_hashes.iter().zip(&self.to).map(|(hash, arm)| (*hash, arm.weight));
        let winner = winner(mixed(key), parts);
        self.to.get(winner.unwrap_or_default()).map(|arm| arm.model)
    }
}

impl Model {
    /// Hands out the candidates in the order in which they are asked.
    pub(super) fn ranked(&self, dice: u64, content: &mut Asked<'_>, mut hand: impl FnMut(u32)) {
        for order in &self.orders {
            if let [only] = &**order {
                hand(only.candidate);
                continue;
            }
            let key = if self.sticky { content.conversation() } else { dice };
            let mut standings = SmallVec::<[(f64, u32); 8]>::new();
            for share in order {
                if let Some(standing) = standing(mixed(key), share.hash, share.weight) {
                    standings.push((standing, share.candidate));
                }
            }
            standings.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
            standings.iter().for_each(|(_, candidate)| hand(*candidate));
        }
    }
}

impl Speaks {
    pub(super) fn of(dialect: Option<Dialect>) -> Self {
        match dialect {
            None => Self::Any,
            Some(Dialect::OpenAi) => Self::OpenAi,
            Some(Dialect::Anthropic) => Self::Anthropic,
        }
    }
}

/// A body's content, of which nothing is looked for twice.
pub(super) struct Asked<'c> {
    content: &'c mut dyn Content,
    images: Option<bool>,
    complexity: Option<f32>,
    conversation: Option<u64>,
}

impl<'c> Asked<'c> {
    /// A session that the head has named goes before what the body tells.
    pub(super) fn new(session: Option<u64>, content: &'c mut dyn Content) -> Self {
        Self { content, images: None, complexity: None, conversation: session }
    }

    pub(super) fn images(&mut self) -> bool {
        *self.images.get_or_insert_with(|| self.content.images())
    }

    pub(super) fn complexity(&mut self) -> f32 {
        *self.complexity.get_or_insert_with(|| self.content.complexity())
    }

    fn is_within(&mut self, range: &RangeInclusive<f32>) -> bool {
        let least = *range.start();
        let may_be = self.complexity.is_some() || self.content.may_be_as_complex_as(least);
        may_be && range.contains(&self.complexity())
    }

    fn conversation(&mut self) -> u64 {
        *self.conversation.get_or_insert_with(|| self.content.conversation())
    }
}
