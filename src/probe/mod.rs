//! Looks after backends from a side thread, never from a shard: are they well,
//! and how full are the engines behind them?
//!
//! ```text
//!            when (desk)       over a stream (ask)        without one
//! keeper ──► errand due ──► GET path, one deadline ──► reading ─► status ─► course ─► audience
//!   ▲                                                          └► page ─► exposition ─► audience
//!   └ letters: another round, other addresses, the end
//! ```
//!
//! Each backend has at most one question of a kind under way, on a connection
//! of its own; all of them together have a bound. What it means is for others to
//! judge.

mod ask;
mod course;
mod desk;
mod exposition;
mod fault;
mod figures;
#[doc(hidden)]
pub mod fuzz;
mod keeper;
mod plan;
mod reading;

pub use desk::{Audience, Round, Target, UNDER_WAY_MAX};
pub use exposition::Exposition;
pub use fault::ProbeFault;
pub use figures::ProbeFigures;
pub use keeper::{Letter, keep};
pub use plan::{EnginePlan, HealthPlan, ProbePlan};
