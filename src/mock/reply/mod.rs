//! What an answer says, in each dialect, whole and as a stream. Pure: time,
//! sockets and framing are `perform`'s.
//!
//! Every dialect is a [`Form`]: its messages as they look on the wire, with
//! `$names` where an answer's own facts go. An answer to the same request is
//! the same bytes each time.

mod anthropic;
mod embeddings;
mod fill;
mod listings;
mod openai;
mod refusal;
mod responses;

pub use embeddings::Embeddings;
pub use fill::Message;
pub use listings::{write_model, write_models, write_token_count};
pub use refusal::{Refusal, write_refusal};

use super::text::Text;
use crate::llm::Endpoint;
use fill::{Filled, fill, filled};

/// The facts of one answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Of the request's body.
    pub digest: u64,
    /// As it stands in the request: needs no escape.
    pub model: &'a [u8],
    pub prompt_tokens: u64,
    pub tokens: u32,
    pub token_bytes: usize,
    /// The request's `max_tokens` ended it, not the script.
    pub cut_short: bool,
    /// The stream ends with a usage event (OpenAI's `include_usage`).
    pub include_usage: bool,
}

/// One dialect's messages. `$text` is the text of the answer or of the token.
pub struct Form {
    /// What ids start with.
    id: &'static str,
    /// What several messages have in common, each part under its `$name`.
    parts: &'static [(&'static str, &'static str)],
    /// The reason to end: of its own accord, and by `max_tokens`.
    finish: [&'static str; 2],
    /// The same, told as an object (responses).
    details: [&'static str; 2],
    /// The whole answer.
    whole: &'static str,
    /// The events before the first token.
    opening: &'static [&'static str],
    token: &'static str,
    /// The events behind the last token.
    closing: &'static [&'static str],
    /// The event that carries usage for those who asked.
    usage: Option<&'static str>,
    /// The mark that the stream is whole.
    end: &'static str,
    /// The event that tells of a fault in mid-stream.
    error: &'static str,
}

impl Form {
    /// The form of an endpoint that generates text.
    #[must_use]
    pub fn of(endpoint: Endpoint) -> Option<&'static Self> {
        match endpoint {
            Endpoint::ChatCompletions => Some(&openai::CHAT),
            Endpoint::Completions => Some(&openai::COMPLETIONS),
            Endpoint::Responses => Some(&responses::RESPONSES),
            Endpoint::Messages => Some(&anthropic::MESSAGES),
            _ => None,
        }
    }
}

impl Answer<'_> {
    #[must_use]
    pub fn text(&self) -> Text {
        Text::of(self.digest)
    }

    /// Bytes of text in the whole answer.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.text_before(self.tokens)
    }

    /// Bytes of text before token `index`.
    #[must_use]
    pub fn text_before(&self, index: u32) -> u64 {
        u64::from(index).saturating_mul(self.token_bytes as u64)
    }
}

/// A body in three parts, the middle of which is text of any length.
pub struct Whole {
    pub before: Vec<u8>,
    pub text_bytes: u64,
    pub after: Vec<u8>,
}

impl Whole {
    #[must_use]
    pub fn new(form: &Form, answer: &Answer<'_>) -> Self {
        let (before, after) = form.whole.split_once("$text").unwrap_or((form.whole, ""));
        Self {
            before: filled(before, form, answer),
            text_bytes: answer.text_bytes(),
            after: filled(after, form, answer),
        }
    }

    /// Lengthens the text until the body has `bytes`; never shortens it.
    pub fn pad_to(&mut self, bytes: u64) {
        self.text_bytes += bytes.saturating_sub(self.length());
    }

    #[must_use]
    pub fn length(&self) -> u64 {
        self.before.len() as u64 + self.text_bytes + self.after.len() as u64
    }
}

/// The events of one stream, in the order in which they are asked for.
pub struct Events<'a> {
    form: &'static Form,
    answer: Answer<'a>,
    /// The token event with everything in it that stays the same.
    token: Filled,
    /// The number of the next event (the responses dialect counts them).
    sequence: u64,
}

impl<'a> Events<'a> {
    #[must_use]
    pub fn new(form: &'static Form, answer: Answer<'a>) -> Self {
        let token = Filled::new(form.token, form, &answer);
        Self { form, answer, token, sequence: 0 }
    }

    pub fn opening(&mut self, out: &mut Message) {
        for event in self.form.opening {
            self.event(out, event);
        }
    }

    /// Token `index` of the answer.
    pub fn token(&mut self, out: &mut Vec<u8>, index: u32) {
        self.token.write(out, self.sequence, &self.answer, index);
        self.sequence += 1;
    }

    pub fn closing(&mut self, out: &mut Message) {
        for event in self.form.closing {
            self.event(out, event);
        }
        if let Some(usage) = self.form.usage.filter(|_| self.answer.include_usage) {
            self.event(out, usage);
        }
    }

    /// The mark that the stream is whole.
    pub fn end(&mut self, out: &mut Message) {
        self.event(out, self.form.end);
    }

    /// The fault, told within the stream.
    pub fn error(&mut self, out: &mut Message) {
        self.event(out, self.form.error);
    }

    /// How long the body of the whole stream will be. No token is made to
    /// find out, so it costs the same whatever their number.
    #[must_use]
    pub fn length(form: &'static Form, answer: Answer<'a>, with_end: bool) -> u64 {
        let mut events = Self::new(form, answer);
        let mut message = Message::default();
        events.opening(&mut message);
        let first = events.sequence;
        events.sequence += u64::from(answer.tokens);
        let tokens = events.token.length_of_all(first..events.sequence);
        events.closing(&mut message);
        if with_end {
            events.end(&mut message);
        }
        message.length(&answer) + tokens + answer.text_bytes()
    }

    fn event(&mut self, out: &mut Message, template: &str) {
        fill(out, template, self.form, &self.answer, self.sequence);
        self.sequence += 1;
    }
}

#[cfg(test)]
mod tests;
