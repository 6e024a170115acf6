//! The client's side of a head: reads a backend's response.

use std::mem::MaybeUninit;

use httparse::Status::Complete;

use super::body::BodyFraming;
use super::fault::{FramingFault, HeadFault, ResponseFault};
use super::fields::Fields;
use super::head::{HeaderTable, Limits, lines_end_in_crlf};
use super::survey::Survey;
use super::{Version, diagnose};

/// A response head, checked. Its reason phrase is dropped: it means nothing
/// (RFC 9112 section 4).
pub struct Response<'t, 'b> {
    pub status: u16,
    pub version: Version,
    pub framing: BodyFraming,
    /// Whether the connection may carry another request when the body is done.
    pub keep_alive: bool,
    /// What Content-Length says, also where no body follows: an answer to HEAD
    /// passes it on (RFC 9110 section 8.6).
    pub content_length: Option<u64>,
    /// Content-Type as it stands there.
    pub content_type: Option<&'b [u8]>,
    /// Content-Encoding as it stands there.
    pub content_encoding: Option<&'b [u8]>,
    pub fields: Fields<'t, 'b>,
}

/// Reads one response head. Interim responses (1xx) are handed out as such;
/// the caller counts them.
pub fn parse_response<'t, 'b>(
    head: &'b [u8],
    to_head_request: bool,
    limits: &Limits,
    table: &'t mut HeaderTable<'b>,
) -> Result<Response<'t, 'b>, ResponseFault> {
    if head.len() > limits.head_bytes_max {
        return Err(HeadFault::TooLarge.into());
    }
    let (slots, names) = table.slots(limits);
    let parsed = parse_lines(head, slots)?;
    let status = parsed.code.unwrap_or_default();
    match status {
        // RFC 9110 section 7.8: only an Upgrade asks for it, and none is sent.
        101 => return Err(ResponseFault::UnsolicitedSwitch),
        100..=599 => {}
        _ => return Err(ResponseFault::StatusOutOfRange),
    }
    let version = Version::from_minor(parsed.version.unwrap_or(1));

    let headers: &'t [httparse::Header<'b>] = parsed.headers;
    let mut survey = Survey::default();
    for (header, meaning) in headers.iter().zip(names.iter_mut()) {
        *meaning = survey.take(header.name.as_bytes(), header.value)?;
    }
    // RFC 9112 section 6.3: these have no body, whatever they say.
    let is_bodiless = to_head_request || matches!(status, 100..=199 | 204 | 304);
    let framing = if is_bodiless { BodyFraming::None } else { framing(&survey, version)? };
    // A backend that gives two lengths does not know its own mind; the next
    // response on its connection could be the rest of this one.
    let has_two_lengths = survey.is_chunked && survey.content_length.is_some();
    Ok(Response {
        status,
        version,
        framing,
        keep_alive: survey.connection.lets_live(version)
            && framing != BodyFraming::UntilClose
            && !has_two_lengths,
        content_length: survey.content_length.filter(|_| !survey.is_chunked),
        content_type: survey.content_type,
        content_encoding: survey.content_encoding,
        fields: Fields::new(head, headers, names, survey.connection.names_fields),
    })
}

#[inline]
fn parse_lines<'t, 'b>(
    head: &'b [u8],
    slots: &'t mut [MaybeUninit<httparse::Header<'b>>],
) -> Result<httparse::Response<'t, 'b>, ResponseFault> {
    // httparse would skip blank lines in front of the status line.
    if matches!(head.first(), Some(b'\r' | b'\n')) {
        return Err(HeadFault::LeadingBlankLine.into());
    }
    let mut parsed = httparse::Response::new(&mut []);
    let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        head,
        slots,
    );
    match outcome {
        Ok(Complete(length)) if length == head.len() && lines_end_in_crlf(head, parsed.headers) => {
            Ok(parsed)
        }
        outcome => Err(diagnose::response(head, outcome.err())),
    }
}

/// Where the body ends (RFC 9112 section 6.3).
#[inline]
fn framing(survey: &Survey<'_>, version: Version) -> Result<BodyFraming, FramingFault> {
    match (survey.is_chunked, survey.content_length) {
        // RFC 9112 section 6.1: such a message is faulty, whatever else it says.
        (true, _) if version == Version::Http10 => Err(FramingFault::TransferEncodingOnHttp10),
        (true, _) => Ok(BodyFraming::Chunked),
        (false, Some(length)) => Ok(BodyFraming::Length(length)),
        (false, None) => Ok(BodyFraming::UntilClose),
    }
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
