//! The members of one object, in order, as spans.

use super::cursor::Cursor;
use super::words::is_printable_ascii;
use super::{DEPTH_MAX, FaultKind, JsonFault};
use crate::base::Span;

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String { escaped: bool },
    Number,
    True,
    False,
    Null,
}

/// A value and the bytes it takes, a string's quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    pub kind: Kind,
    pub span: Span,
}

impl Value {
    /// The span of a string's inside, if the bytes there are the text itself.
    #[must_use]
    pub fn plain_text(self) -> Option<Span> {
        match self.kind {
            Kind::String { escaped: false } => {
                Some(Span { start: self.span.start + 1, end: self.span.end - 1 })
            }
            _ => None,
        }
    }
}

/// One member of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'b> {
    /// The key as written, without its quotes.
    pub key: &'b [u8],
    /// Where the key's first byte stands.
    pub key_offset: usize,
    /// The key holds an escape: it may mean another key than its bytes say.
    pub key_escaped: bool,
    pub value: Value,
}

/// Walks over an object's members. After a fault or the end it must not be
/// asked again: it would only repeat itself.
///
/// ```text
///   document ──'{'──> First ──member──> Next ──','──member──> Next ──'}'──> Done
///                       └──────'}'───────────────────────────────────────────┘
/// ```
pub struct Skimmer<'b> {
    cursor: Cursor<'b>,
    state: State,
    /// Nothing but blanks may stand behind the object.
    ends_text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    Next,
    Done,
}

impl<'b> Skimmer<'b> {
    /// Over a whole document, which must be an object and nothing else.
    pub fn document(bytes: &'b [u8]) -> Result<Self, JsonFault> {
        Self::open(bytes, 0)
    }

    /// Over an object found as a value of an outer one, in the same buffer.
    pub fn nested(bytes: &'b [u8], object: Span) -> Result<Self, JsonFault> {
        Self::open(bytes.get(..object.end as usize).unwrap_or_default(), object.start as usize)
    }

    /// Over an object that begins at `at`, with more behind it: see
    /// [`Self::at`].
    pub fn within(bytes: &'b [u8], at: usize) -> Result<Self, JsonFault> {
        Self::open(bytes, at).map(|skimmer| Self { ends_text: false, ..skimmer })
    }

    /// How far it has walked: behind the object, once there are no more
    /// members.
    #[must_use]
    pub fn at(&self) -> usize {
        self.cursor.at()
    }

    /// As if a member's value had just ended before `at`: only the rest of the
    /// object is walked. For buffers that hold but the tail of a document.
    #[must_use]
    pub fn after_member(bytes: &'b [u8], at: usize) -> Self {
        Self { cursor: Cursor::new(bytes, at), state: State::Next, ends_text: true }
    }

    /// Where the value that starts at `at` ends.
    pub fn value_end(bytes: &'b [u8], at: usize) -> Result<usize, JsonFault> {
        let mut cursor = Cursor::new(bytes, at);
        cursor.skip(DEPTH_MAX)?;
        Ok(cursor.at())
    }

    fn open(bytes: &'b [u8], at: usize) -> Result<Self, JsonFault> {
        let mut cursor = Cursor::new(bytes, at);
        if bytes.len() > u32::MAX as usize {
            return Err(cursor.fault(FaultKind::TooLong)); // spans are 32 bits wide
        }
        cursor.blanks();
        if cursor.byte() != Some(b'{') {
            return Err(cursor.fault(FaultKind::ExpectedObject));
        }
        cursor.step();
        Ok(Self { cursor, state: State::First, ends_text: true })
    }

    /// The next member, or nothing when the object and the text have ended.
    #[inline(always)] // A member is seven words: handing it over costs as much as finding it.
    pub fn next_member(&mut self) -> Result<Option<Member<'b>>, JsonFault> {
        let cursor = &mut self.cursor;
        cursor.blanks();
        match (self.state, cursor.byte()) {
            (State::Done, _) => return Ok(None),
            (_, Some(b'}')) => {
                cursor.step();
                self.state = State::Done;
                if self.ends_text {
                    cursor.end()?;
                }
                return Ok(None);
            }
            (State::First, _) => {}
            (State::Next, Some(b',')) => {
                cursor.step();
                cursor.blanks();
            }
            (State::Next, _) => return Err(cursor.fault(FaultKind::ExpectedCommaOrBrace)),
        }
        self.state = State::Next;
        self.member().map(Some)
    }

    #[inline(always)] // The same.
    fn member(&mut self) -> Result<Member<'b>, JsonFault> {
        let span = self.cursor.key()?;
        let key = self.cursor.bytes().get(span.start..span.end).unwrap_or_default();
        if !span.is_printable && !is_clean(key) {
            return Err(JsonFault { offset: span.start, kind: FaultKind::InvalidKey });
        }
        let value = value(&mut self.cursor, DEPTH_MAX - 1)?;
        Ok(Member { key, key_offset: span.start, key_escaped: span.escaped, value })
    }
}

/// Walks over an array's elements, as [`Skimmer`] does over members.
pub struct Elements<'b> {
    cursor: Cursor<'b>,
    state: State,
}

impl<'b> Elements<'b> {
    /// Over an array found as a value of an outer one, in the same buffer.
    pub fn nested(bytes: &'b [u8], array: Span) -> Result<Self, JsonFault> {
        let bytes = bytes.get(..array.end as usize).unwrap_or_default();
        let mut cursor = Cursor::new(bytes, array.start as usize);
        cursor.blanks();
        if cursor.byte() != Some(b'[') {
            return Err(cursor.fault(FaultKind::ExpectedValue));
        }
        cursor.step();
        Ok(Self { cursor, state: State::First })
    }

    /// The next element, or nothing when the array has ended. After a fault or
    /// the end it must not be asked again.
    pub fn next_element(&mut self) -> Result<Option<Value>, JsonFault> {
        let cursor = &mut self.cursor;
        cursor.blanks();
        match (self.state, cursor.byte()) {
            (State::Done, _) => return Ok(None),
            (_, Some(b']')) => {
                cursor.step();
                self.state = State::Done;
                return Ok(None);
            }
            (State::First, _) => {}
            (State::Next, Some(b',')) => {
                cursor.step();
                cursor.blanks();
            }
            (State::Next, _) => return Err(cursor.fault(FaultKind::ExpectedCommaOrBracket)),
        }
        self.state = State::Next;
        value(cursor, DEPTH_MAX - 1).map(Some)
    }
}

/// Whether `bytes` are one JSON value of any kind and nothing else, by the
/// whole grammar.
pub fn check(bytes: &[u8]) -> Result<(), JsonFault> {
    let mut cursor = Cursor::new(bytes, 0);
    cursor.blanks();
    cursor.value(DEPTH_MAX)?;
    cursor.end()
}

#[inline]
fn value(cursor: &mut Cursor<'_>, depth_max: u32) -> Result<Value, JsonFault> {
    let (first, start) = (cursor.byte(), cursor.at());
    let escaped = cursor.skip(depth_max)?;
    let kind = match first {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String { escaped },
        Some(b't') => Kind::True,
        Some(b'f') => Kind::False,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    };
    Ok(Value { kind, span: Span::new(start, cursor.at()) })
}

/// No control byte, and UTF-8: a decoder that drops broken bytes could make
/// another key of it.
#[cold]
fn is_clean(key: &[u8]) -> bool {
    is_printable_ascii(key)
        || (key.iter().all(|byte| *byte >= 0x20) && std::str::from_utf8(key).is_ok())
}
