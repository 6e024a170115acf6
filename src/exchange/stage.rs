//! What all requests of one shard share: the world, the settings, pools,
//! counters. One thread uses it; every borrow ends before the next wait.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    sync::{Arc, atomic::AtomicUsize},
    task::{Poll, Waker},
    time::Duration,
};

use super::{
    Counters,
    own_fields::OwnFields,
    pages::Pages,
    pool::{Farewell, Pools},
    rule_counts::RuleCounts,
    settings::{BackendSettings, Settings},
};
use crate::{
    balance::{Ask, BackendId, Balancing, Fleet, Ticket, Turn, Work},
    base::{Buffers, Chance, Instant, Seldom, Timer, Wheel},
    http,
    retry::Budget,
    route::RouteTable,
    rt::{ConnectAddress, World},
};

/// What all shards of a process share.
#[derive(Debug)]
pub struct Common {
    /// What is known of the backends.
    pub fleet: Fleet,
    /// Bytes held of request bodies, and for events that have not come whole.
    pub body_bytes: AtomicUsize,
    /// Requests under way.
    pub requests: AtomicUsize,
    /// How many attempts beyond the first there may be.
    pub retries: Budget,
    /// How often each rule has decided.
    pub rules: RuleCounts,
}

impl Common {
    /// For backends of which nothing is said but that they are there.
    #[must_use]
    pub fn new(backends: usize, balancing: Balancing) -> Self {
        Self::of(Fleet::new(backends, balancing))
    }

    #[must_use]
    pub fn of(fleet: Fleet) -> Self {
        Self {
            fleet,
            body_bytes: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            retries: Budget::default(),
            rules: RuleCounts::default(),
        }
    }
}

/// One shard's stage.
pub struct Stage<W: World> {
    pub world: W,
    pub settings: Settings,
    pub http_limits: http::Limits,
    pub counters: Arc<Counters>,
    pub common: Arc<Common>,
    pub buffers: RefCell<Buffers>,
    pub pools: RefCell<Pools<W::Stream>>,
    turn: RefCell<Turn>,
    /// What connections to each backend are secured with.
    pub security: Vec<W::Security>,
    /// When it was last said what is wrong with TLS, to each backend and …
    pub tls_notes: RefCell<Vec<Seldom>>,
    /// … of clients that too many handshakes wait, or that TLS comes where it
    /// is not spoken.
    pub shed_note: Seldom,
    pub plain_note: Seldom,
    /// The addresses of each backend, as last resolved.
    pub addresses: RefCell<Vec<Vec<ConnectAddress>>>,
    pub chance: RefCell<Chance>,
    pub draining: Cell<bool>,
    pub pages: Pages,
    /// Room to leave before a request's fields: the most that any backend
    /// needs, without method and target.
    pub prefix_room: usize,
    pub own_fields: OwnFields,
    pub routes: RouteTable,
    /// Requests that the budget of retries has not been told of yet.
    untold: Cell<u32>,
    polled_at: Cell<Instant>,
    wheel: RefCell<Wheel>,
    wheel_task: Cell<Option<Waker>>,
}

impl<W: World> Stage<W> {
    pub fn new(
        world: W,
        settings: Settings,
        common: Arc<Common>,
        counters: Arc<Counters>,
        pages: Pages,
        first_backend: usize,
        seed: u64,
    ) -> Self {
        let pool = settings.pool;
        let backends = settings.backends.len();
        let longest = settings.backends.iter().map(BackendSettings::prefix_bytes).max();
        Self {
            http_limits: http::Limits {
                head_bytes_max: settings.limits.head_bytes,
                headers_max: settings.limits.headers,
                target_bytes_max: settings.limits.target_bytes,
            },
            counters,
            turn: RefCell::new(Turn::new(&common.fleet, first_backend)),
            common,
            buffers: RefCell::new(Buffers::new(pool.buffer_bytes, pool.buffers)),
            pools: RefCell::new(Pools::new(backends, pool.idle_per_backend, pool.idle_timeout)),
            security: (0..backends).map(|_| W::Security::default()).collect(),
            tls_notes: RefCell::new((0..backends).map(|_| Seldom::default()).collect()),
            shed_note: Seldom::default(),
            plain_note: Seldom::default(),
            addresses: RefCell::new(vec![Vec::new(); backends]),
            chance: RefCell::new(Chance::seeded(seed)),
            draining: Cell::new(false),
            pages,
            prefix_room: longest.unwrap_or_default(),
            own_fields: OwnFields::new(&settings),
            routes: RouteTable::new(&settings.routes),
            untold: Cell::new(0),
            polled_at: Cell::new(world.now()),
            wheel: RefCell::new(Wheel::new(world.now())),
            wheel_task: Cell::new(None),
            settings,
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

    pub fn return_buffer(&self, buffer: Vec<u8>) {
        self.buffers.borrow_mut().give_back(buffer);
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

    /// Closes what lies idle: backend connections beyond their time or closed
    /// by their backend, and buffers that a quiet shard does not need.
    pub async fn sweep(&self) {
        let mut quiet_buffers = 0;
        loop {
            self.world.sleep_until(self.world.now().after(SWEEP_INTERVAL)).await;
            self.look_at_clock();
            assert!(self.settings.panics_at.as_deref() != Some("sweep"), "the sweep panics");
            let now = self.now();
            let (gone, idle) = {
                let mut pools = self.pools.borrow_mut();
                (pools.sweep(now), pools.idle_count())
            };
            self.say_farewell(gone);
            self.counters.backend_connections_idle.set(idle as u64);
            // Half of what lay unused for a whole interval goes.
            let mut buffers = self.buffers.borrow_mut();
            let free = buffers.free_count();
            if free <= quiet_buffers {
                buffers.trim(free / 2);
            }
            quiet_buffers = buffers.free_count();
            self.counters.operations.set(crate::rt::operations());
        }
    }

    /// Closes connections that will not be used again.
    pub fn say_farewell(&self, to: Vec<Farewell<W::Stream>>) {
        for farewell in to {
            self.world.spawn(farewell.said());
        }
    }

    /// Chooses one `among` these backends, or all of them, that is not in
    /// `tried`, and counts the request there.
    pub fn pick(
        &self,
        work: Work,
        among: Option<&[BackendId]>,
        tried: &[BackendId],
    ) -> Option<Ticket<'_>> {
        let (mut turn, mut chance) = (self.turn.borrow_mut(), self.chance.borrow_mut());
        let fleet = &self.common.fleet;
        let among = among.unwrap_or(fleet.everyone());
        let ask = Ask { among, tried, policy: fleet.policy(), work };
        fleet.pick(&mut turn, &ask, self.now(), &mut chance).ok()
    }

    /// Counts a request that may be retried. The budget, which all shards
    /// share, is told of many at once.
    pub fn count_for_retries(&self) {
        let untold = self.untold.get() + 1;
        self.untold.set(untold);
        if untold >= TOLD_AT_ONCE {
            self.retry_budget();
        }
    }

    /// What all shards may spend on further attempts, up to date.
    pub fn retry_budget(&self) -> &Budget {
        let budget = &self.common.retries;
        budget.deposit(self.untold.take(), self.settings.retry.budget_percent);
        budget
    }

    /// Whether a new request could be answered now.
    pub fn is_ready(&self) -> bool {
        !self.draining.get() && self.common.fleet.any_ready(self.now())
    }
}

/// Requests of which the budget of retries is told at once.
const TOLD_AT_ONCE: u32 = 32;
/// How long the wheel sleeps when there is no deadline at all.
const LONG_SLEEP: Duration = Duration::from_secs(60);
/// How often idle things are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
