//! Server-sent events: finding lines and events in bytes cut anywhere.
//!
//! After the WHATWG HTML standard, section 9.2: lines end in LF, CRLF or CR, a
//! blank line ends an event, a byte order mark may come first, a line that
//! starts with a colon is a comment. Nothing is rewritten here and nothing is
//! held back: the bytes have passed to the client already or will, whatever is
//! read in them.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))] // these are bytes from the network

mod event;
mod scanner;

#[cfg(test)]
mod tests;

pub use event::{Event, Field, Fields, Reading};
pub use scanner::{CARRY_KEPT_BYTES, EVENT_BYTES_MAX, EVENT_HEAD_BYTES, EventScanner};
