//! Words that stand for numbers, as the operator writes them in flags.

use std::str::FromStr;

/// Not digits alone, or more than the setting can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no whole number, or one that is too large; write digits only, like 16")]
pub struct NotCount;

/// Reads a count. The standard library's readers also take a sign.
///
/// # Errors
/// Anything but digits, and too many of them.
pub fn count<T: FromStr>(word: &str) -> Result<T, NotCount> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits).ok_or(NotCount)
}

/// Neither a count nor the word for having it worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is neither auto nor a whole number; write auto or a count like 10000")]
pub struct NoCount;

/// Reads a count, or `auto` as `None`.
pub(super) fn count_or_auto(word: &str) -> Result<Option<usize>, NoCount> {
    match word {
        "auto" => Ok(None),
        word => count(word).map(Some).map_err(|NotCount| NoCount),
    }
}

/// Reads a number that may have a fraction, and be below zero so that its
/// bounds can be told; never one that is endless or none.
pub(super) fn decimal(word: &str) -> Option<f32> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    word.parse().ok().filter(|number: &f32| is_plain && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_plain_or_auto() {
        for (word, expected) in [
            ("auto", Ok(None)),
            ("0", Ok(Some(0))),
            ("10000", Ok(Some(10_000))),
            ("", Err(NoCount)),
            ("-1", Err(NoCount)),
            ("+5", Err(NoCount)),
            ("٣", Err(NoCount)),
            ("10k", Err(NoCount)),
            ("AUTO", Err(NoCount)),
        ] {
            assert_eq!(count_or_auto(word), expected, "{word:?}");
        }
    }

    #[test]
    fn a_number_with_a_fraction_has_digits_and_a_point() {
        for (word, expected) in [("0.5", 0.5), ("5", 5.0), ("-1.5", -1.5), ("00.25", 0.25)] {
            assert_eq!(decimal(word), Some(expected), "{word:?}");
        }
        for word in ["", ".", "-", "nan", "inf", "1e3", "+1", "1_0.5", "0,5", &"9".repeat(60)] {
            assert_eq!(decimal(word), None, "{word:?}");
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
