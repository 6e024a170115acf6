//! What all connections of one thread share.

use std::{cell::Cell, sync::Arc};

use super::{
    order::Route,
    pace::Pace,
    script::Turn,
    stats::{Counters, Stats},
};
use crate::config::MockScript;

/// One thread's part of the mock.
pub struct Desk<W> {
    pub world: W,
    pub script: MockScript,
    pub stats: Arc<Stats>,
    pub pace: Pace,
    thread: usize,
    /// Requests so far that the script's faults may strike.
    requests: Cell<u32>,
}

impl<W> Desk<W> {
    pub fn new(world: W, script: MockScript, stats: Arc<Stats>, thread: usize) -> Self {
        Self { world, script, stats, pace: Pace::default(), thread, requests: Cell::new(0) }
    }

    pub fn counters(&self) -> &Counters {
        self.stats.of_thread(self.thread)
    }

    /// What the script says to the next request for `route`. Its faults are
    /// an LLM's: health and statistics stay true.
    pub fn turn(&self, route: &Route) -> Turn {
        let is_struck = matches!(route, Route::Llm(_)) && {
            let count = self.requests.get().wrapping_add(1);
            self.requests.set(count);
            count.is_multiple_of(self.script.fault_every.max(1))
        };
        Turn::of(&self.script, is_struck)
    }

    /// Whether the mock has a model of this name.
    pub fn has_model(&self, name: &[u8]) -> bool {
        let models = &self.script.models;
        models.is_empty() || models.iter().any(|model| model.as_bytes() == name)
    }
}
