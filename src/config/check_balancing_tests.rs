//! Facts about what may be said of the choice of a backend.

use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use super::super::{Given, Machine, Plan, Written, check};
use super::*;
use crate::config::Policy;

/// One backend; `given` are the flags that were typed.
fn plan_of(
    typed: &[&'static str],
    change: impl FnOnce(&mut Balancing),
) -> Result<Plan, Vec<String>> {
    let mut given = Given::default();
    typed.iter().for_each(|flag| given.by_flag(flag));
    let mut written = Written { backends: vec!["http://a:1".into()], given, ..Written::default() };
    change(&mut written.balancing);
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    check(&written, &machine).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn check_refused(given: &[&'static str], change: impl FnOnce(&mut Balancing), expected: &str) {
    assert_eq!(plan_of(given, change).unwrap_err(), [expected]);
}

#[test]
fn what_was_written_is_in_the_plan() {
    assert_eq!(plan_of(&[], |_| {}).unwrap().balancing, Balancing::DEFAULT);
    let written = Balancing {
        policy: Policy::PeakEwma,
        decode_slots: 1,
        slow_start: Duration::from_millis(10),
        affinity_percent: 100,
        prefix_bytes: 256,
        ejection: Ejection {
            after: NonZeroU32::new(32),
            below_percent: NonZeroU8::new(99),
            pause: Duration::from_millis(10),
            pause_max: Duration::from_millis(10),
        },
    };
    assert_eq!(plan_of(&[], |balancing| *balancing = written).unwrap().balancing, written);
}

#[test]
fn a_default_pause_gives_way_to_a_shorter_longest_one() {
    let longest = Duration::from_secs(2);
    let plan = plan_of(&[], |balancing| balancing.ejection.pause_max = longest).unwrap();
    assert_eq!(plan.balancing.ejection.pause, longest);
    check_refused(
        &["--eject-pause"],
        |balancing| balancing.ejection.pause_max = longest,
        "--eject-pause 5s: this is more than --eject-pause-max allows (2s); \
         lower it or raise --eject-pause-max",
    );
}

#[test]
fn what_has_no_effect_is_said() {
    check_refused(
        &["--decode-slots"],
        |balancing| balancing.policy = Policy::Random,
        "--decode-slots 256: random does not ask how full a backend is, \
         so this has no effect; leave it out",
    );
    check_refused(
        &["--eject-pause"],
        |balancing| {
            balancing.ejection.after = None;
            balancing.ejection.below_percent = None;
        },
        "--eject-pause 5s: no backend is ever ejected, so this has no effect; \
         leave it out, or give --eject-after",
    );
}

#[test]
fn a_share_may_be_had_at_once_but_not_after_years() {
    assert!(plan_of(&[], |balancing| balancing.slow_start = Duration::ZERO).is_ok());
    check_refused(
        &[],
        |balancing| balancing.slow_start = Duration::from_millis(1),
        "--slow-start 1ms: the value must be at least 10ms; raise it",
    );
}

#[test]
fn a_queue_is_bounded_and_one_without_places_has_no_timeout() {
    let check_queue = |given: &[&'static str], queue: QueuePlan| {
        let mut of_flags = Given::default();
        given.iter().for_each(|flag| of_flags.by_flag(flag));
        let backends = vec!["http://a:1".into()];
        let written = Written { backends, queue, given: of_flags, ..Written::default() };
        let machine = Machine { allowed_cores: vec![0], open_files: None };
        let plan = check(&written, &machine);
        plan.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let none = QueuePlan { length: 0, ..QueuePlan::DEFAULT };
    assert_eq!(check_queue(&[], none).unwrap().queue, none);
    for (given, queue, expected) in [
        (
            &["--queue-timeout"][..],
            none,
            "--queue-timeout 30s: with --queue-length 0 no request waits, \
             so this has no effect; leave it out",
        ),
        (
            &[],
            QueuePlan { length: 100_001, ..QueuePlan::DEFAULT },
            "--queue-length 100001: the value must be at most 100000, \
             as each that waits is gone past when another comes; lower it",
        ),
    ] {
        assert_eq!(check_queue(given, queue).unwrap_err(), [expected]);
    }
}

#[test]
fn a_bound_that_cannot_be_met_is_refused() {
    check_refused(
        &[],
        |balancing| balancing.decode_slots = 0,
        "--decode-slots 0: the value must be at least 1; raise it",
    );
    check_refused(
        &[],
        |balancing| balancing.affinity_percent = 99,
        "--affinity-percent 99: the value must be at least 100; raise it",
    );
    check_refused(
        &[],
        |balancing| balancing.prefix_bytes = 255,
        "--prefix-bytes 255B: the value must be at least 256B; raise it",
    );
    check_refused(
        &[],
        |balancing| balancing.ejection.after = NonZeroU32::new(33),
        "--eject-after 33: the value must be at most 32, \
         as no more answers are remembered of a backend; lower it",
    );
    check_refused(
        &[],
        |balancing| balancing.ejection.below_percent = NonZeroU8::new(100),
        "--eject-below 100: the value must be at most 99, \
         as a hundred would eject at every failure; lower it",
    );
    check_refused(
        &[],
        |balancing| balancing.ejection.pause = Duration::ZERO,
        "--eject-pause 0s: the value must be at least 10ms; raise it",
    );
}

#[test]
fn caches_that_hold_more_than_is_known_of_them_are_refused() {
    let plan = |backends: usize, given: Option<usize>| {
        let mut written = Written {
            backends: (0..backends)
                .map(|n| format!("http://a:{}", n + 1).as_str().into())
                .collect(),
            ..Written::default()
        };
        if let Some(bytes) = given {
            written.balancing.prefix_bytes = bytes;
            written.given.by_flag("--prefix-bytes");
        }
        let machine = Machine { allowed_cores: vec![0], open_files: None };
        let plan = check(&written, &machine).map(|plan| plan.balancing.prefix_bytes);
        plan.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    const MIB: usize = 1 << 20;
    assert_eq!(plan(1, Some(64 * MIB)), Ok(64 * MIB));
    assert_eq!(plan(16, None), Ok(4 * MIB));
    assert_eq!(plan(20, None), Ok(3 * MIB), "the default gives way");
    assert_eq!(plan(1000, None), Ok(262 * 256));
    let refused = |value: &str, backends: &str, most: &str| {
        Err(vec![format!(
            "--prefix-bytes {value}: 64MiB of text are known at a time, of all {backends} \
             backends, so more than {most} of each would have no effect; lower it to that"
        )])
    };
    assert_eq!(plan(3, Some(64 * MIB)), refused("64MiB", "3", "21MiB"));
    assert_eq!(plan(20, Some(4 * MIB)), refused("4MiB", "20", "3MiB"));
}
