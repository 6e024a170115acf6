//! What one shard has whatever the plan: the world, counters, buffers, time.
//! Generations of the plan stand on it, and come and go.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use super::{Counters, bells::Bells, settings::PoolPlan};
use crate::{
    base::{Buffers, Chance, Instant, Seldom, Timer, Wheel},
    retry::{Budget, HedgeCap},
    rt::World,
};

/// What all shards of a process share, whatever the plan.
#[derive(Debug, Default)]
pub struct Common {
    /// Bytes held of request bodies, and for events that have not come whole.
    pub body_bytes: AtomicUsize,
    /// Requests under way.
    pub requests: AtomicUsize,
    /// Requests that wait for a place at a backend, …
    pub queued: Queued,
    /// … and how their shards are told of one.
    pub bells: Bells,
    /// What conversations are told apart with, unknown to those who send them.
    pub hash_seed: u64,
    /// How many attempts beyond the first there may be.
    pub retries: Budget,
    /// How many backends may be asked beside others.
    pub hedges: HedgeCap,
}

impl Common {
    /// Of so many shards.
    #[must_use]
    pub fn of(shards: usize, hash_seed: u64) -> Self {
        Self { hash_seed, bells: Bells::new(shards), ..Self::default() }
    }
}

/// How many wait. Each request looks whether anybody does, and only those that
/// wait write it: on lines of its own, so that the look finds it where it was.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Queued(pub(super) AtomicUsize);

impl Queued {
    /// Nobody waits, in no shard. One that has just come may be missed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// One shard's ground.
pub struct Ground<W: World> {
    pub world: W,
    pub counters: Arc<Counters>,
    pub common: Arc<Common>,
    pub buffers: RefCell<Buffers>,
    pub chance: RefCell<Chance>,
    pub draining: Cell<bool>,
    /// When it was last said of clients that too many handshakes wait, or that
    /// TLS comes where it is not spoken.
    pub shed_note: Seldom,
    pub plain_note: Seldom,
    polled_at: Cell<Instant>,
    wheel: RefCell<Wheel>,
    wheel_task: Cell<Option<Waker>>,
    /// Buffers that lay unused when the last interval began.
    quiet_buffers: Cell<usize>,
}

impl<W: World> Ground<W> {
    /// Of `pool` only the buffers are looked at, which outlive plans.
    pub fn new(
        world: W,
        pool: PoolPlan,
        common: Arc<Common>,
        counters: Arc<Counters>,
        seed: u64,
    ) -> Self {
        Self {
            counters,
            common,
            buffers: RefCell::new(Buffers::new(pool.buffer_bytes, pool.buffers)),
            chance: RefCell::new(Chance::seeded(seed)),
            draining: Cell::new(false),
            shed_note: Seldom::default(),
            plain_note: Seldom::default(),
            polled_at: Cell::new(world.now()),
            wheel: RefCell::new(Wheel::new(world.now())),
            wheel_task: Cell::new(None),
            quiet_buffers: Cell::new(0),
            world,
        }
    }

    /// The time at which the task under way was last polled. A request asks
    /// for it a dozen times, and between two polls hardly any passes.
    pub fn now(&self) -> Instant {
        self.polled_at.get()
    }

    /// The time that the task has worked since it was polled.
    pub fn since_poll(&self) -> Duration {
        self.world.now().since(self.polled_at.get())
    }

    /// Asks the world's clock; whoever is polled does so first.
    pub fn look_at_clock(&self) {
        self.polled_at.set(self.world.now());
    }

    pub fn lend_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().lend()
    }

    /// Takes back a buffer, or what is left where one was.
    #[inline]
    pub fn return_buffer(&self, buffer: Vec<u8>) {
        if buffer.capacity() > 0 {
            self.buffers.borrow_mut().give_back(buffer);
        }
    }

    pub(super) fn set_timer(&self, timer: &Timer, at: Instant) {
        let earlier = self.wheel.borrow_mut().set(timer, at);
        if earlier && let Some(task) = self.wheel_task.take() {
            task.wake();
        }
    }

    /// Turns the deadline wheel for ever. One task of the shard runs this; it
    /// sleeps until the next deadline and is woken when an earlier one is set.
    pub async fn turn_wheel(&self) {
        loop {
            let next = self.wheel.borrow().next();
            let at = next.unwrap_or_else(|| self.world.now().after(LONG_SLEEP));
            let mut sleep = std::pin::pin!(self.world.sleep_until(at));
            poll_fn(|cx| {
                let moved = self.wheel.borrow().next().is_some_and(|next| next < at);
                if moved || sleep.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                self.wheel_task.set(Some(cx.waker().clone()));
                Poll::Pending
            })
            .await;
            let fired = self.wheel.borrow_mut().advance(self.world.now());
            let _ = fired; // Each woken connection counts what it was waiting for.
        }
    }

    /// Frees half of the buffers that lay unused for a whole interval.
    pub(super) fn trim_buffers(&self) {
        let mut buffers = self.buffers.borrow_mut();
        let free = buffers.free_count();
        if free <= self.quiet_buffers.get() {
            buffers.trim(free / 2);
        }
        self.quiet_buffers.set(buffers.free_count());
    }
}

/// How long the wheel sleeps when there is no deadline at all.
const LONG_SLEEP: Duration = Duration::from_secs(60);
