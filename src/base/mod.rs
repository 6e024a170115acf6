//! Units, time, chance, buffers and bounded collections. No I/O.

mod span;
pub mod units;

pub use span::Span;
