//! The model's name: where it stands, and what it says.

use super::fault::{PeekFault, PeekFaultKind};
use crate::base::Span;
use crate::json::{Kind, Value};

/// The longest model name. The longest public ones (paths of fine-tuned
/// models) stay below 150 bytes; names become labels and log fields.
pub const MODEL_BYTES_MAX: usize = 256;

/// Where a body names its model.
///
/// The name may be written with escapes (PHP writes every `/` as `\/`), so
/// that what stands there need not be the name itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    written: Span,
    escaped: bool,
}

impl Model {
    /// The name goes into routing, labels and logs: it must be printable.
    pub(super) fn read(body: &[u8], value: Value) -> Result<Self, PeekFault> {
        let fault = |kind| PeekFault { offset: value.span.start as usize, kind };
        let escaped = match value.kind {
            Kind::String { escaped } => escaped,
            Kind::Null => return Err(fault(PeekFaultKind::ModelMissing)),
            _ => return Err(fault(PeekFaultKind::ModelNotString)),
        };
        let written = Span { start: value.span.start + 1, end: value.span.end - 1 };
        let model = Self { written, escaped };
        model.check(body).map(|()| model).map_err(fault)
    }

    fn check(self, body: &[u8]) -> Result<(), PeekFaultKind> {
        if self.escaped {
            return check_name(decode(self.written(body), &mut [0; MODEL_BYTES_MAX])?);
        }
        check_name(self.written(body))
    }

    /// The name: UTF-8 with no control bytes, at least one and at most
    /// [`MODEL_BYTES_MAX`]. It may hold quotes and backslashes.
    #[must_use]
    pub fn name<'b>(self, body: &'b [u8], room: &'b mut [u8; MODEL_BYTES_MAX]) -> &'b [u8] {
        match self.escaped {
            // It could be decoded when it was read.
            true => decode(self.written(body), room).unwrap_or_default(),
            false => self.written(body),
        }
    }

    /// Where it stands in the body, its quotes included.
    #[must_use]
    pub fn place(self) -> std::ops::Range<usize> {
        self.written.start as usize - 1..self.written.end as usize + 1
    }

    /// The name as JSON writes it, without its quotes.
    #[must_use]
    pub fn written(self, body: &[u8]) -> &[u8] {
        self.written.of(body)
    }
}

fn check_name(name: &[u8]) -> Result<(), PeekFaultKind> {
    match name {
        [] => Err(PeekFaultKind::ModelEmpty),
        name if name.len() > MODEL_BYTES_MAX => Err(PeekFaultKind::ModelTooLong),
        name if is_printable(name) => Ok(()),
        _ => Err(PeekFaultKind::ModelUnprintable),
    }
}

/// Takes the escapes out of a string (RFC 8259 section 7), whose form has been
/// examined.
#[cold]
fn decode<'r>(
    mut rest: &[u8],
    room: &'r mut [u8; MODEL_BYTES_MAX],
) -> Result<&'r [u8], PeekFaultKind> {
    let mut length = 0;
    while let Some((first, tail)) = rest.split_first() {
        let mut utf8 = [*first, 0, 0, 0];
        let mut bytes = 1;
        rest = tail;
        if *first == b'\\' {
            let decoded;
            (decoded, rest) = character(tail).ok_or(PeekFaultKind::ModelEscaped)?;
            bytes = decoded.encode_utf8(&mut utf8).len();
        }
        let place = room.get_mut(length..length + bytes).ok_or(PeekFaultKind::ModelTooLong)?;
        place.copy_from_slice(utf8.get(..bytes).unwrap_or_default());
        length += bytes;
    }
    Ok(room.get(..length).unwrap_or_default())
}

/// The character that an escape means, and what follows it.
fn character(escape: &[u8]) -> Option<(char, &[u8])> {
    let (letter, rest) = escape.split_first()?;
    let plain = match letter {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(rest),
        other => char::from(*other),
    };
    Some((plain, rest))
}

/// Four digits, or two times four for a character beyond U+FFFF.
fn unicode(digits: &[u8]) -> Option<(char, &[u8])> {
    let (unit, rest) = code_unit(digits)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return Some((char::from_u32(unit)?, rest)); // the second of a pair alone is none
    }
    let (low, rest) = code_unit(rest.strip_prefix(b"\\u")?)?;
    let low = Some(low).filter(|low| (0xdc00..0xe000).contains(low))?;
    Some((char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?, rest))
}

fn code_unit(digits: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = digits.split_first_chunk::<4>()?;
    let unit = digits
        .iter()
        .try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))?;
    Some((unit, rest))
}

fn is_printable(name: &[u8]) -> bool {
    let is_ascii = name.iter().all(|byte| (0x20..0x7f).contains(byte));
    is_ascii
        || (name.iter().all(|byte| !byte.is_ascii_control()) && std::str::from_utf8(name).is_ok())
}
