//! Backends of weight 0 that nobody stands beside: they would answer nothing, or
//! all of it, and neither was meant.

use std::collections::BTreeSet;

use super::faults::Faults;
use super::pattern::{has_star, overlap};
use super::route_fault::RouteFault;
use super::written::Written;
use crate::route::{ModelPlan, Pattern, RoutePlan};

/// For each model with candidates of its own, and for each name that a backend
/// lists, one backend has a weight.
pub(super) fn check_shares(written: &Written, plan: &RoutePlan, faults: &mut Faults) {
    let backends = &written.backends;
    let has_share = |place: usize| backends.get(place).is_none_or(|one| one.weight > 0);
    if (0..plan.backends.len()).all(|place| !has_share(place)) {
        // That is told by itself.
        return;
    }
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for (place, model) in plan.models.iter().enumerate().filter(|(_, model)| model.is_named) {
        let mut ids = model.candidates.iter().flat_map(|one| &one.backends).peekable();
        if ids.peek().is_some() && ids.all(|id| !has_share(id.0)) {
            let name = model.name.0.to_string();
            faults.add(("model.name", place), "", RouteFault::NoBackendWeight(name));
            told.extend(names(model).map(|name| &*name.0));
        }
    }
    let mut shares = Shares::default();
    for (_, serves) in plan.backends.iter().enumerate().filter(|(at, _)| has_share(*at)) {
        shares.all |= serves.models.is_empty();
        shares.add(&serves.models);
    }
    for (place, serves) in plan.backends.iter().enumerate().filter(|(at, _)| !has_share(*at)) {
        let is_alone = |name: &&Pattern| !told.contains(&*name.0) && !shares.has(name);
        // One for each backend: its weight is the mend of all of them.
        if let Some(name) = serves.models.iter().find(is_alone) {
            told.extend(serves.models.iter().map(|name| &*name.0));
            let fault = RouteFault::NoBackendWeight(name.0.to_string());
            faults.add(("backend.weight", place), 0, fault);
        }
    }
}

fn names(model: &ModelPlan) -> impl Iterator<Item = &Pattern> {
    [&model.name].into_iter().chain(&model.aliases)
}

/// Names that backends with a weight serve.
#[derive(Default)]
struct Shares<'a> {
    all: bool,
    exact: BTreeSet<&'a str>,
    wild: Vec<&'a Pattern>,
}

impl<'a> Shares<'a> {
    fn add(&mut self, names: &'a [Pattern]) {
        for name in names {
            if has_star(name) {
                self.wild.push(name);
            } else {
                self.exact.insert(&name.0);
            }
        }
    }

    fn has(&self, name: &Pattern) -> bool {
        let is_like = |exact: &&str| overlap(&Pattern((**exact).into()), name);
        self.all
            || self.exact.contains(&*name.0)
            || self.wild.iter().any(|wild| overlap(wild, name))
            || has_star(name) && self.exact.iter().any(is_like)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::{ConfigFile, Machine, check_file_and_flags};
    use crate::tls::UnixTime;

    /// Backends by their names for models and their weights, then the rest;
    /// what is refused.
    #[track_caller]
    fn check(backends: &[(&str, u32)], rest: &str, expected: &[&str]) {
        let mut text = String::new();
        for (place, (models, weight)) in backends.iter().enumerate() {
            let url = format!("url = \"http://b{place}\"\nmodels = \"{models}\"");
            text += &format!("[[backend]]\n{url}\nweight = {weight}\n");
        }
        let file = ConfigFile { name: "t".to_owned(), text: text + rest };
        let machine = Machine { allowed_cores: vec![0], open_files: None };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1));
        let plan = check_file_and_flags(Some(&file), |_| (), &machine, now);
        assert_eq!(plan.map(|_| ()).err().unwrap_or_default(), expected, "{}", file.text);
    }

    fn nobody(name: &str) -> String {
        format!(
            "every backend that answers for {name} has the weight 0, so that none would; give \
             one a backend.weight"
        )
    }

    #[test]
    fn one_backend_of_each_name_has_a_weight() {
        let told = format!("t:4: backend.weight 0: {}", nobody("x"));
        check(&[("x", 0), ("x", 0), ("y", 1)], "", &[&told]);
        check(&[("x", 0), ("y", 1)], "", &[&told]);
        for with in ["x", "*", "x*"] {
            check(&[("x", 0), (with, 1)], "", &[]);
        }
        let told = format!("t:4: backend.weight 0: {}", nobody("x*"));
        check(&[("x*", 0), ("y", 1)], "", &[&told]);
        check(&[("x*", 0), ("xy", 1)], "", &[]);
    }

    #[test]
    fn one_backend_of_each_model_has_a_weight() {
        const MODEL: &str = "[[model]]\nname = \"m\"\n";
        let told = format!("t:10: model.name: {}", nobody("m"));
        let two = [("*", 0), ("*", 1)];
        let model = |candidates: &str| format!("{MODEL}candidates = [{candidates}]\n");
        check(&two, &model("{ backends = \"b0\" }"), &[&told]);
        // The first is asked when the others cannot be.
        check(&two, &model("{ backends = \"b1\" }, { backends = \"b0\", order = 1 }"), &[]);
        check(&two, &model("{ backends = [\"b0\", \"b1\"] }"), &[]);
        check(&two, MODEL, &[]);
    }

    #[test]
    fn all_without_a_weight_are_told_once() {
        let told = "t:4: backend.weight 0: every weight is 0, so that none would answer; give one \
                    a weight";
        check(&[("x", 0), ("x", 0)], "[[model]]\nname = \"x\"\n", &[told]);
    }
}
