//! What can be wrong with models and routes: one variant a fault, each with its
//! reason and its mend.

use super::named::{
    BACKEND_DIALECT, BACKEND_MODELS, BACKEND_NAME, BACKEND_WEIGHT, MODEL_ALIASES, MODEL_NAME,
    Named, SHADOW,
};

/// The reason and the mend, in one sentence. A key in it is where the operator
/// would look for what is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteFault {
    // Names.
    #[error("there are {count} {what} and at most {most} are taken, as {reason}; leave some out")]
    TooMany { what: &'static str, count: usize, most: usize, reason: &'static str },
    #[error("the name is missing; write one")]
    Nameless,
    #[error("the name is empty; write one, or leave this out")]
    NameEmpty,
    #[error("the name holds a control byte, such as a line break; leave it out")]
    NameControl,
    #[error("no request is read for a name of more than {0} bytes; write a shorter one")]
    NameLong(usize),
    #[error("a pattern has one * at most; keep one of them")]
    TwoStars,
    #[error(
        "the name stands in headers and figures; write 1 to {0} letters, digits and signs \
         without blanks, commas, quotes, backslashes and control bytes"
    )]
    NotPlain(usize),
    #[error("{0} is called so already; give each a name of its own")]
    NameTaken(String),

    // What one leads to.
    #[error("there is no {BACKEND_NAME} like this, and no URL; {0}")]
    UnknownBackend(Near),
    #[error("there is no {MODEL_NAME}, {MODEL_ALIASES} or {BACKEND_MODELS} with this name; {0}")]
    UnknownModel(Near),
    #[error("this backend stands in the list twice; name it once")]
    BackendTwice,
    #[error(
        "a backend is sent one name, and this has a *; write a whole name, or leave it out for \
         what the client wrote"
    )]
    SentStar,
    #[error(
        "this backend does not serve {0}; add the name to its {BACKEND_MODELS}, or leave the \
         backend out"
    )]
    NotServedBy(String),
    #[error("no backend serves {0}; add the name to the {BACKEND_MODELS} of one")]
    NotServed(String),
    #[error("fallbacks lead back: {0}; leave one of them out")]
    Cycle(String),
    #[error(
        "{model} is answered in the {speaks} API only, and {by} asks in the other; name a model \
         whose {BACKEND_DIALECT} fits"
    )]
    NoDialect { model: String, speaks: &'static str, by: &'static str },
    #[error("every weight is 0, so that none would answer; give one a weight")]
    NoWeight,
    #[error(
        "every backend that answers for {0} has the weight 0, so that none would; give one a \
         {BACKEND_WEIGHT}"
    )]
    NoBackendWeight(String),
    #[error(
        "every name that meets this goes to {0} before it; put this model first, or leave it out"
    )]
    NameCovered(String),
    #[error(
        "a conversation has one candidate only, and no route.to parts it, so this has no effect; \
         leave it out"
    )]
    StickyAlone,

    // Rules.
    #[error(
        "every request that meets this is taken by route {by} before it; put this one first, or \
         leave it out"
    )]
    Unreachable { by: String, place: usize },
    #[error("the route leads nowhere; add to = \"MODEL\", or a mirror")]
    Nowhere,
    #[error("a shadow only decides, and this one leads to no model; add to = \"MODEL\"")]
    ShadowNowhere,
    #[error("{SHADOW} does not act, so no copy is ever sent; leave one of the two out")]
    ShadowMirror,
    #[error("there is no mirror.model, so this has no effect; add it, or leave this out")]
    MirrorNobody,
    #[error("how many are copied is missing; add mirror.percent, like 5")]
    MirrorShare,
    #[error("a share is from 0 to 100; write it so")]
    Percent,
    #[error("a complexity is from 0 to 1; write it so")]
    Complexity,
    #[error("this is more than {0} ({1}), so no request meets both; lower it or raise the other")]
    MinAboveMax(&'static str, String),
    #[error("a header's name is letters, digits and signs like - and _; write it without others")]
    HeaderName,
    #[error(
        "no header's value holds a control byte, such as a line break, so no request meets this; \
         leave it out"
    )]
    HeaderValue,
    #[error("this header is looked for without being named; leave it out")]
    SessionHeaderKnown,
    #[error("this header stands in the list twice; name it once")]
    SessionHeaderTwice,
    #[error("this header stands here twice; put its values in one list")]
    HeaderTwice,
    #[error(
        "all routes together have {count} different conditions on paths and headers, and at most \
         {most} are taken, as what each of them came to is kept with every request; use the same \
         lists again, or leave some out"
    )]
    HeadConditions { count: usize, most: usize },
    #[error("no path begins so; begin with / or *")]
    PathStart,
}

impl RouteFault {
    /// The settings that the sentence names.
    pub(super) fn names(&self) -> Vec<Named> {
        match self {
            Self::UnknownBackend(_) => vec![BACKEND_NAME],
            Self::UnknownModel(_) => vec![MODEL_NAME, MODEL_ALIASES, BACKEND_MODELS],
            Self::NotServedBy(_) | Self::NotServed(_) => vec![BACKEND_MODELS],
            Self::NoBackendWeight(_) => vec![BACKEND_WEIGHT],
            Self::NoDialect { .. } => vec![BACKEND_DIALECT],
            Self::ShadowMirror => vec![SHADOW],
            Self::MinAboveMax(id, _) => vec![Named::only(id)],
            _ => Vec::new(),
        }
    }

    /// Whether it is found where something is missing, and so also where that
    /// was written and not understood.
    pub(super) const fn is_of_absence(&self) -> bool {
        matches!(
            self,
            Self::NoWeight
                | Self::NoBackendWeight(_)
                | Self::NameCovered(_)
                | Self::StickyAlone
                | Self::Nowhere
                | Self::ShadowNowhere
                | Self::MirrorNobody
                | Self::MirrorShare
        )
    }
}

/// What may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Near {
    One(String),
    /// Nothing is near; some of those that are known.
    Known(Vec<String>),
}

/// So many names are shown where none is near.
const SHOWN: usize = 8;

impl Near {
    pub(super) fn of<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Self {
        match super::nearest::nearest_of(word, known.clone()) {
            Some(near) => Self::One(near.to_owned()),
            None => {
                let mut some: Vec<String> = Vec::new();
                for name in known {
                    if some.len() == SHOWN {
                        break;
                    }
                    if !some.iter().any(|one| one == name) {
                        some.push(name.to_owned());
                    }
                }
                Self::Known(some)
            }
        }
    }
}

impl std::fmt::Display for Near {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(near) => write!(f, "did you mean {near}?"),
            Self::Known(known) if known.is_empty() => f.write_str("none is named at all; add it"),
            Self::Known(known) if known.len() < SHOWN => {
                write!(f, "known are {}", known.join(", "))
            }
            Self::Known(known) => write!(f, "known are {} and others", known.join(", ")),
        }
    }
}
