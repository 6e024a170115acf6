//! What a backend complains of: read from the body of an error, or from an
//! event that is one. The words are those of the APIs and engines themselves;
//! what is not known is the backend's own trouble.

use crate::base::Span;
use crate::json::{Kind, Member, Skimmer};

/// Who or what an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Complaint {
    /// The prompt, or the answer asked for, is longer than the model takes.
    ContextWindow,
    /// The provider declines to answer this.
    ContentPolicy,
    /// Anything else about the request: another backend would say the same.
    OfRequest,
    /// The backend has no room, or has failed.
    OfBackend,
}

/// `code` or `type` of an error that is about the prompt's length: OpenAI's,
/// and llama.cpp's.
const CONTEXT_WORDS: [&[u8]; 3] =
    [b"context_length_exceeded", b"exceed_context_size_error", b"context_window_exceeded"];
/// The same told in a sentence only: how the message begins, `#` being a number.
/// What stands further in may be the client's own words, repeated to it.
const CONTEXT_FORMS: [&[u8]; 18] = [
    // OpenAI, vLLM and many behind them
    b"This model's maximum context length is #",
    b"This model's maximum prompt length is #",
    b"Your input exceeds the context window of this model",
    // vLLM
    b"You passed # input tokens and requested # output tokens. However, the model's context length",
    b"You passed # input characters and requested # output tokens. However, the model's context length",
    b"'max_tokens' or 'max_completion_tokens' is too large: #. This model's maximum context length",
    b"The decoder prompt (length #) is longer than the maximum model length",
    b"The encoder prompt (length #) is longer than the maximum model length",
    b"The prompt is # tokens, which exceeds the model's maximum context length",
    // SGLang
    b"The input (# tokens) is longer than the model's context length",
    b"Requested token count exceeds the model's maximum context length",
    b"Input length (# tokens) exceeds the maximum allowed length",
    // llama.cpp
    b"the request exceeds the available context size",
    b"request (# tokens) exceeds the available context size",
    // Anthropic, in the second where `max_tokens` counts as well
    b"prompt is too long",
    b"input length and `max_tokens` exceed context limit: #",
    // Mistral
    b"Prompt contains # tokens",
    // A proxy of its kind in front of any of them
    b"litellm.ContextWindowExceededError: ",
];
const POLICY_WORDS: [&[u8]; 4] = [
    b"content_policy_violation",
    b"content_filter",
    b"moderation_blocked",
    b"ResponsibleAIPolicyViolation",
];
const POLICY_FORMS: [&[u8]; 5] = [
    // Anthropic
    b"Output blocked by content filtering policy",
    // Azure
    b"The response was filtered due to the prompt triggering",
    // OpenAI
    b"Invalid prompt: your prompt was flagged as potentially violating our usage policy",
    b"Your request was rejected as a result of our safety system",
    b"litellm.ContentPolicyViolationError: ",
];
/// `code` or `type` of what else is about the request.
const REQUEST_WORDS: [&[u8]; 9] = [
    b"invalid_request_error",
    b"authentication_error",
    b"permission_error",
    b"not_found_error",
    b"request_too_large",
    b"billing_error",
    b"BadRequestError",
    b"NotFoundError",
    b"model_not_found",
];

/// Reads the JSON of an error. What is none says nothing of the request.
#[must_use]
pub fn read_complaint(json: &[u8]) -> Complaint {
    let told = Told::in_document(json).unwrap_or_default();
    let words = [told.code.of(json), told.kind.of(json)];
    let says = |known: &[&[u8]]| words.iter().any(|word| known.contains(word));
    let message = told.message.of(json);
    let message = message.strip_prefix(b"\"").unwrap_or(message);
    let tells = |known: &[&[u8]]| known.iter().any(|form| begins_so(message, form));
    if says(&CONTEXT_WORDS) {
        Complaint::ContextWindow
    } else if says(&POLICY_WORDS) {
        Complaint::ContentPolicy
    } else if tells(&CONTEXT_FORMS) {
        Complaint::ContextWindow
    } else if tells(&POLICY_FORMS) {
        Complaint::ContentPolicy
    } else if says(&REQUEST_WORDS) || is_clients_status(told.code.of(json)) {
        Complaint::OfRequest
    } else {
        Complaint::OfBackend
    }
}

/// Whether the message begins with the form, in which `#` is any number.
fn begins_so(mut message: &[u8], form: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
    for byte in form {
        let taken = match (byte, message.first()) {
            (b'#', Some(digit)) if digit.is_ascii_digit() => {
                message.iter().take_while(|byte| is_digit(byte)).count()
            }
            (wanted, Some(found)) if wanted == found => 1,
            _ => return false,
        };
        message = message.get(taken..).unwrap_or_default();
    }
    true
}

/// Engines write the status as the code: 4xx, save for 429.
fn is_clients_status(code: &[u8]) -> bool {
    matches!(code, [b'4', b'0'..=b'9', b'0'..=b'9']) && code != b"429"
}

/// Where an error tells what it is; empty spans where it does not.
#[derive(Default)]
struct Told {
    code: Span,
    kind: Span,
    message: Span,
}

impl Told {
    /// `{"error":{…}}`, `{"error":"…"}`, the members themselves (old vLLM), or
    /// FastAPI's `{"detail":"…"}`. Nothing where it is no such JSON.
    fn in_document(json: &[u8]) -> Option<Self> {
        let mut told = Self::default();
        let mut members = Skimmer::document(json).ok()?;
        while let Some(member) = members.next_member().ok()? {
            match (member.key, member.value.kind) {
                (b"error", Kind::Object) => {
                    let mut inner = Self::default();
                    let mut members = Skimmer::nested(json, member.value.span).ok()?;
                    while let Some(member) = members.next_member().ok()? {
                        inner.take(&member);
                    }
                    return Some(inner);
                }
                (b"error" | b"detail", Kind::String { .. }) => told.message = member.value.span,
                _ => told.take(&member),
            }
        }
        Some(told)
    }

    fn take(&mut self, member: &Member<'_>) {
        let value = member.value;
        match (member.key, value.kind) {
            (b"code", Kind::Number) => self.code = value.span,
            (b"code", _) => self.code = value.plain_text().unwrap_or(self.code),
            (b"type", _) => self.kind = value.plain_text().unwrap_or(self.kind),
            // With escapes as well: no form that is looked for has any.
            (b"message", Kind::String { .. }) => self.message = value.span,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Complaint) {
        assert_eq!(read_complaint(json.as_bytes()), expected, "{json}");
        // However it is torn, it is no other complaint than a sentence in it.
        for end in 0..json.len() {
            let torn = read_complaint(&json.as_bytes()[..end]);
            assert!(torn == expected || torn == Complaint::OfBackend, "{end}: {torn:?}");
        }
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_in_many_ways() {
        for json in [
            r#"{"error":{"message":"x","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, you requested 9000.","type":"BadRequestError","param":null,"code":400}}"#,
            r#"{"object":"error","message":"You passed 65537 input tokens and requested 0 output tokens. However, the model's context length is only 65536 tokens","type":"BadRequestError","param":null,"code":400}"#,
            r#"{"error":{"message":"The decoder prompt (length 8357) is longer than the maximum model length of 8192.","code":400}}"#,
            r#"{"object":"error","message":"The input (131123 tokens) is longer than the model's context length (131072 tokens).","code":400}"#,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"},"request_id":"r"}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 1 + 2 > 2"}}"#,
            r#"{"detail":"Requested token count exceeds the model's maximum context length of 4096 tokens."}"#,
            r#"{"error":"prompt is too long"}"#,
            r#"{"error":{"message":"'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 4096 tokens and your request has 2778 input tokens.","type":"BadRequestError","param":null,"code":400}}"#,
            r#"{"error":{"code":400,"message":"request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"invalid_request_error"}}"#,
            r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","code":null}}"#,
            r#"{"error":{"message":"Requested token count exceeds the model's maximum context length of 131,072 tokens.","code":400}}"#,
            r#"{"object":"error","message":"Prompt contains 235,396 tokens and 0 draft tokens, too large for model with 131072 maximum context length","code":400}"#,
            r#"{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: x","type":null,"param":null,"code":"400"}}"#,
        ] {
            check(json, Complaint::ContextWindow);
        }
    }

    /// Validators repeat what they were given.
    #[test]
    fn what_a_message_repeats_of_the_clients_words_is_no_complaint() {
        for words in [
            "prompt is too long",
            "This model's maximum context length is 1 tokens",
            "Output blocked by content filtering policy",
            "the request exceeds the available context size",
        ] {
            for message in [
                format!("1 validation error for Request: messages.0.role, input_value={words}"),
                format!("[{{'type': 'value_error', 'input': '{words}'}}]"),
                format!("Unknown model `{words}`"),
                format!("\\\"{words}\\\" is not one of 'user', 'system'"),
                format!(" {words}"),
            ] {
                let json = format!(
                    r#"{{"error":{{"message":"{message}","type":"BadRequestError","code":400}}}}"#
                );
                check(&json, Complaint::OfRequest);
            }
        }
    }

    #[test]
    fn a_number_is_digits_and_at_least_one() {
        for (message, expected) in [
            ("request (1 tokens) exceeds", true),
            ("request (131,072 tokens) exceeds", true),
            ("request ( tokens) exceeds", false),
            ("request (x1 tokens) exceeds", false),
            ("request (1", false),
            ("", false),
        ] {
            let begins = begins_so(message.as_bytes(), b"request (# tokens) exceeds");
            assert_eq!(begins, expected, "{message}");
        }
    }

    #[test]
    fn a_provider_that_declines_says_so() {
        for json in [
            r#"{"error":{"message":"Your request was rejected as a result of our safety system.","type":"invalid_request_error","code":null}}"#,
            r#"{"error":{"message":"prompt is too long","type":"invalid_request_error","code":"content_filter"}}"#,
            r#"{"error":{"message":"no","type":"invalid_request_error","code":"content_policy_violation"}}"#,
            r#"{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400}}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
        ] {
            check(json, Complaint::ContentPolicy);
        }
    }

    #[test]
    fn what_else_is_about_the_request_stays_the_clients() {
        for json in [
            r#"{"error":{"message":"x","type":"invalid_request_error","code":null}}"#,
            r#"{"type":"error","error":{"type":"authentication_error","message":"x"}}"#,
            r#"{"error":{"message":"x","type":"NotFoundError","code":404}}"#,
            r#"{"error":{"message":"x","code":422}}"#,
        ] {
            check(json, Complaint::OfRequest);
        }
    }

    #[test]
    fn anything_else_is_the_backends() {
        for json in [
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#,
            r#"{"error":{"message":"x","type":"server_error","code":500}}"#,
            r#"{"error":{"message":"x","code":429}}"#,
            r#"{"error":{"message":"x","code":4290}}"#,
            r#"{"error":true}"#,
            "<html>502 Bad Gateway</html>",
            "[]",
            "",
        ] {
            check(json, Complaint::OfBackend);
        }
    }

    #[test]
    fn what_a_client_has_written_is_no_complaint() {
        let json = r#"{"choices":[{"message":{"content":"prompt is too long"}}]}"#;
        check(json, Complaint::OfBackend);
    }
}
