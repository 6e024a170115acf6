//! Verb seven: what a request came to is counted, exactly once, however it
//! ended.

use super::{
    Stage,
    relay::{Outcome, Relayed},
};
use crate::rt::World;

/// Counts what a relayed answer came to.
pub fn settle<W: World>(stage: &Stage<W>, relayed: &Relayed) {
    let counters = &stage.counters;
    counters.bytes_to_clients.add(relayed.bytes_to_client);
    counters.events.add(relayed.events);
    if let Some(usage) = relayed.usage {
        counters.prompt_tokens.add(usage.prompt_tokens);
        counters.completion_tokens.add(usage.completion_tokens);
    }
    match relayed.outcome {
        Outcome::Whole => {}
        Outcome::ClientGone { .. } => counters.clients_gone.increment(),
        Outcome::Cut { .. } => counters.answers_cut.increment(),
    }
}
