use super::*;
use crate::llm::{Endpoint, peek};

#[track_caller]
fn reading<T>(body: &str, look: impl FnOnce(Reading<'_>) -> T) -> T {
    let peek = peek(body.as_bytes(), Endpoint::ChatCompletions).unwrap();
    look(Reading { body: body.as_bytes(), peek: &peek })
}

fn with(rest: &str) -> String {
    format!(r#"{{"model":"m",{rest}}}"#)
}

#[track_caller]
fn check_images(rest: &str, expected: bool) {
    assert_eq!(reading(&with(rest), |reading| reading.images()), expected, "{rest}");
}

#[test]
fn an_image_is_a_part_of_that_type() {
    check_images(
        r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]"#,
        true,
    );
    check_images(r#""input":[{"role":"user","content":[{"type":"input_image"}]}]"#, true);
    check_images(
        r#""messages":[{"content":[{"type":"text"},{"source":{},"type":"image"}]}]"#,
        true,
    );
    check_images(
        r#""input":[{"type":"function_call_output","output":[{"type":"input_image"}]}]"#,
        true,
    );
    check_images(
        r#""messages":[{"content":"a"},{"content":[{"type":"tool_result","content":[{"type":"image"}]}]}]"#,
        true,
    );
}

#[test]
fn a_word_about_images_is_none() {
    check_images(r#""messages":[{"role":"user","content":"an image_url"}]"#, false);
    check_images(r#""messages":[{"role":"user","content":"{\"type\":\"image\"}"}]"#, false);
    check_images(
        r#""messages":[{"role":"user","content":[{"type":"text","text":"image"}]}]"#,
        false,
    );
    check_images(r#""messages":[{"content":[{"type":"text","image":{"type":"image"}}]}]"#, false);
    check_images(r#""messages":[],"tools":[{"type":"image"}]"#, false);
    check_images(r#""prompt":"image""#, false);
    check_images(r#""messages":[{"content":[{"a":1 "type":"image"}]}]"#, false);
    check_images(r#""stream":true"#, false);
}

#[test]
fn parts_are_followed_to_a_depth() {
    let nested = |depth: usize| {
        let open = r#"{"type":"tool_result","content":["#.repeat(depth);
        let close = "]}".repeat(depth);
        format!(r#""messages":[{open}{{"type":"image"}}{close}]"#)
    };
    check_images(&nested(PARTS_DEPTH_MAX as usize), true);
    check_images(&nested(PARTS_DEPTH_MAX as usize + 1), false);
}

fn conversation(rest: &str) -> u64 {
    reading(&with(rest), |reading| reading.conversation())
}

#[track_caller]
fn check_same(first: &str, second: &str, expected: bool) {
    assert_eq!(conversation(first) == conversation(second), expected, "{first} and {second}");
}

#[test]
fn a_conversation_is_the_same_from_turn_to_turn() {
    let system = r#"{"role":"system","content":"Be kind."}"#;
    let first = r#"{"role":"user","content":"Hello"}"#;
    let turn = format!(r#""messages":[{system},{first}]"#);
    let next = format!(
        r#""messages":[{system}, {first},{{"role":"assistant","content":"Hi"}},{{"role":"user","content":"x"}}]"#
    );
    check_same(&turn, &next, true);
    check_same(&turn, &turn.replace("Hello", "Hullo"), false);
    check_same(&turn, &turn.replace("kind", "rude"), false);
    check_same(r#""system":"a","messages":[]"#, r#""system":"b","messages":[]"#, false);
    check_same(r#""prompt":"once""#, r#""prompt":"twice""#, false);
    check_same(
        r#""instructions":"i","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}]"#,
        r#""instructions":"i","input":[{"role":"user","content":[{"type":"input_text","text":"b"}]}]"#,
        false,
    );
}

/// `/v1/completions`, and `/v1/responses` with a text as input.
#[test]
fn a_text_that_grows_is_known_by_its_beginning() {
    let long = "x".repeat(GROWING_BYTES_MAX);
    let grown = format!("{long} and more");
    let other = format!("y{long}");
    for write in [
        |text: &str| format!(r#""prompt":"{text}""#),
        |text: &str| format!(r#""prompt":["{text}"]"#),
        |text: &str| format!(r#""instructions":"i","input":"{text}""#),
    ] {
        check_same(&write(&long), &write(&grown), true);
        check_same(&write(&long), &write(&other), false);
        // It is too short to be told from others by its beginning.
        check_same(&write("once"), &write("once more"), false);
    }
    let tokens = |last: u32| {
        let tokens: Vec<_> = (1000..last).map(|token| token.to_string()).collect();
        format!(r#""prompt":[{}]"#, tokens.join(","))
    };
    check_same(&tokens(1500), &tokens(1600), true);
    check_same(&tokens(1500), &tokens(1500).replace("1007", "7001"), false);
    // What stays as it is from turn to turn is told by more of it.
    let said = |text: &str| format!(r#""messages":[{{"role":"user","content":"{text}"}}]"#);
    check_same(&said(&long), &said(&grown), false);
}

#[test]
fn marks_for_caches_do_not_change_a_conversation() {
    let body = |mark: &str| {
        format!(
            r#""system":[{{"type":"text","text":"S"{mark}}}],"messages":[{{"role":"user","content":[{{"type":"text","text":"Q"{mark}}}]}}]"#
        )
    };
    check_same(&body(""), &body(r#","cache_control":{"type":"ephemeral"}"#), true);
}

#[test]
fn a_name_for_the_conversation_goes_before_its_words() {
    check_same(r#""user":"u","prompt":"a""#, r#""user":"u","prompt":"b""#, true);
    check_same(r#""user":"u","prompt":"a""#, r#""user":"v","prompt":"a""#, false);
    check_same(
        r#""prompt_cache_key":"k","user":"u","prompt":"a""#,
        r#""user":"v","prompt_cache_key":"k","prompt":"b""#,
        true,
    );
    check_same(
        r#""metadata":{"a":1,"user_id":"u"},"prompt":"a""#,
        r#""metadata":{"user_id":"u"},"prompt":"b""#,
        true,
    );
    check_same(r#""user":"k","prompt":"a""#, r#""prompt_cache_key":"k","prompt":"a""#, false);
}

#[test]
fn an_empty_list_offers_no_tools() {
    for (rest, expected) in [
        (r#""tools":[]"#, false),
        (r#""tools":[ ]"#, false),
        (r#""tools":null"#, false),
        (r#""stream":false"#, false),
        (r#""tools":[{"type":"function"}]"#, true),
    ] {
        let body = with(rest);
        let offers = reading(&body, |reading| reading.peek.offers_tools(body.as_bytes()));
        assert_eq!(offers, expected, "{rest}");
    }
}

#[test]
fn features_are_what_is_there() {
    let body = with(
        r#""messages":[{"role":"system","content":"s"},{"role":"user","content":"Why?\n```\nfn a() { b(); c(); }\n```"}],
        "tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}],
        "response_format":{"type":"json_schema"},"max_tokens":9,"reasoning_effort":"high""#,
    );
    let features = reading(&body, |reading| reading.features(7));
    let expected = Features {
        prompt_tokens: 7,
        turns: 2,
        fences: 2,
        braces_per_thousand: 10,
        tools: 2,
        schema: true,
        questions: 1,
        markers: 1,
        max_tokens: Some(9),
        effort: 3,
        depth: Depth::Words,
    };
    assert_eq!(features, expected);
    let plain = reading(&with(r#""messages":[{"role":"user","content":"hi"}]"#), |r| r.features(1));
    assert_eq!(plain, Features { prompt_tokens: 1, turns: 1, ..Features::default() });
    let asks = |rest: &str| reading(&with(rest), |reading| reading.features(0));
    assert!(!asks(r#""text":{"format":{"type":"text"}}"#).schema);
    assert!(asks(r#""text":{"format":{"type":"json_schema"}}"#).schema);
    assert_eq!(asks(r#""thinking":{"type":"enabled","budget_tokens":9}"#).effort, 2);
    assert_eq!(asks(r#""reasoning":{"effort":"low"}"#).effort, 1);
    assert_eq!(asks(r#""thinking":{"type":"disabled"}"#).effort, 0);
}

#[test]
fn a_body_cut_or_changed_anywhere_is_read_without_harm() {
    let body = with(
        r#""metadata":{"user_id":1},"system":[{"text":"x"}],"messages":[{"role":"user","content":[{"type":"image","text":"?"}]}],"tools":[{"name":"t"}]"#,
    );
    let whole = peek(body.as_bytes(), Endpoint::ChatCompletions).unwrap();
    for end in 0..=body.len() {
        // The spans are those of another buffer: too long ones are nothing.
        let reading = Reading { body: &body.as_bytes()[..end], peek: &whole };
        let _ = (reading.images(), reading.conversation(), reading.features(0)); // no panic
    }
    crate::json::mutate::each_mutation(&[body.as_bytes()], 20_000, |changed| {
        if let Ok(peek) = peek(changed, Endpoint::ChatCompletions) {
            let reading = Reading { body: changed, peek: &peek };
            assert_eq!(reading.conversation(), reading.conversation());
            let _ = (reading.images(), reading.features(0)); // no panic
        }
    });
}
