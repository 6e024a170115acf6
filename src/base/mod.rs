//! Units, time, chance, buffers and bounded collections. No I/O.

mod span;

pub use span::Span;
