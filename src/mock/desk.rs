//! What all connections of one thread share.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use slab::Slab;

use super::{
    order::Route,
    pace::Pace,
    prefill::Prefill,
    script::Turn,
    stats::{Counters, Gauge, Stats},
};
use crate::{
    config::MockScript,
    rt::{Stream, World},
};

/// One thread's part of the mock.
pub struct Desk<W: World> {
    pub world: W,
    pub script: MockScript,
    pub stats: Arc<Stats>,
    pub pace: Pace,
    /// Of an engine whose prompts take time.
    pub prefill: Option<Prefill>,
    thread: usize,
    /// Requests so far that the script's faults may strike.
    requests: Cell<u32>,
    /// What `hang_up` shuts down.
    open: RefCell<Slab<Rc<W::Stream>>>,
}

/// A connection's entry among those that are open.
pub struct Open<'d, W: World> {
    desk: &'d Desk<W>,
    key: usize,
    _counted: Gauge<'d>,
}

impl<W: World> Desk<W> {
    pub fn new(world: W, script: MockScript, stats: Arc<Stats>, thread: usize) -> Self {
        let prefill = Prefill::of(script.prefill);
        Self {
            world,
            prefill,
            script,
            stats,
            pace: Pace::default(),
            thread,
            requests: Cell::new(0),
            open: RefCell::default(),
        }
    }

    /// Lists a connection as open, until what is returned is dropped.
    pub fn open(&self, stream: &Rc<W::Stream>) -> Open<'_, W> {
        let key = self.open.borrow_mut().insert(Rc::clone(stream));
        Open { desk: self, key, _counted: Gauge::raise(&self.counters().connections_open) }
    }

    /// Ends every connection; each then closes by itself.
    pub fn hang_up(&self) {
        self.open.borrow().iter().for_each(|(_, stream)| stream.shutdown());
    }

    pub fn is_quiet(&self) -> bool {
        self.open.borrow().is_empty()
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

impl<W: World> Drop for Open<'_, W> {
    fn drop(&mut self) {
        self.desk.open.borrow_mut().remove(self.key);
    }
}
