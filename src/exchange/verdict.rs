//! What the end of a request says of its backend, and who is to blame for it.
//! A client's fault and a client that leaves never count against a backend.

use std::time::Duration;

use super::{
    Stage,
    answer::AnswerHead,
    attempt::AttemptFault,
    client::{Interrupt, Wait},
};
use crate::{
    balance::{BackendId, Outturn, Ticket},
    llm::Trouble,
    rt::World,
};

/// Digits of a `retry-after` that are read: thirty years.
const RETRY_AFTER_DIGITS: usize = 9;

/// No connection could be made.
pub fn unreached<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, reason: &Trouble) {
    match reason {
        // We have no room; that says nothing of the backend.
        Trouble::Overloaded => drop(ticket),
        _ => {
            let backend = ticket.backend();
            say(stage, backend, ticket.unreachable(stage.now()));
        }
    }
}

/// The request was sent, or about to be, and no answer has begun.
pub fn unanswered<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, fault: &AttemptFault) {
    match fault {
        AttemptFault::Refused(Trouble::Overloaded)
        | AttemptFault::Interrupted(Interrupt::Drained) => drop(ticket),
        AttemptFault::Refused(_)
        | AttemptFault::Interrupted(Interrupt::Deadline(Wait::FirstByte)) => {
            failed(stage, ticket, None);
        }
        AttemptFault::Interrupted(Interrupt::ClientGone | Interrupt::Deadline(_)) => {
            ticket.left(stage.now());
        }
    }
}

/// The answer has come whole, whatever it says.
pub fn whole<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, head: &AnswerHead, outturn: Outturn) {
    match head.status {
        status if is_failure(status) => failed(stage, ticket, head.retry_after),
        // It is about the request, and says nothing of the backend's speed.
        400.. => drop(ticket),
        _ => ticket.done(outturn, stage.now()),
    }
}

/// The answer was cut.
pub fn cut<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, reason: &Trouble) {
    match reason {
        Trouble::Draining => drop(ticket),
        // It was on its way, and longer than the operator allows.
        Trouble::TotalTimeout => ticket.left(stage.now()),
        _ => failed(stage, ticket, None),
    }
}

fn failed<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, retry_after: Option<Duration>) {
    let backend = ticket.backend();
    say(stage, backend, ticket.failed(retry_after, stage.now()));
}

/// The operator hears of a backend that is left alone from now on.
fn say<W: World>(stage: &Stage<W>, backend: BackendId, pause: Option<Duration>) {
    if let Some(pause) = pause {
        let name = stage.settings.backends.get(backend.0).map(|backend| &*backend.name);
        tracing::warn!(backend = name, ?pause, "a backend fails, and is left alone for a while");
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
