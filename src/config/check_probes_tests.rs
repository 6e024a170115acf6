//! Facts about what may be said of asking backends how they are.

use std::time::Duration;

use super::super::{Given, Machine, Plan, Written, check};
use super::*;

/// One backend; `given` are the flags that were typed.
fn plan_of(
    typed: &[&'static str],
    change: impl FnOnce(&mut ProbePlan),
) -> Result<Plan, Vec<String>> {
    let mut given = Given::default();
    typed.iter().for_each(|flag| given.by_flag(flag));
    let mut written = Written { backends: vec!["http://a:1".into()], given, ..Written::default() };
    change(&mut written.probes);
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    check(&written, &machine).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn check_refused(given: &[&'static str], change: impl FnOnce(&mut ProbePlan), expected: &str) {
    assert_eq!(plan_of(given, change).unwrap_err(), [expected]);
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nobody_is_asked_unless_it_was_said() {
    let plan = plan_of(&[], |_| {}).unwrap();
    assert_eq!(plan.probes, ProbePlan::default());
    assert!(!plan.probes.asks());
}

#[test]
fn what_was_written_is_in_the_plan() {
    let written = ProbePlan {
        health: HealthPlan {
            path: "/up".to_owned(),
            interval: Some(SECOND),
            timeout: SECOND,
            unhealthy_after: 1,
            healthy_after: 9,
        },
        engine: EnginePlan { metrics_path: "/m".to_owned(), interval: Some(SECOND) },
    };
    let plan = plan_of(&["--health-path"], |probes| *probes = written.clone()).unwrap();
    assert_eq!(plan.probes, written);
}

#[test]
fn what_has_no_effect_is_said() {
    for (flag, interval) in [
        ("--health-path", "--health-interval"),
        ("--health-timeout", "--health-interval"),
        ("--health-unhealthy-after", "--health-interval"),
        ("--health-healthy-after", "--health-interval"),
        ("--engine-metrics-path", "--engine-interval"),
    ] {
        let expected = format!(
            "{flag}: no backend is ever asked, so this has no effect; \
             leave it out, or add {interval} TIME"
        );
        check_refused(&[flag], |_| {}, &expected);
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    check_refused(
        &[],
        |probes| probes.health.path = "health".to_owned(),
        "--health-path health: the path must start with / and hold no space, ?, # or control \
         byte; write it like /health",
    );
    check_refused(
        &[],
        |probes| probes.engine.metrics_path = "/a b".to_owned(),
        "--engine-metrics-path /a b: the path must start with / and hold no space, ?, # or \
         control byte; write it like /metrics",
    );
    check_refused(
        &[],
        |probes| probes.health.unhealthy_after = 0,
        "--health-unhealthy-after 0: the value must be at least 1; raise it",
    );
    check_refused(
        &[],
        |probes| probes.health.healthy_after = 0,
        "--health-healthy-after 0: the value must be at least 1; raise it",
    );
    check_refused(
        &[],
        |probes| probes.engine.interval = Some(Duration::from_millis(1)),
        "--engine-interval 1ms: the value must be at least 10ms; raise it",
    );
}
