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

/// Not digits alone, or more than the flag can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no whole number, or one that is too large; write digits only, like 16")]
pub(super) struct NotCount;

/// Reads a count. The standard library's readers also take a sign.
pub(super) fn count<T: FromStr>(word: &str) -> Result<T, NotCount> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits).ok_or(NotCount)
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
            word => count(word).map(Self::Count).map_err(|NotCount| NoCount),
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
            ("+5", Err(NoCount)),
            ("٣", Err(NoCount)),
            ("10k", Err(NoCount)),
            ("AUTO", Err(NoCount)),
        ] {
            assert_eq!(word.parse(), expected, "{word:?}");
        }
    }

    #[test]
    fn a_count_holds_no_more_than_its_flag() {
        assert_eq!((count("65535"), count("007")), (Ok(65_535_u16), Ok(7_u16)));
        for word in ["65536", "", "-0", "+0", " 1", "1 ", "0x1", "1_000"] {
            assert_eq!(count::<u16>(word), Err(NotCount), "{word:?}");
        }
    }
}
