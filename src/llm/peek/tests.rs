//! Rows for bodies: what is read, what is refused and where.

use super::*;
use crate::json::FaultKind;

#[track_caller]
fn read(body: &str) -> Peek {
    match peek(body.as_bytes(), Endpoint::ChatCompletions) {
        Ok(peek) => peek,
        Err(fault) => panic!("{fault:?}: {body}"),
    }
}

#[track_caller]
fn check_model(body: &str, expected: &str) {
    let mut room = [0; MODEL_BYTES_MAX];
    let model = read(body).model.map(|model| model.name(body.as_bytes(), &mut room));
    assert_eq!(model.map(String::from_utf8_lossy), Some(expected.into()), "{body}");
}

#[track_caller]
fn check_fault(body: &str, offset: usize, kind: PeekFaultKind) {
    let fault = peek(body.as_bytes(), Endpoint::ChatCompletions);
    assert_eq!(fault, Err(PeekFault { offset, kind }), "{body}");
}

#[test]
fn the_model_is_found_wherever_it_stands() {
    check_model(r#"{"model":"gpt-4o"}"#, "gpt-4o");
    check_model(r#"{"messages":[{"role":"user","content":"x"}],"model":"m"}"#, "m");
    check_model(r#" { "a" : {"model":"inner"} , "model" : "org/name:tag" } "#, "org/name:tag");
    check_model(r#"{"messages":"\"model\":\"fake\"","model":"m"}"#, "m");
    check_model(r#"{"model":"modèle"}"#, "modèle");
    check_model(&format!(r#"{{"model":"{0}"}}"#, "x".repeat(256)), &"x".repeat(256));
}

#[test]
fn a_model_may_be_written_with_escapes() {
    check_model(r#"{"model":"org\/name"}"#, "org/name");
    check_model(r#"{"model":"g\u0070t-\u00E9"}"#, "gpt-é");
    check_model(r#"{"model":"\ud83d\uDE00é\\\""}"#, "😀é\\\"");
    for letter in [r"\/", r"\u0078"] {
        let body = format!(r#"{{"model":"{}"}}"#, letter.repeat(256));
        let plain = if letter == r"\/" { "/" } else { "x" };
        check_model(&body, &plain.repeat(256));
    }
}

#[test]
fn a_model_that_is_not_plain_text_is_refused() {
    check_fault(r#"{"model":""}"#, 9, PeekFaultKind::ModelEmpty);
    check_fault(r#"{"model":7}"#, 9, PeekFaultKind::ModelNotString);
    check_fault(r#"{"model":["m"]}"#, 9, PeekFaultKind::ModelNotString);
    check_fault(r#"{"model":null}"#, 9, PeekFaultKind::ModelMissing);
    for half in [r"\ud83d", r"\ud83dx", r"\ud83d\n", r"\ud83d\ud83d", r"\ude00", r"\ude00\ud83d"] {
        check_fault(&format!(r#"{{"model":"{half}"}}"#), 9, PeekFaultKind::ModelEscaped);
    }
    for control in [r"a\n", r"\u0000", r"\u007F", r"\b"] {
        check_fault(&format!(r#"{{"model":"{control}"}}"#), 9, PeekFaultKind::ModelUnprintable);
    }
    check_fault("{\"model\":\"a\r\nb\"}", 9, PeekFaultKind::ModelUnprintable);
    check_fault("{\"model\":\"a\u{7f}\"}", 9, PeekFaultKind::ModelUnprintable);
    for letter in ["x", r"\/", r"\u0078"] {
        let long = format!(r#"{{"model":"{}"}}"#, letter.repeat(257));
        check_fault(&long, 9, PeekFaultKind::ModelTooLong);
    }
    let long = format!(r#"{{"model":"{}\u00e9"}}"#, "x".repeat(255));
    check_fault(&long, 9, PeekFaultKind::ModelTooLong);
    let broken = peek(b"{\"model\":\"a\xff\"}", Endpoint::ChatCompletions);
    assert_eq!(broken.map_err(|fault| fault.kind), Err(PeekFaultKind::ModelUnprintable));
}

#[test]
fn a_model_is_required_where_the_endpoint_needs_one() {
    check_fault("{}", 2, PeekFaultKind::ModelMissing);
    assert_eq!(peek(b"{}", Endpoint::Other).map(|peek| peek.model), Ok(None));
    assert_eq!(peek(b"{}", Endpoint::StoredResponse).map(|peek| peek.model), Ok(None));
    assert!(peek(b"{}", Endpoint::Embeddings).is_err());
}

#[test]
fn a_key_that_is_read_stands_there_once() {
    check_fault(r#"{"model":"a","model":"b"}"#, 14, PeekFaultKind::KeyTwice("model"));
    check_fault(r#"{"model":"a","model":"a"}"#, 14, PeekFaultKind::KeyTwice("model"));
    check_fault(
        r#"{"model":"a","stream":true,"stream":false}"#,
        28,
        PeekFaultKind::KeyTwice("stream"),
    );
    check_fault(
        r#"{"model":"a","stream_options":{"include_usage":true,"include_usage":false}}"#,
        53,
        PeekFaultKind::KeyTwice("include_usage"),
    );
    check_model(r#"{"model":"a","seed":1,"seed":2}"#, "a"); // we do not read it
}

#[test]
fn a_key_is_written_plainly() {
    check_fault(r#"{"mod\u0065l":"a"}"#, 2, PeekFaultKind::KeyEscaped);
    check_fault(r#"{"model":"a","s\u0074ream":true}"#, 14, PeekFaultKind::KeyEscaped);
    check_fault(r#"{"model":"a","x\n":true}"#, 14, PeekFaultKind::KeyEscaped);
    check_fault("{\"mo\0del\":\"a\"}", 2, PeekFaultKind::Json(FaultKind::InvalidKey));
}

#[test]
fn a_key_in_other_case_is_refused() {
    check_fault(r#"{"Model":"a"}"#, 2, PeekFaultKind::KeyInOtherCase("model"));
    check_fault(r#"{"model":"a","MODEL":"b"}"#, 14, PeekFaultKind::KeyInOtherCase("model"));
    check_fault(r#"{"model":"a","ſtream":true}"#, 14, PeekFaultKind::KeyInOtherCase("stream"));
    check_fault(
        "{\"model\":\"a\",\"max_to\u{212a}ens\":1}",
        14,
        PeekFaultKind::KeyInOtherCase("max_tokens"),
    );
    check_model(r#"{"model":"a","Models":1,"X-Ray":2,"é":3}"#, "a");
    check_model(&format!(r#"{{"model":"a","{}":1}}"#, "M".repeat(500)), "a");
}

#[test]
fn stream_is_true_false_or_null() {
    assert!(read(r#"{"model":"m","stream":true}"#).stream);
    assert!(!read(r#"{"model":"m","stream":false}"#).stream);
    assert!(!read(r#"{"model":"m","stream":null}"#).stream);
    assert!(!read(r#"{"model":"m"}"#).stream);
    for value in ["1", "\"true\"", "{}", "[]"] {
        let body = format!(r#"{{"model":"m","stream":{value}}}"#);
        check_fault(&body, 22, PeekFaultKind::StreamNotBoolean);
    }
}

#[test]
fn stream_options_are_read() {
    let body = r#"{"model":"m","stream_options":{"include_usage":true}}"#;
    let peek = read(body);
    let options = peek.stream_options.map(|span| span.of(body.as_bytes()));
    assert_eq!(options, Some(&br#"{"include_usage":true}"#[..]));
    assert_eq!(peek.include_usage, Some(true));

    let usage = |options: &str| {
        read(&format!(r#"{{"model":"m","stream_options":{options}}}"#)).include_usage
    };
    assert_eq!(usage(r#"{"include_usage":false,"x":1}"#), Some(false));
    assert_eq!(usage(r#"{"include_usage":null}"#), None);
    assert_eq!(usage("{}"), None);
    assert_eq!(usage("null"), None);
    assert_eq!(read(r#"{"model":"m","stream_options":null}"#).stream_options, None);
    check_fault(r#"{"model":"m","stream_options":[]}"#, 30, PeekFaultKind::StreamOptionsNotObject);
    check_fault(
        r#"{"model":"m","stream_options":{"include_usage":1}}"#,
        47,
        PeekFaultKind::IncludeUsageNotBoolean,
    );
}

#[test]
fn the_largest_token_limit_is_taken() {
    let limit = |members: &str| read(&format!(r#"{{"model":"m",{members}}}"#)).max_tokens;
    assert_eq!(limit(r#""max_tokens":16"#), Some(16));
    assert_eq!(limit(r#""max_completion_tokens":32"#), Some(32));
    assert_eq!(limit(r#""max_output_tokens":64"#), Some(64));
    assert_eq!(limit(r#""max_tokens":16,"max_completion_tokens":8"#), Some(16));
    assert_eq!(limit(r#""max_tokens":0"#), Some(0));
    for other in ["null", "-1", "1.5", "1e3", "\"5\"", "18446744073709551616"] {
        assert_eq!(limit(&format!(r#""max_tokens":{other}"#)), None, "{other}");
    }
}

#[test]
fn the_conversation_and_its_size_are_found() {
    let check = |members: &str, conversation: &str, prompt_bytes: u32| {
        let body = format!(r#"{{"model":"m",{members}}}"#);
        let peek = read(&body);
        let found = peek.messages.map_or(&b""[..], |span| span.of(body.as_bytes()));
        assert_eq!(String::from_utf8_lossy(found), conversation);
        assert_eq!(peek.prompt_bytes, prompt_bytes, "{members}");
    };
    check(r#""messages":[1,2]"#, "[1,2]", 5);
    check(r#""input":"abc""#, "\"abc\"", 5);
    check(r#""prompt":["a"]"#, "[\"a\"]", 5);
    check(r#""prompt":"p","input":"i""#, "\"p\"", 6);
    check(r#""prompt":"p","messages":[],"input":"i""#, "[]", 8);
    check(r#""system":"be brief","messages":[]"#, "[]", 12);
    check(r#""messages":[],"tools":[{}],"instructions":null"#, "[]", 6);
    check(r#""n":1"#, "", 0);
    assert_eq!(read(r#"{"model":"m","tools":null}"#).tools, None);
    assert!(read(r#"{"model":"m","tools":[]}"#).tools.is_some());
}

#[test]
fn what_is_not_json_is_refused_at_its_offset() {
    check_fault("", 0, PeekFaultKind::Json(FaultKind::ExpectedObject));
    check_fault("model=m", 0, PeekFaultKind::Json(FaultKind::ExpectedObject));
    check_fault("[]", 0, PeekFaultKind::Json(FaultKind::ExpectedObject));
    check_fault(r#"{"model":"m""#, 12, PeekFaultKind::Json(FaultKind::ExpectedCommaOrBrace));
    check_fault(r#"{"model":"m"}}"#, 13, PeekFaultKind::Json(FaultKind::BytesAfterEnd));
    check_fault(
        r#"{"model":"m","messages":[{"a":1]}"#,
        31,
        PeekFaultKind::Json(FaultKind::ExpectedCommaOrBrace),
    );
    check_fault(
        r#"{"model":"m","stream_options":{"a" 1}}"#,
        35,
        PeekFaultKind::Json(FaultKind::ExpectedColon),
    );
}

#[test]
fn a_fault_has_a_reason_and_a_parameter() {
    let fault = peek(br#"{"model":"a","model":"b"}"#, Endpoint::Messages).unwrap_err();
    assert_eq!(fault.reason(), "the parameter is given twice");
    assert_eq!(fault.param(), Some("model"));
    let fault = peek(b"{", Endpoint::Messages).unwrap_err();
    assert_eq!(fault.reason(), "expected a key in double quotes");
    assert_eq!(fault.param(), None);
}

#[test]
fn any_json_value_is_json() {
    assert_eq!(is_json(b"[1, \"x\"]"), Ok(()));
    assert_eq!(is_json(b"3"), Ok(()));
    assert!(is_json(b"").is_err());
    assert!(is_json(b"{\"a\":[1 2]}").is_err(), "by the whole grammar");
    assert!(is_json(b"{\"a\":1").is_err());
}
