//! What one request is answered with: the mock's script, and what the
//! request's own `x-mock-` headers say otherwise.
//!
//! The headers, of which the last counts where one stands twice. Those from
//! `status` to `error-at` concern LLM requests, the status echoes as well;
//! `stall-at: head` and `cut-at: head` and all below concern every request.
//!
//! | header | value | what it does |
//! |---|---|---|
//! | `x-mock-status` | `429` | answers with this status and an error body |
//! | `x-mock-retry-after` | `2s` | sends `retry-after` with it |
//! | `x-mock-tokens` | `16` | tokens in the answer |
//! | `x-mock-token-bytes` | `4` | bytes of text in a token, at most 1 MiB |
//! | `x-mock-first-token` | `200ms` | from the request's end to the first token |
//! | `x-mock-token-gap` | `5ms` | between two tokens |
//! | `x-mock-body-bytes` | `1GiB`, `1000` | size of the whole body, if unstreamed |
//! | `x-mock-stall-at` | `3`, `head` | falls silent for ever before this token, or before any byte |
//! | `x-mock-cut-at` | `3`, `head` | closes the connection there, with no end of the body |
//! | `x-mock-reset` | `1` | makes that close a reset |
//! | `x-mock-error-at` | `3` | an error event in place of this token ends the stream |
//! | `x-mock-omit-done` | `1` | ends the stream without its end mark |
//! | `x-mock-deaf` | `1` | goes on when the client has left, until sending fails |
//! | `x-mock-close` | `1` | `connection: close` |
//! | `x-mock-framing` | `length`, `chunked`, `close` | how the body ends |
//! | `x-mock-chunked` | `1` | the same as `x-mock-framing: chunked` |
//! | `x-mock-echo` | `1` | answers with the request's body |
//! | `x-mock-split` | `1` | sends the answer in pieces of so many bytes |
//! | `x-mock-interim` | `103`, `9x103` | interim answers before the answer |
//! | `x-mock-early` | `413` | answers before the body is read, then closes |
//! | `x-mock-headers` | `50` | so many more header fields in the answer |

use std::time::Duration;

use crate::{
    base::units::{Size, Time},
    config::MockScript,
};

/// More would be a mistyped number: a head of 1000 fields is refused by all.
const EXTRA_HEADERS_MAX: u16 = 1000;
/// The same for interim answers.
const INTERIMS_MAX: u16 = 1000;

/// How one request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub tokens: u32,
    pub token_bytes: usize,
    pub first_token: Duration,
    pub token_gap: Duration,
    pub body_bytes: Option<u64>,
    pub stall_at: Option<Place>,
    pub cut_at: Option<Place>,
    pub error_at: Option<Place>,
    /// A cut is a reset.
    pub reset: bool,
    pub omit_done: bool,
    pub deaf: bool,
    pub close: bool,
    pub framing: Option<Framing>,
    pub echo: bool,
    pub split: Option<usize>,
    pub interim: Option<Interim>,
    pub early: Option<u16>,
    pub extra_headers: u16,
}

/// Where in an answer a fault strikes: before any byte of it, or before a
/// token (the first is 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Head,
    Token(u32),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Stall,
    Cut,
    Error,
}

/// How the end of an answer's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length,
    Chunked,
    Close,
}

/// Interim answers (RFC 9110, section 15.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interim {
    pub status: u16,
    pub times: u16,
}

/// A header that is not understood. The client is told in these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptFault {
    #[error("there is no x-mock header of this name")]
    NameUnknown,
    #[error("a header of the mock wants a whole number")]
    NotNumber,
    #[error("the number in a header of the mock is too large")]
    TooLarge,
    #[error("a flag of the mock is 1 or 0")]
    NotFlag,
    #[error("x-mock-framing is one of length, chunked, close")]
    FramingUnknown,
    #[error("x-mock-status and x-mock-early are a status from 200 to 599")]
    StatusUnknown,
    #[error("x-mock-interim is a status from 100 to 199, or many of it, as in 9x103")]
    InterimUnknown,
    #[error("x-mock-split wants at least 1 byte")]
    SplitEmpty,
    #[error("a time in a header of the mock is a whole number and a unit, as in 200ms")]
    NotTime,
    #[error("a size in a header of the mock is a whole number, with a unit or without, as in 1MiB")]
    NotSize,
}

impl Turn {
    /// What the script says; `faulty` is whether its faults strike this time.
    #[must_use]
    pub fn of(script: &MockScript, faulty: bool) -> Self {
        let place = |at: Option<u32>| at.filter(|_| faulty).map(Place::Token);
        Self {
            status: if faulty { script.status } else { MockScript::STATUS },
            retry_after: script.retry_after.filter(|_| faulty),
            tokens: script.tokens,
            token_bytes: script.token_bytes,
            first_token: script.first_token,
            token_gap: script.token_gap,
            body_bytes: script.body_bytes.map(|bytes| bytes as u64),
            stall_at: place(script.stall_at),
            cut_at: place(script.cut_at),
            error_at: place(script.error_at),
            reset: false,
            omit_done: script.omit_done && faulty,
            deaf: false,
            close: false,
            framing: None,
            echo: false,
            split: None,
            interim: None,
            early: None,
            extra_headers: 0,
        }
    }

    /// Takes one header of the request. Others than `x-mock-` are not meant
    /// for us and change nothing.
    ///
    /// # Errors
    /// When the header is not understood.
    pub fn obey(&mut self, name: &[u8], value: &[u8]) -> Result<(), ScriptFault> {
        const PREFIX: &[u8] = b"x-mock-";
        // Names are tokens of any case (RFC 9110, section 5.1).
        let Some((prefix, name)) = name.split_at_checked(PREFIX.len()) else { return Ok(()) };
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return Ok(());
        }
        match name.to_ascii_lowercase().as_slice() {
            b"status" => self.status = status(value)?,
            b"retry-after" => self.retry_after = Some(time(value)?),
            b"tokens" => self.tokens = number(value)?,
            b"token-bytes" => self.token_bytes = token_bytes(value)?,
            b"first-token" => self.first_token = time(value)?,
            b"token-gap" => self.token_gap = time(value)?,
            b"body-bytes" => self.body_bytes = Some(size(value)? as u64),
            b"stall-at" => self.stall_at = Some(place(value)?),
            b"cut-at" => self.cut_at = Some(place(value)?),
            b"error-at" => self.error_at = Some(Place::Token(number(value)?)),
            b"reset" => self.reset = flag(value)?,
            b"omit-done" => self.omit_done = flag(value)?,
            b"deaf" => self.deaf = flag(value)?,
            b"close" => self.close = flag(value)?,
            b"framing" => self.framing = Some(framing(value)?),
            b"chunked" => self.framing = flag(value)?.then_some(Framing::Chunked).or(self.framing),
            b"echo" => self.echo = flag(value)?,
            b"split" => self.split = Some(split(value)?),
            b"interim" => self.interim = Some(interim(value)?),
            b"early" => self.early = Some(status(value)?),
            b"headers" => self.extra_headers = at_most(value, EXTRA_HEADERS_MAX)?,
            _ => return Err(ScriptFault::NameUnknown),
        }
        Ok(())
    }

    /// The fault that strikes first, if any.
    #[must_use]
    pub fn fault(&self) -> Option<(Place, Fault)> {
        let faults = [
            (self.stall_at, Fault::Stall),
            (self.cut_at, Fault::Cut),
            (self.error_at, Fault::Error),
        ];
        let placed = faults.into_iter().filter_map(|(at, fault)| Some((at?, fault)));
        placed.min_by_key(|(at, _)| *at)
    }

    /// When token `index` is due, after the end of the request.
    #[must_use]
    pub fn due(&self, index: u32) -> Duration {
        self.first_token.saturating_add(self.token_gap.saturating_mul(index))
    }
}

fn number(value: &[u8]) -> Result<u32, ScriptFault> {
    if value.is_empty() {
        return Err(ScriptFault::NotNumber);
    }
    value.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
        let digit = digit.ok_or(ScriptFault::NotNumber)?;
        let grown = number.checked_mul(10).and_then(|number| number.checked_add(digit));
        grown.ok_or(ScriptFault::TooLarge)
    })
}

fn at_most(value: &[u8], max: u16) -> Result<u16, ScriptFault> {
    let number = u16::try_from(number(value)?).map_err(|_| ScriptFault::TooLarge)?;
    if number <= max { Ok(number) } else { Err(ScriptFault::TooLarge) }
}

fn flag(value: &[u8]) -> Result<bool, ScriptFault> {
    match value {
        b"1" => Ok(true),
        b"0" => Ok(false),
        _ => Err(ScriptFault::NotFlag),
    }
}

fn time(value: &[u8]) -> Result<Duration, ScriptFault> {
    Time::read(value).map(|Time(time)| time).map_err(|_| ScriptFault::NotTime)
}

/// Unlike in the settings a bare number is allowed, as the name says bytes.
fn size(value: &[u8]) -> Result<usize, ScriptFault> {
    let read = match Size::read(value) {
        Ok(Size(bytes)) => Some(bytes),
        Err(_) => number(value).ok().map(|bytes| bytes as usize),
    };
    read.ok_or(ScriptFault::NotSize)
}

fn token_bytes(value: &[u8]) -> Result<usize, ScriptFault> {
    match size(value)? {
        bytes if bytes <= MockScript::TOKEN_BYTES_MAX => Ok(bytes),
        _ => Err(ScriptFault::TooLarge),
    }
}

fn split(value: &[u8]) -> Result<usize, ScriptFault> {
    match size(value)? {
        0 => Err(ScriptFault::SplitEmpty),
        bytes => Ok(bytes),
    }
}

fn place(value: &[u8]) -> Result<Place, ScriptFault> {
    match value {
        b"head" => Ok(Place::Head),
        _ => number(value).map(Place::Token),
    }
}

fn framing(value: &[u8]) -> Result<Framing, ScriptFault> {
    match value {
        b"length" => Ok(Framing::Length),
        b"chunked" => Ok(Framing::Chunked),
        b"close" => Ok(Framing::Close),
        _ => Err(ScriptFault::FramingUnknown),
    }
}

fn status(value: &[u8]) -> Result<u16, ScriptFault> {
    match number(value) {
        Ok(status @ 200..=599) => Ok(status as u16),
        _ => Err(ScriptFault::StatusUnknown),
    }
}

fn interim(value: &[u8]) -> Result<Interim, ScriptFault> {
    let (times, status) = match value.iter().position(|byte| *byte == b'x') {
        Some(at) => {
            let (times, status) = value.split_at(at);
            (at_most(times, INTERIMS_MAX)?, status.get(1..).unwrap_or_default())
        }
        None => (1, value),
    };
    match number(status) {
        Ok(status @ 100..=199) => Ok(Interim { status: status as u16, times }),
        _ => Err(ScriptFault::InterimUnknown),
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
