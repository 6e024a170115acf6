//! Moments of certificates, as people read them.

use std::fmt;

use rustls::pki_types::UnixTime;

/// A moment, shown like `2026-11-21 14:37:04 UTC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub UnixTime);

const DAY: u64 = 24 * 60 * 60;
/// Days of 400 years, after which the Gregorian calendar repeats itself.
const ERA_DAYS: u64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil(seconds / DAY);
        let (hour, minute) = (seconds % DAY / 3600, seconds % 3600 / 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", seconds % 60)
    }
}

/// Year, month and day of a day since 1970. A year is counted from March, so
/// that a leap day is its last and the lengths of months have one formula.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970.saturating_add(DAYS_BEFORE_1970);
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(seconds: u64, expected: &str) {
        let moment = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        assert_eq!(Date(moment).to_string(), expected);
    }

    #[test]
    fn a_moment_is_shown_by_the_calendar() {
        check(0, "1970-01-01 00:00:00 UTC");
        check(951_782_399, "2000-02-28 23:59:59 UTC");
        check(951_782_400, "2000-02-29 00:00:00 UTC");
        check(951_868_800, "2000-03-01 00:00:00 UTC");
        check(1_704_067_199, "2023-12-31 23:59:59 UTC");
        check(1_709_164_800, "2024-02-29 00:00:00 UTC");
        check(4_107_542_400, "2100-03-01 00:00:00 UTC");
        // What a certificate without an end carries (RFC 5280, section 4.1.2.5).
        check(253_402_300_799, "9999-12-31 23:59:59 UTC");
    }
}
