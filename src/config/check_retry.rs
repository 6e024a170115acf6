//! Written -> Plan, as far as further attempts go.

use super::RetryPlan;
use super::check::check_time;
use super::error::Fault;
use super::faults::Faults;
use super::written::Written;
use crate::base::units::Time;
use crate::retry::{Class, Classes};

pub(super) fn check_retry(written: &Written, faults: &mut Faults) -> RetryPlan {
    const ATTEMPTS: &str = "--retry-attempts";
    const BACKOFF: &str = "--retry-backoff";
    const BACKOFF_MAX: &str = "--retry-backoff-max";
    const AFTER_MAX: &str = "--retry-after-max";
    let retry = &written.retry;
    faults.at_least(ATTEMPTS, retry.attempts, 1);
    let loops = "more would be a loop";
    faults.at_most(ATTEMPTS, retry.attempts, RetryPlan::ATTEMPTS_MAX, loops);
    let doubled = "that doubles the load already";
    let most = RetryPlan::BUDGET_PERCENT_MAX;
    faults.at_most("--retry-budget-percent", retry.budget_percent, most, doubled);
    for (flag, time) in [
        (BACKOFF, retry.backoff),
        (BACKOFF_MAX, retry.backoff_max),
        (AFTER_MAX, retry.retry_after_max),
    ] {
        check_time(flag, time, faults);
    }
    let total = Time(written.deadlines.total);
    let after_max = (Time(retry.retry_after_max), Time(RetryPlan::DEFAULT.retry_after_max));
    let after_max = faults.within(AFTER_MAX, after_max, "--total-timeout", total);
    let backoff_max = (Time(retry.backoff_max), Time(RetryPlan::DEFAULT.backoff_max));
    let backoff_max = faults.within(BACKOFF_MAX, backoff_max, "--total-timeout", total);
    let backoff = (Time(retry.backoff), Time(RetryPlan::DEFAULT.backoff));
    let backoff = faults.within(BACKOFF, backoff, BACKOFF_MAX, backoff_max);
    RetryPlan {
        on: check_classes(&written.retry_on, faults),
        backoff: backoff.0,
        backoff_max: backoff_max.0,
        retry_after_max: after_max.0,
        ..*retry
    }
}

fn check_classes(written: &[String], faults: &mut Faults) -> Classes {
    const FLAG: &str = "--retry-on";
    let mut classes = Classes::NONE;
    for (place, word) in written.iter().enumerate() {
        match Class::ALL.into_iter().find(|class| class.name() == word) {
            Some(class) if classes.has(class) => {
                faults.add((FLAG, place), word, Fault::RetryClassTwice);
            }
            Some(class) => classes = classes.and(class),
            None => {
                let known = Class::ALL.map(Class::name).join(", ");
                faults.add((FLAG, place), word, Fault::RetryClassUnknown(known));
            }
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Written), expected: Result<RetryPlan, &[&str]>) {
        let mut written = Written::default();
        change(&mut written);
        let mut faults = Faults::of(&written.given);
        let plan = check_retry(&written, &mut faults);
        let found = faults
            .none_or(Some(plan))
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>());
        match (found, expected) {
            (Ok(plan), Ok(expected)) => assert_eq!(plan, expected),
            (Err(faults), Err(expected)) => {
                assert_eq!(faults.len(), expected.len(), "{faults:?}");
                for (fault, expected) in faults.iter().zip(expected) {
                    assert!(fault.contains(expected), "{fault}");
                }
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn nothing_written_is_the_default() {
        check(|_| (), Ok(RetryPlan::DEFAULT));
    }

    #[test]
    fn classes_are_named() {
        let on = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let some = Classes::NONE.and(Class::Cut).and(Class::NoRoom);
        let plan = RetryPlan { on: some, ..RetryPlan::DEFAULT };
        check(|w| w.retry_on = on(&["no_room", "cut"]), Ok(plan));
        let none = RetryPlan { on: Classes::NONE, ..RetryPlan::DEFAULT };
        check(|w| w.retry_on = on(&[]), Ok(none));
        check(
            |w| w.retry_on = on(&["cut", "5xx", "cut"]),
            Err(&["write some of connect, tls, cut", "named twice"]),
        );
    }

    #[test]
    fn numbers_stay_within_reason() {
        check(
            |w| {
                w.retry.attempts = 0;
                w.retry.budget_percent = 101;
                w.retry.backoff = Duration::from_secs(3);
            },
            Err(&["at least 1", "at most 100", "--retry-backoff-max allows"]),
        );
        check(|w| w.retry.attempts = 11, Err(&["at most 10"]));
        check(
            |w| {
                w.deadlines.total = Duration::from_secs(2);
                w.retry.retry_after_max = Duration::from_secs(3);
            },
            Err(&["--total-timeout allows"]),
        );
        let short = Duration::from_millis(500);
        let plan = RetryPlan { retry_after_max: short, backoff_max: short, ..RetryPlan::DEFAULT };
        check(|w| w.deadlines.total = short, Ok(plan));
    }
}
