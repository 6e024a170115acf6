//! One pass over the fields of a head, in either role: gathers what the
//! framing of the body and the life of the connection depend on.

use super::Version;
use super::fault::FramingFault;
use super::head::LENGTH_LIMIT;
use super::name::{self, Name, classify};

/// Options a Connection field may list. Each is compared with each field when
/// a head is forwarded, so their number has to be small.
const CONNECTION_OPTIONS_MAX: usize = 32;

#[derive(Default)]
pub(super) struct Survey<'b> {
    pub(super) host: &'b [u8],
    pub(super) host_count: usize,
    pub(super) content_length: Option<u64>,
    pub(super) is_chunked: bool,
    pub(super) expects_continue: bool,
    pub(super) expects_something_else: bool,
    pub(super) has_upgrade: bool,
    /// Of several fields of this name, the first.
    pub(super) content_type: Option<&'b [u8]>,
    /// The same.
    pub(super) content_encoding: Option<&'b [u8]>,
    pub(super) connection: ConnectionOptions,
}

/// What the Connection fields of a head list (RFC 9110 section 7.6.1).
#[derive(Default)]
pub(super) struct ConnectionOptions {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Some option is the name of a field that ends here.
    pub(super) names_fields: bool,
    count: usize,
}

impl<'b> Survey<'b> {
    /// Takes one field, and says what its name means.
    #[inline]
    pub(super) fn take(&mut self, name: &[u8], value: &'b [u8]) -> Result<Name, FramingFault> {
        let name = classify(name);
        match name {
            Name::Host => {
                self.host = value;
                self.host_count += 1;
            }
            Name::ContentLength => self.take_length(value)?,
            Name::TransferEncoding => self.take_transfer_encoding(value)?,
            Name::Connection => self.connection.take(value)?,
            Name::Expect => self.take_expect(value),
            Name::Upgrade => self.has_upgrade = true,
            Name::ContentType => self.content_type = self.content_type.or(Some(value)),
            Name::ContentEncoding => self.content_encoding = self.content_encoding.or(Some(value)),
            _ => {}
        }
        Ok(name)
    }

    /// RFC 9112 section 6.3 lets a recipient take equal lengths for one. Two
    /// lengths are a sign of two opinions, so they are refused, equal or not.
    #[inline]
    fn take_length(&mut self, value: &[u8]) -> Result<(), FramingFault> {
        if self.content_length.is_some() || value.contains(&b',') {
            return Err(FramingFault::LengthTwice);
        }
        self.content_length = Some(length(value)?);
        Ok(())
    }

    #[inline]
    fn take_transfer_encoding(&mut self, value: &[u8]) -> Result<(), FramingFault> {
        if self.is_chunked {
            return Err(FramingFault::TransferEncodingTwice);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(transfer_encoding_fault(value));
        }
        self.is_chunked = true;
        Ok(())
    }

    /// RFC 9110 section 10.1.1: there is one expectation.
    fn take_expect(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"100-continue") && !self.expects_continue {
            self.expects_continue = true;
        } else {
            self.expects_something_else = true;
        }
    }
}

impl ConnectionOptions {
    /// Whether the connection outlives this message (RFC 9112 section 9.3).
    #[inline]
    pub(super) fn lets_live(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    #[inline]
    fn take(&mut self, value: &[u8]) -> Result<(), FramingFault> {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return Ok(());
        }
        for option in name::list_elements(value) {
            self.count += 1;
            if self.count > CONNECTION_OPTIONS_MAX {
                return Err(FramingFault::ConnectionOptionsTooMany);
            }
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.names_fields |= !option.is_empty();
            }
        }
        Ok(())
    }
}

/// Content-Length = 1*DIGIT. Signs, blanks and other digits are no digits, and
/// Rust's own number parsing takes some of them, so it is not used.
#[inline]
fn length(value: &[u8]) -> Result<u64, FramingFault> {
    if value.is_empty() {
        return Err(FramingFault::LengthInvalid);
    }
    let mut length = 0_u64;
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(FramingFault::LengthInvalid);
        }
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
            .filter(|length| *length < LENGTH_LIMIT)
            .ok_or(FramingFault::LengthTooLarge)?;
    }
    Ok(length)
}

/// What is wrong with a Transfer-Encoding that is not `chunked`.
#[cold]
fn transfer_encoding_fault(value: &[u8]) -> FramingFault {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if !name::list_elements(value).all(name::is_token) {
        return FramingFault::TransferEncodingInvalid;
    }
    if name::list_elements(value).all(is_chunked) {
        return FramingFault::TransferEncodingTwice;
    }
    // RFC 9112 section 6.1: nothing may be applied after chunked.
    let last_is_chunked = name::list_elements(value).last().is_some_and(is_chunked);
    if name::list_elements(value).any(is_chunked) && !last_is_chunked {
        return FramingFault::ChunkedNotLast;
    }
    FramingFault::TransferCodingUnknown
}
