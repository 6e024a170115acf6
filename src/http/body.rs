//! Where the body of one message ends (RFC 9112 section 6), in both roles.

use std::ops::Range;

use super::chunk::{ChunkDecoder, ChunkFault};

/// How a message says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    None,
    Length(u64),
    Chunked,
    /// Of responses only.
    UntilClose,
}

impl BodyFraming {
    /// Whether at least one byte follows the head.
    #[inline]
    pub fn has_body(self) -> bool {
        !matches!(self, Self::None | Self::Length(0))
    }
}

/// Finds the body in the bytes that arrive. State carries over between calls,
/// wherever the bytes were cut.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Debug)]
enum State {
    /// This many bytes are still to come; none means done.
    Length(u64),
    Chunked(ChunkDecoder),
    UntilClose,
}

/// What one call to `decode` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Body bytes: one range of the input.
    pub data: Range<usize>,
    /// Input bytes that are used up; the rest belongs to the next message.
    pub consumed: usize,
    /// The body is complete.
    pub done: bool,
    /// The input is one chunk, written as `write::frame_chunk` would write it:
    /// it can be passed on as it is.
    pub is_plain_chunk: bool,
}

impl Decoded {
    pub(super) fn data(data: Range<usize>, consumed: usize, done: bool) -> Self {
        Self { data, consumed, done, is_plain_chunk: false }
    }
}

/// The connection closed in the middle of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The connection closed before the body was complete.")]
pub struct Truncated;

impl BodyDecoder {
    #[inline]
    pub fn new(framing: BodyFraming) -> Self {
        let state = match framing {
            BodyFraming::None => State::Length(0),
            BodyFraming::Length(length) => State::Length(length),
            BodyFraming::Chunked => State::Chunked(ChunkDecoder::new()),
            BodyFraming::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Takes what arrived and works in place. The first run of body data stays
    /// where it is, later runs are moved down right behind it, so that what
    /// was found is one range:
    ///
    /// ```text
    /// before   5 CR LF h e l l o CR LF 6 CR LF _ w o r l d CR LF 0 CR LF CR LF
    /// after            h e l l o _ w o r l d ...
    ///                  └────── data ───────┘
    /// ```
    #[inline]
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, ChunkFault> {
        match &mut self.state {
            State::Length(remaining) => {
                let taken = input.len().min(usize::try_from(*remaining).unwrap_or(usize::MAX));
                *remaining -= taken as u64;
                Ok(Decoded::data(0..taken, taken, *remaining == 0))
            }
            State::UntilClose => Ok(Decoded::data(0..input.len(), input.len(), false)),
            State::Chunked(chunks) => chunks.decode(input),
        }
    }

    #[inline]
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Length(remaining) => *remaining == 0,
            State::Chunked(chunks) => chunks.is_done(),
            State::UntilClose => false,
        }
    }

    /// The sender closed. That ends a body without framing, and cuts any other
    /// that is not complete (RFC 9112 section 8).
    pub fn on_close(&mut self) -> Result<(), Truncated> {
        match self.state {
            State::UntilClose => {
                self.state = State::Length(0);
                Ok(())
            }
            _ if self.is_done() => Ok(()),
            _ => Err(Truncated),
        }
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
