//! The shapes of errors, byte for byte, and that each is JSON.

use std::collections::HashSet;

use serde_json::Value as Tree;

use super::*;
use crate::llm::{End, Endpoint, StreamTee, peek};

/// One of each variant.
fn all() -> Vec<Trouble> {
    let all = vec![
        Trouble::InvalidRequest { reason: "no", param: Some("x"), offset: Some(3) },
        Trouble::NotJson { reason: "expected a value", offset: 7 },
        Trouble::MissingModel,
        Trouble::ModelNotFound { model: "a".into(), near: Vec::new() },
        Trouble::ModelInOtherApi { model: "a".into() },
        Trouble::NoRouteApplies { model: "a".into() },
        Trouble::CharsetUnknown,
        Trouble::MethodNotAllowed { reason: "Not here." },
        Trouble::RequestTimeout,
        Trouble::BodyTooLarge,
        Trouble::TargetTooLong { reason: "Not here." },
        Trouble::ExpectationFailed { reason: "Not here." },
        Trouble::UpgradeRequired,
        Trouble::HeadTooLarge { reason: "Not here." },
        Trouble::NotImplemented { reason: "Not here." },
        Trouble::VersionNotSupported { reason: "Not here." },
        Trouble::TooManyConnections,
        Trouble::Overloaded,
        Trouble::Draining,
        Trouble::QueueFull,
        Trouble::QueueTimeout,
        Trouble::Internal,
        Trouble::NoBackend,
        Trouble::BackendUnreachable,
        Trouble::BackendConnectTimeout,
        Trouble::BackendFirstByteTimeout,
        Trouble::BackendIdleTimeout,
        Trouble::TotalTimeout,
        Trouble::BackendProtocol { reason: "There are two lengths." },
        Trouble::BackendCut,
        Trouble::StreamCut,
    ];
    let distinct: HashSet<_> = all.iter().map(std::mem::discriminant).collect();
    assert_eq!(distinct.len(), all.len());
    all
}

fn body(dialect: Dialect, trouble: &Trouble) -> String {
    let mut out = Vec::new();
    write_error_body(&mut out, dialect, trouble, "req_1");
    String::from_utf8(out).unwrap()
}

fn event(endpoint: Endpoint, trouble: &Trouble) -> String {
    let mut out = Vec::new();
    write_cut_event(&mut out, endpoint, trouble, "req_1", 5);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_unknown_model_is_told_with_those_that_are_near() {
    let near = vec!["gpt-4o".into(), "chat".into()];
    let trouble = Trouble::ModelNotFound { model: "gpt\"4o".into(), near };
    assert_eq!(trouble.status(), 404);
    assert_eq!(
        body(Dialect::OpenAi, &trouble),
        r#"{"error":{"message":"The model does not exist: `gpt\"4o`; did you mean `gpt-4o` or `chat`?","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
    );
    assert_eq!(
        body(Dialect::Anthropic, &Trouble::ModelNotFound { model: "x".into(), near: Vec::new() }),
        r#"{"type":"error","error":{"type":"not_found_error","message":"The model does not exist: `x`."},"request_id":"req_1"}"#
    );
}

#[test]
fn a_name_that_only_routes_know_is_not_proposed_for_itself() {
    let trouble = Trouble::NoRouteApplies { model: "auto".into() };
    assert_eq!(trouble.status(), 404);
    assert_eq!(
        body(Dialect::OpenAi, &trouble),
        r#"{"error":{"message":"No route applies to this request for the model: `auto`.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
    );
}

#[test]
fn an_openai_error_has_four_keys() {
    assert_eq!(
        body(Dialect::OpenAi, &Trouble::MissingModel),
        r#"{"error":{"message":"you must provide a model parameter","type":"invalid_request_error","param":"model","code":"missing_required_parameter"}}"#
    );
    for trouble in all() {
        let tree: Tree = serde_json::from_str(&body(Dialect::OpenAi, &trouble)).unwrap();
        let error = tree["error"].as_object().unwrap();
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "message", "param", "type"], "{trouble:?}");
        assert!(error["message"].is_string() && error["type"].is_string());
        assert_eq!(tree.as_object().unwrap().len(), 1);
    }
}

/// Reasons are sentences with a stop of their own, or parts of one without.
#[test]
fn a_message_ends_in_one_stop() {
    for trouble in all() {
        let message = message(&trouble);
        assert!(message.ends_with(['.', 'r']) && !message.contains(".."), "{message}");
        assert!(!message.contains(". ("), "{message}");
    }
}

#[test]
fn an_anthropic_error_without_a_request_names_none() {
    let mut out = Vec::new();
    write_error_body(&mut out, Dialect::Anthropic, &Trouble::Overloaded, "");
    let tree: Tree = serde_json::from_slice(&out).unwrap();
    assert_eq!(tree.as_object().unwrap().keys().collect::<Vec<_>>(), ["error", "type"]);
}

#[test]
fn an_anthropic_error_names_the_request() {
    assert_eq!(
        body(Dialect::Anthropic, &Trouble::Overloaded),
        r#"{"type":"error","error":{"type":"overloaded_error","message":"The proxy is at its limit; try again shortly."},"request_id":"req_1"}"#
    );
    for trouble in all() {
        let tree: Tree = serde_json::from_str(&body(Dialect::Anthropic, &trouble)).unwrap();
        assert_eq!((&tree["type"], &tree["request_id"]), (&"error".into(), &"req_1".into()));
        assert!(tree["error"]["message"].is_string() && tree["error"]["type"].is_string());
    }
}

#[test]
fn the_blame_shows_in_the_status() {
    for trouble in all() {
        let words = trouble.openai_words();
        let client = trouble.status() < 500 || matches!(trouble.status(), 501 | 505);
        let expected = match trouble.status() {
            429 => "rate_limit_error",
            _ if client => "invalid_request_error",
            _ => "server_error",
        };
        assert_eq!(words.kind, expected, "{trouble:?}");
    }
}

#[test]
fn only_what_may_pass_soon_is_worth_a_retry() {
    for trouble in all() {
        let advice = trouble.advice();
        let was_unsent =
            matches!(trouble, Trouble::BackendUnreachable | Trouble::BackendConnectTimeout);
        match trouble.status() {
            _ if was_unsent => assert_eq!(advice, Trouble::NoBackend.advice(), "{trouble:?}"),
            429 | 503 => assert_eq!(advice.retry_after_seconds, Some(1), "{trouble:?}"),
            500.. => assert_eq!(advice.should_retry, Some(false), "{trouble:?}"),
            _ => assert_eq!(advice, crate::llm::Advice::default(), "{trouble:?}"),
        }
    }
}

#[test]
fn a_fault_of_the_body_says_where() {
    let trouble = Trouble::from(peek(b"{\"a\" 1}", Endpoint::Messages).unwrap_err());
    assert_eq!(
        body(Dialect::Anthropic, &trouble),
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"The request's body is not valid JSON: expected ':' after the key (at byte 5)."},"request_id":"req_1"}"#
    );
    let twice = br#"{"model":"a","model":"b"}"#;
    let trouble = Trouble::from(peek(twice, Endpoint::ChatCompletions).unwrap_err());
    assert_eq!(
        body(Dialect::OpenAi, &trouble),
        r#"{"error":{"message":"the parameter is given twice (at byte 14).","type":"invalid_request_error","param":"model","code":null}}"#
    );
    let trouble = Trouble::from(peek(b"{}", Endpoint::ChatCompletions).unwrap_err());
    assert_eq!(trouble, Trouble::MissingModel);
}

#[test]
fn a_cut_stream_ends_in_an_error_event_of_its_api() {
    let words = r#"{"message":"The backend's answer was cut off; it is incomplete.","type":"server_error","param":null,"code":"stream_cut"}"#;
    assert_eq!(
        event(Endpoint::ChatCompletions, &Trouble::StreamCut),
        format!("data: {{\"error\":{words}}}\n\n")
    );
    assert_eq!(
        event(Endpoint::Messages, &Trouble::StreamCut),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\
         \"The backend's answer was cut off; it is incomplete.\"},\"request_id\":\"req_1\"}\n\n"
    );
    assert_eq!(
        event(Endpoint::Responses, &Trouble::StreamCut),
        format!(
            "event: error\ndata: {{\"type\":\"error\",\"code\":\"stream_cut\",\"message\":\
             \"The backend's answer was cut off; it is incomplete.\",\"param\":null,\
             \"sequence_number\":5,\"error\":{words}}}\n\n"
        )
    );
}

#[test]
fn our_own_tee_reads_a_cut_event_as_an_error() {
    let endpoints =
        [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Responses, Endpoint::Messages];
    for endpoint in endpoints {
        for trouble in all() {
            let mut tee = StreamTee::new(endpoint);
            tee.feed(event(endpoint, &trouble).as_bytes());
            assert_eq!((tee.end(), tee.events()), (End::Errored, 1), "{endpoint:?} {trouble:?}");
            assert_eq!(tee.boundary_fill(), b"");
        }
    }
}
