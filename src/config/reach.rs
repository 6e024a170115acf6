//! Rules that no request ever reaches, as far as that is certain: an earlier
//! one takes every request that meets them.

use super::pattern::covers;
use crate::route::{Conditions, HeaderCondition, Pattern, Rule};

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
