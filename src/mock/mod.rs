//! An LLM that answers, stalls and lies on command.
//!
//! It speaks OpenAI's and Anthropic's dialects, and does what its script and
//! a request's `x-mock-` headers say (`script.rs` lists them): `tokenring
//! mock` to try a proxy against, `serve --demo` to see one at work, and the
//! backend of our own tests and benchmarks.
//!
//! ```text
//!   head ──order──> what is asked ─┐
//!                   script ──turn──┴─> perform ──reply──> deliver ──outbox──> socket
//!                                                           └── prefill, pace: when
//! ```
//!
//! Its answers have no `Date`: the same request gets the same bytes each time.

mod connection;
mod deliver;
mod desk;
mod inbox;
mod lists;
mod order;
mod outbox;
mod pace;
mod perform;
mod prefill;
mod reply;
mod script;
mod stats;
mod text;
mod threads;

pub use stats::Totals;
pub use threads::{MockHandle, serve, start};
