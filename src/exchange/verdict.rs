//! What the end of a request says of its backend, and who is to blame for it.
//! A client's fault and a client that leaves never count against a backend.

use std::time::Duration;

use super::{
    answer::AnswerHead,
    attempt::AttemptFault,
    client::{Interrupt, Wait},
};
use crate::{
    balance::{Outturn, Ticket},
    base::Instant,
    llm::Trouble,
};

/// Digits of a `retry-after` that are read: thirty years.
const RETRY_AFTER_DIGITS: usize = 9;

/// No connection could be made.
pub fn unreached(ticket: Ticket<'_>, reason: &Trouble, now: Instant) {
    match reason {
        // We have no room; that says nothing of the backend.
        Trouble::Overloaded => drop(ticket),
        _ => ticket.unreachable(now),
    }
}

/// The request was sent, or about to be, and no answer has begun.
pub fn unanswered(ticket: Ticket<'_>, fault: &AttemptFault, now: Instant) {
    match fault {
        AttemptFault::Refused(Trouble::Overloaded)
        | AttemptFault::Interrupted(Interrupt::Drained) => drop(ticket),
        AttemptFault::Refused(_)
        | AttemptFault::Interrupted(Interrupt::Deadline(Wait::FirstByte)) => {
            ticket.failed(None, now);
        }
        AttemptFault::Interrupted(Interrupt::ClientGone | Interrupt::Deadline(_)) => {
            ticket.left(now);
        }
    }
}

/// The answer has come whole, whatever it says.
pub fn whole(ticket: Ticket<'_>, head: &AnswerHead, outturn: Outturn, now: Instant) {
    match head.status {
        status if is_failure(status) => ticket.failed(head.retry_after, now),
        // It is about the request, and says nothing of the backend's speed.
        400.. => drop(ticket),
        _ => ticket.done(outturn, now),
    }
}

/// The answer was cut.
pub fn cut(ticket: Ticket<'_>, reason: &Trouble, now: Instant) {
    match reason {
        Trouble::Draining => drop(ticket),
        // It was on its way, and longer than the operator allows.
        Trouble::TotalTimeout => ticket.left(now),
        _ => ticket.failed(None, now),
    }
}

/// Statuses that are the backend's own fault, or say that it has no room. 501
/// and 505 are about what was asked.
pub fn is_failure(status: u16) -> bool {
    matches!(status, 429 | 500 | 502..=504 | 506..=599)
}

/// The seconds of a `retry-after` (RFC 9110, section 10.2.3). Dates are not
/// read: they would have to be believed against our own clock.
pub fn read_retry_after(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || value.len() > RETRY_AFTER_DIGITS {
        return None;
    }
    let seconds = value.iter().try_fold(0_u64, |seconds, byte| {
        byte.is_ascii_digit().then(|| seconds * 10 + u64::from(byte - b'0'))
    });
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds() {
        let seconds = |text: &str| read_retry_after(text.as_bytes()).map(|time| time.as_secs());
        for (text, expected) in [
            ("0", Some(0)),
            ("30", Some(30)),
            ("999999999", Some(999_999_999)),
            ("9999999999", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            (" 1", None),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_clients_fault_is_no_failure_of_the_backend() {
        for (status, expected) in [
            (200, false),
            (400, false),
            (404, false),
            (408, false),
            (429, true),
            (500, true),
            (501, false),
            (503, true),
            (504, true),
            (505, false),
            (529, true),
        ] {
            assert_eq!(is_failure(status), expected, "{status}");
        }
    }
}
