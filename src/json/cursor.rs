//! A position in JSON text, and the grammar's steps from it (RFC 8259).
//!
//! Nothing recurses and nothing allocates: the open brackets are bits.

use super::words::{quote_or_backslash, short_plain, short_printable};
use super::{DEPTH_MAX, FaultKind, JsonFault};
use crate::base::ByteSet;

pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

/// Where a key stands, without its quotes.
pub(super) struct KeySpan {
    pub(super) start: usize,
    pub(super) end: usize,
    /// It holds an escape.
    pub(super) escaped: bool,
    /// It is known to be printable ASCII; otherwise it must be looked at.
    pub(super) is_printable: bool,
}

/// The open brackets, the innermost in the lowest bit: 1 is `{`, 0 is `[`.
struct Nest {
    bits: u128,
    depth: u32,
}

const _: () = assert!(DEPTH_MAX <= u128::BITS);

impl Nest {
    fn open(&mut self, object: bool, depth_max: u32) -> bool {
        self.bits = (self.bits << 1) | u128::from(object);
        self.depth += 1;
        self.depth <= depth_max
    }

    fn close(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.bits & 1 == 1
    }
}

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    #[inline]
    pub(super) fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// `ws`, RFC 8259 section 2.
    #[inline]
    pub(super) fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    pub(super) fn fault(&self, kind: FaultKind) -> JsonFault {
        JsonFault { offset: self.at, kind }
    }

    /// Blanks, then the end of the text.
    pub(super) fn end(&mut self) -> Result<(), JsonFault> {
        self.blanks();
        if self.at < self.bytes.len() { Err(self.fault(FaultKind::BytesAfterEnd)) } else { Ok(()) }
    }

    /// From an opening quote to behind the closing one. Says whether an escape
    /// was met.
    ///
    /// Most strings are keys and short words without an escape, for which the
    /// call would cost more than the search: they end here.
    #[inline]
    pub(super) fn string(&mut self) -> Result<bool, JsonFault> {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        match short_plain(rest) {
            Some(length) => {
                self.at += length + 2;
                Ok(false)
            }
            None => self.long_string(),
        }
    }

    #[inline(never)]
    fn long_string(&mut self) -> Result<bool, JsonFault> {
        let opening = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(found) = quote_or_backslash(rest) else {
                return Err(JsonFault { offset: opening, kind: FaultKind::StringWithoutEnd });
            };
            self.at += found;
            if rest.get(found) == Some(&b'"') {
                self.at += 1;
                return Ok(escaped);
            }
            escaped = true;
            // Escapes come in runs (`\n\n`, `\\\"`), so look before searching.
            while self.byte() == Some(b'\\') {
                self.escape()?;
            }
        }
    }

    /// RFC 8259 section 7. Whether surrogates pair up is not examined.
    fn escape(&mut self) -> Result<(), JsonFault> {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit()) => {
                self.at += 6;
            }
            _ => return Err(self.fault(FaultKind::InvalidEscape)),
        }
        Ok(())
    }

    /// RFC 8259 section 6: `[ minus ] int [ frac ] [ exp ]`.
    fn number(&mut self) -> Result<(), JsonFault> {
        if self.byte() == Some(b'-') {
            self.step();
        }
        match self.byte() {
            Some(b'0') => self.step(),
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.step();
            if let Some(b'+' | b'-') = self.byte() {
                self.step();
            }
            self.digits()?;
        }
        Ok(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), JsonFault> {
        let first = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.step();
        }
        if self.at == first { Err(self.fault(FaultKind::InvalidNumber)) } else { Ok(()) }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonFault> {
        if !self.bytes.get(self.at..).unwrap_or_default().starts_with(word) {
            return Err(self.fault(FaultKind::InvalidLiteral));
        }
        self.at += word.len();
        Ok(())
    }

    /// A key, its colon and the blanks around it, up to the value.
    #[inline]
    pub(super) fn key(&mut self) -> Result<KeySpan, JsonFault> {
        if self.byte() != Some(b'"') {
            return Err(self.fault(FaultKind::ExpectedKey));
        }
        let start = self.at + 1;
        let short = short_printable(self.bytes.get(start..).unwrap_or_default());
        let escaped = match short {
            Some(length) => {
                self.at = start + length + 1;
                false
            }
            None => self.long_string()?,
        };
        let end = self.at - 1;
        self.blanks();
        if self.byte() != Some(b':') {
            return Err(self.fault(FaultKind::ExpectedColon));
        }
        self.step();
        self.blanks();
        Ok(KeySpan { start, end, escaped, is_printable: short.is_some() })
    }

    /// A value that is neither object nor array. Says whether it is a string
    /// with an escape.
    fn scalar(&mut self) -> Result<bool, JsonFault> {
        match self.byte() {
            Some(b'"') => return self.string(),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            _ => return Err(self.fault(FaultKind::ExpectedValue)),
        }
        Ok(false)
    }

    /// One value, to behind its end, its inside looked at no closer than its
    /// end demands: strings, and brackets that close in order. Says whether it
    /// is a string with an escape.
    #[inline]
    pub(super) fn skip(&mut self, depth_max: u32) -> Result<bool, JsonFault> {
        match self.byte() {
            Some(b'{' | b'[') => self.skip_brackets(depth_max).map(|()| false),
            _ => self.scalar(),
        }
    }

    /// From an opening bracket to behind the one that closes it.
    fn skip_brackets(&mut self, depth_max: u32) -> Result<(), JsonFault> {
        let mut nest = Nest { bits: 0, depth: 0 };
        loop {
            match self.byte() {
                Some(byte) if INERT.contains(byte) => self.step(),
                Some(b'"') => drop(self.string()?),
                Some(open @ (b'{' | b'[')) => {
                    if !nest.open(open == b'{', depth_max) {
                        return Err(self.fault(FaultKind::TooDeep));
                    }
                    self.step();
                }
                Some(close @ (b'}' | b']')) if nest.in_object() == (close == b'}') => {
                    self.step();
                    nest.close();
                    if nest.depth == 0 {
                        return Ok(());
                    }
                }
                None | Some(b'}' | b']') if nest.in_object() => {
                    return Err(self.fault(FaultKind::ExpectedCommaOrBrace));
                }
                None | Some(b'}' | b']') => {
                    return Err(self.fault(FaultKind::ExpectedCommaOrBracket));
                }
                Some(_) => return Err(self.fault(FaultKind::ExpectedValue)),
            }
        }
    }

    /// One value of any kind, to behind its end, by the whole grammar. Says
    /// whether it is a string with an escape.
    pub(super) fn value(&mut self, depth_max: u32) -> Result<bool, JsonFault> {
        let mut nest = Nest { bits: 0, depth: 0 };
        loop {
            let ended = match self.byte() {
                Some(b'{') => self.open_object(&mut nest, depth_max)?,
                Some(b'[') => self.open_array(&mut nest, depth_max)?,
                _ => {
                    let escaped = self.scalar()?;
                    if nest.depth == 0 {
                        return Ok(escaped);
                    }
                    true
                }
            };
            if ended && self.close(&mut nest)? {
                return Ok(false);
            }
        }
    }

    /// Steps into an object up to its first value, or over an empty one. Says
    /// whether a value has ended here.
    fn open_object(&mut self, nest: &mut Nest, depth_max: u32) -> Result<bool, JsonFault> {
        if !nest.open(true, depth_max) {
            return Err(self.fault(FaultKind::TooDeep));
        }
        self.step();
        self.blanks();
        if self.byte() == Some(b'}') {
            self.step();
            nest.close();
            return Ok(true);
        }
        self.key()?;
        Ok(false)
    }

    /// The same for an array.
    fn open_array(&mut self, nest: &mut Nest, depth_max: u32) -> Result<bool, JsonFault> {
        if !nest.open(false, depth_max) {
            return Err(self.fault(FaultKind::TooDeep));
        }
        self.step();
        self.blanks();
        if self.byte() == Some(b']') {
            self.step();
            nest.close();
            return Ok(true);
        }
        Ok(false)
    }

    /// A value has ended: over the closing brackets and the comma that follow,
    /// up to the next value. True when no bracket is open any more.
    fn close(&mut self, nest: &mut Nest) -> Result<bool, JsonFault> {
        while nest.depth > 0 {
            self.blanks();
            match (self.byte(), nest.in_object()) {
                (Some(b','), object) => {
                    self.step();
                    self.blanks();
                    if object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.step();
                    nest.close();
                }
                (_, true) => return Err(self.fault(FaultKind::ExpectedCommaOrBrace)),
                (_, false) => return Err(self.fault(FaultKind::ExpectedCommaOrBracket)),
            }
        }
        Ok(true)
    }
}

/// What JSON writes between brackets and strings: blanks, commas, colons,
/// numbers and literals.
const INERT: ByteSet = ByteSet::of(b" \t\n\r,:0123456789+-.eEtrufalsn");
