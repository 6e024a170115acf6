//! Where a head ends, how large it may be, and the table its fields go into.
//! What the lines say is read in `request` and `response`.

use std::mem::MaybeUninit;

use memchr::memchr_iter;

use super::name::Name;

/// The hard size of the field table; `Limits::headers_max` cannot go beyond it.
pub const HEADERS_MAX: usize = 256;

/// The smallest body length that is refused. A signed 64-bit receiver must be
/// able to hold every length we accept.
pub(super) const LENGTH_LIMIT: u64 = 1 << 63;

/// How much of a head is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole head, from the start line to the blank line.
    pub head_bytes_max: usize,
    /// Field lines; values above `HEADERS_MAX` mean `HEADERS_MAX`.
    pub headers_max: usize,
    /// The request target.
    pub target_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes_max: 32 * 1024, headers_max: 100, target_bytes_max: 8 * 1024 }
    }
}

/// Finds the end of a head, remembering how far it has searched, so that a
/// head which drips in byte by byte costs linear time in all.
#[derive(Default, Clone, Copy, Debug)]
pub struct HeadSearch {
    /// No line end is left to find before this index.
    searched: usize,
    /// Where the line under way begins.
    line_start: usize,
}

impl HeadSearch {
    /// The length of the head, blank line included, once it is known.
    ///
    /// `bytes` always begins at the start of the head and only grows.
    ///
    /// A head whose fate is already sealed is cut short and handed out at
    /// once: at a LF that no CR precedes, or at a blank first line. The
    /// parser refuses it with that very fault, so that the client hears of it
    /// now and not at the deadline.
    #[inline]
    pub fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let from = self.searched;
        for offset in memchr_iter(b'\n', bytes.get(from..)?) {
            let line_feed = from + offset;
            let next_line = line_feed + 1;
            // A line of nothing, or of a CR alone, is the blank line; a line
            // that does not end in CR is the parser's to refuse.
            let is_last = next_line - self.line_start <= 2
                || bytes.get(line_feed.wrapping_sub(1)) != Some(&b'\r');
            if is_last {
                return Some(next_line);
            }
            self.line_start = next_line;
            self.searched = next_line;
        }
        self.searched = bytes.len();
        None
    }

    /// Begins anew, for the next head.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Room for the fields of one head. It lives on the stack of the function that
/// parses; the slots are never zeroed: only those that were filled are looked
/// at.
pub struct HeaderTable<'b> {
    slots: [MaybeUninit<httparse::Header<'b>>; HEADERS_MAX],
    /// What each field's name means.
    names: [Name; HEADERS_MAX],
}

impl<'b> HeaderTable<'b> {
    #[inline(always)] // A call would copy eight kilobytes of nothing.
    pub fn new() -> Self {
        Self {
            slots: [const { MaybeUninit::uninit() }; HEADERS_MAX],
            names: [Name::EndToEnd; HEADERS_MAX],
        }
    }

    /// As many slots as the limits allow, and room for what they mean.
    #[inline]
    pub(super) fn slots(
        &mut self,
        limits: &Limits,
    ) -> (&mut [MaybeUninit<httparse::Header<'b>>], &mut [Name; HEADERS_MAX]) {
        let count = limits.headers_max.min(HEADERS_MAX);
        (self.slots.get_mut(..count).unwrap_or_default(), &mut self.names)
    }
}

impl Default for HeaderTable<'_> {
    #[inline(always)]
    fn default() -> Self {
        Self::new()
    }
}

/// Whether every line of a parsed head ends in CR LF (RFC 9112 section 2.2).
///
/// httparse takes a bare LF for a line end too. It lets no CR and no LF into a
/// name or a value, so looking at the two bytes in front of each name, and at
/// the end, is looking at every line end.
#[inline]
pub(super) fn lines_end_in_crlf(head: &[u8], headers: &[httparse::Header<'_>]) -> bool {
    let start = head.as_ptr() as usize;
    let in_front_of_names = headers.iter().all(|header| {
        let name_at = header.name.as_ptr() as usize - start;
        head.get(name_at.wrapping_sub(2)..name_at) == Some(b"\r\n")
    });
    in_front_of_names && head.ends_with(b"\r\n\r\n")
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
