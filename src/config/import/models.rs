//! Deployments of one name are candidates of one model; deployments at one
//! address with one key are one backend.

use super::address::host;
use super::deployment::{Deployment, Place};
use super::finding::shown;
use super::section::{Entry, Findings};
use super::settings::{Chain, Settings, nowhere};
use super::weights::weights;
use crate::llm::Dialect;

pub(super) struct Backend {
    pub name: String,
    pub place: Place,
    /// The deployments it was made of.
    pub paths: Vec<String>,
}

pub(super) struct Candidate {
    pub model: Option<String>,
    pub backends: Vec<String>,
    pub weight: u32,
    pub order: u32,
}

pub(super) struct Model {
    pub name: String,
    pub paths: Vec<String>,
    pub aliases: Vec<String>,
    pub candidates: Vec<Candidate>,
    /// By reason, as indices of models.
    pub fallbacks: [Vec<usize>; 3],
}

const NO_DIALECT: &str = "left out: it answers in another API than the model before it";

/// The APIs that a model is answered in.
#[derive(Clone, Copy)]
struct Speaks {
    openai: bool,
    anthropic: bool,
}

impl Speaks {
    fn meets(self, other: Self) -> bool {
        self.openai && other.openai || self.anthropic && other.anthropic
    }
}

/// Everything that is written down.
#[derive(Default)]
pub(super) struct Fleet {
    pub backends: Vec<Backend>,
    pub models: Vec<Model>,
}

impl Fleet {
    pub(super) fn of(
        deployments: &[Deployment<'_>],
        settings: &Settings<'_>,
        findings: &mut Findings,
    ) -> Self {
        let mut fleet = Self::default();
        let at: Vec<usize> = deployments.iter().map(|one| fleet.backend(one)).collect();
        let mut names: Vec<&str> = Vec::new();
        for one in deployments {
            if !names.contains(&one.public) {
                names.push(one.public);
            }
        }
        for name in names {
            let of_name = deployments.iter().zip(&at).filter(|(one, _)| one.public == name);
            let (group, at): (Vec<_>, Vec<_>) = of_name.map(|(one, at)| (one, *at)).unzip();
            let weights = weights(&group, settings.shuffles, findings);
            let orders = orders(&group, findings);
            let candidates = fleet.candidates(&group, &at, &orders, weights.as_deref());
            fleet.models.push(Model {
                name: name.to_owned(),
                paths: group.iter().map(|one| one.entry.path.clone()).collect(),
                aliases: Vec::new(),
                candidates,
                fallbacks: [const { Vec::new() }; 3],
            });
        }
        fleet.alias(settings, findings);
        for (reason, chains) in settings.chains.iter().enumerate() {
            fleet.fall_back(reason, chains, findings);
        }
        // What is said of a model itself has the first right to a way.
        for (reason, chains) in settings.chains.iter().enumerate() {
            fleet.fall_back_by_default(reason, chains, findings);
        }
        fleet
    }

    /// The place of the deployment's backend. One with a capacity shares it
    /// with no other deployment.
    fn backend(&mut self, deployment: &Deployment<'_>) -> usize {
        let Deployment { place, entry, .. } = deployment;
        let is_same = |known: &Backend| known.place == *place && place.capacity.is_none();
        if let Some(index) = self.backends.iter().position(is_same) {
            self.backends[index].paths.push(entry.path.clone());
            return index;
        }
        let host = host(&place.url).to_owned();
        let is_taken = |name: &String| self.backends.iter().any(|known| known.name == *name);
        let numbered = (2..).map(|number| format!("{host}-{number}"));
        let name = std::iter::once(host.clone()).chain(numbered).find(|name| !is_taken(name));
        let (name, place) = (name.unwrap_or_default(), place.clone());
        self.backends.push(Backend { name, place, paths: vec![entry.path.clone()] });
        self.backends.len() - 1
    }

    /// With weights, each deployment is a candidate; without, those of one
    /// name at the backend and one order are one candidate.
    fn candidates(
        &self,
        group: &[&Deployment<'_>],
        at: &[usize],
        orders: &[u32],
        weights: Option<&[u32]>,
    ) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for (index, ((one, at), order)) in group.iter().zip(at).zip(orders).enumerate() {
            let backend = self.backends[*at].name.clone();
            let weight = weights.and_then(|weights| weights.get(index).copied());
            let like = |known: &&mut Candidate| {
                weight.is_none() && known.order == *order && known.model.as_deref() == one.sent
            };
            if let Some(known) = candidates.iter_mut().find(like) {
                known.weight += 1;
                if !known.backends.contains(&backend) {
                    known.backends.push(backend);
                }
                continue;
            }
            candidates.push(Candidate {
                model: one.sent.map(str::to_owned),
                backends: vec![backend],
                weight: weight.unwrap_or(1),
                order: *order,
            });
        }
        candidates
    }

    fn model(&self, name: &str) -> Option<usize> {
        let is_it = |model: &Model| model.name == name || model.aliases.iter().any(|a| a == name);
        self.models.iter().position(is_it)
    }

    fn alias(&mut self, settings: &Settings<'_>, findings: &mut Findings) {
        for (alias, name, entry) in &settings.aliases {
            let is_name = !alias.is_empty() && !alias.chars().any(char::is_whitespace);
            match self.models.iter().position(|model| model.name == *name) {
                Some(_) if !is_name => findings.misread(entry, "a name without blanks"),
                Some(_) if self.model(alias).is_some() => findings.manual(
                    entry,
                    format!("left out: {} is the name of a model already", shown(alias)),
                    "LiteLLM lets the other name win; rename one of them",
                ),
                Some(index) => {
                    self.models[index].aliases.push((*alias).to_owned());
                    findings.exact(entry, format!("is another name of {}", shown(name)));
                }
                None => {
                    findings.unsupported(entry, nowhere(name), "see what is said of model_list")
                }
            }
        }
    }

    fn fall_back(&mut self, reason: usize, chains: &[Chain<'_>], findings: &mut Findings) {
        for chain in chains.iter().filter(|chain| chain.model != "*") {
            let Some(from) = self.model(chain.model) else {
                let became = nowhere(chain.model);
                findings.unsupported(&chain.entry, became, "see what is said of model_list");
                continue;
            };
            for (name, entry) in &chain.to {
                self.link(reason, from, name, entry, findings);
            }
        }
    }

    fn fall_back_by_default(
        &mut self,
        reason: usize,
        chains: &[Chain<'_>],
        findings: &mut Findings,
    ) {
        // One that was left out as it leads back is one of its own all the same.
        // A model may be called `*`; what is said of all models is not its own.
        let own = || chains.iter().filter(|chain| chain.model != "*");
        let is_own = |model: &Model| {
            own().any(|chain| {
                chain.model == model.name || model.aliases.iter().any(|a| a == chain.model)
            })
        };
        let models = self.models.iter().enumerate();
        let without: Vec<usize> =
            models.filter(|(_, model)| !is_own(model)).map(|(index, _)| index).collect();
        for chain in chains.iter().filter(|chain| chain.model == "*") {
            for (name, entry) in &chain.to {
                self.link_all(reason, &without, name, entry, findings);
            }
        }
    }

    fn link(
        &mut self,
        reason: usize,
        from: usize,
        name: &str,
        entry: &Entry<'_>,
        findings: &mut Findings,
    ) {
        let Some(to) = self.model(name) else {
            return findings.unsupported(entry, nowhere(name), "see what is said of model_list");
        };
        if !self.speaks(from).meets(self.speaks(to)) {
            return findings.unsupported(entry, NO_DIALECT, "nothing is translated");
        }
        if self.leads(to, from) {
            return findings.approximate(
                entry,
                "left out, as it leads back to the model that falls back on it",
                "a chain ends here, where LiteLLM counts the fallbacks",
            );
        }
        let known = &mut self.models[from].fallbacks[reason];
        if !known.contains(&to) {
            known.push(to);
        }
        findings.exact(entry, format!("is a fallback of {}", shown(&self.models[from].name)));
    }

    /// The fallback of all these, but for itself.
    fn link_all(
        &mut self,
        reason: usize,
        without: &[usize],
        name: &str,
        entry: &Entry<'_>,
        findings: &mut Findings,
    ) {
        let Some(to) = self.model(name) else {
            return findings.unsupported(entry, nowhere(name), "see what is said of model_list");
        };
        let mut is_exact = true;
        for from in without.iter().copied().filter(|from| *from != to) {
            if self.leads(to, from) || !self.speaks(from).meets(self.speaks(to)) {
                is_exact = false;
            } else if !self.models[from].fallbacks[reason].contains(&to) {
                self.models[from].fallbacks[reason].push(to);
            }
        }
        if is_exact {
            findings.exact(entry, "is the fallback of models without one of their own");
        } else {
            let became = "is the fallback of models without one of their own, but for those that \
                          it falls back on itself, and of another API";
            findings.approximate(entry, became, "");
        }
    }

    /// The APIs that a model is answered in.
    fn speaks(&self, model: usize) -> Speaks {
        let names = self.models[model].candidates.iter().flat_map(|one| &one.backends);
        let mut speaks = Speaks { openai: false, anthropic: false };
        for name in names {
            let backend = self.backends.iter().find(|backend| backend.name == *name);
            match backend.map(|backend| backend.place.dialect) {
                Some(Dialect::OpenAi) => speaks.openai = true,
                Some(Dialect::Anthropic) => speaks.anthropic = true,
                None => {}
            }
        }
        speaks
    }

    /// Whether fallbacks lead from one model to the other, or they are one.
    /// A request may take a fallback of each reason, one after the other.
    fn leads(&self, from: usize, to: usize) -> bool {
        let mut seen = vec![false; self.models.len()];
        let mut next = vec![from];
        while let Some(model) = next.pop() {
            if model == to {
                return true;
            }
            if !std::mem::replace(&mut seen[model], true) {
                next.extend(self.models[model].fallbacks.iter().flatten());
            }
        }
        false
    }
}

/// The order of each. LiteLLM asks the lowest that is written, and none without
/// while one of these is there: those come last.
fn orders(group: &[&Deployment<'_>], findings: &mut Findings) -> Vec<u32> {
    let largest = group.iter().filter_map(|one| one.order).max();
    let last = largest.map_or(0, |largest| largest.saturating_add(1));
    for one in group.iter().filter(|one| largest.is_some() && one.order.is_none()) {
        findings.approximate(
            &one.entry,
            format!("has no order, so it comes last, in order {last}"),
            "LiteLLM does not ask it while one with an order is there; write its order",
        );
    }
    group.iter().map(|one| one.order.unwrap_or(last)).collect()
}
