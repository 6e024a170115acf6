//! Models and routes as the operator gave them, before they are checked.

use std::fmt;

use crate::balance::Policy;

/// A model as clients know it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelWritten {
    pub name: Option<String>,
    /// Whether it is there for an alias alone, beside which other names are
    /// answered as well.
    pub leaves_others: bool,
    pub aliases: Vec<String>,
    pub sticky: bool,
    /// `None` is that of all.
    pub policy: Option<Policy>,
    /// None is the model itself, wherever it is served.
    pub candidates: Vec<CandidateWritten>,
    pub fallbacks: Vec<String>,
    pub context_window_fallbacks: Vec<String>,
    pub content_policy_fallbacks: Vec<String>,
}

/// One way to answer for a model.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateWritten {
    pub model: Option<String>,
    /// None is all that serve the name.
    pub backends: Vec<String>,
    pub weight: u32,
    pub order: u32,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteWritten {
    pub name: Option<String>,
    pub when: WhenWritten,
    pub to: Vec<ArmWritten>,
    pub shadow: bool,
    pub mirror: MirrorWritten,
}

/// What a request must be for a rule to apply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WhenWritten {
    pub models: Vec<String>,
    pub paths: Vec<String>,
    pub headers: Vec<NamedWritten>,
    pub stream: Option<bool>,
    pub tools: Option<bool>,
    pub images: Option<bool>,
    pub prompt_tokens_min: Option<u64>,
    pub prompt_tokens_max: Option<u64>,
    pub complexity_min: Option<f32>,
    pub complexity_max: Option<f32>,
}

/// One part of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmWritten {
    pub model: Option<String>,
    pub weight: u32,
}

/// A copy of a share of the requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MirrorWritten {
    pub model: Option<String>,
    /// Of a hundred.
    pub percent: Option<f32>,
}

/// Words under a name of the operator's choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedWritten {
    pub name: String,
    pub values: Vec<String>,
}

impl Default for CandidateWritten {
    fn default() -> Self {
        Self { model: None, backends: Vec::new(), weight: 1, order: 0 }
    }
}

impl Default for ArmWritten {
    fn default() -> Self {
        Self { model: None, weight: 1 }
    }
}

impl fmt::Display for NamedWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?}", self.name, self.values)
    }
}
