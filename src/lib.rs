//! Token Ring: an LLM proxy for bare-metal Linux.
//!
//! The floor plan. Imports point down only; rooms on one floor do not import
//! each other (`tidy.rs` checks both).
//!
//! ```text
//! 8  main.rs  cli/                   words from the operator
//! 7  server/       sim/              one process: threads, signals, drain | a seeded world (tests only)
//! 6  shard/        mock/             one core's loop | an LLM that answers, stalls and lies on command
//! 5  config/       admin/            settings -> Plan | health, metrics
//! 4  exchange/    probe/             the story of one request, one file per verb | are backends well
//! 3  balance/ route/ retry/          decisions, each alone
//! 2  llm/         wire/              what the bytes mean: dialects, peek, usage, errors | a stream is a stream
//! 1  http/ sse/ json/ tls/ rt/       formats, no I/O | the runtime seam: traits, and monoio behind them
//! 0  base/                           units, time, chance, buffers, bounded collections
//! ```
//!
//! Everything that decides is pure: it knows no socket, no clock and no
//! randomness, these are arguments. Everything that touches the world is thin
//! and lives in `rt/`.

#![deny(unsafe_code)] // `rt/` alone lifts this, block by block.

pub mod base;

pub mod http;
pub mod json;
pub mod rt;
pub mod sse;
pub mod tls;

pub mod llm;
pub mod wire;

pub mod balance;
pub mod retry;
pub mod route;

pub mod exchange;
pub mod probe;

pub mod admin;
pub mod config;

pub mod mock;
pub mod shard;

pub mod server;
#[cfg(test)]
mod sim;

pub mod cli;

#[cfg(test)]
mod tidy;
