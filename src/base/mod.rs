//! Units, time, chance, buffers and bounded collections. No I/O.

mod buffers;
mod chance;
mod instant;
mod span;
pub mod units;
mod wheel;

pub use buffers::Buffers;
pub use chance::Chance;
pub use instant::Instant;
pub use span::Span;
pub use wheel::{TICK, Timer, Wheel};
