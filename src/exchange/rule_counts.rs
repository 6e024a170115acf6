//! How often each rule has decided, for all shards.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::route::{Decision, RoutePlan};

/// The counts of one plan's rules: as many as the plan has, and one more for
/// the requests that no rule has decided.
#[derive(Debug, Default)]
pub struct RuleCounts {
    rules: Box<[Arc<RuleCount>]>,
    none: Arc<AtomicU64>,
}

#[derive(Debug)]
struct RuleCount {
    name: Box<str>,
    decided: AtomicU64,
    /// In shadow: it would have.
    shadowed: AtomicU64,
}

impl RuleCounts {
    #[must_use]
    pub fn new(plan: &RoutePlan) -> Self {
        let count = |name: &str| RuleCount {
            name: name.into(),
            decided: AtomicU64::new(0),
            shadowed: AtomicU64::new(0),
        };
        let rules = plan.rules.iter().map(|rule| Arc::new(count(&rule.name))).collect();
        Self { rules, none: Arc::default() }
    }

    /// Those of the next plan: a rule that keeps its name keeps its counts.
    #[must_use]
    pub fn followed_by(&self, plan: &RoutePlan) -> Self {
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
        rule.map_or(&*self.none, |rule| &rule.decided).fetch_add(1, Relaxed);
        for shadow in &decision.shadows {
            if let Some(rule) = self.rules.get(shadow.rule.0) {
                rule.shadowed.fetch_add(1, Relaxed);
            }
        }
    }

    /// Each rule's name, and how often it has decided or would have. The last
    /// has no name: no rule has decided.
    pub fn each(&self, mut show: impl FnMut(Option<&str>, u64, u64)) {
        for rule in &self.rules {
            show(Some(&rule.name), rule.decided.load(Relaxed), rule.shadowed.load(Relaxed));
        }
        show(None, self.none.load(Relaxed), 0);
    }

    /// Whether there are any rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
