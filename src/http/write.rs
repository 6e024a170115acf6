//! Writes heads and chunks in the one form we send. What is written was
//! checked when it was read, or is our own.

use std::ops::Range;

use super::status;

/// The longest line in front of the data of a chunk: 16 digits, CR, LF.
pub const CHUNK_PREFIX_MAX: usize = 18;
/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// `POST /v1/x HTTP/1.1`
#[inline]
pub fn request_line(out: &mut Vec<u8>, method: &[u8], origin_form: &[u8]) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(origin_form);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 200 OK`, with the registered reason phrase, or none.
#[inline]
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    match status::line(status) {
        Some(line) => out.extend_from_slice(line),
        None => unregistered_status_line(out, status),
    }
}

/// RFC 9112 section 4: the space stays when the phrase is left out.
#[cold]
fn unregistered_status_line(out: &mut Vec<u8>, status: u16) {
    assert!((100..=599).contains(&status), "a status has three digits, got {status}");
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.extend_from_slice(b" \r\n");
}

/// `name: value`
#[inline]
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(memchr::memchr3(b'\r', b'\n', 0, value).is_none(), "a value is one line");
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `name: 123`
#[inline]
pub fn field_number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    field(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// The blank line.
#[inline]
pub fn end_of_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// The line in front of a chunk of `size` bytes: the last `length` bytes of
/// the array, where `(array, length)` is returned.
#[inline]
pub fn chunk_prefix(size: usize) -> ([u8; CHUNK_PREFIX_MAX], usize) {
    let mut prefix = *b"0000000000000000\r\n";
    let mut left = size;
    let mut length = 2;
    for place in prefix.iter_mut().rev().skip(2) {
        *place = match (left & 15) as u8 {
            digit @ 0..=9 => b'0' + digit,
            digit => b'a' + digit - 10,
        };
        length += 1;
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    (prefix, length)
}

/// Frames `data`, a range of `buffer`, as one chunk in place: its size line
/// goes right in front of it, CR LF right behind, and after that the end of
/// the body if this is its `last` chunk. Returns the range to send. What
/// `buffer` held behind `data` is dropped.
///
/// ```text
/// buffer   ........ 1 a CR LF [ data ] CR LF 0 CR LF CR LF
///                   └─────────── returned ──────────────┘
/// ```
///
/// No data makes no chunk, for a chunk of size 0 would end the body.
///
/// # Panics
///
/// When there is no room for the size line: `CHUNK_PREFIX_MAX` bytes in front
/// of the data always suffice.
pub fn frame_chunk(buffer: &mut Vec<u8>, data: Range<usize>, last: bool) -> Range<usize> {
    assert!(data.start <= data.end && data.end <= buffer.len(), "the data lies in the buffer");
    buffer.truncate(data.end);
    let mut start = data.start;
    if data.start < data.end {
        let (prefix, length) = chunk_prefix(data.len());
        assert!(length <= start, "there is room for the size line");
        start -= length;
        if let (Some(room), Some(line)) =
            (buffer.get_mut(start..data.start), prefix.get(CHUNK_PREFIX_MAX - length..))
        {
            room.copy_from_slice(line);
        }
        buffer.extend_from_slice(b"\r\n");
    }
    if last {
        buffer.extend_from_slice(LAST_CHUNK);
    }
    start..buffer.len()
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
