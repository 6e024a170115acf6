//! What became of each key of the input, in sentences for the operator.

use std::fmt;

/// How near the result comes to what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It does the same here.
    Exact,
    /// It does nearly the same; the difference is said.
    Approximate,
    /// It needs the operator's hand.
    Manual,
    /// Nothing here does it.
    Unsupported,
}

/// One key, or a whole part, of the input and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// From the root, as `model_list[0].litellm_params.rpm`.
    pub path: String,
    /// Counted from 1; zero where it is not known.
    pub line: u64,
    pub kind: Kind,
    pub became: String,
    /// What to do; empty where nothing is left to do.
    pub mend: String,
}

impl Kind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Approximate => "approximate",
            Self::Manual => "manual",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, kind, became, mend } = self;
        write!(f, "{line}: {path}: {}: {became}", kind.name())?;
        if mend.is_empty() { Ok(()) } else { write!(f, "; {mend}") }
    }
}

/// A name of the input as it may stand in a line: neither controls nor
/// beyond a length that anybody reads.
pub(super) fn shown(name: &str) -> String {
    const SHOWN_MAX: usize = 80;
    let mut shown: String = name.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}
