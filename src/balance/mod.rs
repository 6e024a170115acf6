//! Which backend answers. Pure: the time and chance are arguments; what all
//! shards share are atomics, which know no clock.
//!
//! ```text
//! Fleet ──pick(work)──► Ticket ──first_byte──► ──done────────► estimates
//!   ▲                     │                    └─cut_short───► health
//!   │ Load: counts,       │ failed, unreachable, left
//!   │ estimates, health   ▼
//!   └──────────────── counts given back, also by a drop
//! ```
//!
//! `cost` says how soon a backend would answer and why, `choice` how the
//! policies choose, `health` when a backend is left alone, `queue` who waits in
//! a shard, and `front` who of all shards is first.

mod affinity;
mod apart;
mod ask;
mod blocks;
mod choice;
mod cost;
#[cfg(test)]
mod declining_tests;
mod ejecting;
mod engine;
mod estimate;
mod fleet;
mod front;
mod health;
mod left;
mod load;
#[cfg(test)]
mod no_room_tests;
mod peers;
mod policy;
#[cfg(test)]
mod prefix_scenario_tests;
mod prefixes;
mod prompts;
mod queue;
#[cfg(test)]
pub mod scenario;
#[cfg(test)]
mod scenario_tests;
mod seat;
mod ticket;
mod turn;

pub use crate::base::BackendId;
pub use apart::ModelKey;
pub use ask::{Ask, NoPick, Reach};
pub use blocks::{BLOCK_BYTES, hashes};
pub use engine::EngineFigures;
pub use fleet::Fleet;
pub use front::Rank;
pub use health::Probed;
pub use load::Figures;
pub use peers::Peers;
pub use policy::{Balancing, Ejection, Policy};
pub use prefixes::PREFIX_BYTES_MAX;
pub use queue::{Free, Number, Priority, Queue};
pub use seat::Seat;
pub use ticket::{Outturn, Shape, Ticket, Work};
pub use turn::Turn;

/// Seconds of the figures here: they are estimates, and six digits are many.
fn seconds(duration: std::time::Duration) -> f32 {
    duration.as_secs_f32()
}
