//! The shard's idle connections to its backends. Last in, first out: the one
//! used last is the least likely to have been closed, and the rest may age
//! out.

use std::time::Duration;

use crate::{balance::BackendId, base::Instant, rt::Stream};

/// Idle connections, at most a set number for each backend.
pub struct Pools<S> {
    idle: Vec<Vec<Idle<S>>>,
    per_backend_max: usize,
    idle_timeout: Duration,
}

struct Idle<S> {
    stream: S,
    since: Instant,
}

impl<S: Stream> Idle<S> {
    /// Not too old, not closed by its backend, and nothing left to read.
    fn may_serve(&self, now: Instant, idle_timeout: Duration) -> bool {
        now.since(self.since) < idle_timeout && self.stream.is_quiet()
    }
}

impl<S: Stream> Pools<S> {
    pub fn new(backends: usize, per_backend_max: usize, idle_timeout: Duration) -> Self {
        Self { idle: (0..backends).map(|_| Vec::new()).collect(), per_backend_max, idle_timeout }
    }

    /// A connection that may carry the next request.
    ///
    /// Each is looked at, however short its rest: bytes that came after its
    /// last answer (the body of an answer to HEAD, a second answer) would be
    /// taken for the next client's. That is one system call a request.
    pub fn take(&mut self, backend: BackendId, now: Instant) -> Option<S> {
        let idle = self.idle.get_mut(backend.0)?;
        while let Some(candidate) = idle.pop() {
            if candidate.may_serve(now, self.idle_timeout) {
                return Some(candidate.stream);
            }
        }
        None
    }

    /// Keeps a connection on which both messages have ended cleanly and
    /// nothing is left unread. Beyond the maximum it is closed.
    pub fn give_back(&mut self, backend: BackendId, stream: S, now: Instant) {
        if let Some(idle) = self.idle.get_mut(backend.0)
            && idle.len() < self.per_backend_max
        {
            idle.push(Idle { stream, since: now });
        }
    }

    /// Closes all idle connections to a backend whose address has changed.
    pub fn forget(&mut self, backend: BackendId) {
        if let Some(idle) = self.idle.get_mut(backend.0) {
            idle.clear();
        }
    }

    /// Closes what has been idle too long or was closed by its backend.
    pub fn sweep(&mut self, now: Instant) {
        let idle_timeout = self.idle_timeout;
        for idle in &mut self.idle {
            idle.retain(|candidate| candidate.may_serve(now, idle_timeout));
        }
    }

    pub fn idle_count(&self) -> usize {
        self.idle.iter().map(Vec::len).sum()
    }
}
