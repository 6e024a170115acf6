//! What is not to be said as often as it happens.

use std::{cell::Cell, time::Duration};

use super::Instant;

/// How long something that is said once is not said again.
const PAUSE: Duration = Duration::from_secs(60);

/// Lets one of many through, at most once a minute.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Cell<Option<Instant>>,
}

impl Seldom {
    /// Whether it may be said now.
    pub fn may(&self, now: Instant) -> bool {
        let may = self.last.get().is_none_or(|last| now.since(last) >= PAUSE);
        if may {
            self.last.set(Some(now));
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_gets_through() {
        let seldom = Seldom::default();
        let start = Instant::default();
        for (millis, expected) in
            [(0, true), (1, false), (59_999, false), (60_000, true), (60_001, false)]
        {
            assert_eq!(seldom.may(start.after(Duration::from_millis(millis))), expected);
        }
    }
}
