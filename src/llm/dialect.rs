//! Which API a path belongs to, and what that API promises.

/// Whose words an answer or an error is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    OpenAi,
    Anthropic,
}

/// The operation that a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    ChatCompletions,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/responses`
    Responses,
    /// `/v1/responses/{id}` and below: belongs to the backend that made it.
    StoredResponse,
    /// `/v1/messages`
    Messages,
    /// `/v1/messages/count_tokens`
    CountTokens,
    /// Whatever else lies below `/v1/messages/` (batches).
    MessagesOther,
    /// `/v1/models` and `/v1/models/{id}`
    Models,
    /// `/v1/rerank`, `/v2/rerank`, `/rerank`
    Rerank,
    Other,
}

/// What must have come before the end of a streamed answer for it to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamEnd {
    /// `data: [DONE]`
    DoneLine,
    /// One of `response.completed`, `response.incomplete`, `response.failed`.
    ResponseEvent,
    /// `message_stop`
    MessageStop,
}

impl Endpoint {
    /// The endpoint of a path (without its query).
    ///
    /// Exact to the byte, save for one trailing slash: some backends serve
    /// both forms, and a request must not escape being understood by adding
    /// one. What percent-encoding or doubled slashes would make of a path is
    /// told by [`Self::of_decoded`]; the caller refuses a path for which the
    /// two differ.
    #[must_use]
    pub fn of(path: &[u8]) -> Self {
        match path.strip_suffix(b"/").unwrap_or(path) {
            b"/v1/chat/completions" => Self::ChatCompletions,
            b"/v1/completions" => Self::Completions,
            b"/v1/embeddings" => Self::Embeddings,
            b"/v1/responses" => Self::Responses,
            b"/v1/messages" => Self::Messages,
            b"/v1/messages/count_tokens" => Self::CountTokens,
            b"/v1/models" => Self::Models,
            b"/v1/rerank" | b"/v2/rerank" | b"/rerank" => Self::Rerank,
            // These two take a body like `/v1/responses` but store nothing.
            b"/v1/responses/compact" | b"/v1/responses/input_tokens" => Self::Other,
            path if is_below(path, b"/v1/responses/") => Self::StoredResponse,
            path if is_below(path, b"/v1/messages/") => Self::MessagesOther,
            path if is_below(path, b"/v1/models/") => Self::Models,
            _ => Self::Other,
        }
    }

    /// The endpoint of a path as a backend may read it that decodes first and
    /// takes several slashes for one.
    #[must_use]
    pub fn of_decoded(path: &[u8]) -> Self {
        let mut plain = [0; DECODED_BYTES_MAX];
        let (mut rest, mut length) = (path, 0);
        let mut previous = 0;
        loop {
            let (byte, tail) = match rest {
                [] => break,
                [b'%', high, low, tail @ ..] => match (hex_digit(*high), hex_digit(*low)) {
                    (Some(high), Some(low)) => (high << 4 | low, tail),
                    _ => (b'%', rest.get(1..).unwrap_or_default()),
                },
                [byte, tail @ ..] => (*byte, tail),
            };
            rest = tail;
            if (previous, byte) != (b'/', b'/') {
                // No name is longer than the room: what is left out is `id`.
                let Some(place) = plain.get_mut(length) else { break };
                *place = byte;
                length += 1;
            }
            previous = byte;
        }
        Self::of(plain.get(..length).unwrap_or_default())
    }

    /// The dialect of the path alone. `/v1/models` exists in both: a request
    /// with an `anthropic-version` header speaks Anthropic's there.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Messages | Self::CountTokens | Self::MessagesOther => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        }
    }

    /// Whether a request must carry a JSON object that names a model.
    #[must_use]
    pub fn needs_model(self) -> bool {
        match self {
            Self::ChatCompletions
            | Self::Completions
            | Self::Embeddings
            | Self::Responses
            | Self::Messages
            | Self::CountTokens
            | Self::Rerank => true,
            Self::StoredResponse | Self::MessagesOther | Self::Models | Self::Other => false,
        }
    }

    /// What proves that a streamed answer is whole, where the API has such a
    /// mark.
    #[must_use]
    pub fn stream_end(self) -> Option<StreamEnd> {
        match self {
            Self::ChatCompletions | Self::Completions => Some(StreamEnd::DoneLine),
            // A stored response may be read again as a stream.
            Self::Responses | Self::StoredResponse => Some(StreamEnd::ResponseEvent),
            Self::Messages => Some(StreamEnd::MessageStop),
            _ => None,
        }
    }
}

/// How much of a decoded path is looked at: more than any endpoint's name.
const DECODED_BYTES_MAX: usize = 64;

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Endpoint) {
        assert_eq!(Endpoint::of(path.as_bytes()), expected, "{path}");
    }

    #[test]
    fn names_the_endpoint_of_a_path() {
        check("/v1/chat/completions", Endpoint::ChatCompletions);
        check("/v1/completions", Endpoint::Completions);
        check("/v1/embeddings", Endpoint::Embeddings);
        check("/v1/responses", Endpoint::Responses);
        check("/v1/responses/resp_1", Endpoint::StoredResponse);
        check("/v1/responses/resp_1/cancel", Endpoint::StoredResponse);
        check("/v1/responses/input_tokens", Endpoint::Other);
        check("/v1/messages", Endpoint::Messages);
        check("/v1/messages/count_tokens", Endpoint::CountTokens);
        check("/v1/messages/batches", Endpoint::MessagesOther);
        check("/v1/models", Endpoint::Models);
        check("/v1/models/org/name", Endpoint::Models);
        check("/v1/rerank", Endpoint::Rerank);
        check("/v2/rerank", Endpoint::Rerank);
        check("/rerank", Endpoint::Rerank);
    }

    #[test]
    fn a_trailing_slash_does_not_hide_an_endpoint() {
        check("/v1/chat/completions/", Endpoint::ChatCompletions);
        check("/v1/responses/", Endpoint::Responses);
        check("/v1/models/", Endpoint::Models);
        check("/v1/chat/completions//", Endpoint::Other);
    }

    #[test]
    fn anything_but_the_exact_bytes_is_other() {
        for path in [
            "",
            "/",
            "/v1/chat/completion",
            "/v1/chat/completionsx",
            "/V1/chat/completions",
            "/v1/chat/completions?x=1",
            "//v1/chat/completions",
            "/v1/./chat/completions",
            "/v1/%63hat/completions",
        ] {
            check(path, Endpoint::Other);
        }
    }

    #[test]
    fn a_decoded_path_shows_what_it_hid() {
        let long = format!("/v1/responses/{}", "%41".repeat(100));
        for (path, expected) in [
            ("/v1/chat/completions", Endpoint::ChatCompletions),
            ("/v1/%63hat%2Fcompletions", Endpoint::ChatCompletions),
            ("/v1/chat%2f/completions//", Endpoint::ChatCompletions),
            ("//v1/messages", Endpoint::Messages),
            ("/v1/models/a%2Fb", Endpoint::Models),
            ("/v1/m%6", Endpoint::Other),
            ("/v1/m%6gessages", Endpoint::Other),
            ("/v1/%256dessages", Endpoint::Other),
            ("%", Endpoint::Other),
            ("", Endpoint::Other),
            (&long, Endpoint::StoredResponse),
        ] {
            assert_eq!(Endpoint::of_decoded(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn only_messages_speak_anthropic() {
        assert_eq!(Endpoint::Messages.dialect(), Dialect::Anthropic);
        assert_eq!(Endpoint::CountTokens.dialect(), Dialect::Anthropic);
        assert_eq!(Endpoint::Responses.dialect(), Dialect::OpenAi);
        assert_eq!(Endpoint::Other.dialect(), Dialect::OpenAi);
    }

    #[test]
    fn streams_without_a_mark_need_no_proof() {
        assert_eq!(Endpoint::Embeddings.stream_end(), None);
        assert_eq!(Endpoint::Other.stream_end(), None);
        assert_eq!(Endpoint::Messages.stream_end(), Some(StreamEnd::MessageStop));
    }
}
