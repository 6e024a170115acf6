//! A backend connection while it carries a request.

use std::sync::Arc;

use super::{Counters, Stage};
use crate::{
    balance::BackendId,
    rt::{Stream, World},
};

/// Counted as busy until it is dropped, which closes it, or given back.
pub struct Link<S> {
    stream: Option<S>,
    pub backend: BackendId,
    /// It has served before, so it may have been closed under our hands.
    pub reused: bool,
    counters: Arc<Counters>,
}

impl<S: Stream> Link<S> {
    pub fn new(stream: S, backend: BackendId, reused: bool, counters: &Arc<Counters>) -> Self {
        counters.backend_connections_busy.increment();
        Self { stream: Some(stream), backend, reused, counters: Arc::clone(counters) }
    }

    /// The stream; it is there until the link is given back.
    #[allow(clippy::expect_used, reason = "only `give_back`, which consumes the link, takes it")]
    pub fn stream(&self) -> &S {
        self.stream.as_ref().expect("a link holds its stream")
    }

    /// Both messages have ended cleanly and nothing is left unread: the
    /// connection may carry another request.
    pub fn give_back<W: World<Stream = S>>(mut self, stage: &Stage<W>) {
        if let Some(stream) = self.stream.take() {
            stage.pools.borrow_mut().give_back(self.backend, stream, stage.now());
        }
    }
}

impl<S> Drop for Link<S> {
    fn drop(&mut self) {
        self.counters.backend_connections_busy.subtract(1);
    }
}
