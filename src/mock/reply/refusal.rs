//! Error bodies, each in its dialect's shape.

use super::fill::put_digest;
use crate::{json::write_string, llm::Dialect};

/// Why a request gets an error for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// One sentence.
    pub message: String,
    /// OpenAI's `code`, where the status alone does not say it.
    pub code: Option<&'static str>,
}

impl Refusal {
    #[must_use]
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), code: None }
    }

    /// What the script or the request's headers demand.
    #[must_use]
    pub fn on_command(status: u16) -> Self {
        Self::new(status, "The mock was told to refuse.")
    }
}

/// Appends the body. `digest` names the request.
pub fn write_refusal(out: &mut Vec<u8>, dialect: Dialect, refusal: &Refusal, digest: u64) {
    match dialect {
        Dialect::OpenAi => write_openai(out, refusal),
        Dialect::Anthropic => write_anthropic(out, refusal, digest),
    }
}

fn write_openai(out: &mut Vec<u8>, refusal: &Refusal) {
    let (kind, code) = match refusal.status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => ("permission_error", None),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    out.extend_from_slice(b"{\"error\":{\"message\":");
    write_string(out, &refusal.message);
    out.extend_from_slice(b",\"type\":");
    write_string(out, kind);
    out.extend_from_slice(b",\"param\":null,\"code\":");
    match refusal.code.or(code) {
        Some(code) => write_string(out, code),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}}");
}

fn write_anthropic(out: &mut Vec<u8>, refusal: &Refusal, digest: u64) {
    let kind = match refusal.status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    out.extend_from_slice(b"{\"type\":\"error\",\"error\":{\"type\":");
    write_string(out, kind);
    out.extend_from_slice(b",\"message\":");
    write_string(out, &refusal.message);
    out.extend_from_slice(b"},\"request_id\":\"req_");
    put_digest(out, digest);
    out.extend_from_slice(b"\"}");
}
