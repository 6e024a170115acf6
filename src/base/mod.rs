//! Units, time, chance, buffers, looking for bytes, bounded collections. No I/O.

mod backend;
mod buffers;
mod bytes;
mod chance;
mod instant;
mod letters;
mod secret;
mod seldom;
mod span;
mod stable;
pub mod units;
mod wheel;

pub use backend::BackendId;
pub use buffers::Buffers;
pub use bytes::{ByteSet, TOPS, by_eight, eight, places_of};
pub use chance::Chance;
pub use instant::Instant;
pub use letters::{letters_off, letters_off_at_least, letters_off_max};
pub use secret::Secret;
pub use seldom::Seldom;
pub use span::Span;
pub use stable::{mixed, stable_hash};
pub use wheel::{TICK, Timer, Wheel};
