//! The request as it goes to a backend, written so that it can be sent again.
//!
//! Fields and body are the same whoever answers; what differs by backend (the
//! path's prefix and the host) is written in front of them, right-aligned, so
//! that another attempt rewrites one line or two and moves nothing.
//!
//! ```text
//! bytes  [method][target][ room ……… [request line, host]][fields … blank line][body]
//!                                    ▲ start              ▲ fields_at
//! ```

use std::ops::Range;

use super::settings::BackendSettings;
use crate::http::{Fields, Name, forward, write};

const VERSION_LINE: &[u8] = b" HTTP/1.1\r\n";
const HOST: &[u8] = b"host: ";
const LINE_END: &[u8] = b"\r\n";

/// A request being written, and then one that can be sent any number of times.
#[derive(Debug)]
pub struct Outgoing {
    /// Lent by the shard's pool.
    bytes: Vec<u8>,
    method: usize,
    target: usize,
    fields_at: usize,
    body_at: usize,
    /// A body too large to stand behind the head.
    apart: Option<Vec<u8>>,
}

impl Outgoing {
    /// Begins a request. `prefix_room` is the longest base path and host of
    /// any backend, in bytes.
    pub fn begin(mut bytes: Vec<u8>, method: &[u8], target: &[u8], prefix_room: usize) -> Self {
        bytes.clear();
        bytes.extend_from_slice(method);
        bytes.extend_from_slice(target);
        let fixed = 1 + VERSION_LINE.len() + HOST.len() + LINE_END.len();
        let fields_at = 2 * bytes.len() + fixed + prefix_room;
        bytes.resize(fields_at, 0);
        Self {
            bytes,
            method: method.len(),
            target: target.len(),
            fields_at,
            body_at: fields_at,
            apart: None,
        }
    }

    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        write::field(&mut self.bytes, name, value);
    }

    /// The fields of a client's that travel on: see [`forward`].
    #[inline]
    pub fn forward<'b>(
        &mut self,
        fields: &Fields<'_, 'b>,
        wanted: impl FnMut(Name, &'b [u8]) -> bool,
    ) {
        forward(&mut self.bytes, fields, wanted);
    }

    /// Whole lines, as they are.
    pub fn lines(&mut self, lines: &[u8]) {
        self.bytes.extend_from_slice(lines);
    }

    /// Ends the head of a request that has no body at all.
    pub fn end_without_body(&mut self) {
        write::end_of_head(&mut self.bytes);
        self.body_at = self.bytes.len();
    }

    /// Ends the head and takes a body that fits behind it, or says that it
    /// does not.
    #[must_use]
    pub fn end_with_body(&mut self, body: &[u8]) -> bool {
        if self.bytes.capacity() - self.bytes.len() < body.len() + LENGTH_FIELD_ROOM {
            return false;
        }
        self.end_with_length(body.len());
        self.bytes.extend_from_slice(body);
        true
    }

    /// Ends the head and keeps the body where it is.
    pub fn end_with_body_apart(&mut self, body: Vec<u8>) {
        self.end_with_length(body.len());
        self.apart = Some(body);
    }

    fn end_with_length(&mut self, length: usize) {
        write::field_number(&mut self.bytes, b"content-length", length as u64);
        write::end_of_head(&mut self.bytes);
        self.body_at = self.bytes.len();
    }

    /// The body, wherever it stands.
    pub fn body(&self) -> &[u8] {
        match &self.apart {
            Some(body) => body,
            None => self.bytes.get(self.body_at..).unwrap_or_default(),
        }
    }

    /// Writes what this backend needs in front, and says what is to be sent
    /// of the bytes (the body apart comes after them).
    pub fn address_to(&mut self, backend: &BackendSettings) -> Range<usize> {
        // `*` asks about the whole server and is below no path.
        let is_asterisk = self.target == 1 && self.bytes.get(self.method) == Some(&b'*');
        let base = if is_asterisk { b"" } else { backend.base_path.as_bytes() };
        let host = backend.host_header.as_bytes();
        let line = self.method + 1 + base.len() + self.target + VERSION_LINE.len();
        let length = line + HOST.len() + host.len() + LINE_END.len();
        debug_assert!(self.fields_at >= self.method + self.target + length, "no room for it");
        let start = self.fields_at.saturating_sub(length);

        let mut at = start;
        self.bytes.copy_within(..self.method, at);
        at += self.method;
        at = self.put(at, b" ");
        at = self.put(at, base);
        self.bytes.copy_within(self.method..self.method + self.target, at);
        at += self.target;
        for part in [VERSION_LINE, HOST, host, LINE_END] {
            at = self.put(at, part);
        }
        start..self.bytes.len()
    }

    fn put(&mut self, at: usize, part: &[u8]) -> usize {
        let end = at + part.len();
        if let Some(room) = self.bytes.get_mut(at..end) {
            room.copy_from_slice(part);
        }
        end
    }

    /// The bytes of which [`Self::address_to`] names a range.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Lends the bytes to an operation; they come back with [`Self::restore`].
    pub fn lend(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub fn restore(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    /// The same for a body that stands apart.
    pub fn lend_apart(&mut self) -> Option<Vec<u8>> {
        self.apart.take()
    }

    pub fn restore_apart(&mut self, body: Vec<u8>) {
        self.apart = Some(body);
    }

    /// Whether a second send must follow.
    pub fn has_body_apart(&self) -> bool {
        self.apart.is_some()
    }

    /// The buffer, when the request will not be sent again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

/// `content-length: `, 20 digits and two line ends.
const LENGTH_FIELD_ROOM: usize = 16 + 20 + 2 * LINE_END.len();

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(base_path: &str, host: &str) -> BackendSettings {
        BackendSettings {
            name: String::new(),
            host_header: host.into(),
            base_path: base_path.into(),
        }
    }

    fn sent(outgoing: &mut Outgoing, to: &BackendSettings) -> String {
        let range = outgoing.address_to(to);
        String::from_utf8(outgoing.bytes[range].to_vec()).unwrap()
    }

    #[test]
    fn each_attempt_is_addressed_anew_and_the_rest_stays() {
        let backends =
            [backend("", "a:1"), backend("/base", "long.example:8000"), backend("", "b")];
        let room = backends.iter().map(|b| b.host_header.len() + b.base_path.len()).max().unwrap();
        let mut outgoing = Outgoing::begin(Vec::with_capacity(1024), b"POST", b"/v1/x?q", room);
        outgoing.field(b"accept", b"*/*");
        assert!(outgoing.end_with_body(b"{}"));
        let rest = "accept: */*\r\ncontent-length: 2\r\n\r\n{}";
        for _ in 0..2 {
            for (to, line) in backends.iter().zip([
                "POST /v1/x?q HTTP/1.1\r\nhost: a:1\r\n",
                "POST /base/v1/x?q HTTP/1.1\r\nhost: long.example:8000\r\n",
                "POST /v1/x?q HTTP/1.1\r\nhost: b\r\n",
            ]) {
                assert_eq!(sent(&mut outgoing, to), format!("{line}{rest}"));
            }
        }
    }

    #[test]
    fn a_request_without_body_says_nothing_of_length() {
        let mut outgoing = Outgoing::begin(Vec::with_capacity(256), b"GET", b"/", 1);
        outgoing.end_without_body();
        assert_eq!(sent(&mut outgoing, &backend("", "h")), "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    }

    #[test]
    fn a_large_body_stands_apart() {
        let mut outgoing = Outgoing::begin(Vec::with_capacity(128), b"POST", b"/", 1);
        let body = vec![b'x'; 1000];
        assert!(!outgoing.end_with_body(&body));
        outgoing.end_with_body_apart(body.clone());
        assert_eq!(outgoing.body(), body);
        let head = sent(&mut outgoing, &backend("", "h"));
        assert!(head.ends_with("content-length: 1000\r\n\r\n"), "{head}");
    }
}
