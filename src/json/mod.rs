//! JSON skimming: spans of what we must know, no tree, no copy.
//!
//! # The rule
//!
//! A document is refused unless it follows RFC 8259's grammar throughout:
//! brackets, commas, colons, numbers, literals, the ends of strings and the
//! form of escapes, at every depth to [`DEPTH_MAX`], and nothing but blanks
//! after the end. What stands *inside* a string is not examined, with one
//! exception: the keys that [`Skimmer`] hands out are free of control bytes
//! and are valid UTF-8.
//!
//! So a backend may still refuse what passes here (a control byte or broken
//! UTF-8 in a message's text is its business), but it can never find other
//! members or other spans in it than we did: no byte inside a string can move
//! the string's end, apart from the quote and the backslash.
//!
//! Escaped keys and duplicates are reported or left to the caller, which alone
//! knows the keys that matter.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))] // these are bytes from the network

mod cursor;
mod fault;
mod skim;
mod write;

#[cfg(test)]
pub(crate) mod mutate;
#[cfg(test)]
mod tests;

pub use fault::{FaultKind, JsonFault};
pub use skim::{Kind, Member, Skimmer, Value, check};
pub use write::write_string;

/// Brackets within brackets, the outermost included. serde_json, which many
/// backends and clients use, stops at 127; Python's default stops near 1000.
/// A stack of this depth fits into one `u128`.
pub const DEPTH_MAX: u32 = 128;
