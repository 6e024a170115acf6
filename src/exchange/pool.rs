//! The shard's idle connections to its backends. Last in, first out: the one
//! used last is the least likely to have been closed, and the rest may age
//! out.
//!
//! While a connection is idle its next receive is armed already, as a client's
//! is (`inbound`). What it brings before a request was sent, an end or bytes
//! that nobody asked for, disqualifies the connection; otherwise it is the
//! receive of the next answer. So a connection that has gone bad is known
//! without asking the kernel, and no answer is taken for another's.
//!
//! ```text
//! Link ──give_back──► Idle (receive armed) ──take──► Link (the same receive)
//!                       │ an end, bytes, too old
//!                       └──► Farewell: shut down, the receive awaited
//! ```

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::settings::PoolPlan;
use crate::{
    balance::BackendId,
    base::Instant,
    rt::{Stream, Transfer},
};

/// A receive that owns its stream, so that both can be kept together.
pub type Receive = Pin<Box<dyn Receiving>>;

/// A connection keeps the place of a receive for the next one, which spares it
/// an allocation for each request.
pub trait Receiving: Future<Output = Transfer> {
    /// Starts the next receive, into `buffer`; the last one is over.
    fn start_anew(self: Pin<&mut Self>, buffer: Vec<u8>);
}

pin_project! {
    struct OwnReceive<S, A, F> {
        stream: Rc<S>,
        arm: A,
        #[pin]
        receive: F,
    }
}

/// Starts a receive into `buffer`.
pub fn receive<S: Stream>(stream: &Rc<S>, buffer: Vec<u8>) -> Receive {
    let arm = |stream: Rc<S>, buffer| async move { stream.recv(buffer).await };
    let stream = Rc::clone(stream);
    let receive = arm(Rc::clone(&stream), buffer);
    Box::pin(OwnReceive { stream, arm, receive })
}

impl<S, A, F: Future<Output = Transfer>> Future for OwnReceive<S, A, F> {
    type Output = Transfer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Transfer> {
        self.project().receive.poll(cx)
    }
}

impl<S, A, F> Receiving for OwnReceive<S, A, F>
where
    A: Fn(Rc<S>, Vec<u8>) -> F,
    F: Future<Output = Transfer>,
{
    fn start_anew(self: Pin<&mut Self>, buffer: Vec<u8>) {
        let mut this = self.project();
        let next = (this.arm)(Rc::clone(this.stream), buffer);
        this.receive.set(next);
    }
}

/// Idle connections, at most a set number for each backend.
pub struct Pools<S> {
    /// Each is shared with the pools of other generations of the plan that have
    /// the same backend, so that a connection which comes back late is found.
    pools: Vec<Rc<RefCell<Pool<S>>>>,
    per_backend_max: usize,
    idle_timeout: Duration,
}

/// Those of one backend.
struct Pool<S> {
    idle: Vec<Idle<S>>,
    /// How often the backend has moved.
    moves: u64,
    /// It is no backend of the plan any more.
    closed: bool,
}

struct Idle<S> {
    stream: Rc<S>,
    receive: Receive,
    since: Instant,
}

/// A connection that will not be used again. Its receive owns a kernel
/// operation and is awaited: see [`Farewell::said`].
pub struct Farewell<S> {
    stream: Rc<S>,
    receive: Receive,
}

impl<S: Stream> Farewell<S> {
    /// Ends the connection; done when nothing of it is left.
    pub async fn said(self) {
        self.stream.finish();
        self.stream.shutdown();
        drop(self.receive.await);
    }
}

impl<S: Stream> Idle<S> {
    /// What the armed receive has brought, if anything. Nobody is woken by it.
    fn poll(&mut self) -> Poll<Transfer> {
        self.receive.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }
}

/// What became of a search for an idle connection.
pub struct Taken<S> {
    pub usable: Option<(Rc<S>, Receive)>,
    /// Those that were too old.
    pub old: Vec<Farewell<S>>,
}

impl<S> Default for Pool<S> {
    fn default() -> Self {
        Self { idle: Vec::new(), moves: 0, closed: false }
    }
}

impl<S: Stream> Pools<S> {
    pub fn new(backends: usize, plan: PoolPlan) -> Self {
        let pools = (0..backends).map(|_| Rc::default()).collect();
        Self::of(pools, plan)
    }

    fn of(pools: Vec<Rc<RefCell<Pool<S>>>>, plan: PoolPlan) -> Self {
        Self { pools, per_backend_max: plan.idle_per_backend, idle_timeout: plan.idle_timeout }
    }

    /// The pools of the next generation; `kept` says of each of its backends
    /// which one it is here, where connections may go on.
    pub fn followed_by(&self, kept: &[Option<BackendId>], plan: PoolPlan) -> Self {
        let pool = |kept: &Option<BackendId>| {
            let pool = kept.and_then(|kept| self.pools.get(kept.0));
            pool.map(Rc::clone).unwrap_or_default()
        };
        Self::of(kept.iter().map(pool).collect(), plan)
    }

    /// Gives up the connections to all other backends than those, for ever.
    pub fn close_others(&mut self, kept: &[Option<BackendId>]) -> Vec<Farewell<S>> {
        let mut gone = Vec::new();
        for (place, pool) in self.pools.iter().enumerate() {
            if !kept.contains(&Some(BackendId(place))) {
                let mut pool = pool.borrow_mut();
                pool.closed = true;
                gone.extend(pool.idle.drain(..).filter_map(farewell));
            }
        }
        gone
    }

    /// A connection that may carry the next request, with its receive armed.
    pub fn take(&mut self, backend: BackendId, now: Instant) -> Taken<S> {
        let mut taken = Taken { usable: None, old: Vec::new() };
        let Some(pool) = self.pools.get(backend.0) else { return taken };
        let idle = &mut pool.borrow_mut().idle;
        while let Some(mut candidate) = idle.pop() {
            if candidate.poll().is_ready() {
                continue; // It has ended, or said what nobody asked for.
            }
            let Idle { stream, receive, since } = candidate;
            if now.since(since) < self.idle_timeout {
                taken.usable = Some((stream, receive));
                break;
            }
            taken.old.push(Farewell { stream, receive });
        }
        taken
    }

    /// Tells connections that lead to where a backend is from those that lead
    /// to where it was.
    pub fn moves(&self, backend: BackendId) -> u64 {
        self.pools.get(backend.0).map_or(0, |pool| pool.borrow().moves)
    }

    /// Whether a connection that was made after so many moves may come back.
    pub fn has_room(&self, backend: BackendId, moves: u64) -> bool {
        self.pools.get(backend.0).is_some_and(|pool| {
            let pool = pool.borrow();
            !pool.closed && pool.moves == moves && pool.idle.len() < self.per_backend_max
        })
    }

    /// Keeps a connection on which both messages have ended cleanly.
    pub fn give_back(&mut self, backend: BackendId, stream: Rc<S>, receive: Receive, now: Instant) {
        let mut candidate = Idle { stream, receive, since: now };
        // The first poll starts the receive; it may bring something at once.
        if candidate.poll().is_pending()
            && let Some(pool) = self.pools.get(backend.0)
        {
            pool.borrow_mut().idle.push(candidate);
        }
    }

    /// The backend is reached elsewhere now: gives up its idle connections,
    /// and takes back none that was made before.
    pub fn moved(&mut self, backend: BackendId) -> Vec<Farewell<S>> {
        let Some(pool) = self.pools.get(backend.0) else { return Vec::new() };
        let mut pool = pool.borrow_mut();
        pool.moves += 1;
        pool.idle.drain(..).filter_map(farewell).collect()
    }

    /// Gives up what has been idle too long, ended, or said something.
    pub fn sweep(&mut self, now: Instant) -> Vec<Farewell<S>> {
        let mut gone = Vec::new();
        for pool in &self.pools {
            let idle = &mut pool.borrow_mut().idle;
            // The oldest stand in front.
            let old = idle.partition_point(|idle| now.since(idle.since) >= self.idle_timeout);
            gone.extend(idle.drain(..old).filter_map(farewell));
            idle.retain_mut(|candidate| candidate.poll().is_pending());
        }
        gone
    }

    pub fn idle_count(&self) -> usize {
        self.pools.iter().map(|pool| pool.borrow().idle.len()).sum()
    }
}

/// Nothing is to be awaited of a receive that is over.
fn farewell<S: Stream>(mut idle: Idle<S>) -> Option<Farewell<S>> {
    let under_way = idle.poll().is_pending();
    under_way.then_some(Farewell { stream: idle.stream, receive: idle.receive })
}
