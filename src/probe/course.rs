//! What the answers of one backend come to. Pure.

use std::time::Duration;

use super::plan::{EnginePlan, HealthPlan};
use crate::balance::Probed;

/// How a backend has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthCourse {
    /// `None` before the first is certain.
    state: Option<Probed>,
    successes: u32,
    failures: u32,
}

impl HealthCourse {
    /// What it is known to be.
    #[must_use]
    pub fn state(&self) -> Option<Probed> {
        self.state
    }

    /// A probe has succeeded. Says what the backend is, if that is another
    /// thing now.
    pub fn succeeded(&mut self, plan: &HealthPlan) -> Option<Probed> {
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        // One that was never found unwell need not prove itself.
        let is_healthy = self.state.is_none() || self.successes >= plan.healthy_after;
        self.becomes(is_healthy.then_some(Probed::Healthy))
    }

    /// A probe has failed.
    pub fn failed(&mut self, plan: &HealthPlan) -> Option<Probed> {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        let is_unhealthy = self.failures >= plan.unhealthy_after;
        self.becomes(is_unhealthy.then_some(Probed::Unhealthy))
    }

    fn becomes(&mut self, state: Option<Probed>) -> Option<Probed> {
        if state.is_none() || state == self.state {
            return None;
        }
        self.state = state;
        state
    }
}

/// Whether a backend offers figures of its engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineCourse {
    misses: u32,
}

impl EngineCourse {
    /// So many answers in a row without figures, and it is taken to have none.
    pub const MISSES_MAX: u32 = 3;
    /// How often one that has none is asked again. It may have been restarted as
    /// another, and SGLang tells nothing before its first request.
    pub const RARELY: Duration = Duration::from_secs(60);

    /// It has answered, with figures.
    pub fn told(&mut self) {
        self.misses = 0;
    }

    /// It has answered, without figures. True when it is taken to have none
    /// from now on.
    pub fn missed(&mut self) -> bool {
        self.misses = self.misses.saturating_add(1);
        self.misses == Self::MISSES_MAX
    }

    /// How long until it is asked again; `None` if engines are not asked.
    #[must_use]
    pub fn interval(&self, plan: &EnginePlan) -> Option<Duration> {
        let interval = plan.interval?;
        let is_rare = self.misses >= Self::MISSES_MAX;
        Some(if is_rare { interval.max(Self::RARELY) } else { interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told after each probe (`.` and `x`): `+` healthy, `-` unhealthy.
    #[track_caller]
    fn check(unhealthy_after: u32, healthy_after: u32, probes: &str, expected: &str) {
        let plan = HealthPlan { unhealthy_after, healthy_after, ..HealthPlan::default() };
        let mut course = HealthCourse::default();
        let told: String = probes
            .bytes()
            .map(|probe| match probe {
                b'.' => course.succeeded(&plan),
                _ => course.failed(&plan),
            })
            .map(|told| match told {
                Some(Probed::Healthy) => '+',
                Some(Probed::Unhealthy) => '-',
                None => ' ',
            })
            .collect();
        assert_eq!(told, expected, "{probes}");
    }

    #[test]
    fn a_change_is_told_once() {
        check(1, 1, "..xx..", "+ - + ");
        check(3, 2, "..xxxx...", "+   -  + ");
    }

    #[test]
    fn only_failures_in_a_row_make_unhealthy() {
        check(3, 2, ".xx.xx.xxx", "+        -");
        check(2, 1, "x.x.xx", " +   -");
    }

    #[test]
    fn one_that_was_unhealthy_has_to_prove_itself() {
        check(1, 3, "x..x...", "-     +");
        // One that was not need not.
        check(3, 3, "xx.", "  +");
    }

    #[test]
    fn an_engine_without_figures_is_asked_rarely() {
        let plan = EnginePlan { interval: Some(Duration::from_secs(1)), ..EnginePlan::default() };
        let mut course = EngineCourse::default();
        let often = plan.interval;
        assert_eq!([course.missed(), course.missed()], [false, false]);
        assert_eq!(course.interval(&plan), often);
        assert!(course.missed());
        assert_eq!(course.interval(&plan), Some(EngineCourse::RARELY));
        assert!(!course.missed(), "it is told once");
        course.told();
        assert_eq!(course.interval(&plan), often);
        assert_eq!(course.interval(&EnginePlan::default()), None);
    }
}
