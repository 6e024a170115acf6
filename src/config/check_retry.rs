//! Written -> Plan, as far as further attempts go.

use super::RetryPlan;
use super::check::check_time;
use super::error::Fault;
use super::faults::Faults;
use super::words::decimal;
use super::written::Written;
use crate::base::units::Time;
use crate::retry::{Class, Classes, HedgeAfter};

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
    const HEDGES_MAX: &str = "--hedge-percent-max";
    faults.at_least(HEDGES_MAX, retry.hedge_percent_max, 1);
    faults.at_most(HEDGES_MAX, retry.hedge_percent_max, RetryPlan::HEDGE_PERCENT_MAX, doubled);
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
        hedge_after: check_hedge_after(written, faults),
        ..*retry
    }
}

fn check_hedge_after(written: &Written, faults: &mut Faults) -> HedgeAfter {
    const FLAG: &str = "--hedge-after";
    let Some(word) = &written.hedge_after else { return HedgeAfter::Never };
    if written.retry.attempts == 1 {
        faults.add(FLAG, word, Fault::HedgeWithoutAttempts);
    }
    if let Ok(Time(time)) = word.parse() {
        check_time(FLAG, time, faults);
        let total = Time(written.deadlines.total);
        return HedgeAfter::Time(
            faults.within(FLAG, (Time(time), total), "--total-timeout", total).0,
        );
    }
    let times = word.strip_suffix('x').and_then(decimal);
    let percent = times.map(|times| (times * 100.0).round().max(0.0) as u32);
    let is_sane =
        |percent: &u32| (HedgeAfter::PERCENT_MIN..=HedgeAfter::PERCENT_MAX).contains(percent);
    match percent.filter(is_sane) {
        Some(percent) => HedgeAfter::Expected { percent },
        None => {
            faults.add(FLAG, word, Fault::HedgeAfter);
            HedgeAfter::Never
        }
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
        let mut faults = Faults::of(&written.given, &[]);
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
    fn a_backend_is_late_after_a_time_or_a_number_of_times() {
        let after = |hedge_after| RetryPlan { hedge_after, ..RetryPlan::DEFAULT };
        let seconds = HedgeAfter::Time(Duration::from_secs(2));
        for (word, hedge_after) in [
            ("2s", seconds),
            ("3x", HedgeAfter::Expected { percent: 300 }),
            ("1.5x", HedgeAfter::Expected { percent: 150 }),
            ("100x", HedgeAfter::Expected { percent: 10_000 }),
        ] {
            check(|w| w.hedge_after = Some(word.to_owned()), Ok(after(hedge_after)));
        }
        for word in ["", "2", "x", "0.5x", "101x", "-2x", "p95", "3 x", "infx"] {
            check(|w| w.hedge_after = Some(word.to_owned()), Err(&["write 2s, or 3x"]));
        }
        check(|w| w.hedge_after = Some("0s".to_owned()), Err(&["at least 10ms"]));
        check(
            |w| {
                w.deadlines.total = Duration::from_secs(1);
                w.hedge_after = Some("2s".to_owned());
            },
            Err(&["--total-timeout allows"]),
        );
        check(
            |w| (w.hedge_after, w.retry.attempts) = (Some("2s".to_owned()), 1),
            Err(&["raise --retry-attempts"]),
        );
        check(|w| w.retry.hedge_percent_max = 0, Err(&["at least 1"]));
        check(|w| w.retry.hedge_percent_max = 101, Err(&["at most 100"]));
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
