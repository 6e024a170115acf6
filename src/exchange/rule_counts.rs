//! How often each rule has decided. Each shard counts for itself, as it does
//! everything else (`counters`); whoever shows the counts adds them up.

use std::sync::Arc;

use super::Counter;
use crate::route::{Decision, ModelId, RoutePlan, Rule};

/// The counts of one plan's rules, of all shards.
#[derive(Debug, Default)]
pub struct RuleCounts {
    shards: Box<[Arc<ShardRules>]>,
}

/// Those of one shard: as many as the plan has rules, and one more for the
/// requests that no rule has decided.
#[derive(Debug, Default)]
pub struct ShardRules {
    rules: Box<[Arc<Count>]>,
    /// Of each rule in shadow, as many as it has models to choose from, or one
    /// if it only mirrors.
    shadows: Box<[Box<[ShadowCount]>]>,
    none: Arc<Count>,
}

/// How often a rule in shadow would have chosen a model.
#[derive(Debug)]
struct ShadowCount {
    model: Option<ModelId>,
    chosen: Arc<Count>,
}

/// On a cache line of its own, so that one shard's counting does not slow
/// another's.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Count {
    rule: Box<str>,
    /// What a rule in shadow chooses.
    model: Box<str>,
    requests: Counter,
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

    /// Each rule's name, and how often it has decided. The last has no name: no
    /// rule has decided.
    pub fn each(&self, mut show: impl FnMut(Option<&str>, u64)) {
        let Some(first) = self.shards.first() else { return };
        for (place, rule) in first.rules.iter().enumerate() {
            let counts = self.shards.iter().filter_map(|shard| shard.rules.get(place));
            show(Some(&rule.rule), counts.map(|count| count.requests.read()).sum());
        }
        show(None, self.shards.iter().map(|shard| shard.none.requests.read()).sum());
    }

    /// Each rule in shadow, and how often it would have chosen each of its
    /// models; one that only mirrors chooses none.
    pub fn each_shadow(&self, mut show: impl FnMut(&str, Option<&str>, u64)) {
        let Some(first) = self.shards.first() else { return };
        for (place, count) in first.shadow_counts().enumerate() {
            let counts = self.shards.iter().filter_map(|shard| shard.shadow_counts().nth(place));
            let chosen = counts.map(|count| count.chosen.requests.read()).sum();
            show(&count.chosen.rule, count.model.map(|_| &*count.chosen.model), chosen);
        }
    }

    /// Whether there are any rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.first().is_none_or(|shard| shard.rules.is_empty())
    }
}

impl ShardRules {
    fn new(plan: &RoutePlan) -> Self {
        let count = |rule: &Rule| Count { rule: rule.name.clone(), ..Count::default() };
        let rules = plan.rules.iter().map(|rule| Arc::new(count(rule))).collect();
        let shadows = plan.rules.iter().map(|rule| {
            let mut models: Vec<_> = rule.to.iter().map(|arm| Some(arm.model)).collect();
            // A model twice is one label.
            models.sort_unstable();
            models.dedup();
            if models.is_empty() {
                models.push(None);
            }
            let counts = models.into_iter().filter(|_| rule.shadow).map(|model| {
                let plan = model.and_then(|id| plan.models.get(id.0));
                let name = plan.map(|plan| plan.name.0.clone()).unwrap_or_default();
                ShadowCount { model, chosen: Arc::new(Count { model: name, ..count(rule) }) }
            });
            counts.collect()
        });
        Self { rules, shadows: shadows.collect(), none: Arc::default() }
    }

    fn followed_by(&self, plan: &RoutePlan) -> Self {
        let mut next = Self { none: Arc::clone(&self.none), ..Self::new(plan) };
        for count in &mut next.rules {
            if let Some(known) = self.rules.iter().find(|known| known.rule == count.rule) {
                *count = Arc::clone(known);
            }
        }
        for ShadowCount { chosen, .. } in next.shadows.iter_mut().flatten() {
            let same = |known: &&ShadowCount| {
                (&known.chosen.rule, &known.chosen.model) == (&chosen.rule, &chosen.model)
            };
            if let Some(known) = self.shadow_counts().find(same) {
                *chosen = Arc::clone(&known.chosen);
            }
        }
        next
    }

    fn shadow_counts(&self) -> impl Iterator<Item = &ShadowCount> {
        self.shadows.iter().flatten()
    }

    pub(super) fn count(&self, decision: &Decision<'_>) {
        let rule = decision.rule.and_then(|rule| self.rules.get(rule.0));
        rule.unwrap_or(&self.none).requests.increment();
        for shadow in &decision.shadows {
            let counts = self.shadows.get(shadow.rule.0).into_iter().flatten();
            if let Some(count) = counts.into_iter().find(|count| count.model == shadow.model) {
                count.chosen.requests.increment();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::BackendId,
        route::{
            Arm, Candidate, Conditions, Content, Fallbacks, HeadFacts, ModelPlan, Pattern, Query,
            RouteTable, Serves,
        },
    };

    /// Rules of these names.
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

    /// Models, and rules in shadow that lead to them.
    fn in_shadow(models: &[&str], rules: &[(&str, &[usize])]) -> RoutePlan {
        let mut plan = plan(&rules.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        plan.models = models
            .iter()
            .map(|name| ModelPlan {
                name: Pattern((*name).into()),
                is_named: true,
                leaves_others: false,
                aliases: Vec::new(),
                candidates: vec![Candidate {
                    model: None,
                    backends: vec![BackendId(0)],
                    weight: 1,
                    order: 0,
                }],
                fallbacks: Fallbacks::default(),
                sticky: false,
            })
            .collect();
        plan.backends = vec![Serves::default()];
        for (rule, (_, arms)) in plan.rules.iter_mut().zip(rules) {
            rule.shadow = true;
            rule.to = arms.iter().map(|at| Arm { model: ModelId(*at), weight: 1 }).collect();
        }
        plan
    }

    fn shown(counts: &RuleCounts) -> Vec<(String, u64)> {
        let mut shown = Vec::new();
        counts.each(|name, decided| {
            shown.push((name.unwrap_or("none").to_owned(), decided));
        });
        shown
    }

    fn shadows(counts: &RuleCounts) -> Vec<String> {
        let mut shown = Vec::new();
        counts.each_shadow(|rule, model, chosen| {
            shown.push(format!("{rule} {} {chosen}", model.unwrap_or("-")));
        });
        shown
    }

    fn row(name: &str, decided: u64) -> (String, u64) {
        (name.to_owned(), decided)
    }

    #[test]
    fn what_each_shard_has_counted_is_added_up() {
        let counts = RuleCounts::new(&plan(&["a", "b"]), 2);
        let [first, second] = [counts.of(0), counts.of(1)];
        first.rules[0].requests.add(2);
        second.rules[0].requests.add(3);
        first.none.requests.increment();
        assert_eq!(shown(&counts), [row("a", 5), row("b", 0), row("none", 1)]);
        assert!(shadows(&counts).is_empty());
    }

    #[test]
    fn a_rule_in_shadow_is_counted_by_the_model_that_it_would_have_chosen() {
        let plan = in_shadow(&["x", "y"], &[("one", &[0]), ("copy", &[]), ("split", &[1, 0, 1])]);
        let counts = RuleCounts::new(&plan, 2);
        let table = RouteTable::new(&plan);
        for shard in [0, 1, 1] {
            let decision = table.decide(&Query { model: Some(b"x"), ..query() }, &mut Nothing);
            counts.of(shard).count(&decision.unwrap());
        }
        let split: Vec<_> = shadows(&counts).into_iter().skip(2).collect();
        assert_eq!(shadows(&counts)[..2], ["one x 3", "copy - 3"]);
        assert!(split == ["split x 3", "split y 0"] || split == ["split x 0", "split y 3"]);
        // Its models may change, and change their places.
        let next = in_shadow(&["z", "x"], &[("copy", &[]), ("one", &[0, 1])]);
        let next = counts.followed_by(&next);
        assert_eq!(shadows(&next), ["copy - 3", "one z 0", "one x 3"]);
    }

    #[test]
    fn a_rule_that_keeps_its_name_keeps_its_counts_in_every_shard() {
        let before = RuleCounts::new(&plan(&["a", "b"]), 2);
        for shard in [0, 1] {
            before.of(shard).rules[1].requests.add(5);
            before.of(shard).none.requests.increment();
        }
        let after = before.followed_by(&plan(&["b", "c"]));
        assert_eq!(shown(&after), [row("b", 10), row("c", 0), row("none", 2)]);
        // A request that began before the reload still counts.
        before.of(0).rules[1].requests.increment();
        assert_eq!(shown(&after)[0], row("b", 11));
    }

    #[test]
    fn without_rules_there_is_nothing_to_show() {
        assert!(RuleCounts::default().is_empty() && RuleCounts::new(&plan(&[]), 1).is_empty());
        assert!(!RuleCounts::new(&plan(&["a"]), 1).is_empty());
    }

    fn query() -> Query<'static> {
        Query {
            model: None,
            head: HeadFacts::default(),
            stream: false,
            tools: false,
            prompt_tokens: 0,
            dialect: None,
            dice: 0,
        }
    }

    struct Nothing;

    impl Content for Nothing {
        fn images(&mut self) -> bool {
            false
        }

        fn complexity(&mut self) -> f32 {
            0.0
        }

        fn conversation(&mut self) -> u64 {
            0
        }
    }
}
