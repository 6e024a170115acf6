//! Usage out of a whole JSON answer that may arrive in several reads.

use crate::llm::usage::{self, Usage};

/// How much of an answer's end is kept. `usage` is among the last members in
/// every API, and with what follows it takes a few hundred bytes.
pub const TAIL_BYTES: usize = 4 << 10;

/// Remembers the end of a body. Of a body that comes in one read
/// ([`BodyTee::feed_last`] alone) nothing is copied.
#[derive(Default)]
pub struct BodyTee {
    /// At least the last [`TAIL_BYTES`] that came, at most twice as many.
    tail: Vec<u8>,
}

impl BodyTee {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a part with more to come.
    pub fn feed(&mut self, bytes: &[u8]) {
        let keep = bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
        if self.tail.len() + keep.len() > 2 * TAIL_BYTES {
            let surplus = self.tail.len().saturating_sub(TAIL_BYTES - keep.len());
            self.tail.drain(..surplus);
        }
        if self.tail.capacity() == 0 {
            self.tail.reserve_exact(2 * TAIL_BYTES);
        }
        self.tail.extend_from_slice(keep);
    }

    /// Takes the last part.
    #[must_use]
    pub fn feed_last(mut self, bytes: &[u8]) -> Option<Usage> {
        if self.tail.is_empty() || bytes.len() >= TAIL_BYTES {
            return usage::find_in_body(bytes);
        }
        self.feed(bytes);
        self.finish()
    }

    /// Bytes remembered at present.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.tail.len()
    }

    /// The body has ended with what came.
    #[must_use]
    pub fn finish(self) -> Option<Usage> {
        usage::find_in_body(&self.tail)
    }
}
