//! Rows for answers, each run cut at every byte.

use super::*;
use crate::llm::dialect::Endpoint;
use crate::llm::usage::Usage;

/// What a tee says of a stream.
#[derive(Debug, PartialEq)]
struct Story {
    events: u64,
    end: End,
    /// Prompt, completion.
    tokens: Option<(u64, u64)>,
    at_event_boundary: bool,
}

fn read(endpoint: Endpoint, feeds: &[&[u8]]) -> Story {
    let mut tee = StreamTee::new(endpoint);
    for feed in feeds {
        tee.feed(feed);
    }
    Story {
        events: tee.events(),
        end: tee.end(),
        tokens: tee.usage().map(|usage| (usage.prompt_tokens, usage.completion_tokens)),
        at_event_boundary: tee.boundary_fill().is_empty(),
    }
}

#[track_caller]
fn story(endpoint: Endpoint, stream: &str) -> Story {
    let stream = stream.as_bytes();
    let whole = read(endpoint, &[stream]);
    for cut in 0..=stream.len() {
        let (left, right) = stream.split_at(cut);
        assert_eq!(read(endpoint, &[left, right]), whole, "cut at {cut}");
    }
    assert_eq!(read(endpoint, &stream.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    whole
}

#[track_caller]
fn check_end(endpoint: Endpoint, stream: &str, expected: End) {
    assert_eq!(story(endpoint, stream).end, expected, "{stream:?}");
}

const CHAT: Endpoint = Endpoint::ChatCompletions;

#[test]
fn a_chat_stream_is_read_along() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n\
                  : keep-alive\n\n\
                  data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}],\"usage\":null}\n\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n\
                  data: [DONE]\n\n";
    let expected =
        Story { events: 4, end: End::Proven, tokens: Some((3, 2)), at_event_boundary: true };
    assert_eq!(story(CHAT, stream), expected);
}

#[test]
fn done_proves_the_end_of_chat_and_completions() {
    for endpoint in [CHAT, Endpoint::Completions] {
        check_end(endpoint, "data: [DONE]\n\n", End::Proven);
        check_end(endpoint, "data:[DONE]\n\n", End::Proven);
        check_end(endpoint, "data: [DONE]\r\n\r\n", End::Proven);
        check_end(endpoint, "data: [DONE] \n\n", End::Proven);
        check_end(endpoint, "data: {}\n\n", End::Missing);
        check_end(endpoint, "", End::Missing);
    }
}

#[test]
fn done_without_its_blank_line_is_still_done() {
    check_end(CHAT, "data: {}\n\ndata: [DONE]\n", End::Proven);
    check_end(CHAT, "data: {}\n\ndata: [DONE]", End::Proven);
    check_end(CHAT, "data: {}\n\ndata: [DONE", End::Missing);
}

#[test]
fn done_within_a_text_proves_nothing() {
    check_end(CHAT, "data: {\"content\":\"data: [DONE]\"}\n\n", End::Missing);
    check_end(CHAT, "data: {\"content\":\"[DONE]\"}\n\n", End::Missing);
    check_end(CHAT, ": data: [DONE]\n\n", End::Missing);
    check_end(CHAT, "id: [DONE]\n\n", End::Missing);
    check_end(CHAT, "xdata: [DONE]\n\n", End::Missing);
    check_end(CHAT, "data: x[DONE]\n\n", End::Missing);
    check_end(CHAT, "data: [DONE]x\n\n", End::Missing);
    check_end(CHAT, "data: {}\ndata: [DONE]\n\n", End::Missing);
}

#[test]
fn an_error_in_a_chat_stream_is_seen() {
    check_end(CHAT, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", End::Errored);
    check_end(
        CHAT,
        "data: {\"id\":\"x\",\"choices\":[],\"error\":{\"code\":500}}\n\n",
        End::Errored,
    );
    check_end(CHAT, "data: {\"error\":\"boom\"}\n\n", End::Errored);
    check_end(CHAT, "data: {\"error\":{\"a\":1}}\n\ndata: [DONE]\n\n", End::Errored);
    check_end(CHAT, "data: [DONE]\n\ndata: {\"error\":{\"a\":1}}\n\n", End::Proven);
}

#[test]
fn an_error_that_is_none_is_passed_over() {
    for none in ["null", "false", "0", "\"\"", "{}"] {
        check_end(CHAT, &format!("data: {{\"error\":{none}}}\n\n"), End::Missing);
    }
    check_end(CHAT, "data: {\"a\":{\"error\":{\"b\":1}}}\n\n", End::Missing);
    check_end(CHAT, "data: {\"content\":\"error\"}\n\n", End::Missing);
    check_end(CHAT, "data: {\"c\":\"\\\"error\\\":1\"}\n\n", End::Missing);
}

#[test]
fn a_responses_stream_ends_in_one_of_three_events() {
    let check = |stream: &str, end| check_end(Endpoint::Responses, stream, end);
    for name in ["response.completed", "response.incomplete", "response.failed"] {
        let data = format!("{{\"type\":\"{name}\",\"response\":{{}}}}");
        check(&format!("event: {name}\ndata: {data}\n\n"), End::Proven);
        check(&format!("data: {data}\n\n"), End::Proven);
        check(&format!("event: {name}\n\n"), End::Missing); // no client dispatches it
    }
    check("event: response.created\ndata: {\"type\":\"response.created\"}\n\n", End::Missing);
    check(
        "event: response.output_text.delta\ndata: {\"delta\":\"response.completed\"}\n\n",
        End::Missing,
    );
    check("data: {\"delta\":\"\\\"type\\\":\\\"response.completed\\\"\"}\n\n", End::Missing);
    check("data: [DONE]\n\n", End::Missing);
    check("event: error\ndata: {\"type\":\"error\",\"message\":\"x\"}\n\n", End::Errored);
}

#[test]
fn a_responses_usage_lies_in_the_response() {
    let stream = "event: response.created\n\
                  data: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\n\
                  event: response.completed\n\
                  data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"usage\":{}}],\
                  \"usage\":{\"input_tokens\":4,\"output_tokens\":6}},\"sequence_number\":1}\n\n";
    let story = story(Endpoint::Responses, stream);
    assert_eq!((story.tokens, story.events), (Some((4, 6)), 2));
}

const MESSAGE: &str = "event: message_start\n\
    data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":25,\
    \"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n\
    event: ping\ndata: {\"type\": \"ping\"}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
    \"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n\
    event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\
    \"usage\":{\"output_tokens\":15}}\n\n";

#[test]
fn a_message_stream_is_read_along() {
    let expected =
        Story { events: 4, end: End::Missing, tokens: Some((30, 15)), at_event_boundary: true };
    assert_eq!(story(Endpoint::Messages, MESSAGE), expected);
    let whole = format!("{MESSAGE}event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n");
    let expected = Story { events: 5, end: End::Proven, ..expected };
    assert_eq!(story(Endpoint::Messages, &whole), expected);
}

#[test]
fn a_message_stream_ends_in_message_stop_or_an_error() {
    let check = |stream: &str, end| check_end(Endpoint::Messages, stream, end);
    check("data: {\"type\":\"message_stop\"}\n\n", End::Proven);
    check("event: message_stop\ndata: {}\n\n", End::Proven);
    check("event: message_stop\ndata: {}\n", End::Missing);
    check("event: content_block_stop\ndata: {\"type\":\"message_stop\"}\n\n", End::Missing);
    check("event: error\ndata: {\"error\":{\"type\":\"overloaded_error\"}}\n\n", End::Errored);
    check("data: [DONE]\n\n", End::Missing);
}

/// What the client's SDK does not raise at is no error: the client would take
/// the stream for a whole one.
#[test]
fn an_error_that_the_sdk_passes_over_is_none() {
    for value in ["null", "false", "0", "-0", "0.00", "0e7", "\"\"", "{}", "{ }", "[]", "[ \n]"] {
        let stream = format!("data: {{\"error\":{}}}\n\n", value.replace('\n', " "));
        check_end(CHAT, &stream, End::Missing);
    }
    for value in ["true", "1", "0.1", "10", "\" \"", "{\"a\":0}", "[0]", "[[]]"] {
        check_end(CHAT, &format!("data: {{\"error\":{value}}}\n\n"), End::Errored);
    }
}

#[test]
fn other_streams_need_no_proof() {
    assert!(!StreamTee::new(Endpoint::Other).needs_proof());
    assert!(StreamTee::new(CHAT).needs_proof());
    let story = story(Endpoint::Other, "data: {\"usage\":{\"total_tokens\":2}}\n\n");
    assert_eq!((story.tokens, story.end), (Some((2, 0)), End::Missing));
}

#[test]
fn a_refused_usage_leaves_the_earlier_one() {
    let stream = "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n\
                  data: {\"usage\":{\"prompt_tokens\":-3,\"completion_tokens\":1}}\n\n";
    assert_eq!(story(CHAT, stream).tokens, Some((3, 1)));
}

#[test]
fn an_end_too_long_to_keep_is_known_by_its_name() {
    let long = "x".repeat(2 * crate::sse::EVENT_BYTES_MAX);
    let data =
        format!("{{\"type\":\"response.completed\",\"response\":{{\"output\":\"{long}\"}}}}");
    for stream in
        [format!("event: response.completed\ndata: {data}\n\n"), format!("data: {data}\n\n")]
    {
        let feeds: Vec<&[u8]> = stream.as_bytes().chunks(16 << 10).collect();
        assert_eq!(read(Endpoint::Responses, &feeds).end, End::Proven);
        assert_eq!(read(Endpoint::Responses, &[stream.as_bytes()]).end, End::Proven);
    }
}

#[test]
fn a_body_gives_its_usage_however_it_is_cut() {
    let expected = Some(Usage { prompt_tokens: 1, completion_tokens: 2, ..Usage::default() });
    let end = r#"],"usage":{"prompt_tokens":1,"completion_tokens":2},"object":"x"}"#;
    for filler in [0, 10, TAIL_BYTES, 5 * TAIL_BYTES] {
        let body = format!("{{\"data\":[\"{}\"{end}", "x".repeat(filler));
        assert_eq!(BodyTee::new().feed_last(body.as_bytes()), expected);
        for size in [1, 13, TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1, body.len()] {
            let mut tee = BodyTee::new();
            body.as_bytes().chunks(size).for_each(|part| tee.feed(part));
            assert_eq!(tee.finish(), expected, "{filler} {size}");

            let (last, parts) = body.as_bytes().split_at(body.len() - size.min(body.len()));
            let mut tee = BodyTee::new();
            tee.feed(last);
            assert_eq!(tee.feed_last(parts), expected, "{filler} {size} at the end");
        }
    }
}

#[test]
fn a_body_keeps_a_bounded_tail() {
    let mut tee = BodyTee::new();
    for size in [1, 100, TAIL_BYTES - 1, TAIL_BYTES, 3 * TAIL_BYTES, 7] {
        for _ in 0..100 {
            tee.feed(&vec![b'x'; size]);
            assert!(tee.kept_bytes() <= 2 * TAIL_BYTES);
        }
    }
    assert!(tee.kept_bytes() >= TAIL_BYTES);
    assert_eq!(tee.finish(), None);
}
