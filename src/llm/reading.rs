//! What more may be asked of a body that has been peeked at: whether there are
//! images, whose conversation it is, how hard it looks. Each is looked for when
//! it is asked for; nothing here refuses anything.

use crate::{
    base::{Span, stable_hash},
    json::{Elements, Kind, Member, Skimmer, Value},
    llm::Peek,
};

mod features;
mod finders;
mod markers;
#[cfg(test)]
mod tests;

pub use features::{Depth, Features};

/// A body, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'b> {
    pub body: &'b [u8],
    pub peek: &'b Peek,
}

/// Parts within parts: a message, a tool's result in it, a part of that.
const PARTS_DEPTH_MAX: u32 = 4;
/// Bytes of one text that a conversation is known by. Conversations differ
/// sooner; prompts of megabytes are not read again.
const OPENING_BYTES_MAX: usize = 8 << 10;
/// The same of a prompt that may be the whole conversation, and grows from turn
/// to turn: it is known by what it begins with, once it is that long. Shorter
/// ones, of some 250 tokens, cost little where nobody has read them yet; and
/// the longer this is, the longer may be what templates begin with alike.
const GROWING_BYTES_MAX: usize = 1 << 10;
/// Messages before the first of a user's: system and developer, few.
const MESSAGES_BEFORE_USER_MAX: usize = 16;
/// So that a user, a cache key and a text of the same bytes differ.
const CACHE_KEY_SEED: u64 = 16;
const USER_SEED: u64 = 17;
const OPENING_SEED: u64 = 18;

impl Reading<'_> {
    /// Whether a part of the conversation is an image: OpenAI's `image_url`
    /// and `input_image`, Anthropic's `image`, also in the result of a tool. A
    /// type that is written with escapes is not recognised.
    #[must_use]
    pub fn images(&self) -> bool {
        let Some(messages) = self.peek.messages else { return false };
        finders::IMAGE.find(messages.of(self.body)).is_some()
            && self.has_image(messages, PARTS_DEPTH_MAX)
    }

    fn has_image(&self, parts: Span, depth: u32) -> bool {
        self.elements(parts, |part| {
            let mut found = false;
            self.members(part, |member| {
                found |= match member.key {
                    b"type" => is_image(self.text(member.value)),
                    b"content" | b"output" if member.value.kind == Kind::Array && depth > 0 => {
                        self.has_image(member.value.span, depth - 1)
                    }
                    _ => false,
                };
                found
            });
            found
        })
    }

    /// Whose conversation it is: by the key or the user that the request
    /// names, else by how the conversation begins. The same for every turn.
    #[must_use]
    pub fn conversation(&self) -> u64 {
        let hints = &self.peek.hints;
        if let Some(key) = hints.cache_key {
            return stable_hash(CACHE_KEY_SEED, key.of(self.body));
        }
        if let Some(user) = self.metadata_user().or(hints.user) {
            return stable_hash(USER_SEED, user.of(self.body));
        }
        self.opening()
    }

    fn metadata_user(&self) -> Option<Span> {
        let mut found = None;
        let value = Value { kind: Kind::Object, span: self.peek.hints.metadata? };
        self.members(value, |member| {
            if member.key == b"user_id" && matches!(member.value.kind, Kind::String { .. }) {
                found = Some(member.value.span);
            }
            found.is_some()
        });
        found
    }

    /// The texts of the system's prompt and of all messages up to the first of
    /// a user's, or the beginning of a prompt without messages. Only texts of
    /// messages: marks for caches and the like move from turn to turn.
    fn opening(&self) -> u64 {
        let mut hash = OPENING_SEED;
        if let Some(system) = self.peek.hints.system {
            self.add_texts(&mut hash, system);
        }
        let Some(messages) = self.peek.messages else { return hash };
        let text = messages.of(self.body);
        if !is_list_of_objects(text) {
            // A prompt as one text, as a list of texts, or as tokens.
            return stable_hash(hash, text.get(..GROWING_BYTES_MAX).unwrap_or(text));
        }
        let mut left = MESSAGES_BEFORE_USER_MAX;
        let has_users = self.elements(messages, |message| {
            let mut is_users = false;
            self.members(message, |member| {
                match member.key {
                    b"role" => is_users = self.text(member.value) == b"user",
                    b"content" => self.add_texts(&mut hash, member.value.span),
                    _ => {}
                }
                false
            });
            left -= 1;
            is_users || left == 0
        });
        if !has_users {
            // It may be a list of parts.
            self.add_texts(&mut hash, messages);
        }
        hash
    }

    /// A string, or the texts of a list of parts.
    fn add_texts(&self, hash: &mut u64, span: Span) {
        let mut add = |span: Span| {
            let text = span.of(self.body);
            *hash = stable_hash(*hash, text.get(..OPENING_BYTES_MAX).unwrap_or(text));
        };
        if span.of(self.body).first() == Some(&b'"') {
            return add(span);
        }
        self.elements(span, |part| {
            if matches!(part.kind, Kind::String { .. }) {
                add(part.span);
            }
            self.members(part, |member| {
                if member.key == b"text" {
                    add(member.value.span);
                }
                false
            });
            false
        });
    }

    /// Shows a list's elements until one is the last that is wanted. Says
    /// whether one was; what is no list has none.
    fn elements(&self, list: Span, mut is_last: impl FnMut(Value) -> bool) -> bool {
        let Ok(mut elements) = Elements::nested(self.body, list) else { return false };
        while let Ok(Some(element)) = elements.next_element() {
            if is_last(element) {
                return true;
            }
        }
        false
    }

    /// The same of an object's members.
    fn members(&self, object: Value, mut is_last: impl FnMut(&Member<'_>) -> bool) {
        if object.kind != Kind::Object {
            return;
        }
        let Ok(mut members) = Skimmer::nested(self.body, object.span) else { return };
        while let Ok(Some(member)) = members.next_member() {
            if is_last(&member) {
                return;
            }
        }
    }

    /// The text of a string that is written without escapes.
    fn text(&self, value: Value) -> &[u8] {
        value.plain_text().map(|span| span.of(self.body)).unwrap_or_default()
    }
}

fn is_list_of_objects(text: &[u8]) -> bool {
    let is_before = |byte: &u8| matches!(byte, b'[' | b' ' | b'\t' | b'\r' | b'\n');
    text.iter().find(|byte| !is_before(byte)) == Some(&b'{')
}

fn is_image(kind: &[u8]) -> bool {
    matches!(kind, b"image_url" | b"input_image" | b"image")
}
