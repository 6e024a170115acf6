//! What the operator of a simulated house says of models, and so which backend
//! may see which name, and when.

use std::num::NonZeroU32;

use super::{
    faults::{Faults, Odds},
    order::{Api, Order},
};
use crate::{
    balance::{BackendId, Policy},
    base::Chance,
    llm::Complaint,
    route::{
        Arm, Candidate, Conditions, Fallbacks, ModelId, ModelPlan, Pattern, RoutePlan, Rule, Serves,
    },
};

/// The name where the operator says nothing of models.
pub const ONLY: &str = "m";
/// Nobody's.
pub const UNKNOWN: &str = "nobody";
/// What clients ask for: a model, its alias, one that a rule sends elsewhere.
const ASKED: [&str; 5] = ["chat", "gpt-4o", "small", "auto", UNKNOWN];

const CHAT: usize = 0;
const SMALL: usize = 1;
const LONG: usize = 2;
const OTHER: usize = 3;
const PUBLIC: [&str; 4] = ["chat", "small", "long", "other"];
/// As many ways has a model at most.
pub const WAYS_MAX: usize = 2;
/// What backends call each of them; a name is of one model only.
const SENT: [[&str; 2]; 4] = [
    ["meta/chat-1", "c"],
    ["small-and-with-a-long-name-of-its-own", "s"],
    ["long-1", "l"],
    ["other-1", "o"],
];

pub fn drawn_name(faults: &Faults, chance: &mut Chance) -> &'static str {
    if !faults.models {
        return ONLY;
    }
    let known = chance.below(ASKED.len() - 1);
    if chance.happens(Odds(30)) { UNKNOWN } else { ASKED[known] }
}

/// One plan's models, by the numbers of the house's backends.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// None: nothing is said of models.
    models: Vec<Model>,
}

#[derive(Clone, Debug)]
struct Model {
    ways: Vec<Way>,
    /// General, for long prompts, for declined ones.
    fallbacks: [Option<usize>; 3],
    sticky: bool,
    policy: Option<Policy>,
}

#[derive(Clone, Debug)]
struct Way {
    sent: Option<&'static str>,
    backends: Vec<usize>,
    weight: u32,
    order: u32,
}

impl Models {
    pub fn drawn(faults: &Faults, backends: usize, chance: &mut Chance) -> Self {
        if !faults.models {
            return Self::default();
        }
        let mut models: Vec<Model> =
            (0..PUBLIC.len()).map(|id| Model::drawn(id, faults, backends, chance)).collect();
        let mut some = |to| (chance.below(3) > 0).then_some(to);
        models[CHAT].fallbacks = [some(SMALL), some(LONG), some(OTHER)];
        models[SMALL].fallbacks = [None, some(LONG), some(OTHER)];
        Self { models }
    }

    /// As `config/` would write it, for these backends in this order. A way
    /// whose backends are all gone is for all.
    pub fn routes(&self, set: &[usize]) -> RoutePlan {
        let serves = set.iter().map(|_| Serves::default()).collect();
        if self.models.is_empty() {
            return RoutePlan { backends: serves, ..RoutePlan::default() };
        }
        let ids = |way: &Way| {
            let place = |index: &usize| set.iter().position(|one| one == index);
            let found: Vec<_> = way.backends.iter().filter_map(place).map(BackendId).collect();
            if found.is_empty() { (0..set.len()).map(BackendId).collect() } else { found }
        };
        let candidate = |way: &Way| Candidate {
            model: way.sent.map(Into::into),
            backends: ids(way),
            weight: way.weight,
            order: way.order,
        };
        let some = |to: Option<usize>| to.map(ModelId).into_iter().collect();
        let model = |(id, model): (usize, &Model)| ModelPlan {
            name: Pattern(PUBLIC[id].into()),
            is_named: true,
            leaves_others: false,
            aliases: if id == CHAT { vec![Pattern("gpt-*".into())] } else { Vec::new() },
            candidates: model.ways.iter().map(candidate).collect(),
            fallbacks: Fallbacks {
                general: some(model.fallbacks[0]),
                context_window: some(model.fallbacks[1]),
                content_policy: some(model.fallbacks[2]),
            },
            sticky: model.sticky,
        };
        let auto = Rule {
            name: "auto".into(),
            when: Conditions { models: vec![Pattern("auto".into())], ..Conditions::default() },
            to: [(CHAT, 2), (SMALL, 1)]
                .map(|(id, weight)| Arm { model: ModelId(id), weight })
                .into(),
            shadow: false,
            mirror: None,
        };
        RoutePlan {
            backends: serves,
            models: self.models.iter().enumerate().map(model).collect(),
            rules: vec![auto],
            session_headers: Vec::new(),
        }
    }

    pub fn are_none(&self) -> bool {
        self.models.is_empty()
    }

    pub fn policies(&self) -> Vec<Option<Policy>> {
        self.models.iter().map(|model| model.policy).collect()
    }

    /// Whether a backend may be asked for this order by this name, where the
    /// backends in force are these.
    pub fn allows(&self, order: &Order, backend: usize, sent: &str, set: &[usize]) -> bool {
        if self.models.is_empty() || order.api == Api::Batches {
            return sent == order.model;
        }
        let own: &[usize] = match order.model {
            "chat" | "gpt-4o" => &[CHAT],
            "small" => &[SMALL],
            "auto" => &[CHAT, SMALL],
            _ => &[],
        };
        // Those of its fallbacks too, and of theirs.
        let mut all = own.to_vec();
        let mut seen = 0;
        while let Some(&id) = all.get(seen) {
            let next = self.models[id].fallbacks.into_iter().flatten();
            let new: Vec<usize> = next.filter(|next| !all.contains(next)).collect();
            all.extend(new);
            seen += 1;
        }
        all.into_iter().any(|id| {
            self.models[id].ways.iter().any(|way| {
                let is_there = way.backends.contains(&backend)
                    || !way.backends.iter().any(|index| set.contains(index));
                // Under another name than the client's, one without a name of
                // its own goes by the public one.
                let own = if model_of(order.model) == Some(id) { order.model } else { PUBLIC[id] };
                is_there && way.sent.unwrap_or(own) == sent
            })
        })
    }
}

impl Model {
    fn drawn(id: usize, faults: &Faults, backends: usize, chance: &mut Chance) -> Self {
        let mut way = |place: usize| {
            let mut some: Vec<usize> = (0..backends).filter(|_| chance.below(2) == 0).collect();
            if some.is_empty() {
                some.push(chance.below(backends));
            }
            // What others fall back to is called by a name that tells it.
            let is_renamed = id != CHAT || place > 0 || chance.below(2) == 0;
            Way {
                sent: is_renamed.then(|| SENT[id][place]),
                backends: some,
                weight: 1 + chance.below(3) as u32,
                order: chance.below(2) as u32,
            }
        };
        let mut ways = vec![way(0), way(1)];
        ways.truncate(1 + chance.below(WAYS_MAX));
        let policy = faults.policies.then(|| drawn_policy(chance)).filter(|_| id != LONG);
        Self { ways, fallbacks: [None; 3], sticky: chance.below(2) == 0, policy }
    }
}

pub fn drawn_policy(chance: &mut Chance) -> Policy {
    Policy::ALL[chance.below(Policy::ALL.len())]
}

/// Most requests at a backend, where there is such a bound.
pub fn drawn_capacity(chance: &mut Chance) -> Option<NonZeroU32> {
    NonZeroU32::new([0, 1, 1, 1, 2, 3][chance.below(6)])
}

/// The model that a client means by this name.
fn model_of(name: &str) -> Option<usize> {
    match name {
        "gpt-4o" => Some(CHAT),
        _ => PUBLIC.iter().position(|public| *public == name),
    }
}

/// The model that this name was sent for.
pub fn model_sent(sent: &str) -> Option<usize> {
    SENT.iter().position(|names| names.contains(&sent)).or_else(|| model_of(sent))
}

/// Whether this name was sent for a model that is only asked after a complaint
/// of this kind.
pub fn is_for(complaint: Complaint, sent: &str) -> bool {
    match complaint {
        Complaint::ContextWindow => SENT[LONG].contains(&sent),
        Complaint::ContentPolicy => SENT[OTHER].contains(&sent),
        Complaint::OfRequest | Complaint::OfBackend => false,
    }
}

/// Whether it may be another model's than the client has meant.
pub fn is_fallback(order: &Order, sent: &str) -> bool {
    let small = SENT[SMALL].contains(&sent) && order.model != "small";
    small || SENT[LONG].contains(&sent) || SENT[OTHER].contains(&sent)
}
