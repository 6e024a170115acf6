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

impl<S: Stream> Pools<S> {
    pub fn new(backends: usize, per_backend_max: usize, idle_timeout: Duration) -> Self {
        Self { idle: (0..backends).map(|_| Vec::new()).collect(), per_backend_max, idle_timeout }
    }

    /// A connection that may carry the next request. It is looked at first,
    /// which costs a system call: bytes that came while it was idle would be
    /// taken for the answer, and go to whoever asks next.
    pub fn take(&mut self, backend: BackendId, now: Instant) -> Option<S> {
        let idle = self.idle.get_mut(backend.0)?;
        while let Some(candidate) = idle.pop() {
            let age = now.since(candidate.since);
            if age < self.idle_timeout && candidate.stream.is_quiet() {
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
        for idle in &mut self.idle {
            idle.retain(|candidate| {
                let age = now.since(candidate.since);
                age < self.idle_timeout && candidate.stream.is_quiet()
            });
        }
    }

    pub fn idle_count(&self) -> usize {
        self.idle.iter().map(Vec::len).sum()
    }
}
