//! A backend connection while it carries a request.

use std::rc::Rc;

use super::{
    Counters, Stage,
    pool::{Receive, receive},
};
use crate::{
    balance::BackendId,
    rt::{Stream, World},
};

/// Counted as busy until it is dropped, which closes it, or given back.
pub struct Link<'s, S> {
    stream: Rc<S>,
    /// The receive that was armed while the connection was idle, or the place
    /// of one that is over.
    receive: Option<Receive>,
    is_reused: bool,
    pub backend: BackendId,
    /// How often its backend had moved when it was made.
    moves: u64,
    counters: &'s Counters,
}

impl<'s, S: Stream> Link<'s, S> {
    /// A connection that was made now.
    pub fn fresh(stream: S, backend: BackendId, moves: u64, counters: &'s Counters) -> Self {
        counters.backend_connections_busy.increment();
        let (stream, receive) = (Rc::new(stream), None);
        Self { stream, receive, is_reused: false, backend, moves, counters }
    }

    /// A connection that has served before.
    pub fn reused(
        stream: Rc<S>,
        armed: Receive,
        backend: BackendId,
        moves: u64,
        counters: &'s Counters,
    ) -> Self {
        counters.backend_connections_busy.increment();
        let receive = Some(armed);
        Self { stream, receive, is_reused: true, backend, moves, counters }
    }

    /// It may have been closed while the request was on its way to it.
    pub fn is_reused(&self) -> bool {
        self.is_reused
    }

    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// A further receive, behind what `buffer` holds.
    pub fn receive(&self, buffer: Vec<u8>) -> Receive {
        receive(&self.stream, buffer)
    }

    /// The receive of the answer's beginning: the one that is armed, or a new
    /// one into `buffer`.
    pub fn first_receive(&mut self, buffer: impl FnOnce() -> Vec<u8>) -> Receive {
        self.receive.take().unwrap_or_else(|| receive(&self.stream, buffer()))
    }

    /// Keeps the place of a receive that is over, for the next one.
    pub fn keep(&mut self, over: Receive) {
        self.receive = Some(over);
    }

    /// Both messages have ended cleanly and nothing is left unread: the
    /// connection may carry another request. Where it may not, as its backend is
    /// none of the plan any more or has idle ones enough, it ends in order.
    pub fn give_back<W: World<Stream = S>>(mut self, stage: &Stage<W>) {
        let mut pools = stage.pools.borrow_mut();
        if pools.has_room(self.backend, self.moves) {
            let (stream, buffer) = (Rc::clone(&self.stream), stage.lend_buffer());
            let receive = match self.receive.take() {
                Some(mut over) => {
                    over.as_mut().start_anew(buffer);
                    over
                }
                None => receive(&stream, buffer),
            };
            pools.give_back(self.backend, stream, receive, stage.now());
        } else {
            self.stream.finish();
        }
    }
}

impl<S> Drop for Link<'_, S> {
    fn drop(&mut self) {
        self.counters.backend_connections_busy.subtract(1);
    }
}
