//! HTTP/1.1 without I/O, in both roles: bytes in, meaning out, and back.
//!
//! ```text
//! bytes ──HeadSearch──> one head ──parse_request / parse_response──> what it says
//!                                                                      │
//!            head bytes <──write── forwardable fields <──hop── Fields ─┘
//! bytes ──BodyDecoder──> body data ──frame_chunk──> bytes
//! ```
//!
//! Strict in, canonical out: what two receivers could read in two ways is
//! refused, and what is accepted is written anew, never forwarded as it came.
//! Nothing here allocates, waits, or knows a socket or a clock.

pub mod body;
pub mod charset;
pub mod chunk;
pub mod fields;
pub mod head;
pub mod hop;
pub mod request;
pub mod response;
pub mod write;

mod authority;
mod diagnose;
mod fault;
#[doc(hidden)]
pub mod fuzz;
mod name;
mod status;
mod survey;
mod target;

pub use body::{BodyDecoder, BodyFraming, Decoded, Truncated};
pub use charset::names_other_charset;
pub use chunk::ChunkFault;
pub use fault::{FramingFault, HeadFault, RequestFault, ResponseFault};
pub use fields::Fields;
pub use head::{HEADERS_MAX, HeadSearch, HeaderTable, Limits};
pub use hop::{forward, forwardable};
pub use name::{Name, is_token};
pub use request::{Method, Request, parse_request};
pub use response::{Response, parse_response};

/// The two versions that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

impl Version {
    /// From httparse's minor version, which is 0 or 1.
    fn from_minor(minor: u8) -> Self {
        if minor == 0 { Self::Http10 } else { Self::Http11 }
    }
}
