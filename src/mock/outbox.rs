//! Sending: framing, pieces, and what went wrong.

use crate::{
    http::write::{LAST_CHUNK, chunk_prefix},
    rt::Stream,
};

use super::stats::Counters;

/// The client is gone, or will be cut off: nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// What waits to be sent on one connection.
pub struct Outbox<'c, S> {
    stream: &'c S,
    counters: &'c Counters,
    waiting: Vec<u8>,
    /// The most that one send carries.
    piece_bytes: usize,
    is_chunked: bool,
}

/// Body bytes worth a send of their own in a large answer.
pub const FULL: usize = 64 * 1024;

impl<S> Outbox<'_, S> {
    /// Gives up what a large answer has left behind. Nothing waits.
    pub fn rest(&mut self) {
        self.waiting.shrink_to(FULL);
    }
}

impl<'c, S: Stream> Outbox<'c, S> {
    pub fn new(stream: &'c S, counters: &'c Counters) -> Self {
        let waiting = Vec::with_capacity(1024);
        Self { stream, counters, waiting, piece_bytes: usize::MAX, is_chunked: false }
    }

    /// Settles how the next answer is sent.
    pub fn begin(&mut self, split: Option<usize>, is_chunked: bool) {
        self.piece_bytes = split.unwrap_or(usize::MAX);
        self.is_chunked = is_chunked;
    }

    /// Where heads are written: bytes outside the body's framing.
    pub fn unframed(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Adds body bytes.
    pub fn body(&mut self, bytes: &[u8]) {
        if self.is_chunked && !bytes.is_empty() {
            self.chunk_line(bytes.len());
            self.waiting.extend_from_slice(bytes);
            self.waiting.extend_from_slice(b"\r\n");
        } else {
            self.waiting.extend_from_slice(bytes);
        }
    }

    /// Adds `length` body bytes that `write` appends. They are at least one.
    pub fn body_of(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_chunked {
            self.chunk_line(length);
        }
        let before = self.waiting.len();
        write(&mut self.waiting);
        debug_assert_eq!(self.waiting.len() - before, length);
        if self.is_chunked {
            self.waiting.extend_from_slice(b"\r\n");
        }
    }

    pub fn end_of_body(&mut self) {
        if self.is_chunked {
            self.waiting.extend_from_slice(LAST_CHUNK);
        }
    }

    fn chunk_line(&mut self, size: usize) {
        let (line, length) = chunk_prefix(size);
        let start = line.len() - length;
        self.waiting.extend_from_slice(line.get(start..).unwrap_or_default());
    }

    /// Sends what waits.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        let mut buffer = std::mem::take(&mut self.waiting);
        let mut sent = 0;
        while sent < buffer.len() {
            let end = buffer.len().min(sent.saturating_add(self.piece_bytes));
            let (result, back) = self.stream.send(buffer, sent..end).await;
            buffer = back;
            match result {
                Ok(bytes @ 1..) => {
                    self.counters.count(|c| &c.bytes_out, bytes as u64);
                    sent += bytes;
                }
                Ok(0) | Err(_) => return Err(Gone),
            }
        }
        buffer.clear();
        self.waiting = buffer;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_answer_leaves_no_large_buffer_behind() {
        let counters = Counters::default();
        let waiting = Vec::with_capacity(256 * 1024 * 1024);
        let mut outbox = Outbox {
            stream: &(),
            counters: &counters,
            waiting,
            piece_bytes: usize::MAX,
            is_chunked: false,
        };
        outbox.rest();
        assert!(outbox.waiting.capacity() <= FULL);
    }
}
