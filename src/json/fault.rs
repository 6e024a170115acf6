//! What is wrong with a JSON document, and where.

/// The first fault of a document, at a byte offset from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonFault {
    pub offset: usize,
    pub kind: FaultKind,
}

/// The client (or the backend) wrote something that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    ExpectedObject,
    ExpectedKey,
    ExpectedColon,
    ExpectedValue,
    ExpectedCommaOrBrace,
    ExpectedCommaOrBracket,
    StringWithoutEnd,
    InvalidEscape,
    InvalidKey,
    InvalidNumber,
    InvalidLiteral,
    TooDeep,
    TooLong,
    BytesAfterEnd,
}

impl JsonFault {
    /// One sentence for the client's error body.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self.kind {
            FaultKind::ExpectedObject => "expected a JSON object",
            FaultKind::ExpectedKey => "expected a key in double quotes",
            FaultKind::ExpectedColon => "expected ':' after the key",
            FaultKind::ExpectedValue => "expected a value",
            FaultKind::ExpectedCommaOrBrace => "expected ',' or '}' after the member",
            FaultKind::ExpectedCommaOrBracket => "expected ',' or ']' after the element",
            FaultKind::StringWithoutEnd => "the string has no closing quote",
            FaultKind::InvalidEscape => "the escape in the string is not one that JSON knows",
            FaultKind::InvalidKey => "the key holds a control byte or is not UTF-8",
            FaultKind::InvalidNumber => "the number is not written as JSON requires",
            FaultKind::InvalidLiteral => "expected true, false or null",
            FaultKind::TooDeep => "the document is nested too deeply",
            FaultKind::TooLong => "the document is too long",
            FaultKind::BytesAfterEnd => "there are bytes after the end of the document",
        }
    }
}
