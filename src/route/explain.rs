//! The whole decision, told: every rule and why it applied or did not. For the
//! operator's eyes; requests are decided without it, by the same conditions.

use super::{
    Content, Decision, HeaderCondition, ModelId, Pattern, Query, RouteTable, RuleId, Unrouted,
    decide::Asked,
};
use crate::http::Name;

/// What became of one rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub name: Box<str>,
    /// Why it does not apply; `None` is that it does.
    pub unmet: Option<String>,
    /// A rule before it has decided, so that it was not asked.
    pub is_late: bool,
    pub shadow: bool,
    /// Each arm's model and weight, and whether the conversation falls to it.
    pub arms: Vec<(Box<str>, u32, bool)>,
    /// The mirror's model and percent, and whether this request is mirrored.
    pub mirror: Option<(Box<str>, f32)>,
}

/// A decision and the way to it.
#[derive(Debug)]
pub struct Explanation<'t> {
    pub rules: Vec<Tried>,
    pub decision: Result<Decision<'t>, Unrouted>,
}

impl RouteTable {
    /// Decides as [`RouteTable::decide`] does, and tells all rules.
    pub fn explain(&self, query: &Query<'_>, content: &mut dyn Content) -> Explanation<'_> {
        let decision = self.decide(query, content);
        let decided = decision.as_ref().ok().and_then(|decision| decision.rule);
        let mut asked = Asked::new(query.head.session, content);
        let rules = self.rules.iter().enumerate();
        let rules = rules.map(|(id, rule)| {
            let arm = rule.arm(&mut asked);
            let name = |id: ModelId| Box::from(self.model_word(id));
            let falls = |model| arm == Some(model);
            Tried {
                name: rule.name.clone(),
                unmet: self.unmet(RuleId(id), query, &mut asked),
                is_late: decided.is_some_and(|decided| decided.0 < id),
                shadow: rule.shadow,
                arms: rule.to.iter().map(|a| (name(a.model), a.weight, falls(a.model))).collect(),
                mirror: rule.mirror.as_ref().map(|m| (name(m.model), m.percent)),
            }
        });
        Explanation { rules: rules.collect(), decision }
    }

    /// The first condition that is not met, in the operator's words.
    fn unmet(&self, id: RuleId, query: &Query<'_>, content: &mut Asked<'_>) -> Option<String> {
        let (rule, terms) = (self.rules.get(id.0)?, self.terms.get(id.0)?);
        if terms.are_met(query) && rule.rest_is_met(query, true, content) {
            return None;
        }
        let when = &rule.when;
        let name = query.model.map(String::from_utf8_lossy).unwrap_or_default();
        let met = |model: &Pattern| query.model.is_some_and(|name| model.meets(name));
        if !when.models.is_empty() && !when.models.iter().any(met) {
            return Some(format!("model {name} is none of {}", list(&when.models)));
        }
        let mut places = rule.head.iter();
        if !when.paths.is_empty() && !places.next().is_some_and(|at| query.head.meets(*at)) {
            return Some(format!("the path is none of {}", list(&when.paths)));
        }
        for (HeaderCondition { name, values }, at) in when.headers.iter().zip(places) {
            if !query.head.meets(*at) {
                if Name::is_secret(name.as_bytes()) {
                    return Some(format!("header {name} is none of its values"));
                }
                return Some(format!("header {name} is none of {}", list(values)));
            }
        }
        let flag = |what, wanted: Option<bool>, is: bool| {
            wanted
                .filter(|wanted| *wanted != is)
                .map(|wanted| format!("{what} is {is}, not {wanted}"))
        };
        flag("stream", when.stream, query.stream)
            .or_else(|| flag("tools", when.tools, query.tools))
            .or_else(|| flag("images", when.images, content.images()))
            .or_else(|| {
                let range = when.prompt_tokens.as_ref()?;
                let is = query.prompt_tokens;
                (!range.contains(&is)).then(|| format!("prompt tokens are {is}, not {range:?}"))
            })
            .or_else(|| {
                let (range, is) = (when.complexity.as_ref()?, content.complexity());
                Some(format!("complexity is {is:.3}, not {range:?}"))
            })
    }
}

fn list(patterns: &[Pattern]) -> String {
    patterns.iter().map(|pattern| &*pattern.0).collect::<Vec<_>>().join(", ")
}
