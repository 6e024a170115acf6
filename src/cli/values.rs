//! Values of flags that are more than a number or a time.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::builder::PossibleValue;

use crate::config::DriverChoice;

/// A count, or `auto` to have it worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountOrAuto {
    Auto,
    Count(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is neither auto nor a whole number; write auto or a count like 10000")]
pub(super) struct NoCount;

impl CountOrAuto {
    pub(super) fn count(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Count(count) => Some(count),
        }
    }
}

impl FromStr for CountOrAuto {
    type Err = NoCount;

    fn from_str(word: &str) -> Result<Self, NoCount> {
        match word {
            "auto" => Ok(Self::Auto),
            digits => digits.parse().map(Self::Count).map_err(|_| NoCount),
        }
    }
}

impl fmt::Display for CountOrAuto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// Zero is how the operator writes "no limit".
pub(super) fn limit(written: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(written)
}

/// The reverse of [`limit`], to show a default.
pub(super) fn shown(limit: Option<NonZeroUsize>) -> usize {
    limit.map_or(0, NonZeroUsize::get)
}

/// [`DriverChoice`] as a word; the plan's type knows no command line.
#[derive(Clone, Copy, Debug)]
pub(super) struct DriverWord(pub(super) DriverChoice);

impl clap::ValueEnum for DriverWord {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(DriverChoice::Auto), Self(DriverChoice::Uring), Self(DriverChoice::Epoll)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self.0 {
            DriverChoice::Auto => "auto",
            DriverChoice::Uring => "uring",
            DriverChoice::Epoll => "epoll",
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_plain_or_auto() {
        for (word, expected) in [
            ("auto", Ok(CountOrAuto::Auto)),
            ("0", Ok(CountOrAuto::Count(0))),
            ("10000", Ok(CountOrAuto::Count(10_000))),
            ("", Err(NoCount)),
            ("-1", Err(NoCount)),
            ("10k", Err(NoCount)),
            ("AUTO", Err(NoCount)),
        ] {
            assert_eq!(word.parse(), expected, "{word:?}");
        }
    }
}
