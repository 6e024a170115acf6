//! Written -> MockPlan: what `mock` was asked for, with all its faults at once.

use crate::base::units::{Size, Time};

use super::address::read_listen;
use super::check::LONGER_IS_NO_END;
use super::cores;
use super::error::{Fault, PlanError};
use super::faults::Faults;
use super::written::{Machine, MockWritten};
use super::{Deadlines, MockPlan, MockPrefill, MockScript};

/// The plan for `mock`, or everything that is wrong with what was written.
pub fn check_mock(written: &MockWritten, machine: &Machine) -> Result<MockPlan, Vec<PlanError>> {
    let mut faults = Faults::default();
    let listen = faults.take("--listen", &written.listen, read_listen(&written.listen));
    let cores = cores::resolve(&written.cores, &machine.allowed_cores);
    let cores = faults.take("--cores", &written.cores, cores);
    check_script(&written.script, &mut faults);
    let prefill = &written.script.prefill;
    check_prefill(prefill, &mut faults);
    let engines = cores.as_ref().map_or(1, Vec::len);
    if !prefill.per_token.is_zero() && engines > 1 {
        let per_token = Time(prefill.per_token);
        faults.add("--prefill-per-token", per_token, Fault::MockManyEngines(engines));
    }
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
    if !(200..=599).contains(&script.health_status) {
        faults.add("--health-status", script.health_status, Fault::MockStatus);
    }
    check_faults(script, faults);
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

fn check_prefill(prefill: &MockPrefill, faults: &mut Faults) {
    let per_token = Time(prefill.per_token);
    faults.at_most("--prefill-per-token", per_token, Time(Deadlines::LONGEST), LONGER_IS_NO_END);
    faults.at_least("--prefill-slots", prefill.slots, 1);
    faults.at_least("--cold-times", prefill.cold_times, 1);
    let is_read_at_once = prefill.per_token.is_zero();
    if is_read_at_once && prefill.slots != MockPrefill::SLOTS {
        faults.add("--prefill-slots", prefill.slots, Fault::MockNoPrefill);
    }
    if is_read_at_once && prefill.cold_requests > 0 {
        faults.add("--cold-requests", prefill.cold_requests, Fault::MockNoPrefill);
    }
    if prefill.cold_requests == 0 && prefill.cold_times != MockPrefill::COLD_TIMES {
        faults.add("--cold-times", prefill.cold_times, Fault::MockNeverCold);
    }
}

/// Faults that never strike, and flags that change nothing about any answer.
fn check_faults(script: &MockScript, faults: &mut Faults) {
    let moments = [
        ("--stall-at", script.stall_at),
        ("--cut-at", script.cut_at),
        ("--error-at", script.error_at),
    ];
    let moments = moments.into_iter().filter_map(|(flag, token)| Some((flag, token?)));
    let has_tokens = script.status == MockScript::STATUS;
    // Of two at one token the one that is listed first strikes.
    let first = moments.clone().min_by_key(|(_, token)| *token);
    for (flag, token) in moments.clone() {
        match first {
            _ if !has_tokens => faults.add(flag, token, Fault::MockNoTokens(script.status)),
            _ if token >= script.tokens => {
                faults.add(flag, token, Fault::MockTokenNever(script.tokens));
            }
            Some((before, at)) if before != flag => {
                faults.add(flag, token, Fault::MockForestalled { flag: before, token: at });
            }
            _ => {}
        }
    }
    if script.omit_done && !has_tokens {
        faults.add("--omit-done", "", Fault::MockNoTokens(script.status));
    }
    if let Some(bytes) = script.body_bytes.filter(|_| !has_tokens && script.fault_every == 1) {
        faults.add("--body-bytes", Size(bytes), Fault::MockNoTokens(script.status));
    }
    if let Some(delay) = script.retry_after.filter(|_| has_tokens) {
        faults.add("--retry-after", Time(delay), Fault::MockRetryAfter);
    }
    let none = has_tokens && !script.omit_done && moments.count() == 0;
    if none && script.fault_every > 1 {
        faults.add("--fault-every", script.fault_every, Fault::MockNoFault);
    }
}

#[cfg(test)]
#[path = "check_mock_tests.rs"]
mod tests;
