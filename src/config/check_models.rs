//! Written -> RoutePlan, as far as models go: who is called how, and who answers
//! for whom.

use std::collections::BTreeMap;

use super::error::Fault;
use super::fallback_cycles;
use super::faults::Faults;
use super::listed::Listed;
use super::pattern::{has_star, read_name, read_sent};
use super::plan::ModelSettings;
use super::route_fault::{Near, RouteFault};
use super::written::{CandidateWritten, ModelWritten, Written};
use crate::base::BackendId;
use crate::llm::Dialect;
use crate::route::{Candidate, Fallbacks, ModelId, ModelPlan, Pattern, Serves};

/// Ten times the catalogue of the largest provider; a table of them is small.
pub(super) const MODELS_MAX: usize = 4096;
/// Names stand in the same table as models.
pub(super) const ALIASES_MAX: usize = 4096;
/// One for each model, or every backend for a few.
pub(super) const CANDIDATES_MAX: usize = 4096;
/// The sum of all weights of a split fits into 32 bits.
pub(super) const WEIGHT_MAX: u32 = 1_000_000;
const _: () = assert!(CANDIDATES_MAX as u64 * WEIGHT_MAX as u64 <= u32::MAX as u64);
pub(super) const WEIGHTS_SUM: &str = "the sum of many is counted in 32 bits";

/// Models as far as they are checked, and whom a name leads to.
pub(super) struct Models<'a> {
    written: &'a [ModelWritten],
    /// In the order of the backends; `None` is one that has none, for its URL
    /// is not understood.
    backend_names: &'a [Option<String>],
    pub serves: Vec<Serves>,
    listed: Listed,
    backends: BTreeMap<&'a str, usize>,
    pub plans: Vec<ModelPlan>,
    /// Every name and alias as it is written.
    by_name: BTreeMap<Box<str>, ModelId>,
}

/// Which APIs a model is answered in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Speaks {
    openai: bool,
    anthropic: bool,
}

impl<'a> Models<'a> {
    /// `None` if there are too many of them to be looked at.
    pub(super) fn check(
        written: &'a Written,
        backend_names: &'a [Option<String>],
        serves: Vec<Serves>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let models = &written.models;
        let mut this = Self {
            written: models,
            backend_names,
            listed: Listed::of(&serves),
            backends: places_of(backend_names),
            serves,
            plans: Vec::new(),
            by_name: BTreeMap::new(),
        };
        let aliases = models.iter().map(|one| one.aliases.len()).sum();
        let candidates = models.iter().map(|one| one.candidates.len()).sum();
        let table = "each of them is a row in every core's table";
        for (key, what, count, most) in [
            ("model.name", "models", models.len(), MODELS_MAX),
            ("model.aliases", "aliases", aliases, ALIASES_MAX),
            ("model.candidates.model", "candidates", candidates, CANDIDATES_MAX),
        ] {
            if count > most {
                faults.add(key, "", RouteFault::TooMany { what, count, most, reason: table });
                return None;
            }
        }
        this.name_all(faults);
        this.find_candidates(faults);
        this.find_fallbacks(faults);
        Some(this)
    }

    pub(super) fn settings(&self) -> Vec<ModelSettings> {
        let policies = self.written.iter().map(|one| one.policy);
        let policies = policies.chain(std::iter::repeat(None)).take(self.plans.len());
        policies.map(|policy| ModelSettings { policy }).collect()
    }

    fn name_all(&mut self, faults: &mut Faults) {
        let written = self.written;
        for (place, model) in written.iter().enumerate() {
            let id = ModelId(place);
            let name = match &model.name {
                Some(name) => self.name(("model.name", place), name, id, faults),
                None => {
                    faults.add(("model.name", place), "", RouteFault::Nameless);
                    None
                }
            };
            let aliases = model.aliases.iter();
            let aliases: Vec<_> = aliases
                .filter_map(|alias| self.name(("model.aliases", place), alias, id, faults))
                .collect();
            self.plans.push(ModelPlan {
                name: name.unwrap_or_else(|| Pattern("".into())),
                is_named: true,
                leaves_others: model.leaves_others,
                aliases,
                candidates: Vec::new(),
                fallbacks: Fallbacks::default(),
                sticky: model.sticky,
            });
        }
    }

    fn name(
        &mut self,
        spot: (&'static str, usize),
        word: &str,
        id: ModelId,
        faults: &mut Faults,
    ) -> Option<Pattern> {
        let pattern = faults.take(spot, word, read_name(word).map_err(Fault::Route))?;
        if let Some(taken) = self.by_name.get(&pattern.0) {
            let by = self.written.get(taken.0).and_then(|one| one.name.as_deref());
            let by = format!("model {}", by.unwrap_or_default());
            faults.add(spot, word, RouteFault::NameTaken(by));
            return None;
        }
        self.by_name.insert(pattern.0.clone(), id);
        Some(pattern)
    }

    fn find_candidates(&mut self, faults: &mut Faults) {
        let mut counted = 0;
        for (place, model) in self.written.iter().enumerate() {
            let mut candidates = Vec::new();
            for one in &model.candidates {
                candidates.extend(self.candidate(place, counted, one, faults));
                counted += 1;
            }
            let spot = ("model.candidates.weight", counted.saturating_sub(model.candidates.len()));
            if !model.candidates.is_empty() && model.candidates.iter().all(|one| one.weight == 0) {
                faults.add(spot, 0, RouteFault::NoWeight);
            }
            if model.candidates.is_empty() {
                candidates.extend(self.itself(place, faults));
            }
            self.plans[place].candidates = candidates;
        }
    }

    /// A model without candidates is answered under its own name.
    fn itself(&self, place: usize, faults: &mut Faults) -> Option<Candidate> {
        let name = &self.plans[place].name;
        if name.0.is_empty() {
            // Its name was not understood.
            return None;
        }
        let backends = self.listed.serving(std::slice::from_ref(name));
        if backends.is_empty() {
            let fault = RouteFault::NotServed(name.0.to_string());
            faults.add(("model.name", place), "", fault);
            return None;
        }
        Some(Candidate {
            model: (!has_star(name)).then(|| name.0.clone()),
            backends,
            weight: 1,
            order: 0,
        })
    }

    /// `at` counts the candidates of all models.
    fn candidate(
        &self,
        place: usize,
        at: usize,
        written: &CandidateWritten,
        faults: &mut Faults,
    ) -> Option<Candidate> {
        const WEIGHT: &str = "model.candidates.weight";
        if written.weight > WEIGHT_MAX {
            let most = WEIGHT_MAX.to_string();
            let fault = Fault::TooLarge { most, reason: WEIGHTS_SUM };
            faults.add((WEIGHT, at), written.weight, fault);
        }
        let plan = &self.plans[place];
        let names = match &written.model {
            Some(model) => {
                let spot = ("model.candidates.model", at);
                vec![faults.take(spot, model, read_sent(model).map_err(Fault::Route))?]
            }
            None => [&plan.name].into_iter().chain(&plan.aliases).cloned().collect(),
        };
        let name = names.first().map(|name| name.0.to_string()).unwrap_or_default();
        let serving = self.listed.serving(&names);
        let backends = if written.backends.is_empty() {
            if serving.is_empty() && !name.is_empty() {
                faults.add(("model.candidates.model", at), "", RouteFault::NotServed(name));
            }
            serving
        } else {
            self.chosen(at, written, (&name, &serving), faults)
        };
        (!backends.is_empty()).then(|| Candidate {
            model: written.model.as_deref().map(Into::into),
            backends,
            weight: written.weight,
            order: written.order,
        })
    }

    /// The backends that a candidate lists, of those that serve its name.
    fn chosen(
        &self,
        at: usize,
        written: &CandidateWritten,
        (name, serving): (&str, &[BackendId]),
        faults: &mut Faults,
    ) -> Vec<BackendId> {
        let spot = ("model.candidates.backends", at);
        let mut backends = Vec::new();
        for word in &written.backends {
            let Some(place) = self.backends.get(word.as_str()).copied() else {
                let known = self.backend_names.iter().flatten().map(String::as_str);
                if self.backend_names.iter().all(Option::is_some) {
                    // Of those beyond the bound nothing is told.
                    let known = known.take(if faults.are_many() { 0 } else { usize::MAX });
                    faults.add(spot, word, RouteFault::UnknownBackend(Near::of(word, known)));
                }
                continue;
            };
            if backends.contains(&BackendId(place)) {
                faults.add(spot, word, RouteFault::BackendTwice);
            } else if !name.is_empty() && serving.binary_search(&BackendId(place)).is_err() {
                faults.add(spot, word, RouteFault::NotServedBy(name.to_owned()));
            }
            backends.push(BackendId(place));
        }
        backends
    }

    fn find_fallbacks(&mut self, faults: &mut Faults) {
        const KEYS: [&str; 3] =
            ["model.fallbacks", "model.context_window_fallbacks", "model.content_policy_fallbacks"];
        for (place, model) in self.written.iter().enumerate() {
            let lists = [
                &model.fallbacks,
                &model.context_window_fallbacks,
                &model.content_policy_fallbacks,
            ];
            let mut found = [const { Vec::new() }; 3];
            for ((key, list), found) in KEYS.into_iter().zip(lists).zip(&mut found) {
                for word in list {
                    let Some(id) = self.find((key, place), word, faults) else { continue };
                    self.check_dialect(
                        (key, place),
                        self.speaks(ModelId(place)),
                        (id, word),
                        faults,
                    );
                    found.push(id);
                }
            }
            let [general, context_window, content_policy] = found;
            self.plans[place].fallbacks = Fallbacks { general, context_window, content_policy };
        }
        fallback_cycles::check(&self.plans, faults);
    }

    /// A fallback of another dialect could never answer.
    fn check_dialect(
        &self,
        spot: (&'static str, usize),
        asks: Speaks,
        (id, word): (ModelId, &str),
        faults: &mut Faults,
    ) {
        let speaks = self.speaks(id);
        let is_known = asks.any() && speaks.any();
        if is_known && !asks.meets(speaks) {
            let fault = RouteFault::NoDialect {
                model: word.to_owned(),
                speaks: speaks.name(),
                by: "the model before it",
            };
            faults.add(spot, word, fault);
        }
    }

    /// The model of this name, also one that only a backend names.
    pub(super) fn find(
        &mut self,
        spot: (&'static str, usize),
        word: &str,
        faults: &mut Faults,
    ) -> Option<ModelId> {
        if let Some(id) = self.by_name.get(word) {
            return Some(*id);
        }
        let name = faults.take(spot, word, read_name(word).map_err(Fault::Route))?;
        if !self.listed.has(&name) {
            // Of those beyond the bound nothing is told.
            let known = self.by_name.keys().map(AsRef::as_ref).chain(self.listed.names());
            let known = known.take(if faults.are_many() { 0 } else { usize::MAX });
            faults.add(spot, word, RouteFault::UnknownModel(Near::of(word, known)));
            return None;
        }
        let id = ModelId(self.plans.len());
        let candidate = Candidate {
            model: (!has_star(&name)).then(|| name.0.clone()),
            backends: self.listed.serving(std::slice::from_ref(&name)),
            weight: 1,
            order: 0,
        };
        self.by_name.insert(name.0.clone(), id);
        self.plans.push(ModelPlan {
            name,
            is_named: false,
            leaves_others: false,
            aliases: Vec::new(),
            candidates: vec![candidate],
            fallbacks: Fallbacks::default(),
            sticky: false,
        });
        Some(id)
    }

    pub(super) fn speaks(&self, id: ModelId) -> Speaks {
        let candidates = self.plans.get(id.0).map(|plan| plan.candidates.as_slice());
        let backends = candidates.unwrap_or_default().iter().flat_map(|one| &one.backends);
        let mut speaks = Speaks { openai: false, anthropic: false };
        for serves in backends.filter_map(|id| self.serves.get(id.0)) {
            speaks.openai |= serves.dialect != Some(Dialect::Anthropic);
            speaks.anthropic |= serves.dialect != Some(Dialect::OpenAi);
        }
        speaks
    }

    /// A conversation can only stay where it could also have gone elsewhere.
    pub(super) fn check_sticky(&self, is_parted: impl Fn(ModelId) -> bool, faults: &mut Faults) {
        for (place, plan) in self.plans.iter().enumerate().filter(|(_, plan)| plan.sticky) {
            let is_split = plan.candidates.len() > 1 || self.written[place].candidates.len() > 1;
            if !is_split && !is_parted(ModelId(place)) {
                faults.add(("model.sticky", place), "", RouteFault::StickyAlone);
            }
        }
    }
}

/// The first of each name.
fn places_of(names: &[Option<String>]) -> BTreeMap<&str, usize> {
    let named = names.iter().enumerate().rev();
    named.filter_map(|(place, name)| Some((name.as_deref()?, place))).collect()
}

impl Speaks {
    pub(super) const fn only(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAi => Self { openai: true, anthropic: false },
            Dialect::Anthropic => Self { openai: false, anthropic: true },
        }
    }

    pub(super) const fn any(self) -> bool {
        self.openai || self.anthropic
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.openai && other.openai || self.anthropic && other.anthropic
    }

    pub(super) const fn name(self) -> &'static str {
        if self.openai { "openai" } else { "anthropic" }
    }
}

#[cfg(test)]
#[path = "check_models_tests.rs"]
mod tests;
