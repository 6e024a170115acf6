//! The server's side of a head: reads a request and refuses what is doubtful.

use std::mem::MaybeUninit;

use httparse::Status::Complete;

use super::body::BodyFraming;
use super::fault::{FramingFault, HeadFault, RequestFault};
use super::fields::Fields;
use super::head::{HeaderTable, Limits, lines_end_in_crlf};
use super::name::{self, Name};
use super::survey::Survey;
use super::{Version, authority, diagnose, target};

/// A request head, checked. Everything in it borrows from the bytes received.
pub struct Request<'t, 'b> {
    pub method: Method<'b>,
    /// As it came.
    pub target: &'b [u8],
    /// Without query, and reduced from the absolute form.
    pub path: &'b [u8],
    /// Path and query as they are forwarded; `*` for OPTIONS of the server.
    pub origin_form: &'b [u8],
    pub version: Version,
    /// Empty on HTTP/1.0 without Host.
    pub host: &'b [u8],
    /// Never `UntilClose`.
    pub framing: BodyFraming,
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends its body.
    pub expect_continue: bool,
    /// The client offers to switch protocols. It must be content with an
    /// answer in HTTP/1.1 (RFC 9110 section 7.8).
    pub upgrade: bool,
    pub fields: Fields<'t, 'b>,
}

/// Methods are case-sensitive (RFC 9110 section 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'b> {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Other(&'b [u8]),
}

impl<'b> Method<'b> {
    #[inline]
    fn new(token: &'b [u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            _ => Self::Other(token),
        }
    }

    #[inline]
    pub fn as_bytes(&self) -> &'b [u8] {
        match self {
            Self::Get => b"GET",
            Self::Head => b"HEAD",
            Self::Post => b"POST",
            Self::Put => b"PUT",
            Self::Delete => b"DELETE",
            Self::Options => b"OPTIONS",
            Self::Patch => b"PATCH",
            Self::Other(token) => token,
        }
    }
}

/// Reads one request head, from its first byte to its blank line, as
/// `HeadSearch` measured it.
pub fn parse_request<'t, 'b>(
    head: &'b [u8],
    limits: &Limits,
    table: &'t mut HeaderTable<'b>,
) -> Result<Request<'t, 'b>, RequestFault> {
    if head.len() > limits.head_bytes_max {
        return Err(HeadFault::TooLarge.into());
    }
    let (slots, names) = table.slots(limits);
    let parsed = parse_lines(head, slots)?;
    let method = Method::new(parsed.method.unwrap_or_default().as_bytes());
    if let Method::Other(b"CONNECT" | b"TRACE") = method {
        return Err(RequestFault::MethodRefused);
    }
    let target = parsed.path.unwrap_or_default().as_bytes();
    if target.len() > limits.target_bytes_max {
        return Err(RequestFault::TargetTooLong);
    }
    let reduced = target::parse(target, method)?;
    let version = Version::from_minor(parsed.version.unwrap_or(1));

    let headers: &'t [httparse::Header<'b>] = parsed.headers;
    let survey = survey_fields(headers, names)?;
    let framing = framing(&survey, version)?;
    if survey.expects_something_else {
        return Err(RequestFault::ExpectUnknown);
    }
    let is_http11 = version == Version::Http11;
    Ok(Request {
        method,
        target,
        path: reduced.path,
        origin_form: reduced.origin_form,
        version,
        host: host(&survey, version, reduced.authority)?,
        framing,
        keep_alive: survey.connection.lets_live(version),
        // RFC 9110 section 10.1.1: ignored from HTTP/1.0, and pointless
        // without a body.
        expect_continue: survey.expects_continue && is_http11 && framing.has_body(),
        // RFC 9110 section 7.8: ignored from HTTP/1.0, and meant for this hop
        // only when Connection says so.
        upgrade: survey.has_upgrade && survey.connection.upgrade && is_http11,
        fields: Fields::new(head, headers, names, survey.connection.names_fields),
    })
}

/// Lets httparse split the lines, then refuses what it takes too lightly.
#[inline]
fn parse_lines<'t, 'b>(
    head: &'b [u8],
    slots: &'t mut [MaybeUninit<httparse::Header<'b>>],
) -> Result<httparse::Request<'t, 'b>, RequestFault> {
    // RFC 9112 section 2.2 lets a server skip a blank line in front of the
    // request line. It is left over from a body that was longer than its
    // framing said, so it is refused (httparse would skip any number).
    if matches!(head.first(), Some(b'\r' | b'\n')) {
        return Err(HeadFault::LeadingBlankLine.into());
    }
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, slots) {
        Ok(Complete(length)) if length == head.len() && lines_end_in_crlf(head, parsed.headers) => {
            Ok(parsed)
        }
        outcome => Err(diagnose::request(head, outcome.err())),
    }
}

#[inline]
fn survey_fields<'b>(
    headers: &[httparse::Header<'b>],
    names: &mut [Name],
) -> Result<Survey<'b>, RequestFault> {
    let mut survey = Survey::default();
    for (header, meaning) in headers.iter().zip(names) {
        let name = header.name.as_bytes();
        if name::shadows_a_known_name(name) {
            return Err(RequestFault::NameShadowsKnown);
        }
        *meaning = survey.take(name, header.value)?;
    }
    Ok(survey)
}

/// Where the body ends (RFC 9112 section 6.3), if there is no doubt about it.
#[inline]
fn framing(survey: &Survey<'_>, version: Version) -> Result<BodyFraming, FramingFault> {
    match (survey.is_chunked, survey.content_length) {
        (false, None) => Ok(BodyFraming::None),
        (false, Some(length)) => Ok(BodyFraming::Length(length)),
        (true, Some(_)) => Err(FramingFault::LengthWithTransferEncoding),
        // RFC 9112 section 6.1.
        (true, None) if version == Version::Http10 => Err(FramingFault::TransferEncodingOnHttp10),
        (true, None) => Ok(BodyFraming::Chunked),
    }
}

/// The one host a request is for (RFC 9112 section 3.2).
#[inline]
fn host<'b>(
    survey: &Survey<'b>,
    version: Version,
    target_authority: Option<&'b [u8]>,
) -> Result<&'b [u8], RequestFault> {
    match (survey.host_count, target_authority) {
        (0, _) if version == Version::Http11 => Err(RequestFault::HostMissing),
        (0, authority) => Ok(authority.unwrap_or_default()),
        (1, _) if !authority::is_valid(survey.host) => Err(RequestFault::HostInvalid),
        // A proxy would take the authority and a server the Host (RFC 9112
        // section 3.2.2); when they differ the two would serve two hosts.
        (1, Some(authority)) if !authority.eq_ignore_ascii_case(survey.host) => {
            Err(RequestFault::HostDiffersFromTarget)
        }
        (1, _) => Ok(survey.host),
        _ => Err(RequestFault::HostTwice),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
