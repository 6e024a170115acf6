//! Which backends stand in for each other: those that answer for the same
//! model in the same dialect. Of such a group the balance may leave out half.

use super::{Pattern, RoutePlan, Serves};
use crate::{base::BackendId, llm::Dialect};

/// Each group once. A model's backends are those of all its candidates, and of
/// the models that answer when these fail: one that is alone may then be left
/// out, and its fallback is asked without waiting for it. Where
/// only backends name models, those that serve the name; and those that serve
/// every name, where any name may come.
#[must_use]
pub fn groups(plan: &RoutePlan) -> Vec<Vec<BackendId>> {
    let mut found: Vec<Vec<BackendId>> = Vec::new();
    for model in &plan.models {
        let fallbacks = model.fallbacks.general.iter();
        let fallbacks = fallbacks.filter_map(|fallback| plan.models.get(fallback.0));
        let candidates = std::iter::once(model).chain(fallbacks).flat_map(|one| &one.candidates);
        found.push(candidates.flat_map(|candidate| &candidate.backends).copied().collect());
    }
    let mut names: Vec<&Pattern> = plan.backends.iter().flat_map(|one| &one.models).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        found.push(who(plan, |backend| serves(backend, name)));
    }
    if !plan.models.iter().any(|model| model.is_named) {
        found.push(who(plan, |backend| backend.models.is_empty()));
    }
    let mut groups: Vec<_> = found.iter().flat_map(|group| by_dialect(plan, group)).collect();
    groups.retain(|group| !group.is_empty());
    groups.sort_unstable();
    groups.dedup();
    groups
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
fn by_dialect(plan: &RoutePlan, group: &[BackendId]) -> [Vec<BackendId>; 2] {
    [Dialect::OpenAi, Dialect::Anthropic].map(|dialect| {
        let speaks = |backend: &&BackendId| {
            let own = plan.backends.get(backend.0).and_then(|serves| serves.dialect);
            own.is_none_or(|own| own == dialect)
        };
        let mut group: Vec<_> = group.iter().filter(speaks).copied().collect();
        group.sort_unstable();
        group.dedup();
        group
    })
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
            aliases: Vec::new(),
            candidates: candidates.iter().map(candidate).collect(),
            fallbacks: Fallbacks::default(),
            sticky: false,
        }
    }

    #[track_caller]
    fn check(backends: &[Serves], models: &[ModelPlan], expected: &[&[usize]]) {
        let plan = RoutePlan { backends: backends.into(), models: models.into(), rules: vec![] };
        let found = groups(&plan);
        let found: Vec<Vec<usize>> =
            found.iter().map(|group| group.iter().map(|backend| backend.0).collect()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn without_models_everyone_is_one_group() {
        check(&[backend(&[], None), backend(&[], None)], &[], &[&[0, 1]]);
    }

    #[test]
    fn those_that_serve_the_same_name_are_a_group() {
        let (a, b, both) = (backend(&["a"], None), backend(&["b"], None), backend(&["*"], None));
        check(&[a.clone(), a.clone(), b.clone(), b.clone()], &[], &[&[0, 1], &[2, 3]]);
        check(&[a.clone(), b, both], &[], &[&[0, 2], &[1, 2], &[2]]);
        check(&[a, backend(&[], None)], &[], &[&[0, 1], &[1]]);
    }

    #[test]
    fn all_candidates_of_a_model_are_a_group() {
        let any = vec![backend(&[], None); 4];
        check(&any, &[model(&[&[1], &[0, 1]]), model(&[&[3, 2]])], &[&[0, 1], &[2, 3]]);
    }

    #[test]
    fn a_fallback_stands_in_for_its_model() {
        let mut small = model(&[&[0]]);
        small.fallbacks.general = vec![crate::route::ModelId(1)];
        check(&vec![backend(&[], None); 2], &[small, model(&[&[1]])], &[&[0, 1], &[1]]);
    }

    #[test]
    fn dialects_do_not_stand_in_for_each_other() {
        let one = |dialect| backend(&[], dialect);
        let [openai, anthropic] = [Dialect::OpenAi, Dialect::Anthropic].map(Some);
        check(&[one(openai), one(anthropic), one(None)], &[], &[&[0, 2], &[1, 2]]);
        check(&[one(openai), one(openai)], &[], &[&[0, 1]]);
    }
}
