//! How long a backend asks to be left alone: `retry-after-ms`, and
//! `retry-after` in seconds or as a date (RFC 9110, section 10.2.3). A date is
//! measured against the same answer's `date`, so that no clock but the
//! backend's own is believed.

use std::time::Duration;

/// Digits that are read: thirty years of seconds.
const DIGITS_MAX: usize = 9;
/// `Sun, 06 Nov 1994 08:49:37 GMT`
const DATE_BYTES: usize = 29;

/// The fields of an answer that tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    pub retry_after: Option<&'a [u8]>,
    pub retry_after_ms: Option<&'a [u8]>,
    pub date: Option<&'a [u8]>,
}

/// The time that is asked for; nothing if the fields do not tell.
#[must_use]
pub fn read_after(asked: Asked<'_>) -> Option<Duration> {
    if let Some(millis) = asked.retry_after_ms.and_then(digits) {
        return Some(Duration::from_millis(millis));
    }
    let value = asked.retry_after?;
    if let Some(seconds) = digits(value) {
        return Some(Duration::from_secs(seconds));
    }
    let (then, now) = (http_date(value)?, http_date(asked.date?)?);
    Some(Duration::from_secs(then.saturating_sub(now)))
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > DIGITS_MAX {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
    })
}

/// Seconds since the year 0 of an IMF-fixdate, the one form that may be sent
/// (RFC 9110, section 5.6.7). Fit to be subtracted, and for nothing else.
#[must_use]
pub fn http_date(text: &[u8]) -> Option<u64> {
    const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let text: &[u8; DATE_BYTES] = text.try_into().ok()?;
    let marks = [(3, b','), (4, b' '), (7, b' '), (11, b' '), (16, b' '), (19, b':'), (22, b':')];
    let is_marked = marks.iter().all(|&(at, mark)| text[at] == mark);
    if !is_marked || !text.ends_with(b" GMT") || !DAYS.contains(&&text[..3]) {
        return None;
    }
    let number = |from: usize, to: usize| digits(&text[from..to]);
    let month = MONTHS.iter().position(|name| *name == &text[8..11])? as u64;
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // A year is counted from March, so that a leap day is its last and the
    // lengths of months have one formula.
    let from_march = (month + 10) % 12;
    let year = if month < 2 { year.checked_sub(1)? } else { year };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (153 * from_march + 2) / 5 + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(retry_after: &str, millis: &str, date: &str, expected: Option<u64>) {
        let field = |text: &'static str| Some(text.as_bytes()).filter(|text| !text.is_empty());
        let leaked = |text: &str| field(String::from(text).leak());
        let asked = Asked {
            retry_after: leaked(retry_after),
            retry_after_ms: leaked(millis),
            date: leaked(date),
        };
        let expected = expected.map(Duration::from_millis);
        assert_eq!(read_after(asked), expected, "{retry_after:?} {millis:?} {date:?}");
    }

    #[test]
    fn seconds_and_milliseconds_are_plain_numbers() {
        check("0", "", "", Some(0));
        check("30", "", "", Some(30_000));
        check("999999999", "", "", Some(999_999_999_000));
        check("", "250", "", Some(250));
        check("30", "250", "", Some(250));
        check("30", "x", "", Some(30_000));
        for text in ["", "9999999999", "-1", "+1", "1.5", " 1", "1 ", "soon"] {
            check(text, "", "", None);
        }
    }

    #[test]
    fn a_date_is_measured_by_the_backends_own_clock() {
        let now = "Sat, 21 Nov 2026 23:59:30 GMT";
        check("Sun, 22 Nov 2026 00:00:30 GMT", "", now, Some(60_000));
        check("Sat, 21 Nov 2026 23:59:00 GMT", "", now, Some(0));
        check("Sun, 22 Nov 2026 00:00:30 GMT", "", "", None);
        check("Sun, 22 Nov 2026 00:00:30 GMT", "", "yesterday", None);
        check("Sunday, 22-Nov-26 00:00:30 GMT", "", now, None);
    }

    #[test]
    fn dates_are_as_far_apart_as_in_the_calendar() {
        for (from, to, seconds) in [
            ("Mon, 28 Feb 2028 23:59:59 GMT", "Tue, 29 Feb 2028 00:00:00 GMT", 1),
            ("Tue, 29 Feb 2028 23:59:59 GMT", "Wed, 01 Mar 2028 00:00:00 GMT", 1),
            ("Sun, 28 Feb 2100 23:59:59 GMT", "Mon, 01 Mar 2100 00:00:00 GMT", 1),
            ("Thu, 31 Dec 2026 23:59:59 GMT", "Fri, 01 Jan 2027 00:00:00 GMT", 1),
            ("Thu, 01 Jan 1970 00:00:00 GMT", "Sat, 21 Nov 2026 00:00:00 GMT", 20_778 * 86_400),
        ] {
            let [from, to] = [from, to].map(|date| http_date(date.as_bytes()).unwrap());
            assert_eq!(to - from, seconds);
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
        assert!(http_date(date).is_some());
        for at in 0..date.len() {
            assert_eq!(http_date(&date[..at]), None);
            for byte in [b'x', b'\xff', 0] {
                let mut torn = *date;
                torn[at] = byte;
                // A name's letter may make another name, a digit may not.
                assert_eq!(http_date(&torn), None, "{at}");
            }
        }
        for text in ["Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT"] {
            assert_eq!(http_date(text.as_bytes()), None, "{text}");
        }
        assert!(http_date(b"Sat, 01 Jan 0000 00:00:00 GMT").is_none());
    }
}
