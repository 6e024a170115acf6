//! Written -> Plan, as far as asking backends how they are goes.

use super::address::is_path;
use super::check::check_time;
use super::error::Fault;
use super::faults::Faults;
use super::{EnginePlan, HealthPlan, ProbePlan};

pub(super) fn check_probes(written: &ProbePlan, faults: &mut Faults) {
    const HEALTH: &str = "--health-interval";
    const ENGINE: &str = "--engine-interval";
    let health = &written.health;
    check_path("--health-path", &health.path, HealthPlan::PATH, faults);
    check_path(
        "--engine-metrics-path",
        &written.engine.metrics_path,
        EnginePlan::METRICS_PATH,
        faults,
    );
    check_time("--health-timeout", health.timeout, faults);
    if let Some(interval) = health.interval {
        check_time(HEALTH, interval, faults);
    }
    if let Some(interval) = written.engine.interval {
        check_time(ENGINE, interval, faults);
    }
    faults.at_least("--health-unhealthy-after", health.unhealthy_after, 1);
    faults.at_least("--health-healthy-after", health.healthy_after, 1);
    if health.interval.is_none() {
        let of_health = [
            "--health-path",
            "--health-timeout",
            "--health-unhealthy-after",
            "--health-healthy-after",
        ];
        never_asked(&of_health, HEALTH, faults);
    }
    if written.engine.interval.is_none() {
        never_asked(&["--engine-metrics-path"], ENGINE, faults);
    }
}

fn check_path(flag: &'static str, path: &str, example: &'static str, faults: &mut Faults) {
    if !path.starts_with('/') || !is_path(path) {
        faults.add(flag, path, Fault::ProxyPath(example));
    }
}

/// Who says how to ask wants backends to be asked.
fn never_asked(flags: &[&'static str], interval: &'static str, faults: &mut Faults) {
    for flag in flags {
        if faults.is_given(flag) {
            faults.add(*flag, "", Fault::NeverAsked(interval));
        }
    }
}

#[cfg(test)]
#[path = "check_probes_tests.rs"]
mod tests;
