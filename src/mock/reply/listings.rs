//! Answers that no model makes: the list of models, a count of tokens.

use crate::{json::write_string, llm::Dialect};

/// What a mock that accepts every name calls its model.
const ANY_MODEL: &str = "mock";

/// Appends the list of `models`.
pub fn write_models(out: &mut Vec<u8>, dialect: Dialect, models: &[String]) {
    let names = || {
        let any = models.is_empty().then_some(ANY_MODEL);
        models.iter().map(String::as_str).chain(any)
    };
    out.extend_from_slice(match dialect {
        Dialect::OpenAi => b"{\"object\":\"list\",\"data\":[",
        Dialect::Anthropic => b"{\"data\":[",
    });
    for (index, name) in names().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_model(out, dialect, name);
    }
    out.push(b']');
    if dialect == Dialect::Anthropic {
        out.extend_from_slice(b",\"has_more\":false,\"first_id\":");
        write_string(out, names().next().unwrap_or_default());
        out.extend_from_slice(b",\"last_id\":");
        write_string(out, names().last().unwrap_or_default());
    }
    out.push(b'}');
}

/// Appends one model's entry.
pub fn write_model(out: &mut Vec<u8>, dialect: Dialect, name: &str) {
    match dialect {
        Dialect::OpenAi => {
            out.extend_from_slice(b"{\"id\":");
            write_string(out, name);
            out.extend_from_slice(
                b",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\"}",
            );
        }
        Dialect::Anthropic => {
            out.extend_from_slice(b"{\"type\":\"model\",\"id\":");
            write_string(out, name);
            out.extend_from_slice(b",\"display_name\":");
            write_string(out, name);
            out.extend_from_slice(b",\"created_at\":\"2023-11-14T22:13:20Z\"}");
        }
    }
}

/// Appends the answer of `/v1/messages/count_tokens`.
pub fn write_token_count(out: &mut Vec<u8>, tokens: u64) {
    out.extend_from_slice(b"{\"input_tokens\":");
    out.extend_from_slice(itoa::Buffer::new().format(tokens).as_bytes());
    out.push(b'}');
}
