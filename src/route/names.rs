//! What a name means: a model of the plan, or itself on the backends that
//! serve it.

use std::collections::BTreeSet;

use ahash::AHashMap;

use super::{ModelId, ModelPlan, Pattern, RoutePlan, table::Candidate};
use crate::{base::BackendId, llm::Dialect};

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Model(ModelId),
    /// The name itself, on the backends of this candidate.
    Itself(u32),
    /// The name itself, on backends that several patterns have brought
    /// together.
    Gathered(Box<[BackendId]>),
    Unknown,
}

/// A name that the plan has, and what may apply to it.
#[derive(Debug)]
struct Known {
    place: Place,
    /// The rules whose names of models it meets, in their order.
    rules: Box<[u32]>,
}

/// Backends that serve the same names.
#[derive(Debug)]
struct Group {
    /// None is every name.
    patterns: Box<[Pattern]>,
    backends: Box<[BackendId]>,
    /// These and the backends that serve every name.
    candidate: u32,
}

#[derive(Debug)]
pub(super) struct Names {
    known: AHashMap<Box<[u8]>, Known>,
    /// Patterns of the plan's models, in their order.
    wild: Vec<(Pattern, ModelId)>,
    groups: Vec<Group>,
    /// The backends that serve every name, and the candidate of them.
    all: Box<[BackendId]>,
    everything: u32,
    /// All backends, whatever they serve.
    anywhere: u32,
    /// Whether a name that nobody has named is nobody's.
    are_known: bool,
    /// For a name that the plan does not have.
    wild_rules: Box<[u32]>,
    /// Names with a `*` that rules know.
    of_rules: Box<[Pattern]>,
    public: Box<[Box<str>]>,
    /// Of each backend.
    dialects: Box<[Option<Dialect>]>,
}

impl Names {
    pub(super) fn new(plan: &RoutePlan, candidates: &mut Vec<Candidate>) -> Self {
        let backends = || plan.backends.iter().enumerate();
        let of_all: Box<[_]> = backends()
            .filter(|(_, serves)| serves.models.is_empty())
            .map(|(id, _)| BackendId(id))
            .collect();
        let everything = add(plan, candidates, &of_all);
        let mut groups: Vec<Group> = Vec::new();
        for (id, serves) in backends().filter(|(_, serves)| !serves.models.is_empty()) {
            let patterns = serves.models.iter().cloned().collect::<BTreeSet<_>>();
            let patterns: Box<[_]> = patterns.into_iter().collect();
            match groups.iter_mut().find(|group| group.patterns == patterns) {
                Some(group) => {
                    let more = group.backends.iter().copied().chain([BackendId(id)]);
                    group.backends = more.collect();
                }
                None => groups.push(Group {
                    patterns,
                    backends: [BackendId(id)].into(),
                    candidate: everything,
                }),
            }
        }
        for group in &mut groups {
            let both = group.backends.iter().chain(&of_all).copied().collect::<BTreeSet<_>>();
            let both: Vec<_> = both.into_iter().collect();
            group.candidate = add(plan, candidates, &both);
        }
        let makes_known = |model: &ModelPlan| model.is_named && !model.leaves_others;
        let are_known =
            plan.models.iter().any(makes_known) || !plan.backends.is_empty() && of_all.is_empty();
        let mut names = Self {
            known: AHashMap::new(),
            wild: wild(plan),
            groups,
            everything,
            anywhere: add(
                plan,
                candidates,
                &backends().map(|(id, _)| BackendId(id)).collect::<Vec<_>>(),
            ),
            all: of_all,
            are_known,
            wild_rules: rules_of_others(plan),
            of_rules: known_by_rules(plan).filter(|name| !name.is_exact()).cloned().collect(),
            public: Box::default(),
            dialects: plan.backends.iter().map(|serves| serves.dialect).collect(),
        };
        names.learn(plan, candidates);
        names
    }

    /// Every name that stands in the plan is looked up once, here.
    fn learn(&mut self, plan: &RoutePlan, candidates: &mut Vec<Candidate>) {
        let mut exact = AHashMap::<&[u8], ModelId>::new();
        for (id, model) in plan.models.iter().enumerate().filter(|(_, model)| model.is_named) {
            for name in [&model.name].into_iter().chain(&model.aliases) {
                if let Some(name) = name.exact() {
                    exact.entry(name).or_insert(ModelId(id));
                }
            }
        }
        let of_backends = plan.backends.iter().flat_map(|serves| &serves.models);
        let all: BTreeSet<&[u8]> = of_backends
            .chain(known_by_rules(plan))
            .filter_map(Pattern::exact)
            .chain(exact.keys().copied())
            .collect();
        for name in &all {
            let place = match exact.get(name) {
                Some(model) => Place::Model(*model),
                None => match self.look_up(name) {
                    // Its list need not be gathered for each request.
                    Place::Gathered(backends) => Place::Itself(add(plan, candidates, &backends)),
                    place => place,
                },
            };
            let rules = rules_of(plan, name);
            self.known.insert((*name).into(), Known { place, rules });
        }
        // They were text in the plan.
        let text = |name: &&[u8]| std::str::from_utf8(name).map(Box::from).ok();
        self.public = all.iter().filter_map(text).collect();
    }

    /// What a name means, and the rules that may apply to it, in their order.
    /// Of an unknown name the rules' patterns are still to be looked at.
    ///
    /// A request that names no model may go anywhere.
    pub(super) fn find(&self, name: Option<&[u8]>) -> (Place, &[u32], bool) {
        let Some(name) = name else {
            return (Place::Itself(self.anywhere), &self.wild_rules, false);
        };
        match self.known.get(name) {
            Some(known) => (known.place.clone(), &known.rules, true),
            None => (self.look_up(name), &self.wild_rules, false),
        }
    }

    fn look_up(&self, name: &[u8]) -> Place {
        if let Some((_, model)) = self.wild.iter().find(|(pattern, _)| pattern.meets(name)) {
            return Place::Model(*model);
        }
        let serves = |group: &&Group| group.patterns.iter().any(|pattern| pattern.meets(name));
        let mut serving = self.groups.iter().filter(serves);
        match (serving.next(), serving.next()) {
            (None, _) if self.are_known || self.all.is_empty() => Place::Unknown,
            (None, _) => Place::Itself(self.everything),
            (Some(group), None) => Place::Itself(group.candidate),
            (Some(_), Some(_)) => Place::Gathered(self.gather(serves)),
        }
    }

    #[cold]
    fn gather(&self, serves: impl Fn(&&Group) -> bool) -> Box<[BackendId]> {
        let groups = self.groups.iter().filter(serves);
        let all = groups.flat_map(|group| group.backends.iter());
        all.chain(&self.all).copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether a name that nobody has named is nobody's.
    pub(super) fn are_known(&self) -> bool {
        self.are_known
    }

    /// Whether a backend serves a name.
    pub(super) fn serves(&self, backend: BackendId, name: &[u8]) -> bool {
        let groups = self.groups.iter().filter(|group| group.backends.contains(&backend));
        let mut patterns = groups.flat_map(|group| group.patterns.iter());
        self.all.contains(&backend) || patterns.any(|pattern| pattern.meets(name))
    }

    /// Whether a rule has this name, one that is nobody's else.
    pub(super) fn have_rules(&self, name: &[u8]) -> bool {
        let has_exact = || {
            let place = |known: &str| known.as_bytes().cmp(name);
            self.public.binary_search_by(|known| place(known)).is_ok()
        };
        has_exact() || self.of_rules.iter().any(|pattern| pattern.meets(name))
    }

    /// The candidate of all backends.
    pub(super) fn anywhere(&self) -> u32 {
        self.anywhere
    }

    /// Whether a backend answers in the dialect.
    pub(super) fn speaks(&self, backend: BackendId, wanted: Option<Dialect>) -> bool {
        let speaks = self.dialects.get(backend.0).copied().flatten();
        wanted.is_none() || speaks.is_none() || speaks == wanted
    }

    /// All names without a `*`, in order.
    pub(super) fn public(&self) -> &[Box<str>] {
        &self.public
    }
}

fn add(plan: &RoutePlan, candidates: &mut Vec<Candidate>, backends: &[BackendId]) -> u32 {
    candidates.push(Candidate::new(plan, None, backends));
    candidates.len() as u32 - 1
}

fn wild(plan: &RoutePlan) -> Vec<(Pattern, ModelId)> {
    let models = plan.models.iter().enumerate().filter(|(_, model)| model.is_named);
    let patterns = models.flat_map(|(id, model)| {
        let all = [&model.name].into_iter().chain(&model.aliases);
        all.filter(|name| !name.is_exact()).map(move |name| (name.clone(), ModelId(id)))
    });
    patterns.collect()
}

/// The names that a rule answers by saying so; `*` is all of them.
fn known_by_rules(plan: &RoutePlan) -> impl Iterator<Item = &Pattern> {
    let rules = plan.rules.iter().filter(|rule| !rule.shadow && !rule.to.is_empty());
    rules.flat_map(|rule| &rule.when.models)
}

/// The rules that may apply to a name.
fn rules_of(plan: &RoutePlan, name: &[u8]) -> Box<[u32]> {
    rules_where(plan, |models| models.iter().any(|pattern| pattern.meets(name)))
}

/// The rules that may apply to a name which the plan does not have.
fn rules_of_others(plan: &RoutePlan) -> Box<[u32]> {
    rules_where(plan, |models| !models.iter().all(Pattern::is_exact))
}

fn rules_where(plan: &RoutePlan, may: impl Fn(&[Pattern]) -> bool) -> Box<[u32]> {
    let rules = plan.rules.iter().map(|rule| &rule.when.models).enumerate();
    let rules = rules.filter(|(_, models)| models.is_empty() || may(models));
    rules.map(|(id, _)| id as u32).collect()
}
