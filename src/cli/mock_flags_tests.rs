//! Facts about how flags of `mock` become what was written.

use std::time::Duration;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    flags: MockFlags,
}

/// The flags change what was written as `change` does, and nothing else.
#[track_caller]
fn check(args: &[&str], change: impl FnOnce(&mut MockWritten)) {
    let mut expected = MockWritten::default();
    change(&mut expected);
    let args = ["mock"].iter().chain(args);
    let written = Alone::try_parse_from(args).map(|alone| alone.flags.into_written()).unwrap();
    assert_eq!(written, expected);
}

#[test]
fn no_flag_writes_the_defaults() {
    check(&[], |_| {});
}

#[test]
fn place_and_cores_are_kept_as_words() {
    check(&["--listen", "x"], |w| w.listen = "x".into());
    check(&["--cores", "3"], |w| w.cores = "3".into());
    check(&["--no-pin"], |w| w.pin = false);
    check(&["--driver", "epoll"], |w| w.driver = DriverChoice::Epoll);
}

#[test]
fn each_trait_of_an_answer_has_its_flag() {
    let time = Duration::from_millis(123);
    check(&["--models", "a,b"], |w| w.script.models = vec!["a".into(), "b".into()]);
    check(&["--first-token", "123ms"], |w| w.script.first_token = time);
    check(&["--token-gap", "123ms"], |w| w.script.token_gap = time);
    check(&["--tokens", "7"], |w| w.script.tokens = 7);
    check(&["--token-bytes", "7B"], |w| w.script.token_bytes = 7);
    check(&["--body-bytes", "7B"], |w| w.script.body_bytes = Some(7));
    check(&["--asked", "ids"], |w| w.script.asked = Some("ids".into()));
    check(&["--answered", "ids"], |w| w.script.answered = Some("ids".into()));
}

#[test]
fn each_trait_of_the_prefill_has_its_flag() {
    let time = Duration::from_micros(7);
    check(&["--prefill-per-token", "7us"], |w| w.script.prefill.per_token = time);
    check(&["--prefill-slots", "7"], |w| w.script.prefill.slots = 7);
    check(&["--cold-requests", "7"], |w| w.script.prefill.cold_requests = 7);
    check(&["--cold-times", "7"], |w| w.script.prefill.cold_times = 7);
}

#[test]
fn each_fault_has_its_flag() {
    check(&["--status", "503"], |w| w.script.status = 503);
    check(&["--health-status", "503"], |w| w.script.health_status = 503);
    check(&["--retry-after", "2s"], |w| w.script.retry_after = Some(Duration::from_secs(2)));
    check(&["--stall-at", "0"], |w| w.script.stall_at = Some(0));
    check(&["--cut-at", "7"], |w| w.script.cut_at = Some(7));
    check(&["--error-at", "7"], |w| w.script.error_at = Some(7));
    check(&["--omit-done"], |w| w.script.omit_done = true);
    check(&["--fault-every", "7"], |w| w.script.fault_every = 7);
    check(&["--close-after", "7"], |w| w.script.close_after = Some(7));
}
