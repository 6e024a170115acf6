use serde_json::Value;

use super::*;

const FORMS: [Endpoint; 4] =
    [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Responses, Endpoint::Messages];

fn answer(tokens: u32, cut_short: bool) -> Answer<'static> {
    Answer {
        digest: 0xfeed,
        model: b"m-1",
        prompt_tokens: 25,
        tokens,
        token_bytes: 5,
        cut_short,
        include_usage: true,
    }
}

fn whole(endpoint: Endpoint, answer: &Answer<'_>) -> Value {
    let form = Form::of(endpoint).unwrap();
    let whole = Whole::new(form, answer);
    let mut body = whole.before;
    answer.text().write(&mut body, 0, whole.text_bytes as usize);
    body.extend_from_slice(&whole.after);
    serde_json::from_slice(&body).unwrap()
}

/// Every event as `(name, data)`, checked to be ended by a blank line.
fn stream(endpoint: Endpoint, answer: Answer<'_>) -> Vec<(String, String)> {
    let form = Form::of(endpoint).unwrap();
    let mut events = Events::new(form, answer);
    let mut message = Message::default();
    events.opening(&mut message);
    (0..answer.tokens).for_each(|index| events.token(&mut message.bytes, index));
    events.closing(&mut message);
    assert_eq!(message.length(&answer), Events::length(form, answer, false));
    events.end(&mut message);
    assert_eq!(message.length(&answer), Events::length(form, answer, true));
    let mut out = Vec::new();
    for (literal, is_text_next) in message.pieces() {
        out.extend_from_slice(literal);
        if is_text_next {
            answer.text().write(&mut out, 0, answer.text_bytes() as usize);
        }
    }
    assert_eq!(out.len() as u64, message.length(&answer));
    let text = String::from_utf8(out).unwrap();
    let events = text.strip_suffix("\n\n").unwrap().split("\n\n");
    events
        .map(|event| match event.split_once('\n') {
            Some((name, data)) => (
                name.strip_prefix("event: ").unwrap().to_owned(),
                data.strip_prefix("data: ").unwrap().to_owned(),
            ),
            None => (String::new(), event.strip_prefix("data: ").unwrap().to_owned()),
        })
        .collect()
}

fn text_of(answer: &Answer<'_>) -> String {
    let mut out = Vec::new();
    answer.text().write(&mut out, 0, answer.text_bytes() as usize);
    String::from_utf8(out).unwrap()
}

/// The JSON of all events but OpenAI's `[DONE]`.
fn data(events: &[(String, String)]) -> Vec<Value> {
    let documents = events.iter().filter(|(_, data)| data != "[DONE]");
    documents.map(|(_, data)| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn the_length_of_a_stream_counts_every_digit_of_its_event_numbers() {
    for tokens in [0, 1, 4, 5, 6, 7, 95, 96, 97, 1200] {
        for endpoint in FORMS {
            // Compared where the stream is written.
            stream(endpoint, answer(tokens, false));
        }
    }
}

#[test]
fn no_length_of_the_text_is_held_in_memory() {
    let longest = Answer { token_bytes: 1 << 20, ..answer(u32::MAX, false) };
    for form in FORMS.map(|endpoint| Form::of(endpoint).unwrap()) {
        let (mut events, mut message) = (Events::new(form, longest), Message::default());
        events.opening(&mut message);
        events.closing(&mut message);
        events.end(&mut message);
        assert!(message.bytes.len() < 8 * 1024, "{} bytes", message.bytes.len());
        assert!(Events::length(form, longest, true) > longest.text_bytes());
    }
}

#[test]
fn no_name_of_a_fact_is_left_in_any_answer() {
    for endpoint in FORMS {
        for cut_short in [false, true] {
            let answer = answer(3, cut_short);
            assert!(!whole(endpoint, &answer).to_string().contains('$'), "{endpoint:?}");
            let events = stream(endpoint, answer);
            assert!(!events.iter().any(|(_, data)| data.contains('$')), "{endpoint:?}");
            data(&events);
        }
    }
}

#[test]
fn the_name_of_an_event_is_its_type() {
    for endpoint in [Endpoint::Responses, Endpoint::Messages] {
        for (name, data) in stream(endpoint, answer(2, false)) {
            let data: Value = serde_json::from_str(&data).unwrap();
            assert_eq!(data["type"], *name);
        }
    }
}

#[test]
fn a_chat_tells_its_role_then_its_text_then_why_it_ended_then_its_usage() {
    let answer = answer(2, true);
    let events = stream(Endpoint::ChatCompletions, answer);
    let documents = data(&events);
    assert_eq!(documents[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = documents[1..3]
        .iter()
        .map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap())
        .collect();
    assert_eq!(text, text_of(&answer));
    assert_eq!(documents[3]["choices"][0]["finish_reason"], "length");
    assert_eq!(documents[4]["choices"], Value::Array(vec![]));
    assert_eq!(documents[4]["usage"]["total_tokens"], 27);
    assert_eq!((documents.len(), events.len(), &*events[5].1), (5, 6, "[DONE]"));
}

#[test]
fn usage_is_told_only_to_those_who_asked() {
    for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions] {
        let silent = Answer { include_usage: false, ..answer(1, false) };
        let told =
            |answer| data(&stream(endpoint, answer)).iter().any(|c| c.get("usage").is_some());
        assert_eq!((told(silent), told(answer(1, false))), (false, true));
    }
}

#[test]
fn a_response_counts_its_events_and_ends_in_exactly_one_way() {
    for (cut_short, end) in [(false, "response.completed"), (true, "response.incomplete")] {
        let answer = answer(2, cut_short);
        let events = stream(Endpoint::Responses, answer);
        let documents = data(&events);
        for (index, document) in documents.iter().enumerate() {
            assert_eq!(document["sequence_number"], index as u64);
        }
        let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            end,
        ];
        assert_eq!(names, expected);
        assert_eq!(documents[6]["text"], text_of(&answer));
        assert_eq!(documents[9]["response"], whole(Endpoint::Responses, &answer));
    }
}

#[test]
fn a_message_opens_and_closes_its_block_and_ends_with_the_usage() {
    let answer = answer(2, false);
    let events = stream(Endpoint::Messages, answer);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected);
    let documents = data(&events);
    assert_eq!(documents[0]["message"]["usage"]["input_tokens"], 25);
    assert_eq!(documents[6]["delta"]["stop_reason"], "end_turn");
    assert_eq!(documents[6]["usage"]["output_tokens"], 2);
}

#[test]
fn whole_answers_hold_the_same_text_as_streams() {
    let answer = answer(3, true);
    let text = text_of(&answer);
    let chat = whole(Endpoint::ChatCompletions, &answer);
    assert_eq!(chat["choices"][0]["message"]["content"], text);
    assert_eq!(chat["choices"][0]["finish_reason"], "length");
    let completion = whole(Endpoint::Completions, &answer);
    assert_eq!(completion["choices"][0]["text"], text);
    let message = whole(Endpoint::Messages, &answer);
    assert_eq!(message["content"][0]["text"], text);
    assert_eq!(message["stop_reason"], "max_tokens");
    let response = whole(Endpoint::Responses, &answer);
    assert_eq!(response["output"][0]["content"][0]["text"], text);
}

#[test]
fn padding_reaches_the_size_and_never_shortens() {
    let form = Form::of(Endpoint::ChatCompletions).unwrap();
    let mut whole = Whole::new(form, &answer(3, false));
    let natural = whole.length();
    whole.pad_to(natural - 1);
    assert_eq!(whole.length(), natural);
    whole.pad_to(natural + 1_000_000);
    assert_eq!(whole.length(), natural + 1_000_000);
}

#[test]
fn refusals_have_their_dialects_shape() {
    let check = |dialect, status, expected: Value| {
        let mut out = Vec::new();
        write_refusal(&mut out, dialect, &Refusal::new(status, "say \"no\""), 1);
        let found: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(found, expected);
    };
    check(
        crate::llm::Dialect::OpenAi,
        429,
        serde_json::json!({"error": {"message": "say \"no\"", "type": "requests",
            "param": null, "code": "rate_limit_exceeded"}}),
    );
    check(
        crate::llm::Dialect::Anthropic,
        529,
        serde_json::json!({"type": "error", "error": {"type": "overloaded_error",
            "message": "say \"no\""}, "request_id": "req_0000000000000001"}),
    );
}

#[test]
fn models_are_listed_in_both_dialects() {
    let models = ["a".to_owned(), "b".to_owned()];
    let list = |dialect, models: &[String]| -> Value {
        let mut out = Vec::new();
        write_models(&mut out, dialect, models);
        serde_json::from_slice(&out).unwrap()
    };
    let openai = list(crate::llm::Dialect::OpenAi, &models);
    assert_eq!((&openai["data"][0]["id"], &openai["data"][1]["id"]), (&"a".into(), &"b".into()));
    let anthropic = list(crate::llm::Dialect::Anthropic, &models);
    assert_eq!((&anthropic["first_id"], &anthropic["last_id"]), (&"a".into(), &"b".into()));
    assert_eq!(list(crate::llm::Dialect::OpenAi, &[])["data"][0]["id"], "mock");
}
