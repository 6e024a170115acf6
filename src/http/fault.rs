//! Everything a peer can do wrong in a head, one variant for each, with the
//! answer's status and one sentence for whoever has to mend it.
//! A `RequestFault` is the client's, a `ResponseFault` the backend's.

use std::fmt;

/// Faults of the lines of a head, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    TooLarge,
    TooManyFields,
    Incomplete,
    LeadingBlankLine,
    BareLf,
    BareCr,
    ControlByte,
    BlankBeforeFirstField,
    FoldedLine,
    BlankBeforeColon,
    ColonMissing,
    NameEmpty,
    NameInvalid,
}

impl HeadFault {
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyFields => 431,
            _ => 400,
        }
    }

    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "The head is larger than this server accepts.",
            Self::TooManyFields => "The head has more fields than this server accepts.",
            Self::Incomplete => "The head ends before its blank line.",
            Self::LeadingBlankLine => "There is a blank line in front of the start line.",
            Self::BareLf => "A line ends in LF without CR.",
            Self::BareCr => "There is a CR that no LF follows.",
            Self::ControlByte => "There is a control byte in the head.",
            Self::BlankBeforeFirstField => "There is a blank in front of the first field.",
            Self::FoldedLine => "A field is folded over more than one line.",
            Self::BlankBeforeColon => "There is a blank between a field name and its colon.",
            Self::ColonMissing => "A field line has no colon.",
            Self::NameEmpty => "A field has no name.",
            Self::NameInvalid => "A field name is not a token.",
        }
    }
}

/// Faults of the fields that say where the body ends and whether the
/// connection lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingFault {
    LengthInvalid,
    LengthTooLarge,
    LengthTwice,
    LengthWithTransferEncoding,
    TransferEncodingInvalid,
    TransferEncodingTwice,
    TransferEncodingOnHttp10,
    TransferCodingUnknown,
    ChunkedNotLast,
    ConnectionOptionsTooMany,
}

impl FramingFault {
    pub fn status(self) -> u16 {
        match self {
            // RFC 9112 section 6.1.
            Self::TransferCodingUnknown => 501,
            _ => 400,
        }
    }

    pub fn reason(self) -> &'static str {
        match self {
            Self::LengthInvalid => "Content-Length is not a plain decimal number.",
            Self::LengthTooLarge => "Content-Length does not fit into 63 bits.",
            Self::LengthTwice => "There is more than one Content-Length.",
            Self::LengthWithTransferEncoding => {
                "There is a Content-Length beside a Transfer-Encoding."
            }
            Self::TransferEncodingInvalid => "Transfer-Encoding is malformed.",
            Self::TransferEncodingTwice => "There is more than one Transfer-Encoding.",
            Self::TransferEncodingOnHttp10 => "HTTP/1.0 knows no Transfer-Encoding.",
            Self::TransferCodingUnknown => "The only transfer coding understood here is chunked.",
            Self::ChunkedNotLast => "The transfer coding chunked is not the last one.",
            Self::ConnectionOptionsTooMany => "Connection lists too many options.",
        }
    }
}

/// Why a request was refused. The connection closes after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    Head(HeadFault),
    Framing(FramingFault),
    Http2Preface,
    RequestLineSpaces,
    MethodInvalid,
    MethodRefused,
    TargetTooLong,
    TargetByte,
    TargetForm,
    TargetDotSegment,
    VersionMissing,
    VersionInvalid,
    VersionUnsupported,
    HostMissing,
    HostTwice,
    HostInvalid,
    HostDiffersFromTarget,
    NameShadowsKnown,
    ExpectUnknown,
}

impl RequestFault {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::Head(fault) => fault.status(),
            Self::Framing(fault) => fault.status(),
            Self::MethodRefused => 405,
            Self::TargetTooLong => 414,
            Self::ExpectUnknown => 417,
            Self::VersionUnsupported | Self::Http2Preface => 505,
            _ => 400,
        }
    }

    /// One sentence that tells the client what is wrong.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Head(fault) => fault.reason(),
            Self::Framing(fault) => fault.reason(),
            Self::Http2Preface => "This port speaks HTTP/1.1, and the client began with HTTP/2.",
            Self::RequestLineSpaces => "The request line needs exactly one space at two places.",
            Self::MethodInvalid => "The method is not a token.",
            Self::MethodRefused => "CONNECT and TRACE are not served here.",
            Self::TargetTooLong => "The request target is longer than this server accepts.",
            Self::TargetByte => "The request target has a byte that belongs into no target.",
            Self::TargetForm => "The request target is neither a path nor an http URI.",
            Self::TargetDotSegment => "The path of the request target has a dot segment.",
            Self::VersionMissing => "The request line has no version.",
            Self::VersionInvalid => "The version of the request line is malformed.",
            Self::VersionUnsupported => "The only versions spoken here are HTTP/1.0 and HTTP/1.1.",
            Self::HostMissing => "There is no Host.",
            Self::HostTwice => "There is more than one Host.",
            Self::HostInvalid => "Host is not a host name with an optional port.",
            Self::HostDiffersFromTarget => "Host differs from the authority of the target.",
            Self::NameShadowsKnown => {
                "A field name with an underscore looks like a field that is known here."
            }
            Self::ExpectUnknown => "The only expectation understood here is 100-continue.",
        }
    }
}

/// Why a response was refused. The backend connection is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFault {
    Head(HeadFault),
    Framing(FramingFault),
    StatusLineInvalid,
    VersionInvalid,
    StatusOutOfRange,
    UnsolicitedSwitch,
}

impl ResponseFault {
    /// One sentence that tells the operator what the backend did.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Head(fault) => fault.reason(),
            Self::Framing(fault) => fault.reason(),
            Self::StatusLineInvalid => "The status line is malformed.",
            Self::VersionInvalid => "The response is not of HTTP/1.0 or HTTP/1.1.",
            Self::StatusOutOfRange => "The status is not between 100 and 599.",
            Self::UnsolicitedSwitch => "The backend switched protocols without being asked.",
        }
    }
}

impl From<HeadFault> for RequestFault {
    fn from(fault: HeadFault) -> Self {
        Self::Head(fault)
    }
}

impl From<FramingFault> for RequestFault {
    fn from(fault: FramingFault) -> Self {
        Self::Framing(fault)
    }
}

impl From<HeadFault> for ResponseFault {
    fn from(fault: HeadFault) -> Self {
        Self::Head(fault)
    }
}

impl From<FramingFault> for ResponseFault {
    fn from(fault: FramingFault) -> Self {
        Self::Framing(fault)
    }
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl fmt::Display for ResponseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for RequestFault {}
impl std::error::Error for ResponseFault {}
