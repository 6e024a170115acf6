//! Server-sent events of a chat stream: how many, and how did it end. Pure.
//!
//! Line ends are LF or CRLF; a data event is counted at the blank line that
//! ends it, as a client could not use it earlier.

/// What a line says is decided by its beginning; the rest is not kept.
const LINE_KEPT_BYTES: usize = 64;

#[derive(Default)]
pub struct Events {
    line: Vec<u8>,
    has_data: bool,
    is_end_mark: bool,
    is_error: bool,
    /// Data events, without the end mark and errors.
    pub count: u64,
    /// `[DONE]` was seen.
    pub done: bool,
    /// An error event was seen.
    pub failed: bool,
    /// Something came after `[DONE]`.
    pub trailing: bool,
}

impl Events {
    /// Takes body bytes; how many data events they completed.
    pub fn feed(&mut self, bytes: &[u8]) -> u64 {
        let before = self.count;
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            self.keep(line);
            self.end_line();
            rest = after.get(1..).unwrap_or_default();
        }
        self.keep(rest);
        self.count - before
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LINE_KEPT_BYTES - self.line.len();
        self.line.extend_from_slice(part.get(..room).unwrap_or(part));
    }

    fn end_line(&mut self) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if line.is_empty() {
            self.end_event();
        } else if let Some(data) = field(line, b"data:") {
            self.has_data = true;
            self.is_end_mark = data == b"[DONE]";
            self.is_error |= data.starts_with(b"{\"error\"");
        } else if let Some(name) = field(line, b"event:") {
            self.is_error |= name == b"error";
        }
        self.line.clear();
    }

    fn end_event(&mut self) {
        if self.has_data {
            self.trailing |= self.done;
            match (self.is_error, self.is_end_mark) {
                (true, _) => self.failed = true,
                (false, true) => self.done = true,
                (false, false) => self.count += 1,
            }
        }
        (self.has_data, self.is_end_mark, self.is_error) = (false, false, false);
    }
}

/// The value of a field: after the colon, less one blank.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also cut at every byte.
    fn check(stream: &str, expected: (u64, bool, bool, bool)) {
        for cut in 0..=stream.len() {
            let (first, second) = stream.as_bytes().split_at(cut);
            let mut events = Events::default();
            let completed = events.feed(first) + events.feed(second);
            assert_eq!(completed, events.count);
            let seen = (events.count, events.done, events.failed, events.trailing);
            assert_eq!(seen, expected, "{stream:?} cut at {cut}");
        }
    }

    #[test]
    fn counts_whole_data_events_and_their_end() {
        check("", (0, false, false, false));
        check("data: {}\n\n", (1, false, false, false));
        check("data: {}\n", (0, false, false, false));
        check("data:{}\r\n\r\ndata: {}\r\n\r\n", (2, false, false, false));
        check("data: {}\n\ndata: [DONE]\n\n", (1, true, false, false));
        check(": comment\n\nid: 1\n\n", (0, false, false, false));
        check("data: {}\ndata: {}\n\n", (1, false, false, false));
        check("data: {\"text\":\"[DONE]\"}\n\n", (1, false, false, false));
    }

    #[test]
    fn a_long_line_is_one_event() {
        let long = format!("data: {}\n\n", "x".repeat(300));
        check(&long, (1, false, false, false));
    }

    #[test]
    fn sees_errors_and_what_follows_the_end_mark() {
        check("data: {\"error\":{\"message\":\"cut\"}}\n\n", (0, false, true, false));
        check("event: error\ndata: {}\n\n", (0, false, true, false));
        check("data: [DONE]\n\ndata: {}\n\n", (1, true, false, true));
        check("event: error\ndata: {}\n\ndata: {}\n\n", (1, false, true, false));
    }
}
