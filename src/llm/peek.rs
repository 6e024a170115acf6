//! What we must know of a request's body: model, streaming, limits, size.
//!
//! The body is skimmed once; the result holds spans into it. It goes to the
//! backend as it came, so a doubt about which member a backend will obey is a
//! refusal: a member we read may stand there once, plainly written.

use crate::base::Span;
use crate::json::{self, FaultKind, JsonFault, Kind, Member, Skimmer, Value};
use crate::llm::dialect::Endpoint;

mod fault;
mod key;
mod model;
#[cfg(test)]
mod tests;

pub use fault::PeekFault;
pub(super) use fault::PeekFaultKind;
use key::{Key, KeysSeen};
pub use model::{MODEL_BYTES_MAX, Model};

/// What a body says, as far as we must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    pub model: Option<Model>,
    pub stream: bool,
    /// The object, with its braces. `null` counts as absent.
    pub stream_options: Option<Span>,
    pub include_usage: Option<bool>,
    /// The largest of `max_tokens`, `max_completion_tokens` and
    /// `max_output_tokens` that is a whole number; whatever else stands there
    /// is for the backend to judge.
    pub max_tokens: Option<u64>,
    /// The conversation as written: `messages`, else whichever of `input` and
    /// `prompt` stands first.
    pub messages: Option<Span>,
    pub tools: Option<Span>,
    /// What is there besides, for whoever wants to know more: see `reading`.
    pub hints: Hints,
    /// Bytes of the text the model will read, in JSON's writing: an estimate.
    pub prompt_bytes: u32,
}

/// Members that say who asks and how hard it is. Of none of them depends what
/// a backend obeys, so the last of several counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `system` or `instructions`, whatever it is.
    pub system: Option<Span>,
    /// `prompt_cache_key`, a string.
    pub cache_key: Option<Span>,
    /// `user`, a string.
    pub user: Option<Span>,
    /// `metadata`, an object.
    pub metadata: Option<Span>,
    /// `response_format`, `output_config`, `output_format` or `text`, an object.
    pub format: Option<Span>,
    /// `reasoning_effort`, `reasoning` or `thinking`.
    pub effort: Option<Span>,
    /// `background` or `conversation`: see [`Peek::outlives_answer`].
    outlives_answer: bool,
}

impl Hints {
    fn note(&mut self, member: &Member<'_>) {
        let Value { kind, span } = member.value;
        let is_string = matches!(kind, Kind::String { .. });
        match member.key {
            b"prompt_cache_key" if is_string => self.cache_key = Some(span),
            b"user" if is_string => self.user = Some(span),
            b"metadata" if kind == Kind::Object => self.metadata = Some(span),
            b"response_format" | b"output_config" | b"output_format" | b"text"
                if kind == Kind::Object =>
            {
                self.format = Some(span);
            }
            b"reasoning_effort" | b"reasoning" | b"thinking" => self.effort = Some(span),
            // Backends take other things than `true` for true, and whichever of
            // several they like: one that is not plainly off is enough.
            b"background" | b"conversation" if !matches!(kind, Kind::Null | Kind::False) => {
                self.outlives_answer = true;
            }
            _ => {}
        }
    }
}

/// Reads a body that must be a JSON object.
///
/// A missing model is a fault where the endpoint needs one. For an endpoint
/// whose body may be any JSON, see [`is_json`].
pub fn peek(body: &[u8], endpoint: Endpoint) -> Result<Peek, PeekFault> {
    let mut found = Peek::default();
    let mut seen = KeysSeen::default();
    let mut members = Skimmer::document(body)?;
    while let Some(member) = members.next_member()? {
        match seen.key_of(&member)? {
            Some(key) => found.read(body, key, &member)?,
            None => found.hints.note(&member),
        }
    }
    if found.model.is_none() && endpoint.needs_model() {
        return Err(PeekFault { offset: body.len(), kind: PeekFaultKind::ModelMissing });
    }
    Ok(found)
}

/// Reads a body of which nothing is known, for the model that it may name.
///
/// `None`: it is no JSON object, or names no model, and is the backend's to
/// judge. One that is, and that may be read in two ways or not to its end, is a
/// fault as everywhere else: a backend could find another model in it.
pub fn peek_unknown(body: &[u8]) -> Result<Option<Peek>, PeekFault> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Ok(None);
    }
    match peek(body, Endpoint::Other) {
        Ok(found) => Ok(Some(found).filter(|found| found.model.is_some())),
        Err(PeekFault { kind: PeekFaultKind::Json(kind), .. }) if kind != FaultKind::TooDeep => {
            Ok(None)
        }
        Err(PeekFault { kind: PeekFaultKind::ModelMissing, .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Whether the body is one JSON value, of any kind.
pub fn is_json(body: &[u8]) -> Result<(), JsonFault> {
    json::check(body)
}

impl Peek {
    /// Whether tools are offered: an empty list offers none.
    #[must_use]
    pub fn offers_tools(&self, body: &[u8]) -> bool {
        let is_empty = |byte: &u8| matches!(byte, b'[' | b']' | b' ' | b'\t' | b'\r' | b'\n');
        self.tools.is_some_and(|tools| !tools.of(body).iter().all(is_empty))
    }

    /// Whether a request to this endpoint does something that stays, though
    /// nobody reads its answer: a job in the background goes on and is billed,
    /// and a stored conversation is longer by a turn for whoever asks next.
    ///
    /// That an answer is stored (`store`, which is on where nothing is said) is
    /// no such thing: nobody has the id of one that never came, so nothing
    /// depends on it, and it costs what it would have cost anyhow.
    #[must_use]
    pub fn outlives_answer(&self, endpoint: Endpoint) -> bool {
        endpoint == Endpoint::Responses && self.hints.outlives_answer
    }

    fn read(&mut self, body: &[u8], key: Key, member: &Member<'_>) -> Result<(), PeekFault> {
        let value = member.value;
        match key {
            Key::Model => self.model = Some(Model::read(body, value)?),
            Key::Stream => {
                self.stream = boolean(value, PeekFaultKind::StreamNotBoolean)?.unwrap_or(false);
            }
            Key::StreamOptions => self.read_stream_options(body, value)?,
            Key::MaxTokens | Key::MaxCompletionTokens | Key::MaxOutputTokens => {
                self.max_tokens = self.max_tokens.max(whole_number(body, value));
            }
            Key::Messages => {
                self.messages = Some(value.span);
                self.count_prompt(value);
            }
            Key::Input | Key::Prompt => {
                self.messages = self.messages.or(Some(value.span));
                self.count_prompt(value);
            }
            Key::System | Key::Instructions => {
                self.hints.system = Some(value.span);
                self.count_prompt(value);
            }
            Key::Query | Key::Documents => self.count_prompt(value),
            Key::Tools => {
                self.tools = Some(value.span).filter(|_| value.kind != Kind::Null);
                self.count_prompt(value);
            }
            Key::IncludeUsage => {} // means something within stream_options only
        }
        Ok(())
    }

    fn read_stream_options(&mut self, body: &[u8], value: Value) -> Result<(), PeekFault> {
        match value.kind {
            Kind::Null => return Ok(()),
            Kind::Object => self.stream_options = Some(value.span),
            _ => return Err(fault(value, PeekFaultKind::StreamOptionsNotObject)),
        }
        let mut seen = KeysSeen::default();
        let mut members = Skimmer::nested(body, value.span)?;
        while let Some(member) = members.next_member()? {
            if seen.key_of(&member)? == Some(Key::IncludeUsage) {
                let kind = PeekFaultKind::IncludeUsageNotBoolean;
                self.include_usage = boolean(member.value, kind)?;
            }
        }
        Ok(())
    }

    fn count_prompt(&mut self, value: Value) {
        if value.kind != Kind::Null {
            // Disjoint spans of one buffer: the sum stays below its length.
            self.prompt_bytes += value.span.len() as u32;
        }
    }
}

fn boolean(value: Value, otherwise: PeekFaultKind) -> Result<Option<bool>, PeekFault> {
    match value.kind {
        Kind::True => Ok(Some(true)),
        Kind::False => Ok(Some(false)),
        Kind::Null => Ok(None),
        _ => Err(fault(value, otherwise)),
    }
}

fn whole_number(body: &[u8], value: Value) -> Option<u64> {
    if value.kind != Kind::Number {
        return None;
    }
    value.span.of(body).iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn fault(value: Value, kind: PeekFaultKind) -> PeekFault {
    PeekFault { offset: value.span.start as usize, kind }
}
