//! Which backends stand in for each other: those that answer for the same
//! model in the same dialect, and for them those of its fallbacks.

use crate::{
    balance::{BackendId, Peers},
    llm::Dialect,
    route::{ModelPlan, Pattern, RoutePlan, Serves},
};

/// Each once. A model's own backends are those of all its candidates; those of
/// the models that answer when these fail stand by, so that one that is alone
/// may be left out, and its fallback is asked without waiting for it. Where
/// only backends name models, those that serve the name; and those that serve
/// every name, where any name may come.
#[must_use]
pub fn peers(plan: &RoutePlan) -> Vec<Peers> {
    let mut found: Vec<[Vec<BackendId>; 2]> = Vec::new();
    for model in &plan.models {
        let fallbacks = model.fallbacks.general.iter();
        let standby = fallbacks.filter_map(|fallback| plan.models.get(fallback.0)).flat_map(own);
        found.push([own(model).collect(), standby.collect()]);
    }
    let mut names: Vec<&Pattern> = plan.backends.iter().flat_map(|one| &one.models).collect();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| !is_of_model(plan, name)) {
        found.push([who(plan, |backend| serves(backend, name)), Vec::new()]);
    }
    if !plan.models.iter().any(|model| model.is_named) {
        found.push([who(plan, |backend| backend.models.is_empty()), Vec::new()]);
    }
    let mut peers: Vec<_> = found.iter().flat_map(|found| by_dialect(plan, found)).collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}

fn own(model: &ModelPlan) -> impl Iterator<Item = BackendId> {
    model.candidates.iter().flat_map(|candidate| &candidate.backends).copied()
}

/// Whether a request for this name is one for a model, with its fallbacks.
fn is_of_model(plan: &RoutePlan, name: &Pattern) -> bool {
    let is_its = |model: &ModelPlan| model.name == *name || model.aliases.contains(name);
    plan.models.iter().any(|model| model.is_named && is_its(model))
}

fn who(plan: &RoutePlan, is_in: impl Fn(&Serves) -> bool) -> Vec<BackendId> {
    let all = plan.backends.iter().enumerate();
    all.filter(|(_, backend)| is_in(backend)).map(|(place, _)| BackendId(place)).collect()
}

/// A pattern stands for itself as a name: who serves all of it is meant.
fn serves(backend: &Serves, name: &Pattern) -> bool {
    backend.models.is_empty() || backend.models.iter().any(|one| one.meets(name.0.as_bytes()))
}

/// Who speaks only one dialect does not stand in for who speaks only the other.
fn by_dialect(plan: &RoutePlan, [own, standby]: &[Vec<BackendId>; 2]) -> Vec<Peers> {
    let of = |dialect, backends: &[BackendId]| {
        let speaks = |backend: &&BackendId| {
            let own = plan.backends.get(backend.0).and_then(|serves| serves.dialect);
            own.is_none_or(|own| own == dialect)
        };
        backends.iter().filter(speaks).copied().collect()
    };
    let both = [Dialect::OpenAi, Dialect::Anthropic];
    both.into_iter().filter_map(|one| Peers::of(of(one, own), of(one, standby))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Candidate, Fallbacks, ModelPlan};

    fn backend(models: &[&str], dialect: Option<Dialect>) -> Serves {
        Serves { models: models.iter().map(|&name| Pattern(name.into())).collect(), dialect }
    }

    fn model(candidates: &[&[usize]]) -> ModelPlan {
        let candidate = |backends: &&[usize]| Candidate {
            model: None,
            backends: backends.iter().copied().map(BackendId).collect(),
            weight: 1,
            order: 0,
        };
        ModelPlan {
            name: Pattern("m".into()),
            is_named: true,
            leaves_others: false,
            aliases: Vec::new(),
            candidates: candidates.iter().map(candidate).collect(),
            fallbacks: Fallbacks::default(),
            sticky: false,
        }
    }

    /// Each model's own, and those that stand by.
    #[track_caller]
    fn check(backends: &[Serves], models: &[ModelPlan], expected: &[(&[usize], &[usize])]) {
        let plan =
            RoutePlan { backends: backends.into(), models: models.into(), ..RoutePlan::default() };
        let ids = |places: &[usize]| places.iter().copied().map(BackendId).collect();
        let expected = expected.iter().filter_map(|(own, by)| Peers::of(ids(own), ids(by)));
        assert_eq!(peers(&plan), expected.collect::<Vec<_>>());
    }

    #[test]
    fn without_models_everyone_stands_in_for_everyone() {
        check(&[backend(&[], None), backend(&[], None)], &[], &[(&[0, 1], &[])]);
    }

    #[test]
    fn those_that_serve_the_same_name_are_peers() {
        let (a, b, both) = (backend(&["a"], None), backend(&["b"], None), backend(&["*"], None));
        check(
            &[a.clone(), a.clone(), b.clone(), b.clone()],
            &[],
            &[(&[0, 1], &[]), (&[2, 3], &[])],
        );
        check(&[a.clone(), b, both], &[], &[(&[0, 2], &[]), (&[1, 2], &[]), (&[2], &[])]);
        check(&[a, backend(&[], None)], &[], &[(&[0, 1], &[]), (&[1], &[])]);
    }

    #[test]
    fn all_candidates_of_a_model_are_peers() {
        let any = vec![backend(&[], None); 4];
        check(
            &any,
            &[model(&[&[1], &[0, 1]]), model(&[&[3, 2]])],
            &[(&[0, 1], &[]), (&[2, 3], &[])],
        );
    }

    #[test]
    fn a_fallback_stands_in_for_its_model() {
        let mut small = model(&[&[0]]);
        small.fallbacks.general = vec![crate::route::ModelId(1)];
        let models = [small, model(&[&[1]])];
        check(&vec![backend(&[], None); 2], &models, &[(&[0], &[1]), (&[1], &[])]);
    }

    /// A request for the name has the model's fallbacks.
    #[test]
    fn a_name_that_backends_and_a_model_have_is_the_models() {
        let (m, other) = (backend(&["m"], None), backend(&["x"], None));
        let mut with_fallback = model(&[&[0, 1]]);
        with_fallback.fallbacks.general = vec![crate::route::ModelId(1)];
        let fallback = ModelPlan { name: Pattern("y".into()), ..model(&[&[2]]) };
        let backends = [m.clone(), m, other];
        check(&backends, &[with_fallback, fallback], &[(&[0, 1], &[2]), (&[2], &[])]);
    }

    #[test]
    fn dialects_do_not_stand_in_for_each_other() {
        let one = |dialect| backend(&[], dialect);
        let [openai, anthropic] = [Dialect::OpenAi, Dialect::Anthropic].map(Some);
        check(&[one(openai), one(anthropic), one(None)], &[], &[(&[0, 2], &[]), (&[1, 2], &[])]);
        check(&[one(openai), one(openai)], &[], &[(&[0, 1], &[])]);
    }
}
