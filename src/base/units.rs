//! Times and sizes as the operator writes them: `10m`, `250ms`, `32MiB`.
//!
//! A unit is always written, a fraction never is (`1500ms`, not `1.5s`), and
//! what is shown reads back as the same value. This is for settings; wire
//! bytes have their own, stricter readers.
//!
//! ```text
//! time = 1*(digits time-unit)    units in falling order: 1h30m
//! size = digits size-unit
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A time, written with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

/// A number of bytes, written with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

/// Why a time or a size was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("a time is a whole number and a unit; write it like 250ms, 10s or 1h30m")]
    TimeWithoutNumber,
    #[error("the unit of the time is missing; add one of ms, s, m, h, d, as in 10s")]
    TimeWithoutUnit,
    #[error("the unit of the time is not known; use one of ns, us, ms, s, m, h, d")]
    TimeUnitUnknown,
    #[error("the units of a time fall from left to right; write it like 1h30m")]
    TimeUnitsRise,
    #[error("the time is too long; write less than 500 years")]
    TimeTooLong,
    #[error("a size is a whole number and a unit; write it like 16KiB or 32MiB")]
    SizeWithoutNumber,
    #[error("the unit of the size is missing; add one of B, KiB, MiB, GiB, as in 16KiB")]
    SizeWithoutUnit,
    #[error("the unit of the size is not known; use B, KiB, MiB, GiB (1024) or kB, MB, GB (1000)")]
    SizeUnitUnknown,
    #[error("the size is more than this machine can address; write less than 8000000000GiB")]
    SizeTooLarge,
}

/// Nanoseconds in each unit, longest first.
const TIME_UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Bytes in each unit, in the order in which a size is shown: the first that
/// divides it, so powers of two before powers of ten.
const SIZE_UNITS: [(&str, usize); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Time {
    /// Reads a whole time.
    pub fn read(text: &[u8]) -> Result<Self, UnitError> {
        let mut rest = text;
        let mut nanos = 0_u64;
        let mut units_left = TIME_UNITS.len();
        if rest.is_empty() {
            return Err(UnitError::TimeWithoutNumber);
        }
        while !rest.is_empty() {
            let (digits, after) = split_where(rest, |byte| !byte.is_ascii_digit());
            let (unit, after) = split_where(after, |byte| byte.is_ascii_digit());
            let number = number(digits, UnitError::TimeWithoutNumber, UnitError::TimeTooLong)?;
            if unit.is_empty() {
                return Err(UnitError::TimeWithoutUnit);
            }
            let (scale, units_below) = time_unit(unit)?;
            if units_below >= units_left {
                return Err(UnitError::TimeUnitsRise);
            }
            units_left = units_below;
            let part = number.checked_mul(scale).ok_or(UnitError::TimeTooLong)?;
            nanos = nanos.checked_add(part).ok_or(UnitError::TimeTooLong)?;
            rest = after;
        }
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

impl Size {
    /// Reads a whole size.
    pub fn read(text: &[u8]) -> Result<Self, UnitError> {
        let (digits, unit) = split_where(text, |byte| !byte.is_ascii_digit());
        let number = number(digits, UnitError::SizeWithoutNumber, UnitError::SizeTooLarge)?;
        if unit.is_empty() {
            return Err(UnitError::SizeWithoutUnit);
        }
        let scale = SIZE_UNITS.iter().find(|(name, _)| name.as_bytes() == unit);
        let (_, scale) = *scale.ok_or(UnitError::SizeUnitUnknown)?;
        let number = usize::try_from(number).map_err(|_| UnitError::SizeTooLarge)?;
        number.checked_mul(scale).map(Self).ok_or(UnitError::SizeTooLarge)
    }
}

/// The nanoseconds of a unit, and how many units are shorter than it.
fn time_unit(name: &[u8]) -> Result<(u64, usize), UnitError> {
    let shorter = (0..TIME_UNITS.len()).rev();
    let found = TIME_UNITS.iter().zip(shorter).find(|((unit, _), _)| unit.as_bytes() == name);
    found.map(|((_, nanos), shorter)| (*nanos, shorter)).ok_or(UnitError::TimeUnitUnknown)
}

fn number(digits: &[u8], absent: UnitError, too_large: UnitError) -> Result<u64, UnitError> {
    if digits.is_empty() {
        return Err(absent);
    }
    let grown = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    grown.ok_or(too_large)
}

/// Splits before the first byte that fits, or at the end.
fn split_where(bytes: &[u8], fits: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| fits(*byte)).unwrap_or(bytes.len());
    bytes.split_at(at)
}

/// Shows the time in the longest unit that divides it.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        let exact = TIME_UNITS.iter().find(|(_, scale)| nanos.is_multiple_of(u128::from(*scale)));
        let (unit, scale) = exact.unwrap_or(&("ns", 1));
        write!(f, "{}{unit}", nanos / u128::from(*scale))
    }
}

/// Shows the size in the first unit of the table that divides it.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        let exact = SIZE_UNITS.iter().find(|(_, scale)| self.0.is_multiple_of(*scale));
        let (unit, scale) = exact.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / scale)
    }
}

impl FromStr for Time {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        Self::read(text.as_bytes())
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        Self::read(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_time(text: &str, expected: Result<Duration, UnitError>) {
        assert_eq!(Time::read(text.as_bytes()), expected.map(Time), "{text:?}");
    }

    fn check_size(text: &str, expected: Result<usize, UnitError>) {
        assert_eq!(Size::read(text.as_bytes()), expected.map(Size), "{text:?}");
    }

    /// Shown as written here, and read back as the same value.
    fn check_shown_time(time: Duration, expected: &str) {
        assert_eq!(Time(time).to_string(), expected);
        check_time(expected, Ok(time));
    }

    fn check_shown_size(size: usize, expected: &str) {
        assert_eq!(Size(size).to_string(), expected);
        check_size(expected, Ok(size));
    }

    #[test]
    fn reads_a_time_in_every_unit() {
        check_time("7ns", Ok(Duration::from_nanos(7)));
        check_time("7us", Ok(Duration::from_micros(7)));
        check_time("250ms", Ok(Duration::from_millis(250)));
        check_time("10s", Ok(Duration::from_secs(10)));
        check_time("10m", Ok(Duration::from_secs(600)));
        check_time("1h", Ok(Duration::from_secs(3600)));
        check_time("2d", Ok(Duration::from_secs(172_800)));
        check_time("0s", Ok(Duration::ZERO));
        check_time("007s", Ok(Duration::from_secs(7)));
    }

    #[test]
    fn reads_a_time_of_several_parts_in_falling_order() {
        check_time("1h30m", Ok(Duration::from_secs(5400)));
        check_time("1m500ms", Ok(Duration::from_millis(60_500)));
        check_time("30m1h", Err(UnitError::TimeUnitsRise));
        check_time("1s1s", Err(UnitError::TimeUnitsRise));
    }

    #[test]
    fn refuses_a_time_that_leaves_a_doubt() {
        check_time("", Err(UnitError::TimeWithoutNumber));
        check_time("s", Err(UnitError::TimeWithoutNumber));
        check_time("+5s", Err(UnitError::TimeWithoutNumber));
        check_time("-5s", Err(UnitError::TimeWithoutNumber));
        check_time(" 5s", Err(UnitError::TimeWithoutNumber));
        check_time("5", Err(UnitError::TimeWithoutUnit));
        check_time("1h5", Err(UnitError::TimeWithoutUnit));
        check_time("5S", Err(UnitError::TimeUnitUnknown));
        check_time("5 s", Err(UnitError::TimeUnitUnknown));
        check_time("5s ", Err(UnitError::TimeUnitUnknown));
        check_time("1.5s", Err(UnitError::TimeUnitUnknown));
        check_time("5min", Err(UnitError::TimeUnitUnknown));
        check_time("٣s", Err(UnitError::TimeWithoutNumber));
    }

    #[test]
    fn refuses_a_time_that_overflows() {
        check_time("18446744073709551615ns", Ok(Duration::from_nanos(u64::MAX)));
        check_time("18446744073709551616ns", Err(UnitError::TimeTooLong));
        check_time("213504d", Err(UnitError::TimeTooLong));
        check_time("213503d24h", Err(UnitError::TimeTooLong));
    }

    #[test]
    fn reads_a_size_in_every_unit() {
        check_size("9B", Ok(9));
        check_size("16kB", Ok(16_000));
        check_size("16MB", Ok(16_000_000));
        check_size("1GB", Ok(1_000_000_000));
        check_size("16KiB", Ok(16_384));
        check_size("32MiB", Ok(33_554_432));
        check_size("1GiB", Ok(1_073_741_824));
    }

    #[test]
    fn refuses_a_size_that_leaves_a_doubt() {
        check_size("", Err(UnitError::SizeWithoutNumber));
        check_size("KiB", Err(UnitError::SizeWithoutNumber));
        check_size("-1B", Err(UnitError::SizeWithoutNumber));
        check_size("16384", Err(UnitError::SizeWithoutUnit));
        check_size("16k", Err(UnitError::SizeUnitUnknown));
        check_size("16KB", Err(UnitError::SizeUnitUnknown));
        check_size("16 KiB", Err(UnitError::SizeUnitUnknown));
        check_size("1.5MiB", Err(UnitError::SizeUnitUnknown));
        check_size("1MiB1B", Err(UnitError::SizeUnitUnknown));
    }

    #[test]
    fn refuses_a_size_that_overflows() {
        check_size("18446744073709551615B", Ok(usize::MAX));
        check_size("18446744073709551616B", Err(UnitError::SizeTooLarge));
        check_size("18014398509481984KiB", Err(UnitError::SizeTooLarge));
    }

    #[test]
    fn shows_a_time_in_the_longest_unit_that_divides_it() {
        check_shown_time(Duration::ZERO, "0s");
        check_shown_time(Duration::from_secs(75), "75s");
        check_shown_time(Duration::from_secs(600), "10m");
        check_shown_time(Duration::from_secs(5400), "90m");
        check_shown_time(Duration::from_secs(86_400), "1d");
        check_shown_time(Duration::from_millis(1500), "1500ms");
        check_shown_time(Duration::from_nanos(1), "1ns");
    }

    #[test]
    fn shows_a_size_in_the_first_unit_that_divides_it() {
        check_shown_size(0, "0B");
        check_shown_size(1000, "1kB");
        check_shown_size(1024, "1KiB");
        check_shown_size(1_024_000, "1000KiB");
        check_shown_size(33_554_432, "32MiB");
        check_shown_size(4_294_967_295, "4294967295B");
    }
}
