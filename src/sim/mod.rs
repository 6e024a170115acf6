//! Whole shards under one seed: their clients, their backends, the network
//! between them and the clock are simulated, on one thread, and a seed decides
//! everything. Only compiled for tests; no part of the product.
//!
//! ```text
//! seeds, scenarios      which worlds are run
//! turns                 who waits, and who is next
//! marks                 who is said to be unwell, and is left alone
//! rules                 what the world itself promises
//! run                   one world, from its seed to the verdict
//! checks, ledger        what must hold | what was asked, done and seen
//! attempts              what must hold of whom is asked, and how often
//! capacity              what must hold of how many are under way, and wait
//! client                who asks
//! backend, answer       who is asked | what he answers, or not
//! order, message        what is asked and answered | plain HTTP of our own
//! house, actions        the proxy's shards | what happens to the world
//! probes                backends are asked how they are, and say it
//! plan, models          what the operator says | and what of models
//! faults                every knob, and which of them a seed turns
//! world, stream         `rt::World` and `rt::Stream`
//! network, connection   who listens where | two pipes of bytes
//! executor, core        tasks | the clock, and what is still to happen
//! chronicle             the fingerprint of a run, and what must not be
//! ```
//!
//! TLS is left out: its keys and signatures are drawn by the library, and a
//! seed could not replay them.

mod actions;
mod answer;
mod attempts;
mod backend;
mod capacity;
mod checks;
mod chronicle;
mod client;
mod connection;
mod core;
mod executor;
mod faults;
mod house;
mod ledger;
mod marks;
mod message;
mod models;
mod network;
mod order;
mod plan;
mod probes;
mod rules;
mod run;
mod scenarios;
mod seeds;
mod stream;
mod turns;
mod world;
