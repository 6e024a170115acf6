//! The request as it goes to a backend, written so that it can be sent again.
//!
//! Fields and body are the same whoever answers; what differs by backend (the
//! path's prefix, the host, its credential, and the length where a model's name
//! is another) is written in front of them, right-aligned, so that another
//! attempt rewrites a few lines and moves nothing.
//!
//! ```text
//! bytes  [method][target][credentials][ room … [request line, host, length, credential]][fields … blank line][body]
//!         └──── the client's ───────┘           ▲ start                                 ▲ fields_at         ▲ body_at
//! ```
//!
//! A body too large to stand there stands apart and is never changed: the
//! shorter part in front of a name, and the name, are put behind the fields,
//! or all three parts are sent one by one.

use std::ops::Range;

use smallvec::SmallVec;

use super::settings::BackendSettings;
use crate::{
    http::{Fields, Name, forward, write},
    json::write_string,
    llm::Dialect,
};

const LINE_END: &[u8] = b"\r\n";
/// The line of the length is at most so long, besides the name of its field.
const LENGTH_BYTES_MAX: usize = 20 + LINE_END.len();
/// The most of a body apart that is copied behind the fields. Clients name the
/// model first, or far behind everything they say.
const FRONT_BYTES_MAX: usize = 1024;

/// A request being written, and then one that can be sent any number of times.
#[derive(Debug)]
pub struct Outgoing {
    /// Lent by the shard's pool.
    bytes: Vec<u8>,
    /// With the space behind it.
    method: usize,
    target: usize,
    /// The client's own credentials, for a backend that has none of its own.
    credentials: usize,
    fields_at: usize,
    body_at: usize,
    has_length: bool,
    /// A body too large to stand behind the head.
    apart: Option<Vec<u8>>,
    is_apart_lent: bool,
    name: Option<OtherName>,
}

/// What is sent of a body apart: a part of it, or two with another name
/// between them.
pub type Parts<'a> = (Range<usize>, Option<(&'a [u8], Range<usize>)>);

/// Another name of the model than the client has written.
#[derive(Clone, Debug)]
struct OtherName {
    /// Where it stands in the body as it came, quotes included …
    at: Range<usize>,
    /// … how the client wrote it, where the body itself is changed …
    original: SmallVec<[u8; 64]>,
    /// … and what stands there instead, as JSON writes it.
    written: Vec<u8>,
}

impl Outgoing {
    /// Begins a request. `credentials` are lines of the client's that only a
    /// backend without a credential of its own may see; `prefix_room` is the
    /// most that any backend needs in front, in bytes.
    pub fn begin(
        mut bytes: Vec<u8>,
        (method, target): (&[u8], &[u8]),
        credentials: &[u8],
        prefix_room: usize,
    ) -> Self {
        bytes.clear();
        bytes.extend_from_slice(method);
        bytes.push(b' ');
        bytes.extend_from_slice(target);
        bytes.extend_from_slice(credentials);
        let fields_at = 2 * bytes.len() + LENGTH_BYTES_MAX + prefix_room;
        bytes.resize(fields_at, 0);
        Self {
            bytes,
            method: method.len() + 1,
            target: target.len(),
            credentials: credentials.len(),
            fields_at,
            body_at: fields_at,
            has_length: false,
            apart: None,
            is_apart_lent: false,
            name: None,
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
        if self.bytes.capacity() - self.bytes.len() < body.len() + LINE_END.len() {
            return false;
        }
        self.end_before_body();
        self.bytes.extend_from_slice(body);
        true
    }

    /// Ends the head and keeps the body where it is.
    pub fn end_with_body_apart(&mut self, body: Vec<u8>) {
        self.end_before_body();
        self.apart = Some(body);
    }

    fn end_before_body(&mut self) {
        self.has_length = true;
        self.end_without_body();
    }

    /// The body as the client has sent it, wherever it stands. Not to be asked
    /// for once the model was renamed.
    pub fn body(&self) -> &[u8] {
        debug_assert!(self.name.is_none(), "the body is not the client's any more");
        match &self.apart {
            Some(body) => body,
            None => self.bytes.get(self.body_at..).unwrap_or_default(),
        }
    }

    /// Has the model called by another name, or again by the one that the
    /// client has written, which stands `at` this place in its body, quotes
    /// included.
    pub fn rename(&mut self, at: Option<Range<usize>>, name: Option<&str>) {
        if self.name.is_none() && name.is_none() {
            return;
        }
        self.unname();
        let (Some(at), Some(name)) = (at, name) else { return };
        let mut written = Vec::with_capacity(name.len() + 2);
        write_string(&mut written, name);
        let mut original = SmallVec::new();
        if self.apart.is_none() {
            let place = self.body_at + at.start..self.body_at + at.end;
            original.extend_from_slice(self.bytes.get(place.clone()).unwrap_or_default());
            self.bytes.splice(place, written.iter().copied());
        } else if at.start <= FRONT_BYTES_MAX {
            let Some(body) = &self.apart else { return };
            self.bytes.extend_from_slice(body.get(..at.start).unwrap_or_default());
            self.bytes.extend_from_slice(&written);
        }
        self.name = Some(OtherName { at, original, written });
    }

    /// What the client has sent stands there again.
    fn unname(&mut self) {
        let Some(name) = self.name.take() else { return };
        if self.apart.is_some() {
            self.bytes.truncate(self.body_at);
        } else {
            let start = self.body_at + name.at.start;
            self.bytes.splice(start..start + name.written.len(), name.original);
        }
    }

    /// The length of the body as it goes out.
    fn body_bytes(&self) -> usize {
        match (&self.apart, &self.name) {
            (None, _) => self.bytes.len() - self.body_at,
            (Some(body), None) => body.len(),
            (Some(body), Some(name)) => body.len() - name.at.len() + name.written.len(),
        }
    }

    /// Writes what this backend needs in front, and says what is to be sent
    /// of the bytes (the body apart comes after them).
    pub fn address_to(&mut self, backend: &BackendSettings, dialect: Dialect) -> Range<usize> {
        // `*` asks about the whole server and is below no path.
        let is_asterisk = self.target == 1 && self.bytes.get(self.method) == Some(&b'*');
        let base = if is_asterisk { b"" } else { backend.base_path.as_bytes() };
        let host = backend.host.lines(self.has_length);
        let mut digits = itoa::Buffer::new();
        let length = match self.has_length {
            true => digits.format(self.body_bytes()).as_bytes(),
            false => b"",
        };
        let length_bytes = if self.has_length { length.len() + LINE_END.len() } else { 0 };
        let credential = backend.credential.as_ref().map(|credential| credential.line(dialect));
        let target_at = self.method;
        let credentials_at = target_at + self.target;
        let all = credentials_at
            + base.len()
            + host.len()
            + length_bytes
            + credential.map_or(self.credentials, <[u8]>::len);
        let source = credentials_at + self.credentials;
        debug_assert!(self.fields_at >= source + all, "no room for it");
        let start = self.fields_at.saturating_sub(all);

        let mut at = start;
        if base.is_empty() {
            self.bytes.copy_within(..credentials_at, at);
            at += credentials_at;
        } else {
            self.bytes.copy_within(..target_at, at);
            at = self.put(at + target_at, base);
            self.bytes.copy_within(target_at..credentials_at, at);
            at += self.target;
        }
        at = self.put(at, host);
        if self.has_length {
            at = self.put(at, length);
            at = self.put(at, LINE_END);
        }
        match credential {
            Some(line) => drop(self.put(at, line)),
            None if self.credentials > 0 => self.bytes.copy_within(credentials_at..source, at),
            None => {}
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
        self.is_apart_lent = self.apart.is_some();
        self.apart.take()
    }

    pub fn restore_apart(&mut self, body: Vec<u8>) {
        self.is_apart_lent = false;
        self.apart = Some(body);
    }

    /// Nothing of it is lent: it can be copied.
    pub fn is_at_home(&self) -> bool {
        !self.bytes.is_empty() && !self.is_apart_lent
    }

    /// The same request once more, to be sent beside this one. `bytes` is
    /// what its own are written to.
    pub fn copy(&self, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.extend_from_slice(&self.bytes);
        Self { bytes, apart: self.apart.clone(), name: self.name.clone(), ..*self }
    }

    /// Whether a second send must follow.
    pub fn has_body_apart(&self) -> bool {
        self.apart.is_some()
    }

    /// What is to be sent of a body apart, of so many bytes.
    pub fn parts_apart(&self, body_bytes: usize) -> Parts<'_> {
        match &self.name {
            None => (0..body_bytes, None),
            Some(name) if name.at.start <= FRONT_BYTES_MAX => (name.at.end..body_bytes, None),
            Some(name) => (0..name.at.start, Some((&name.written, name.at.end..body_bytes))),
        }
    }

    /// How many bytes it holds.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.apart.as_ref().map_or(0, Vec::len)
    }

    /// A request of the same, body and all, without any credential of the
    /// client's, for a backend that may only see what it needs. Not to be asked
    /// for once the model was renamed.
    pub fn without_credentials(&self) -> Self {
        let body = self.body();
        let fields = self.bytes.get(self.fields_at..self.body_at).unwrap_or_default();
        let start = self.bytes.get(..self.method + self.target).unwrap_or_default();
        // The room in front is for two times what the client has sent of it.
        let fields_at = self.fields_at - 2 * self.credentials;
        let mut bytes = Vec::with_capacity(fields_at + fields.len() + body.len());
        bytes.extend_from_slice(start);
        bytes.resize(fields_at, 0);
        for line in fields.split_inclusive(|byte| *byte == b'\n') {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            if Name::of(name) != Name::Credential {
                bytes.extend_from_slice(line);
            }
        }
        let body_at = bytes.len();
        bytes.extend_from_slice(body);
        let (method, target, has_length) = (self.method, self.target, self.has_length);
        let (credentials, apart, is_apart_lent, name) = (0, None, false, None);
        Self {
            bytes,
            method,
            target,
            credentials,
            fields_at,
            body_at,
            has_length,
            apart,
            is_apart_lent,
            name,
        }
    }

    /// The buffer, when the request will not be sent again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
