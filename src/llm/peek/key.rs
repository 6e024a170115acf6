//! The keys we read, and the rule that each stands there once and plainly.

use super::fault::{PeekFault, PeekFaultKind};
use crate::json::Member;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Model,
    Stream,
    StreamOptions,
    IncludeUsage,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    Messages,
    Input,
    Prompt,
    System,
    Instructions,
    Query,
    Documents,
    Tools,
}

/// The longest name of a [`Key`].
const KEY_BYTES_MAX: usize = "max_completion_tokens".len();

impl Key {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"model" => Self::Model,
            b"stream" => Self::Stream,
            b"stream_options" => Self::StreamOptions,
            b"include_usage" => Self::IncludeUsage,
            b"max_tokens" => Self::MaxTokens,
            b"max_completion_tokens" => Self::MaxCompletionTokens,
            b"max_output_tokens" => Self::MaxOutputTokens,
            b"messages" => Self::Messages,
            b"input" => Self::Input,
            b"prompt" => Self::Prompt,
            b"system" => Self::System,
            b"instructions" => Self::Instructions,
            b"query" => Self::Query,
            b"documents" => Self::Documents,
            b"tools" => Self::Tools,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::StreamOptions => "stream_options",
            Self::IncludeUsage => "include_usage",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxOutputTokens => "max_output_tokens",
            Self::Messages => "messages",
            Self::Input => "input",
            Self::Prompt => "prompt",
            Self::System => "system",
            Self::Instructions => "instructions",
            Self::Query => "query",
            Self::Documents => "documents",
            Self::Tools => "tools",
        }
    }
}

/// The keys of one object that have come by, one bit each.
#[derive(Default)]
pub(super) struct KeysSeen(u32);

impl KeysSeen {
    /// Which of our keys the member has, if any.
    pub(super) fn key_of(&mut self, member: &Member<'_>) -> Result<Option<Key>, PeekFault> {
        let fault = |kind| PeekFault { offset: member.key_offset, kind };
        if member.key_escaped {
            return Err(fault(PeekFaultKind::KeyEscaped));
        }
        let Some(key) = Key::of(member.key) else {
            return match in_lower_case(member.key) {
                Some(key) => Err(fault(PeekFaultKind::KeyInOtherCase(key.name()))),
                None => Ok(None),
            };
        };
        let bit = 1 << key as u32;
        if self.0 & bit != 0 {
            return Err(fault(PeekFaultKind::KeyTwice(key.name())));
        }
        self.0 |= bit;
        Ok(Some(key))
    }
}

/// Our key that `name` is when case is ignored, as Go's `encoding/json` does:
/// besides A to Z it takes U+017F for `s` and U+212A for `k`.
fn in_lower_case(name: &[u8]) -> Option<Key> {
    if name.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return None; // it is in lower case, and not ours
    }
    let mut lower = [0; KEY_BYTES_MAX];
    let (mut rest, mut length) = (name, 0);
    while !rest.is_empty() {
        let (byte, tail) = match rest {
            [0xc5, 0xbf, tail @ ..] => (b's', tail),
            [0xe2, 0x84, 0xaa, tail @ ..] => (b'k', tail),
            [byte, tail @ ..] => (byte.to_ascii_lowercase(), tail),
            [] => break,
        };
        *lower.get_mut(length)? = byte;
        length += 1;
        rest = tail;
    }
    Key::of(lower.get(..length)?)
}
