//! The plan, compiled once: what a request asks of it is a lookup, a walk over
//! the rules that may apply, and a list of numbers.

use super::{
    Arm, Conditions, ModelId, Pattern, RoutePlan, RuleId,
    decision::{Entry, Speaks, Step},
    head::{HeadConditions, HeadFacts},
    names::{Names, Place},
    near::near_names,
    terms::Terms,
    visits::{Visit, visits},
};
use crate::{
    base::{BackendId, stable_hash},
    http::Fields,
    llm::Dialect,
};

/// Everything that routing knows before a request comes.
#[derive(Debug)]
pub struct RouteTable {
    pub(super) names: Names,
    pub(super) models: Box<[Model]>,
    /// Of all models, and of names that are their own models.
    pub(super) candidates: Box<[Candidate]>,
    pub(super) rules: Box<[CompiledRule]>,
    /// Of each rule.
    pub(super) terms: Box<[Terms]>,
    head: HeadConditions,
    plain: bool,
}

/// A model, ready to be walked.
#[derive(Debug)]
pub(super) struct Model {
    /// As the plan names it, plain enough for a header.
    pub word: Box<str>,
    /// Its candidates that have weight, those of the same order together, the
    /// lowest first.
    pub orders: Box<[Box<[Share]>]>,
    pub sticky: bool,
    /// This model, and all that may be fallen back to.
    pub visits: Box<[Visit]>,
}

/// One candidate's part of its order.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub candidate: u32,
    pub weight: u32,
    /// What tells it from the others for the split.
    pub hash: u64,
}

/// One way to ask backends.
#[derive(Debug)]
pub(super) struct Candidate {
    pub model: Option<ModelId>,
    /// What the plan says that the backends call it.
    pub given: Option<Box<str>>,
    /// What they are told where the client has written another model's name.
    pub own: Option<Box<str>>,
    /// The name that is sent is one of several, and not all of these backends
    /// need serve it.
    pub by_name: bool,
    /// All, those that speak OpenAI's API, those that speak Anthropic's.
    pub backends: [Box<[BackendId]>; 3],
}

#[derive(Debug)]
pub(super) struct CompiledRule {
    pub name: Box<str>,
    pub when: Conditions,
    /// The conditions on the head, by their places.
    pub head: Box<[u16]>,
    pub to: Box<[Arm]>,
    /// For the split among its arms.
    pub arm_hashes: Box<[u64]>,
    pub hash: u64,
    pub shadow: bool,
    pub mirror: Option<super::Mirror>,
}

/// So that hashes of one kind have nothing to do with those of another.
const CANDIDATE_SEED: u64 = 2;
const RULE_SEED: u64 = 3;
const ARM_SEED: u64 = 4;
/// Bytes of a model's name that are told in a header.
const WORD_BYTES_MAX: usize = 128;

impl RouteTable {
    /// Compiles a plan that has been checked.
    #[must_use]
    pub fn new(plan: &RoutePlan) -> Self {
        let mut candidates = Vec::new();
        let models = (0..plan.models.len()).map(|id| model(plan, ModelId(id), &mut candidates));
        let models = models.collect();
        let mut head = HeadConditions::new(&plan.session_headers);
        let rules: Box<[_]> =
            plan.rules.iter().map(|rule| compiled_rule(plan, rule, &mut head)).collect();
        let names = Names::new(plan, &mut candidates);
        let serves_all =
            plan.backends.iter().all(|serves| serves.models.is_empty() && serves.dialect.is_none());
        let plain = plan.models.is_empty() && rules.is_empty() && serves_all;
        let terms = rules.iter().map(|rule| Terms::new(&rule.when, &rule.head)).collect();
        Self { names, models, candidates: candidates.into(), rules, terms, head, plain }
    }

    /// Whether there is nothing to decide: every request may go to every
    /// backend.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Asks of a head what the rules will want to know of it.
    #[must_use]
    pub fn head_facts(&self, path: &[u8], fields: &Fields<'_, '_>) -> HeadFacts {
        self.head.ask(path, fields)
    }

    /// Whether a name that nobody has named is nobody's.
    #[must_use]
    pub fn names_are_known(&self) -> bool {
        self.names.are_known()
    }

    /// The public names that are answered in this dialect, in order.
    pub fn public_names(&self, dialect: Dialect) -> impl Iterator<Item = &str> {
        let names = self.names.public().iter().map(|name| &**name);
        names.filter(move |name| self.answers(name.as_bytes(), dialect))
    }

    /// Whether a name is known, and answered in this dialect.
    #[must_use]
    pub fn answers(&self, name: &[u8], dialect: Dialect) -> bool {
        let speaks = Speaks::of(Some(dialect));
        let is_served = |id: u32| {
            let candidate = self.candidates.get(id as usize);
            candidate.is_some_and(|candidate| !candidate.speaking(speaks).is_empty())
        };
        match self.names.find(Some(name)).0 {
            Place::Model(id) => {
                let orders = self.models.get(id.0).map(|model| &model.orders);
                let mut shares = orders.into_iter().flatten().flatten();
                shares.any(|share| is_served(share.candidate))
            }
            Place::Itself(candidate) => is_served(candidate),
            Place::Gathered(ids) => ids.iter().any(|id| self.names.speaks(*id, Some(dialect))),
            Place::Unknown => self.names.have_rules(name),
        }
    }

    /// Known names that an unknown one may have been meant to be.
    #[must_use]
    pub fn near(&self, name: &[u8]) -> Vec<Box<str>> {
        near_names(self.names.public(), name)
    }

    #[must_use]
    pub fn rule_name(&self, rule: RuleId) -> &str {
        self.rules.get(rule.0).map_or("none", |rule| &rule.name)
    }

    /// A model's public name, plain enough for a header.
    #[must_use]
    pub fn model_word(&self, model: ModelId) -> &str {
        self.models.get(model.0).map_or("none", |model| &model.word)
    }

    pub(super) fn step(&self, entry: Entry) -> Step<'_> {
        let Some(candidate) = self.candidates.get(entry.candidate as usize) else {
            return Step { backends: &[], rename: None, model: None, why: entry.why };
        };
        let own = candidate.own.as_deref().filter(|_| entry.renames);
        let rename = candidate.given.as_deref().or(own);
        let backends = candidate.speaking(entry.speaks);
        Step { backends, rename, model: candidate.model, why: entry.why }
    }
}

impl Candidate {
    pub(super) fn new(plan: &RoutePlan, model: Option<ModelId>, backends: &[BackendId]) -> Self {
        let speaking = |wanted: Option<Dialect>| {
            let speaks = |id: &&BackendId| {
                let dialect = plan.backends.get(id.0).and_then(|serves| serves.dialect);
                wanted.is_none() || dialect.is_none() || dialect == wanted
            };
            backends.iter().filter(speaks).copied().collect()
        };
        let backends = [None, Some(Dialect::OpenAi), Some(Dialect::Anthropic)].map(speaking);
        Self { model, given: None, own: None, by_name: false, backends }
    }

    pub(super) fn speaking(&self, speaks: Speaks) -> &[BackendId] {
        let [any, openai, anthropic] = &self.backends;
        match speaks {
            Speaks::Any => any,
            Speaks::OpenAi => openai,
            Speaks::Anthropic => anthropic,
        }
    }
}

fn model(plan: &RoutePlan, id: ModelId, candidates: &mut Vec<Candidate>) -> Model {
    let written = &plan.models[id.0];
    let mut shares = Vec::new();
    let is_exact = written.name.is_exact();
    let is_choosy =
        |id: &BackendId| plan.backends.get(id.0).is_some_and(|serves| !serves.models.is_empty());
    for (place, candidate) in written.candidates.iter().enumerate() {
        let given = candidate.model.clone();
        // Named after what it is, so that another one before it moves nothing.
        let name = given.as_deref().unwrap_or_default();
        let like = |other: &&super::Candidate| other.model == candidate.model;
        let twins = written.candidates.iter().take(place).filter(like).count();
        let share = Share {
            candidate: candidates.len() as u32,
            weight: candidate.weight,
            hash: stable_hash(CANDIDATE_SEED + twins as u64 * 16, name.as_bytes()),
        };
        candidates.push(Candidate {
            by_name: given.is_none() && candidate.backends.iter().any(is_choosy),
            given,
            own: is_exact.then(|| written.name.0.clone()),
            ..Candidate::new(plan, Some(id), &candidate.backends)
        });
        shares.push((candidate.order, share));
    }
    weigh(&mut shares);
    shares.sort_by_key(|(order, _)| *order);
    let same = |(a, _): &(u32, Share), (b, _): &(u32, Share)| a == b;
    let orders = shares.chunk_by(same).map(|order| order.iter().map(|(_, s)| s.clone()).collect());
    Model {
        word: header_word(&written.name.0),
        orders: orders.collect(),
        sticky: written.sticky,
        visits: visits(plan, id),
    }
}

/// A weight of zero is none of the model's requests, also where nobody shares
/// the order. A model that is left without anybody has all of them, alike.
fn weigh(shares: &mut Vec<(u32, Share)>) {
    if shares.iter().all(|(_, share)| share.weight == 0) {
        shares.iter_mut().for_each(|(_, share)| share.weight = 1);
    }
    shares.retain(|(_, share)| share.weight > 0);
}

fn compiled_rule(plan: &RoutePlan, rule: &super::Rule, head: &mut HeadConditions) -> CompiledRule {
    let name_of = |arm: &Arm| plan.models.get(arm.model.0).map_or("", |model| &model.name.0);
    let arm_hash = |arm: &Arm| stable_hash(ARM_SEED, name_of(arm).as_bytes());
    CompiledRule {
        name: header_word(&rule.name),
        when: rule.when.clone(),
        head: head.add_all(&rule.when),
        arm_hashes: rule.to.iter().map(arm_hash).collect(),
        to: rule.to.as_slice().into(),
        hash: stable_hash(RULE_SEED, rule.name.as_bytes()),
        shadow: rule.shadow,
        mirror: rule.mirror.clone(),
    }
}

/// What may stand in a list of `name=value; …` within a header.
fn header_word(name: &str) -> Box<str> {
    let plain = |byte: u8| match byte {
        b';' | b'=' | b',' | b'"' | b'\\' => '_',
        0x21..0x7f => char::from(byte),
        _ => '_',
    };
    name.bytes().take(WORD_BYTES_MAX).map(plain).collect::<String>().into()
}

impl Pattern {
    /// The name itself, if it is one.
    pub(super) fn exact(&self) -> Option<&[u8]> {
        self.is_exact().then_some(self.0.as_bytes())
    }
}
