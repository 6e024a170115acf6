//! Names the fault of a head that did not parse. Off the hot path: a refused
//! head is read a second time, once, to tell its sender exactly what is wrong.

use memchr::memmem;

use super::fault::{HeadFault, RequestFault, ResponseFault};
use super::name::is_token_byte;

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// `error` is what httparse says, if it did not take the head for a good one.
#[cold]
pub(super) fn request(head: &[u8], error: Option<httparse::Error>) -> RequestFault {
    // RFC 9113 section 3.4.
    if head.starts_with(HTTP2_PREFACE) {
        return RequestFault::Http2Preface;
    }
    if let Some(fault) = bytes_fault(head, error) {
        return fault.into();
    }
    // Nothing is wrong with it but its end.
    if error.is_none() {
        return HeadFault::Incomplete.into();
    }
    let (line, fields) = split_line(head);
    request_line_fault(line)
        .or_else(|| fields_fault(fields).map(RequestFault::Head))
        .unwrap_or(HeadFault::Incomplete.into())
}

#[cold]
pub(super) fn response(head: &[u8], error: Option<httparse::Error>) -> ResponseFault {
    if let Some(fault) = bytes_fault(head, error) {
        return fault.into();
    }
    match error {
        Some(httparse::Error::Version) => return ResponseFault::VersionInvalid,
        Some(httparse::Error::Status) => return ResponseFault::StatusLineInvalid,
        Some(_) => {}
        None => return HeadFault::Incomplete.into(),
    }
    let (_, fields) = split_line(head);
    fields_fault(fields).unwrap_or(HeadFault::Incomplete).into()
}

/// Faults that need no knowledge of the line they are in.
fn bytes_fault(head: &[u8], error: Option<httparse::Error>) -> Option<HeadFault> {
    if error == Some(httparse::Error::TooManyHeaders) {
        return Some(HeadFault::TooManyFields);
    }
    if matches!(head.first(), Some(b'\r' | b'\n')) {
        return Some(HeadFault::LeadingBlankLine);
    }
    let mut previous = 0;
    for &byte in head {
        match (previous, byte) {
            (b'\r', b'\n') => {}
            (b'\r', _) => return Some(HeadFault::BareCr),
            (_, b'\n') => return Some(HeadFault::BareLf),
            (_, b'\r' | b'\t') => {}
            (_, 0..0x20 | 0x7f) => return Some(HeadFault::ControlByte),
            _ => {}
        }
        previous = byte;
    }
    None
}

/// request-line = method SP request-target SP HTTP-version (RFC 9112 section 3)
fn request_line_fault(line: &[u8]) -> Option<RequestFault> {
    let is_not_token = |byte: &u8| !is_token_byte(*byte);
    let method_end = line.iter().position(is_not_token).unwrap_or(line.len());
    let rest = match line.split_at(method_end) {
        ([], [b' ', ..]) | (_, [b' ', b' ', ..]) => return Some(RequestFault::RequestLineSpaces),
        (_, [b' ', rest @ ..]) => rest,
        (_, []) => return Some(RequestFault::VersionMissing),
        _ => return Some(RequestFault::MethodInvalid),
    };
    let Some(space) = memchr::memchr(b' ', rest) else {
        return Some(RequestFault::VersionMissing);
    };
    let (target, version) = rest.split_at(space);
    if target.iter().any(|byte| !(0x21..=0x7e).contains(byte)) {
        return Some(RequestFault::TargetByte);
    }
    match version.get(1..).unwrap_or_default() {
        b"HTTP/1.0" | b"HTTP/1.1" => None,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Some(RequestFault::VersionUnsupported)
        }
        version if version.contains(&b' ') => Some(RequestFault::RequestLineSpaces),
        _ => Some(RequestFault::VersionInvalid),
    }
}

/// field-line = field-name ":" OWS field-value OWS (RFC 9112 section 5)
fn fields_fault(mut fields: &[u8]) -> Option<HeadFault> {
    let mut blank_fault = HeadFault::BlankBeforeFirstField;
    loop {
        let (line, rest) = split_line(fields);
        if line.is_empty() {
            return None;
        }
        if let [b' ' | b'\t', ..] = line {
            return Some(blank_fault);
        }
        if let Some(fault) = name_fault(line) {
            return Some(fault);
        }
        blank_fault = HeadFault::FoldedLine;
        fields = rest;
    }
}

fn name_fault(line: &[u8]) -> Option<HeadFault> {
    let Some(colon) = memchr::memchr(b':', line) else {
        return Some(HeadFault::ColonMissing);
    };
    match line.get(..colon).unwrap_or_default() {
        [] => Some(HeadFault::NameEmpty),
        [name @ .., b' ' | b'\t'] if name.iter().copied().all(is_token_byte) => {
            Some(HeadFault::BlankBeforeColon)
        }
        name if name.iter().copied().all(is_token_byte) => None,
        _ => Some(HeadFault::NameInvalid),
    }
}

/// The first line, without its end, and what follows it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memmem::find(bytes, b"\r\n") {
        Some(end) => {
            let (line, rest) = bytes.split_at(end);
            (line, rest.get(2..).unwrap_or_default())
        }
        None => (bytes, &[]),
    }
}
