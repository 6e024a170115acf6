//! The chunked transfer coding (RFC 9112 section 7.1), read in place.
//!
//! ```text
//!         ┌──────────────────────── DataCr ── DataLf <──┐
//!         v                                             │ last byte
//!   SizeFirst ──> Size ──> (Extension) ──> SizeLf ──> Data
//!                                             │ size 0
//!                                             v
//!                   ┌──> TrailerStart ──CR──> EndLf ──> Done
//!                   │          │
//!                   │     TrailerName ──:──> TrailerValue
//!                   └── TrailerLf <────────────CR──┘
//! ```
//!
//! Extensions and trailers are checked and dropped.

use std::ops::Range;

use super::body::Decoded;
use super::head::LENGTH_LIMIT;
use super::name::is_token_byte;

const SIZE_DIGITS_MAX: u8 = 16;
/// Nobody who speaks to a language model uses extensions; this is room for a
/// signature, and no more.
const EXTENSION_BYTES_MAX: u16 = 256;
const TRAILER_BYTES_MAX: u16 = 8 * 1024;
const TRAILERS_MAX: u8 = 64;

/// What is wrong with a chunked body. The connection cannot go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkFault {
    SizeEmpty,
    SizeInvalid,
    SizeTooLong,
    SizeTooLarge,
    ExtensionInvalid,
    ExtensionTooLong,
    SizeLineEnd,
    DataEnd,
    TrailerNameInvalid,
    TrailerValueInvalid,
    TrailerLineEnd,
    TrailersTooLarge,
    TooManyTrailers,
}

impl ChunkFault {
    /// The status of the answer, when a client sent it.
    pub fn status(self) -> u16 {
        match self {
            Self::TrailersTooLarge | Self::TooManyTrailers => 431,
            _ => 400,
        }
    }

    /// One sentence that tells the sender what is wrong.
    pub fn reason(self) -> &'static str {
        match self {
            Self::SizeEmpty => "A chunk has no size.",
            Self::SizeInvalid => "A chunk size is not a plain hexadecimal number.",
            Self::SizeTooLong => "A chunk size has more than 16 digits.",
            Self::SizeTooLarge => "A chunk size does not fit into 63 bits.",
            Self::ExtensionInvalid => "A chunk extension has a control or non-ASCII byte.",
            Self::ExtensionTooLong => "A chunk extension is longer than 256 bytes.",
            Self::SizeLineEnd => "A chunk size line does not end in CR LF.",
            Self::DataEnd => "There is no CR LF where the data of a chunk ends.",
            Self::TrailerNameInvalid => "The name of a trailer field is not a token.",
            Self::TrailerValueInvalid => "The value of a trailer field has a control byte.",
            Self::TrailerLineEnd => "A trailer line does not end in CR LF.",
            Self::TrailersTooLarge => "The trailer section is larger than 8 KiB.",
            Self::TooManyTrailers => "The trailer section has more than 64 fields.",
        }
    }
}

impl std::fmt::Display for ChunkFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for ChunkFault {}

/// Reads chunks; one for each chunked body.
#[derive(Debug)]
pub(super) struct ChunkDecoder {
    state: State,
    /// Of the chunk under way: its size so far, then its bytes still to come.
    size: u64,
    size_digits: u8,
    extension_bytes: u16,
    trailer_bytes: u16,
    trailers: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    SizeFirst,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
    Failed(ChunkFault),
}

impl ChunkDecoder {
    pub(super) fn new() -> Self {
        Self {
            state: State::SizeFirst,
            size: 0,
            size_digits: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            trailers: 0,
        }
    }

    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// See `BodyDecoder::decode`. A fault is for good.
    pub(super) fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, ChunkFault> {
        if self.state == State::SizeFirst
            && let Some(data) = plain_chunk(input)
        {
            let consumed = input.len();
            return Ok(Decoded { data, consumed, done: false, is_plain_chunk: true });
        }
        let mut data = 0..0;
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Done => break,
                State::Data => at += self.take_data(input, at, &mut data),
                state => {
                    let next = self.after(state, byte);
                    self.state = next.unwrap_or_else(State::Failed);
                    next?;
                    at += 1;
                }
            }
        }
        Ok(Decoded::data(data, at, self.is_done()))
    }

    /// Joins the run of data that begins at `at` to what was found before, and
    /// returns its length.
    #[inline]
    fn take_data(&mut self, input: &mut [u8], at: usize, data: &mut Range<usize>) -> usize {
        let length = (input.len() - at).min(usize::try_from(self.size).unwrap_or(usize::MAX));
        if data.start == data.end {
            *data = at..at + length;
        } else {
            input.copy_within(at..at + length, data.end);
            data.end += length;
        }
        self.size -= length as u64;
        if self.size == 0 {
            self.state = State::DataCr;
        }
        length
    }

    /// The state that `byte` leads to. Data never comes here.
    #[inline]
    fn after(&mut self, state: State, byte: u8) -> Result<State, ChunkFault> {
        match state {
            State::SizeFirst => self.begin_size(byte),
            State::Size => self.after_size(byte),
            State::Extension => self.after_extension(byte),
            State::SizeLf if byte != b'\n' => Err(ChunkFault::SizeLineEnd),
            State::SizeLf if self.size == 0 => Ok(State::TrailerStart),
            State::SizeLf => Ok(State::Data),
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::SizeFirst),
            State::DataCr | State::DataLf => Err(ChunkFault::DataEnd),
            State::EndLf if byte == b'\n' => Ok(State::Done),
            State::TrailerLf if byte == b'\n' => Ok(State::TrailerStart),
            State::EndLf | State::TrailerLf => Err(ChunkFault::TrailerLineEnd),
            State::TrailerStart | State::TrailerName | State::TrailerValue => {
                self.after_trailer(state, byte)
            }
            State::Failed(fault) => Err(fault),
            State::Data | State::Done => Ok(state),
        }
    }

    /// chunk-size = 1*HEXDIG, and nothing in front of it.
    #[inline]
    fn begin_size(&mut self, byte: u8) -> Result<State, ChunkFault> {
        match hex_digit(byte) {
            Some(digit) => {
                self.size = digit;
                self.size_digits = 1;
                self.extension_bytes = 0;
                Ok(State::Size)
            }
            None if matches!(byte, b'\r' | b'\n' | b';') => Err(ChunkFault::SizeEmpty),
            None => Err(ChunkFault::SizeInvalid),
        }
    }

    /// RFC 9112 section 7.1.1 lets blanks stand in front of an extension, and
    /// warns of them; they are refused.
    #[inline]
    fn after_size(&mut self, byte: u8) -> Result<State, ChunkFault> {
        match byte {
            b'\r' => return Ok(State::SizeLf),
            b';' => return Ok(State::Extension),
            b'\n' => return Err(ChunkFault::SizeLineEnd),
            _ => {}
        }
        let digit = hex_digit(byte).ok_or(ChunkFault::SizeInvalid)?;
        if self.size_digits == SIZE_DIGITS_MAX {
            return Err(ChunkFault::SizeTooLong);
        }
        self.size_digits += 1;
        // Sixteen digits fill the word exactly, so nothing is shifted out.
        self.size = self.size << 4 | digit;
        if self.size >= LENGTH_LIMIT {
            return Err(ChunkFault::SizeTooLarge);
        }
        Ok(State::Size)
    }

    /// Whatever an extension says, it is dropped; what could end the line for
    /// another reader is not let in.
    fn after_extension(&mut self, byte: u8) -> Result<State, ChunkFault> {
        match byte {
            b'\r' => return Ok(State::SizeLf),
            b'\n' => return Err(ChunkFault::SizeLineEnd),
            b'\t' | b' '..=b'~' => {}
            _ => return Err(ChunkFault::ExtensionInvalid),
        }
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(ChunkFault::ExtensionTooLong);
        }
        Ok(State::Extension)
    }

    /// trailer-section = *( field-line CRLF )
    fn after_trailer(&mut self, state: State, byte: u8) -> Result<State, ChunkFault> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(ChunkFault::TrailersTooLarge);
        }
        match (state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart, byte) if is_token_byte(byte) => {
                self.trailers += 1;
                if self.trailers > TRAILERS_MAX {
                    return Err(ChunkFault::TooManyTrailers);
                }
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, byte) if is_token_byte(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::TrailerValue),
            (_, b'\n') => Err(ChunkFault::TrailerLineEnd),
            (State::TrailerValue, _) => Err(ChunkFault::TrailerValueInvalid),
            _ => Err(ChunkFault::TrailerNameInvalid),
        }
    }
}

/// Where the data lies if the input is one whole chunk and nothing else, its
/// size written as we write it. Most events of a stream come like this, and
/// need no step through the states above.
#[inline]
fn plain_chunk(input: &[u8]) -> Option<Range<usize>> {
    let mut size = 0;
    let mut digits = 0;
    let data = loop {
        match *input.get(digits)? {
            b'\r' if input.get(digits + 1) == Some(&b'\n') => break digits + 2,
            byte @ (b'1'..=b'9' | b'a'..=b'f') => size = size << 4 | hex_digit(byte)? as usize,
            b'0' if digits > 0 => size <<= 4,
            _ => return None,
        }
        digits += 1;
        if digits > PLAIN_DIGITS_MAX {
            return None;
        }
    };
    let end = data + size;
    (digits > 0 && input.get(end..) == Some(b"\r\n")).then_some(data..end)
}

/// Larger chunks than this many digits say are bulk, and cost little a byte.
const PLAIN_DIGITS_MAX: usize = 5;

/// HEXDIG, in either case.
#[inline]
fn hex_digit(byte: u8) -> Option<u64> {
    match byte {
        b'0'..=b'9' => Some(u64::from(byte - b'0')),
        b'a'..=b'f' => Some(u64::from(byte - b'a') + 10),
        b'A'..=b'F' => Some(u64::from(byte - b'A') + 10),
        _ => None,
    }
}
