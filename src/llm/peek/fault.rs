//! Why a body was refused. The client is to blame for each; the status is 400.

use crate::json::{FaultKind, JsonFault};

/// The first fault of a body, at a byte offset from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeekFault {
    pub offset: usize,
    pub kind: PeekFaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeekFaultKind {
    Json(FaultKind),
    /// The key is written with an escape, so that we could miss which it is.
    KeyEscaped,
    /// A member that we read stands there twice.
    KeyTwice(&'static str),
    /// A key that differs from one we read in case only. Some decoders (Go's)
    /// take either for the other.
    KeyInOtherCase(&'static str),
    ModelMissing,
    ModelNotString,
    /// An escape in it means no character: half of a surrogate pair.
    ModelEscaped,
    ModelEmpty,
    ModelTooLong,
    ModelUnprintable,
    StreamNotBoolean,
    StreamOptionsNotObject,
    IncludeUsageNotBoolean,
}

impl PeekFault {
    /// Every one of these is the client's doing.
    pub const STATUS: u16 = 400;

    /// One sentence for the client.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self.kind {
            PeekFaultKind::Json(kind) => JsonFault { offset: self.offset, kind }.reason(),
            PeekFaultKind::KeyEscaped => "a key must be written without escapes",
            PeekFaultKind::KeyTwice(_) => "the parameter is given twice",
            PeekFaultKind::KeyInOtherCase(_) => "the parameter's name must be in lower case",
            PeekFaultKind::ModelMissing => "you must provide a model parameter",
            PeekFaultKind::ModelNotString => "the model must be a string",
            PeekFaultKind::ModelEscaped => "the model has an escape that means no character",
            PeekFaultKind::ModelEmpty => "the model must not be empty",
            PeekFaultKind::ModelTooLong => "the model's name is too long",
            PeekFaultKind::ModelUnprintable => {
                "the model's name holds a control byte or is not UTF-8"
            }
            PeekFaultKind::StreamNotBoolean => "stream must be true or false",
            PeekFaultKind::StreamOptionsNotObject => "stream_options must be an object",
            PeekFaultKind::IncludeUsageNotBoolean => "include_usage must be true or false",
        }
    }

    /// The parameter at fault, in the API's own name for it.
    #[must_use]
    pub fn param(self) -> Option<&'static str> {
        match self.kind {
            PeekFaultKind::Json(_) | PeekFaultKind::KeyEscaped => None,
            PeekFaultKind::KeyTwice(name) | PeekFaultKind::KeyInOtherCase(name) => Some(name),
            PeekFaultKind::ModelMissing
            | PeekFaultKind::ModelNotString
            | PeekFaultKind::ModelEscaped
            | PeekFaultKind::ModelEmpty
            | PeekFaultKind::ModelTooLong
            | PeekFaultKind::ModelUnprintable => Some("model"),
            PeekFaultKind::StreamNotBoolean => Some("stream"),
            PeekFaultKind::StreamOptionsNotObject => Some("stream_options"),
            PeekFaultKind::IncludeUsageNotBoolean => Some("stream_options.include_usage"),
        }
    }
}

impl From<JsonFault> for PeekFault {
    fn from(fault: JsonFault) -> Self {
        Self { offset: fault.offset, kind: PeekFaultKind::Json(fault.kind) }
    }
}
