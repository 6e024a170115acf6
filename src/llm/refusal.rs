//! Errors in the client's dialect: as a body, and as an event in a stream.

use crate::json::write_string;
use crate::llm::dialect::{Dialect, Endpoint};
use crate::llm::trouble::Trouble;

/// Appends the JSON body of an error answer.
pub fn write_error_body(out: &mut Vec<u8>, dialect: Dialect, trouble: &Trouble, request_id: &str) {
    match dialect {
        Dialect::OpenAi => write_openai_error(out, trouble),
        Dialect::Anthropic => write_anthropic_error(out, trouble, request_id),
    }
}

/// Appends the event that tells a client in mid-stream that its answer is cut.
///
/// The SDKs raise on each of these. No end mark may follow. `sequence_number`
/// is the stream's next (`StreamTee::events`); only Responses has one.
pub fn write_cut_event(
    out: &mut Vec<u8>,
    endpoint: Endpoint,
    trouble: &Trouble,
    request_id: &str,
    sequence_number: u64,
) {
    match (endpoint, endpoint.dialect()) {
        (_, Dialect::Anthropic) => {
            out.extend_from_slice(b"event: error\ndata: ");
            write_anthropic_error(out, trouble, request_id);
        }
        (Endpoint::Responses | Endpoint::StoredResponse, _) => {
            out.extend_from_slice(b"event: error\ndata: ");
            write_response_error(out, trouble, sequence_number);
        }
        _ => {
            out.extend_from_slice(b"data: ");
            write_openai_error(out, trouble);
        }
    }
    out.extend_from_slice(b"\n\n");
}

/// `{"error":{"message":…,"type":…,"param":…,"code":…}}`, all four keys.
fn write_openai_error(out: &mut Vec<u8>, trouble: &Trouble) {
    out.extend_from_slice(b"{\"error\":");
    write_openai_words(out, trouble);
    out.push(b'}');
}

fn write_openai_words(out: &mut Vec<u8>, trouble: &Trouble) {
    let words = trouble.openai_words();
    out.extend_from_slice(b"{\"message\":");
    write_string(out, &message(trouble));
    out.extend_from_slice(b",\"type\":");
    write_string(out, words.kind);
    out.extend_from_slice(b",\"param\":");
    write_optional(out, words.param);
    out.extend_from_slice(b",\"code\":");
    write_optional(out, words.code);
    out.push(b'}');
}

/// `{"type":"error","error":{"type":…,"message":…},"request_id":…}`; without
/// the last where a request came to nothing before it had an id.
fn write_anthropic_error(out: &mut Vec<u8>, trouble: &Trouble, request_id: &str) {
    out.extend_from_slice(b"{\"type\":\"error\",\"error\":{\"type\":");
    write_string(out, trouble.anthropic_type());
    out.extend_from_slice(b",\"message\":");
    write_string(out, &message(trouble));
    out.push(b'}');
    if !request_id.is_empty() {
        out.extend_from_slice(b",\"request_id\":");
        write_string(out, request_id);
    }
    out.push(b'}');
}

/// The documented event has `code`, `message`, `param` at the top. The SDK
/// would hand that on as one more event; it raises on a member `error`, which
/// the API itself sends too. So both are written.
fn write_response_error(out: &mut Vec<u8>, trouble: &Trouble, sequence_number: u64) {
    let words = trouble.openai_words();
    out.extend_from_slice(b"{\"type\":\"error\",\"code\":");
    write_optional(out, words.code);
    out.extend_from_slice(b",\"message\":");
    write_string(out, &message(trouble));
    out.extend_from_slice(b",\"param\":");
    write_optional(out, words.param);
    out.extend_from_slice(b",\"sequence_number\":");
    out.extend_from_slice(itoa::Buffer::new().format(sequence_number).as_bytes());
    out.extend_from_slice(b",\"error\":");
    write_openai_words(out, trouble);
    out.push(b'}');
}

fn write_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => write_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// The sentence with what makes it particular.
fn message(trouble: &Trouble) -> String {
    let sentence = trouble.sentence();
    match trouble {
        Trouble::InvalidRequest { offset: Some(offset), .. } => {
            format!("{sentence} (at byte {offset}).")
        }
        Trouble::ModelNotFound { model, near } if near.is_empty() => {
            format!("{sentence}: `{model}`.")
        }
        Trouble::ModelNotFound { model, near } => {
            format!("{sentence}: `{model}`; did you mean `{}`?", near.join("` or `"))
        }
        Trouble::NoRouteApplies { model } | Trouble::ModelInOtherApi { model } => {
            format!("{sentence}: `{model}`.")
        }
        Trouble::NotJson { reason, offset } => format!("{sentence}: {reason} (at byte {offset})."),
        // A sentence of its own, with its stop.
        Trouble::BackendProtocol { reason } => format!("{sentence}: {reason}"),
        _ => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests;
