//! JSON skimming: spans of what we must know, no tree, no copy.
//!
//! # The rule
//!
//! [`check`] holds a document to RFC 8259's grammar throughout: brackets,
//! commas, colons, numbers, literals, the ends of strings and the form of
//! escapes, at every depth to [`DEPTH_MAX`], and nothing but blanks after the
//! end. What stands *inside* a string is not examined.
//!
//! [`Skimmer`] holds the members of its own object to the same, and their keys
//! to more: no control bytes, valid UTF-8. Within an object or array that is a
//! member's value it wants brackets that close in order, strings that end,
//! escapes that are well formed, and between them only bytes that JSON writes
//! there; in which order commas, numbers and literals stand is not examined.
//!
//! So a backend may still refuse what passes here (a missing comma in a
//! message or a control byte in its text is its business), but as long as it
//! reads UTF-8 (the exchange refuses a body that is said to be in another
//! charset) it can never find other members or other spans in it than we did:
//! no byte inside a
//! string can move the string's end, apart from the quote and the backslash,
//! and outside there are no comments or other quotes that some lenient reader
//! might know.
//!
//! Escaped keys and duplicates are reported or left to the caller, which alone
//! knows the keys that matter.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))] // these are bytes from the network

mod cursor;
mod fault;
mod skim;
mod words;
mod write;

#[cfg(test)]
pub(crate) mod mutate;
#[cfg(test)]
mod tests;

pub use fault::{FaultKind, JsonFault};
pub use skim::{Elements, Kind, Member, Skimmer, Value, check};
pub use write::write_string;

/// Brackets within brackets, the outermost included. serde_json, which many
/// backends and clients use, stops at 127; Python's default stops near 1000.
/// A stack of this depth fits into one `u128`.
pub const DEPTH_MAX: u32 = 128;
