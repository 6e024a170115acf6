//! What the operator says of models and routes, checked: every place leads
//! somewhere, no fallback leads back. `config/` fills it.
//!
//! ```text
//! rule ──► arms, by weight ──► model ──► candidates, by order and weight ──► backends
//!                               └──► fallbacks: other models
//! ```
//!
//! Without models and rules every name is its own model, answered by all
//! backends that serve it.

use std::ops::RangeInclusive;

use crate::{base::BackendId, llm::Dialect};

/// Everything that is known before a request comes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutePlan {
    /// In the order of the plan's backends.
    pub backends: Vec<Serves>,
    /// Those that the operator has named, in the file's order, then those that
    /// only backends name and that a place leads to.
    pub models: Vec<ModelPlan>,
    /// The first that applies decides.
    pub rules: Vec<Rule>,
    /// Headers that name a session, before [`super::SESSION_HEADERS`]: at most
    /// [`super::SESSION_HEADERS_MAX`], in lower case.
    pub session_headers: Vec<Box<str>>,
}

/// What one backend answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Serves {
    /// Names of models; none is every name.
    pub models: Vec<Pattern>,
    /// The API it speaks; `None` is all of them.
    pub dialect: Option<Dialect>,
}

/// A model's place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(pub usize);

/// A name, or one with a `*` in it that stands for any bytes, none included.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(pub Box<str>);

/// A model as clients know it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelPlan {
    pub name: Pattern,
    /// Whether there is a `[[model]]` of it. Else a rule or a fallback leads to
    /// a name that is only in a backend's list: it makes no name known that
    /// would not be known without it.
    pub is_named: bool,
    /// Whether it makes no other name unknown: an alias was typed for it, and
    /// nothing else is said of it.
    pub leaves_others: bool,
    pub aliases: Vec<Pattern>,
    /// Never empty.
    pub candidates: Vec<Candidate>,
    pub fallbacks: Fallbacks,
    /// A conversation stays with the candidate and the arm it began with, so
    /// that its prefix is found in a backend's cache.
    pub sticky: bool,
}

/// One way to answer for a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What the backends call it; `None` is what the client has written. A
    /// model without candidates of its own has one that is called as itself, or
    /// `None` where its name has a `*`.
    pub model: Option<Box<str>>,
    /// Never empty. Where `model` is `None` and the model has several names,
    /// those that serve any of them: who serves the one that was written is
    /// asked of [`Serves`].
    pub backends: Vec<BackendId>,
    /// Its share among those of the same order; zero is that it is not asked,
    /// unless no candidate of the model has any.
    pub weight: u32,
    /// The lowest order is asked first, the others when those have failed.
    pub order: u32,
}

/// Models that answer when one cannot, each in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fallbacks {
    /// Its backends fail or have no room.
    pub general: Vec<ModelId>,
    /// The prompt is longer than the model reads.
    pub context_window: Vec<ModelId>,
    /// The model's provider declines to answer.
    pub content_policy: Vec<ModelId>,
}

/// One rule: to which models requests go that meet all its conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Told in `x-tokenring-route`; unique, and plain enough for a header.
    pub name: Box<str>,
    pub when: Conditions,
    /// Empty only when there is a mirror: then the rules behind it decide.
    pub to: Vec<Arm>,
    /// Decides and reports, and does not act: the rules behind it do.
    pub shadow: bool,
    pub mirror: Option<Mirror>,
}

/// One part of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    pub model: ModelId,
    pub weight: u32,
}

/// A copy of a share of the requests; nobody sees its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    pub model: ModelId,
    /// Of a hundred.
    pub percent: f32,
}

/// What a request must be for a rule to apply. An empty list and `None` ask
/// for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// The name that the client has written, any of these.
    pub models: Vec<Pattern>,
    pub paths: Vec<Pattern>,
    /// All of these.
    pub headers: Vec<HeaderCondition>,
    pub stream: Option<bool>,
    pub tools: Option<bool>,
    pub images: Option<bool>,
    /// Estimated.
    pub prompt_tokens: Option<RangeInclusive<u64>>,
    /// From 0 to 1.
    pub complexity: Option<RangeInclusive<f32>>,
}

/// A header that must be there, with any of these values.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderCondition {
    /// In lower case.
    pub name: Box<str>,
    /// Never empty; `*` is any value.
    pub values: Vec<Pattern>,
}
