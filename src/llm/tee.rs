//! Reads along while an answer passes: usage, the mark of its end, errors in
//! its midst. It holds nothing back and changes nothing.

mod body;
mod first;
mod stream;
#[cfg(test)]
mod tests;

pub use body::{BodyTee, TAIL_BYTES};
pub use first::{First, FirstEvent};
pub use stream::{End, StreamTee};
