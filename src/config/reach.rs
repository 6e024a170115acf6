//! Rules and models that no request ever reaches, as far as that is certain: an
//! earlier one takes every request that meets them.

use super::pattern::{covers, has_star};
use crate::route::{Conditions, HeaderCondition, ModelId, ModelPlan, Pattern, RoutePlan, Rule};

/// Each model that no client can name, as every one of its names is a pattern
/// that an earlier model's covers, and that nothing else leads to; with the
/// pattern that covers its name.
pub(super) fn covered(plan: &RoutePlan) -> Vec<(usize, &Pattern)> {
    let led_to = led_to(plan);
    // A name without a star is looked up before all patterns.
    let (mut wild, mut found) = (Vec::<&Pattern>::new(), Vec::new());
    let named = plan.models.iter().enumerate().filter(|(_, model)| model.is_named);
    for (place, model) in named {
        let names = || [&model.name].into_iter().chain(&model.aliases);
        let covering = |name: &Pattern| wild.iter().find(|wide| covers(wide, name)).copied();
        let first = covering(&model.name).filter(|_| names().all(has_star));
        let is_led_to = led_to.get(place).is_some_and(|led_to| *led_to);
        if let Some(by) =
            first.filter(|_| names().all(|name| covering(name).is_some()) && !is_led_to)
        {
            found.push((place, by));
        }
        wild.extend(names().filter(|name| has_star(name)));
    }
    found
}

/// Whether a rule, a mirror or a fallback leads to each model.
fn led_to(plan: &RoutePlan) -> Vec<bool> {
    let mut led_to = vec![false; plan.models.len()];
    let of_rule = |rule: &Rule| -> Vec<ModelId> {
        let mirror = rule.mirror.as_ref().map(|mirror| mirror.model);
        rule.to.iter().map(|arm| arm.model).chain(mirror).collect()
    };
    let of_model = |model: &ModelPlan| {
        let of = &model.fallbacks;
        [&of.general[..], &of.context_window, &of.content_policy].concat()
    };
    let of_rules = plan.rules.iter().flat_map(of_rule);
    for ModelId(place) in of_rules.chain(plan.models.iter().flat_map(of_model)) {
        if let Some(led_to) = led_to.get_mut(place) {
            *led_to = true;
        }
    }
    led_to
}

/// Each hidden rule with the first that hides it. Nothing is certain of rules
/// that have faults: they are not `sure`.
pub(super) fn hidden(rules: &[Rule], sure: &[bool]) -> Vec<(usize, usize)> {
    let all =
        || rules.iter().enumerate().zip(sure).filter(|(_, sure)| **sure).map(|(rule, _)| rule);
    let hiding = |(place, rule): (usize, &Rule)| {
        let mut earlier = all().take_while(|(by, _)| *by < place);
        let hiding = earlier.find(|(_, one)| takes(one) && implied(&rule.when, &one.when));
        hiding.map(|(by, _)| (place, by))
    };
    all().filter_map(hiding).collect()
}

/// Whether requests that meet the rule go no further.
fn takes(rule: &Rule) -> bool {
    !rule.shadow && !rule.to.is_empty()
}

/// Whether every request that meets `narrow` meets `wide` too.
fn implied(narrow: &Conditions, wide: &Conditions) -> bool {
    list(&narrow.models, &wide.models)
        && list(&narrow.paths, &wide.paths)
        && wide.headers.iter().all(|header| narrow.headers.iter().any(|one| same(one, header)))
        && flag(narrow.stream, wide.stream)
        && flag(narrow.tools, wide.tools)
        && flag(narrow.images, wide.images)
        && range(narrow.prompt_tokens.as_ref(), wide.prompt_tokens.as_ref(), &(0..=u64::MAX))
        && range(narrow.complexity.as_ref(), wide.complexity.as_ref(), &(0.0..=1.0))
}

/// An empty list asks for nothing.
fn list(narrow: &[Pattern], wide: &[Pattern]) -> bool {
    let is_covered = |one: &Pattern| wide.iter().any(|other| covers(other, one));
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(is_covered))
}

fn same(narrow: &HeaderCondition, wide: &HeaderCondition) -> bool {
    narrow.name == wide.name && list(&narrow.values, &wide.values)
}

fn flag(narrow: Option<bool>, wide: Option<bool>) -> bool {
    wide.is_none() || wide == narrow
}

fn range<T: PartialOrd>(
    narrow: Option<&std::ops::RangeInclusive<T>>,
    wide: Option<&std::ops::RangeInclusive<T>>,
    all: &std::ops::RangeInclusive<T>,
) -> bool {
    let Some(wide) = wide else { return true };
    let narrow = narrow.unwrap_or(all);
    wide.contains(narrow.start()) && wide.contains(narrow.end())
}
