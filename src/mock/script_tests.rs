use super::*;

/// Obeys one header and shows what it changed.
#[track_caller]
fn check(name: &str, value: &str, expected: Result<fn(&mut Turn), ScriptFault>) {
    let plain = Turn::of(&MockScript::new(), true);
    let mut turn = plain;
    let answer = turn.obey(name.as_bytes(), value.as_bytes());
    match expected {
        Ok(change) => {
            let mut wanted = plain;
            change(&mut wanted);
            assert_eq!((answer, turn), (Ok(()), wanted), "{name}: {value}");
        }
        Err(fault) => assert_eq!(answer, Err(fault), "{name}: {value}"),
    }
}

#[test]
fn every_header_changes_what_it_names() {
    check("x-mock-status", "503", Ok(|turn| turn.status = 503));
    check("x-mock-retry-after", "2s", Ok(|turn| turn.retry_after = Some(Duration::from_secs(2))));
    check("x-mock-tokens", "16", Ok(|turn| turn.tokens = 16));
    check("x-mock-token-bytes", "8", Ok(|turn| turn.token_bytes = 8));
    check("x-mock-token-bytes", "1MiB", Ok(|turn| turn.token_bytes = 1 << 20));
    check("x-mock-first-token", "200ms", Ok(|turn| turn.first_token = Duration::from_millis(200)));
    check("x-mock-token-gap", "5ms", Ok(|turn| turn.token_gap = Duration::from_millis(5)));
    check("x-mock-body-bytes", "1GiB", Ok(|turn| turn.body_bytes = Some(1 << 30)));
    check("x-mock-body-bytes", "1000", Ok(|turn| turn.body_bytes = Some(1000)));
    check("x-mock-stall-at", "3", Ok(|turn| turn.stall_at = Some(Place::Token(3))));
    check("x-mock-stall-at", "head", Ok(|turn| turn.stall_at = Some(Place::Head)));
    check("x-mock-cut-at", "0", Ok(|turn| turn.cut_at = Some(Place::Token(0))));
    check("x-mock-reset", "1", Ok(|turn| turn.reset = true));
    check("x-mock-error-at", "0", Ok(|turn| turn.error_at = Some(Place::Token(0))));
    check("x-mock-omit-done", "1", Ok(|turn| turn.omit_done = true));
    check("x-mock-deaf", "1", Ok(|turn| turn.deaf = true));
    check("x-mock-close", "1", Ok(|turn| turn.close = true));
    check("x-mock-framing", "close", Ok(|turn| turn.framing = Some(Framing::Close)));
    check("x-mock-chunked", "1", Ok(|turn| turn.framing = Some(Framing::Chunked)));
    check("x-mock-echo", "1", Ok(|turn| turn.echo = true));
    check("x-mock-split", "1", Ok(|turn| turn.split = Some(1)));
    check("x-mock-interim", "103", Ok(|t| t.interim = Some(Interim { status: 103, times: 1 })));
    check("x-mock-interim", "9x100", Ok(|t| t.interim = Some(Interim { status: 100, times: 9 })));
    check("x-mock-early", "413", Ok(|turn| turn.early = Some(413)));
    check("x-mock-headers", "50", Ok(|turn| turn.extra_headers = 50));
}

#[test]
fn the_case_of_a_name_means_nothing_and_other_names_are_left_alone() {
    check("X-Mock-Status", "503", Ok(|turn| turn.status = 503));
    check("x-mockery", "yes", Ok(|_| ()));
    check("x", "", Ok(|_| ()));
}

#[test]
fn refuses_what_it_does_not_understand() {
    check("x-mock-statuss", "503", Err(ScriptFault::NameUnknown));
    check("x-mock-", "1", Err(ScriptFault::NameUnknown));
    check("x-mock-status", "600", Err(ScriptFault::StatusUnknown));
    check("x-mock-status", "103", Err(ScriptFault::StatusUnknown));
    check("x-mock-early", "", Err(ScriptFault::StatusUnknown));
    check("x-mock-tokens", "-1", Err(ScriptFault::NotNumber));
    check("x-mock-tokens", "", Err(ScriptFault::NotNumber));
    check("x-mock-token-bytes", "1048577", Err(ScriptFault::TooLarge));
    check("x-mock-token-bytes", "9223372036854775807B", Err(ScriptFault::TooLarge));
    check("x-mock-tokens", "4294967296", Err(ScriptFault::TooLarge));
    check("x-mock-token-gap", "5", Err(ScriptFault::NotTime));
    check("x-mock-body-bytes", "1G", Err(ScriptFault::NotSize));
    check("x-mock-split", "0", Err(ScriptFault::SplitEmpty));
    check("x-mock-echo", "yes", Err(ScriptFault::NotFlag));
    check("x-mock-framing", "Chunked", Err(ScriptFault::FramingUnknown));
    check("x-mock-interim", "200", Err(ScriptFault::InterimUnknown));
    check("x-mock-interim", "1001x103", Err(ScriptFault::TooLarge));
    check("x-mock-headers", "1001", Err(ScriptFault::TooLarge));
}

#[test]
fn the_first_fault_strikes() {
    let mut turn = Turn::of(&MockScript::new(), true);
    assert_eq!(turn.fault(), None);
    turn.cut_at = Some(Place::Token(7));
    turn.error_at = Some(Place::Token(3));
    assert_eq!(turn.fault(), Some((Place::Token(3), Fault::Error)));
    turn.stall_at = Some(Place::Head);
    assert_eq!(turn.fault(), Some((Place::Head, Fault::Stall)));
}

#[test]
fn a_turn_without_faults_keeps_the_pace_and_loses_the_faults() {
    let script = MockScript {
        status: 500,
        retry_after: Some(Duration::from_secs(1)),
        cut_at: Some(3),
        omit_done: true,
        tokens: 9,
        ..MockScript::new()
    };
    let turn = Turn::of(&script, false);
    assert_eq!((turn.status, turn.retry_after, turn.fault()), (200, None, None));
    assert_eq!((turn.omit_done, turn.tokens), (false, 9));
}

#[test]
fn tokens_are_due_on_one_schedule() {
    let mut turn = Turn::of(&MockScript::new(), true);
    turn.first_token = Duration::from_millis(200);
    turn.token_gap = Duration::from_millis(5);
    assert_eq!(turn.due(0), Duration::from_millis(200));
    assert_eq!(turn.due(100), Duration::from_millis(700));
    turn.token_gap = Duration::MAX;
    assert_eq!(turn.due(u32::MAX), Duration::MAX);
}
