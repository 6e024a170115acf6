//! How often each rule has decided. Each shard counts for itself, as it does
//! everything else (`counters`); whoever shows the counts adds them up.

use std::sync::Arc;

use super::Counter;
use crate::route::{Decision, RoutePlan};

/// The counts of one plan's rules, of all shards.
#[derive(Debug, Default)]
pub struct RuleCounts {
    shards: Box<[Arc<ShardRules>]>,
}

/// Those of one shard: as many as the plan has rules, and one more for the
/// requests that no rule has decided.
#[derive(Debug, Default)]
pub struct ShardRules {
    rules: Box<[Arc<RuleCount>]>,
    none: Arc<RuleCount>,
}

/// On a cache line of its own, so that one shard's counting does not slow
/// another's.
#[derive(Debug, Default)]
#[repr(align(64))]
struct RuleCount {
    name: Box<str>,
    decided: Counter,
    /// In shadow: it would have.
    shadowed: Counter,
}

impl RuleCounts {
    #[must_use]
    pub fn new(plan: &RoutePlan, shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| Arc::new(ShardRules::new(plan))).collect() }
    }

    /// Those of the next plan: a rule that keeps its name keeps its counts.
    #[must_use]
    pub fn followed_by(&self, plan: &RoutePlan) -> Self {
        let next = |shard: &Arc<ShardRules>| Arc::new(shard.followed_by(plan));
        Self { shards: self.shards.iter().map(next).collect() }
    }

    /// Those that a shard writes, and nobody else does.
    pub(super) fn of(&self, shard: usize) -> Arc<ShardRules> {
        self.shards.get(shard).map(Arc::clone).unwrap_or_default()
    }

    /// Each rule's name, and how often it has decided or would have. The last
    /// has no name: no rule has decided.
    pub fn each(&self, mut show: impl FnMut(Option<&str>, u64, u64)) {
        let Some(first) = self.shards.first() else { return };
        for (place, rule) in first.rules.iter().enumerate() {
            let counts = || self.shards.iter().filter_map(|shard| shard.rules.get(place));
            let decided = counts().map(|count| count.decided.read()).sum();
            show(Some(&rule.name), decided, counts().map(|count| count.shadowed.read()).sum());
        }
        show(None, self.shards.iter().map(|shard| shard.none.decided.read()).sum(), 0);
    }

    /// Whether there are any rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.first().is_none_or(|shard| shard.rules.is_empty())
    }
}

impl ShardRules {
    fn new(plan: &RoutePlan) -> Self {
        let count = |name: &str| RuleCount { name: name.into(), ..RuleCount::default() };
        let rules = plan.rules.iter().map(|rule| Arc::new(count(&rule.name))).collect();
        Self { rules, none: Arc::default() }
    }

    fn followed_by(&self, plan: &RoutePlan) -> Self {
        let mut next = Self { none: Arc::clone(&self.none), ..Self::new(plan) };
        for count in &mut next.rules {
            if let Some(known) = self.rules.iter().find(|known| known.name == count.name) {
                *count = Arc::clone(known);
            }
        }
        next
    }

    pub(super) fn count(&self, decision: &Decision<'_>) {
        let rule = decision.rule.and_then(|rule| self.rules.get(rule.0));
        rule.unwrap_or(&self.none).decided.increment();
        for shadow in &decision.shadows {
            if let Some(rule) = self.rules.get(shadow.rule.0) {
                rule.shadowed.increment();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Conditions, Rule};

    fn plan(names: &[&str]) -> RoutePlan {
        let rule = |name: &&str| Rule {
            name: (*name).into(),
            when: Conditions::default(),
            to: Vec::new(),
            shadow: false,
            mirror: None,
        };
        RoutePlan { rules: names.iter().map(rule).collect(), ..RoutePlan::default() }
    }

    fn shown(counts: &RuleCounts) -> Vec<(String, u64, u64)> {
        let mut shown = Vec::new();
        counts.each(|name, decided, shadowed| {
            shown.push((name.unwrap_or("none").to_owned(), decided, shadowed));
        });
        shown
    }

    fn row(name: &str, decided: u64, shadowed: u64) -> (String, u64, u64) {
        (name.to_owned(), decided, shadowed)
    }

    #[test]
    fn what_each_shard_has_counted_is_added_up() {
        let counts = RuleCounts::new(&plan(&["a", "b"]), 2);
        let [first, second] = [counts.of(0), counts.of(1)];
        first.rules[0].decided.add(2);
        second.rules[0].decided.add(3);
        second.rules[1].shadowed.add(4);
        first.none.decided.increment();
        assert_eq!(shown(&counts), [row("a", 5, 0), row("b", 0, 4), row("none", 1, 0)]);
    }

    #[test]
    fn a_rule_that_keeps_its_name_keeps_its_counts_in_every_shard() {
        let before = RuleCounts::new(&plan(&["a", "b"]), 2);
        for shard in [0, 1] {
            before.of(shard).rules[1].decided.add(5);
            before.of(shard).none.decided.increment();
        }
        let after = before.followed_by(&plan(&["b", "c"]));
        assert_eq!(shown(&after), [row("b", 10, 0), row("c", 0, 0), row("none", 2, 0)]);
        // A request that began before the reload still counts.
        before.of(0).rules[1].decided.increment();
        assert_eq!(shown(&after)[0], row("b", 11, 0));
    }

    #[test]
    fn without_rules_there_is_nothing_to_show() {
        assert!(RuleCounts::default().is_empty() && RuleCounts::new(&plan(&[]), 1).is_empty());
        assert!(!RuleCounts::new(&plan(&["a"]), 1).is_empty());
    }
}
