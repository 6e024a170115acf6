//! Written -> MockPlan: what `mock` was asked for, with all its faults at once.

use crate::base::units::{Size, Time};

use super::address::read_listen;
use super::check::{Faults, LONGER_IS_NO_END};
use super::cores;
use super::error::{Fault, PlanError};
use super::written::{Machine, MockWritten};
use super::{Deadlines, MockPlan, MockScript};

/// The plan for `mock`, or everything that is wrong with what was written.
pub fn check_mock(written: &MockWritten, machine: &Machine) -> Result<MockPlan, Vec<PlanError>> {
    let mut faults = Faults::default();
    let listen = faults.take("--listen", &written.listen, read_listen(&written.listen));
    let cores = cores::resolve(&written.cores, &machine.allowed_cores);
    let cores = faults.take("--cores", &written.cores, cores);
    check_script(&written.script, &mut faults);
    let plan = listen.zip(cores).map(|(listen, cores)| MockPlan {
        listen,
        cores,
        pin: written.pin,
        driver: written.driver,
        script: written.script.clone(),
    });
    faults.none_or(plan)
}

fn check_script(script: &MockScript, faults: &mut Faults) {
    if !(200..=599).contains(&script.status) {
        faults.add("--status", script.status, Fault::MockStatus);
    }
    let moments = [
        ("--stall-at", script.stall_at),
        ("--cut-at", script.cut_at),
        ("--error-at", script.error_at),
    ];
    for (flag, token) in moments {
        if let Some(token) = token.filter(|token| *token >= script.tokens) {
            faults.add(flag, token, Fault::MockTokenNever(script.tokens));
        }
    }
    if script.models.iter().any(String::is_empty) {
        faults.add("--models", script.models.join(","), Fault::MockModelEmpty);
    }
    let longest = Time(Deadlines::LONGEST);
    faults.at_most("--first-token", Time(script.first_token), longest, LONGER_IS_NO_END);
    faults.at_most("--token-gap", Time(script.token_gap), longest, LONGER_IS_NO_END);
    faults.at_least("--fault-every", script.fault_every, 1);
    faults.at_least("--close-after", script.close_after.unwrap_or(1), 1);
    let token = Size(script.token_bytes);
    let most = Size(MockScript::TOKEN_BYTES_MAX);
    faults.at_least("--token-bytes", token, Size(1));
    faults.at_most("--token-bytes", token, most, "a token is written in one piece");
}

#[cfg(test)]
#[path = "check_mock_tests.rs"]
mod tests;
