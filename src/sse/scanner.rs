//! Finds the events in a stream of bytes.
//!
//! An event that lies within one feed is handed out where it stands. Only one
//! that straddles feeds is put together in a buffer of our own:
//!
//! ```text
//!   feed 1                    feed 2                 feed 3
//!   [event][event][eve......] [.................... ] [nt][event]
//!    slice  slice   └──────────── carried ─────────────┘   slice
//! ```

use memchr::memchr2;

use super::Event;

/// The longest event that is read as a whole. A Responses stream repeats the
/// entire answer in its last event; a long one with images reaches megabytes.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// Of a longer one this much is kept: its name, and how its data begins.
pub const EVENT_HEAD_BYTES: usize = 4 << 10;

/// A carry buffer above this size is given back after its event.
pub const CARRY_KEPT_BYTES: usize = 64 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The state between two feeds.
pub struct EventScanner {
    event_bytes_max: usize,
    /// What was kept of the event under way.
    carry: Vec<u8>,
    /// Bytes of the event under way that came in earlier feeds.
    event_bytes: usize,
    /// The line under way is not empty.
    in_line: bool,
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    /// Bytes of a byte order mark seen at the start; its length once settled.
    mark_bytes: usize,
}

impl Default for EventScanner {
    fn default() -> Self {
        Self::new(EVENT_BYTES_MAX)
    }
}

impl EventScanner {
    /// A scanner that reads events of up to `event_bytes_max` bytes as a whole
    /// and of longer ones only the beginning.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            carry: Vec::new(),
            event_bytes: 0,
            in_line: false,
            after_cr: false,
            mark_bytes: 0,
        }
    }

    /// Reads on, and gives each event that ends in `bytes`.
    pub fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Event<'_>)) {
        let bytes = self.after_mark(bytes);
        if bytes.is_empty() {
            return;
        }
        let (mut event_start, mut line_start) = (0, 0);
        let mut second_half = self.after_cr.then_some(0); // where an LF ends a CRLF
        while let Some(at) = line_end(bytes, line_start) {
            let is_lf = bytes.get(at) == Some(&b'\n');
            if is_lf && second_half == Some(at) {
                if event_start == at && self.event_bytes == 0 {
                    event_start = at + 1; // it ended the blank line of the last event
                }
            } else {
                if at == line_start && !self.in_line {
                    self.end_event(bytes.get(event_start..at).unwrap_or_default(), &mut take);
                    event_start = at + 1;
                }
                second_half = (!is_lf).then_some(at + 1);
            }
            self.in_line = false;
            line_start = at + 1;
        }
        self.after_cr = second_half == Some(bytes.len());
        self.in_line |= line_start < bytes.len();
        self.carry_on(bytes.get(event_start..).unwrap_or_default());
    }

    /// Nothing of an event is under way: what is written here now is read by
    /// the client as an event of its own.
    #[must_use]
    pub fn at_event_boundary(&self) -> bool {
        self.event_bytes == 0 && !self.in_line && !self.in_mark()
    }

    /// A byte order mark has begun, or the first line with bytes like one.
    fn in_mark(&self) -> bool {
        (1..BYTE_ORDER_MARK.len()).contains(&self.mark_bytes)
    }

    /// The line ends that bring the stream to an event boundary.
    #[must_use]
    pub fn boundary_fill(&self) -> &'static [u8] {
        if self.at_event_boundary() {
            b""
        } else if self.in_line || self.in_mark() || self.after_cr {
            b"\n\n" // after a CR the first LF would only complete that line's end
        } else {
            b"\n"
        }
    }

    /// What has come of an event that was not ended yet.
    #[must_use]
    pub fn unfinished(&self) -> Event<'_> {
        Event { raw: &self.carry, whole: self.event_bytes <= self.event_bytes_max }
    }

    /// How many bytes of an event under way are kept.
    #[must_use]
    pub fn carried_bytes(&self) -> usize {
        self.carry.len()
    }

    /// The memory that keeps them: at most twice as many bytes, and never more
    /// than an event may have (or [`EVENT_HEAD_BYTES`], if those are more).
    #[cfg(test)]
    pub(super) fn carry_memory(&self) -> usize {
        self.carry.capacity()
    }

    /// Keeps no more than the beginning of the event under way, as of one that
    /// is too long.
    pub fn give_up_event(&mut self) {
        if self.event_bytes > 0 {
            self.event_bytes = self.event_bytes.max(self.event_bytes_max + 1);
            self.keep_beginning();
        }
    }

    /// Passes over a byte order mark at the very start, wherever it is cut.
    fn after_mark<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut rest = bytes;
        while let Some(expected) = BYTE_ORDER_MARK.get(self.mark_bytes) {
            match rest.split_first() {
                None => break,
                Some((byte, tail)) if byte == expected => {
                    self.mark_bytes += 1;
                    rest = tail;
                }
                Some(_) => {
                    // No mark: what looked like one belongs to the first line.
                    let seen = BYTE_ORDER_MARK.get(..self.mark_bytes).unwrap_or_default();
                    self.in_line = !seen.is_empty();
                    self.mark_bytes = BYTE_ORDER_MARK.len();
                    self.carry_on(seen);
                }
            }
        }
        rest
    }

    fn end_event(&mut self, rest: &[u8], take: &mut impl FnMut(Event<'_>)) {
        if self.event_bytes == 0 {
            let whole = rest.len() <= self.event_bytes_max;
            let raw = if whole { rest } else { head_of(rest) };
            if !raw.is_empty() {
                take(Event { raw, whole });
            }
            return;
        }
        self.carry_on(rest);
        take(self.unfinished());
        self.event_bytes = 0;
        self.carry.clear();
        if self.carry.capacity() > CARRY_KEPT_BYTES {
            self.carry = Vec::new();
        }
    }

    /// Keeps a part of the event under way, or no more than its beginning
    /// once it is too long.
    fn carry_on(&mut self, part: &[u8]) {
        self.event_bytes += part.len();
        if self.event_bytes <= self.event_bytes_max {
            if self.carry.capacity() - self.carry.len() < part.len() {
                // Doubling, but not beyond what an event may have.
                let room = self.event_bytes_max - self.carry.len();
                self.carry.reserve_exact(self.carry.len().max(part.len()).min(room));
            }
            self.carry.extend_from_slice(part);
            return;
        }
        self.keep_beginning();
        let room = EVENT_HEAD_BYTES - self.carry.len();
        self.carry.extend_from_slice(part.get(..room).unwrap_or(part));
    }

    fn keep_beginning(&mut self) {
        self.carry.truncate(EVENT_HEAD_BYTES);
        self.carry.shrink_to(EVENT_HEAD_BYTES);
    }
}

fn head_of(event: &[u8]) -> &[u8] {
    event.get(..EVENT_HEAD_BYTES).unwrap_or(event)
}

/// The next CR or LF from `from` on. After a line's end the blank line's is
/// most often the very next byte.
#[inline]
fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    match rest.first()? {
        b'\n' | b'\r' => Some(from),
        _ => memchr2(b'\n', b'\r', rest).map(|found| from + found),
    }
}
