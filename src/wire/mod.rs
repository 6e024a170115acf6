//! A stream is a stream, plain or TLS: [`SecureWorld`] is any [`World`] whose
//! listeners and backends may be secured, and the rooms above do not notice.
//!
//! ```text
//! Secured: recv ◄─ open ◄─ inner.recv      try_send ─► seal ─► inner.try_send
//!           │ torn: part of a record        │ unsent: what the kernel left over
//!           │ over: plaintext without room
//! ```
//!
//! The state of a connection lives in its stream and never in a future. At
//! rest it has no buffer: records are opened in the buffer that the caller
//! lends, and sealed in one that all streams of the shard share.
//!
//! [`World`]: crate::rt::World

mod gate;
mod handshake;
mod receiving;
mod secured;
mod shared;
mod state;
mod stream;
mod world;

pub use gate::{Gate, With};
pub use secured::Secured;
pub use shared::Shared;
pub use stream::Wire;
pub use world::{Listener, SecureWorld, Socket};
