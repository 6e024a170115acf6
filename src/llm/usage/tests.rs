//! Rows for usage objects of each dialect, and for finding them.

use super::*;

const NONE: Usage = Usage {
    prompt_tokens: 0,
    completion_tokens: 0,
    cached_tokens: 0,
    cache_write_tokens: 0,
    reasoning_tokens: 0,
};

#[track_caller]
fn check(object: &str, expected: Option<Usage>) {
    let body = format!(r#"{{"id":"x","usage":{object}}}"#);
    assert_eq!(find_in_body(body.as_bytes()), expected, "{object}");
    let event = find_in_event(body.as_bytes()).and_then(|report| report.usage());
    assert_eq!(event, expected, "{object} as an event");
}

#[track_caller]
fn check_body(body: &str, prompt_tokens: Option<u64>) {
    let found = find_in_body(body.as_bytes()).map(|usage| usage.prompt_tokens);
    assert_eq!(found, prompt_tokens, "{body}");
}

#[test]
fn reads_what_openai_reports() {
    check(
        r#"{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46,
            "prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":30}}"#,
        Some(Usage {
            prompt_tokens: 12,
            completion_tokens: 34,
            cached_tokens: 8,
            reasoning_tokens: 30,
            ..NONE
        }),
    );
    check(
        r#"{"prompt_tokens":5,"completion_tokens":null,"prompt_tokens_details":null}"#,
        Some(Usage { prompt_tokens: 5, ..NONE }),
    );
    check(
        r#"{"input_tokens":7,"input_tokens_details":{"cached_tokens":2},
            "output_tokens":3,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":10}"#,
        Some(Usage {
            prompt_tokens: 7,
            completion_tokens: 3,
            cached_tokens: 2,
            reasoning_tokens: 1,
            ..NONE
        }),
    );
}

#[test]
fn anthropics_prompt_is_the_sum_of_its_parts() {
    check(
        r#"{"input_tokens":10,"cache_creation_input_tokens":200,
            "cache_read_input_tokens":3000,"output_tokens":4,"service_tier":"standard"}"#,
        Some(Usage {
            prompt_tokens: 3210,
            completion_tokens: 4,
            cached_tokens: 3000,
            cache_write_tokens: 200,
            ..NONE
        }),
    );
}

/// LiteLLM writes both forms at once; its prompt is whole already.
#[test]
fn a_whole_prompt_is_not_added_to() {
    let expected = Usage { prompt_tokens: 100, completion_tokens: 4, cached_tokens: 80, ..NONE };
    for details in [r#"{"cached_tokens":80}"#, "null", "{}"] {
        for (first, second) in [
            (r#""cache_read_input_tokens":80"#, format!(r#""prompt_tokens_details":{details}"#)),
            (r#""prompt_tokens":100"#, r#""cache_read_input_tokens":80"#.to_owned()),
        ] {
            let rest = r#""prompt_tokens":100,"completion_tokens":4"#;
            let rest = if first.contains("100") { &rest[20..] } else { rest };
            check(&format!("{{{first},{rest},{second}}}"), Some(expected));
        }
    }
    check(
        r#"{"prompt_tokens":100,"cache_creation_input_tokens":7,"input_tokens":null}"#,
        Some(Usage { prompt_tokens: 100, cache_write_tokens: 7, ..NONE }),
    );
    check(
        r#"{"total_tokens":9,"cache_read_input_tokens":3}"#,
        Some(Usage { prompt_tokens: 9, cached_tokens: 3, ..NONE }),
    );
}

#[test]
fn a_total_alone_is_a_prompt() {
    check(r#"{"total_tokens":9}"#, Some(Usage { prompt_tokens: 9, ..NONE }));
    check(r#"{"completion_tokens":9}"#, Some(Usage { completion_tokens: 9, ..NONE }));
    check("{}", None);
    check(r#"{"prompt_tokens":null}"#, None);
}

#[test]
fn a_count_that_is_none_is_refused() {
    for count in ["-1", "1.0", "1e3", "\"5\"", "true", "[]", "{}", "18446744073709551616"] {
        check(&format!(r#"{{"prompt_tokens":{count},"completion_tokens":1}}"#), None);
        check(
            &format!(
                r#"{{"prompt_tokens":1,"prompt_tokens_details":{{"cached_tokens":{count}}}}}"#
            ),
            None,
        );
    }
    let most = TOKENS_MAX.to_string();
    let usage = Usage { prompt_tokens: TOKENS_MAX, ..NONE };
    check(&format!(r#"{{"prompt_tokens":{most}}}"#), Some(usage));
    check(&format!(r#"{{"prompt_tokens":{}}}"#, TOKENS_MAX + 1), None);
}

#[test]
fn usage_is_the_answers_own_member() {
    check_body(r#"{"usage":{"prompt_tokens":1}}"#, Some(1));
    check_body(r#" { "usage" : { "prompt_tokens" : 1 } , "x" : [ { } ] } "#, Some(1));
    // A tool's input is the model's own text and may say anything.
    check_body(r#"{"usage":{"prompt_tokens":1},"input":{"usage":{"prompt_tokens":2}}}"#, Some(1));
    check_body(r#"{"input":[{"usage":{"prompt_tokens":2}}],"usage":{"prompt_tokens":1}}"#, Some(1));
    check_body(r#"{"input":{"usage":{"prompt_tokens":2}}}"#, None);
    check_body(r#"{"text":"\"usage\":{\"prompt_tokens\":2}"}"#, None);
    check_body(r#"{"a":"usage","b":{"prompt_tokens":2}}"#, None);
    check_body(r#"{"usage":null}"#, None);
    check_body(r#"{"usage":{"prompt_tokens":1}"#, None);
    check_body(r#"[{"usage":{"prompt_tokens":1}}]"#, None);
    check_body("", None);
}

#[test]
fn the_tail_of_a_body_is_enough() {
    check_body(r#"x\"y"}],"usage":{"prompt_tokens":1},"object":"list"}"#, Some(1));
    check_body(r#"usage":{"prompt_tokens":1}}"#, None);
}

#[test]
fn the_search_gives_up_after_its_candidates() {
    let false_ones = r#"{"usage":{}},"#.repeat(CANDIDATES_MAX);
    check_body(&format!(r#"{{"usage":{{"prompt_tokens":1}},"x":[{false_ones}0]}}"#), None);
    let fewer = r#"{"usage":{}},"#.repeat(CANDIDATES_MAX - 1);
    check_body(&format!(r#"{{"usage":{{"prompt_tokens":1}},"x":[{fewer}0]}}"#), Some(1));
}

#[test]
fn a_body_is_searched_only_near_its_end() {
    let body =
        |after: usize| format!(r#"{{"usage":{{"prompt_tokens":1}},"x":"{}"}}"#, "x".repeat(after));
    check_body(&body(SEARCHED_BYTES_MAX / 2), Some(1));
    check_body(&body(SEARCHED_BYTES_MAX), None);
}

#[test]
fn later_reports_replace_and_never_add() {
    let read =
        |object: &str| UsageReport::read(object.as_bytes(), Span::new(0, object.len())).unwrap();
    let mut report = read(r#"{"input_tokens":25,"cache_read_input_tokens":5,"output_tokens":1}"#);
    report.take_later(read(r#"{"output_tokens":15}"#));
    report.take_later(read(r#"{"output_tokens":40}"#));
    let usage = report.usage().unwrap();
    assert_eq!((usage.prompt_tokens, usage.cached_tokens), (30, 5));
    assert_eq!(usage.completion_tokens, 40);
}
