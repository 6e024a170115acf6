//! Facts about what makes a mock's plan, and what does not.

use std::time::Duration;

use super::*;

/// A machine of these cores without a limit of open files.
fn machine(allowed_cores: &[usize]) -> Machine {
    Machine { allowed_cores: allowed_cores.to_vec(), open_files: None }
}

#[track_caller]
fn check_mock_refused(change: impl FnOnce(&mut MockScript), expected: &str) {
    let mut written = MockWritten::default();
    change(&mut written.script);
    let errors = check_mock(&written, &machine(&[0])).unwrap_err();
    let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(said, [expected]);
}

#[test]
fn the_mocks_defaults_make_a_plan() {
    let plan = check_mock(&MockWritten::default(), &machine(&[1, 0])).unwrap();
    assert_eq!(plan.cores, [0, 1]);
    assert_eq!(plan.script, MockScript::new());
}

#[test]
fn a_fault_of_the_mock_that_never_happens_is_refused() {
    let never = |flag: &str| {
        format!(
            "{flag} 128: the answer has 128 tokens, so this never happens; \
                 lower it or raise --tokens"
        )
    };
    check_mock_refused(|script| script.stall_at = Some(128), &never("--stall-at"));
    check_mock_refused(|script| script.cut_at = Some(128), &never("--cut-at"));
    check_mock_refused(|script| script.error_at = Some(128), &never("--error-at"));
}

#[test]
fn a_trait_of_the_prefill_that_changes_nothing_is_refused() {
    let no_prefill = "without --prefill-per-token prompts are read in no time, so this changes \
                      nothing; add --prefill-per-token 100us, or leave it out";
    check_mock_refused(
        |script| script.prefill.slots = 2,
        &format!("--prefill-slots 2: {no_prefill}"),
    );
    check_mock_refused(
        |script| script.prefill.cold_requests = 3,
        &format!("--cold-requests 3: {no_prefill}"),
    );
    check_mock_refused(
        |script| script.prefill.cold_times = 3,
        "--cold-times 3: without --cold-requests the engine is never cold, so this changes \
         nothing; add --cold-requests 20, or leave it out",
    );
    check_mock_refused(
        |script| {
            script.prefill.per_token = Duration::from_micros(1);
            script.prefill.slots = 0;
        },
        "--prefill-slots 0: the value must be at least 1; raise it",
    );
}

#[test]
fn prompts_wait_for_one_engine_only() {
    let mut written = MockWritten::default();
    written.script.prefill.per_token = Duration::from_micros(100);
    assert!(check_mock(&written, &machine(&[1])).is_ok());
    let errors = check_mock(&written, &machine(&[0, 1])).unwrap_err();
    let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["--prefill-per-token 100us: prompts wait for one engine, and here each of 2 threads \
          would be one; give it one core, like --cores 0"]
    );
}

#[test]
fn a_token_of_the_mock_is_neither_empty_nor_endless() {
    check_mock_refused(
        |script| script.token_bytes = (1 << 20) + 1,
        "--token-bytes 1048577B: the value must be at most 1MiB, \
         as a token is written in one piece; lower it",
    );
    check_mock_refused(
        |script| script.token_bytes = 0,
        "--token-bytes 0B: the value must be at least 1B; raise it",
    );
}

#[test]
fn a_fault_of_the_mock_that_another_forestalls_is_refused() {
    let no_tokens = |flag: &str| {
        format!(
            "{flag}: with --status 500 an answer has no tokens, so this never happens; \
             leave one of the two out"
        )
    };
    let failing = |change: fn(&mut MockScript)| {
        move |script: &mut MockScript| {
            script.status = 500;
            change(script);
        }
    };
    check_mock_refused(failing(|s| s.stall_at = Some(3)), &no_tokens("--stall-at 3"));
    check_mock_refused(failing(|s| s.cut_at = Some(3)), &no_tokens("--cut-at 3"));
    check_mock_refused(failing(|s| s.error_at = Some(3)), &no_tokens("--error-at 3"));
    check_mock_refused(failing(|s| s.omit_done = true), &no_tokens("--omit-done"));
    check_mock_refused(failing(|s| s.body_bytes = Some(9)), &no_tokens("--body-bytes 9B"));
    check_mock_refused(
        |script| (script.cut_at, script.stall_at) = (Some(2), Some(3)),
        "--stall-at 3: the answer has ended before, by --cut-at 2, so this never happens; \
         leave one of the two out",
    );
    check_mock_refused(
        |script| (script.cut_at, script.error_at) = (Some(2), Some(2)),
        "--error-at 2: the answer has ended before, by --cut-at 2, so this never happens; \
         leave one of the two out",
    );
}

#[test]
fn a_flag_of_the_mock_that_changes_nothing_is_refused() {
    check_mock_refused(
        |script| script.retry_after = Some(Duration::from_secs(2)),
        "--retry-after 2s: an answer with status 200 has no retry-after; \
         add --status 429, or leave it out",
    );
    check_mock_refused(
        |script| script.fault_every = 4,
        "--fault-every 4: there is no fault that only some requests could meet; \
         add one, like --status 503, or leave it out",
    );
}

#[test]
fn the_mock_answers_with_a_final_status() {
    let sentence = "--status 101: a final answer has a status from 200 to 599; \
                    choose one of these";
    check_mock_refused(|script| script.status = 101, sentence);
    let sentence = "--health-status 600: a final answer has a status from 200 to 599; \
                    choose one of these";
    check_mock_refused(|script| script.health_status = 600, sentence);
}

#[test]
fn the_mocks_models_have_names() {
    check_mock_refused(
        |script| script.models = vec!["a".into(), String::new()],
        "--models a,: a model's name is empty; write names with commas between, like small,large",
    );
}
