//! One shard's stage for one generation of the plan: what all requests that are
//! told by this plan share. One thread uses it; every borrow ends before the
//! next wait.
//!
//! ```text
//!           ┌─ Stage 1 ◄── requests that began before the reload
//! Ground ◄──┤    │ idle connections to backends that stay
//!           │    ▼
//!           └─ Stage 2 ◄── requests that begin now
//! ```
//!
//! A stage goes when its last request ends.

use std::{
    cell::{Cell, RefCell},
    ops::Deref,
    rc::Rc,
    sync::Arc,
};

use super::{
    conversation::Policies,
    generation::Generation,
    ground::Ground,
    own_fields::OwnFields,
    pages::Pages,
    pool::{Farewell, Pools},
    queue::Waiting,
    rule_counts::ShardRules,
    settings::{BackendSettings, Settings},
};
use crate::{
    balance::{Ask, BackendId, Fleet, NoPick, Ticket, Turn},
    base::Seldom,
    http::{self, Request},
    retry::{Budget, HedgeCap},
    route::{HeadFacts, RouteTable},
    rt::{ConnectAddress, World},
};

/// One generation of the plan in one shard.
pub struct Stage<W: World> {
    /// Its fields are the stage's: see `deref`.
    pub ground: Rc<Ground<W>>,
    /// Which generation it is.
    pub number: u64,
    /// The place of its shard among all of them.
    pub index: usize,
    pub settings: Settings,
    pub http_limits: http::Limits,
    /// What is known of the backends, by all shards.
    pub fleet: Arc<Fleet>,
    pub pools: RefCell<Pools<W::Stream>>,
    turn: RefCell<Turn>,
    /// Requests that wait for a place at a backend.
    pub waiting: Waiting,
    /// What connections to each backend are secured with.
    pub security: Vec<W::Security>,
    /// When it was last said what is wrong with TLS, to each backend.
    pub tls_notes: RefCell<Vec<Seldom>>,
    /// The addresses of each backend, as last resolved.
    pub addresses: RefCell<Vec<Vec<ConnectAddress>>>,
    pub pages: Pages,
    /// Room to leave before a request's fields: the most that any backend
    /// needs, without method and target.
    pub prefix_room: usize,
    pub own_fields: OwnFields,
    pub routes: Arc<RouteTable>,
    pub rules: Arc<ShardRules>,
    pub policies: Policies,
    /// Requests that the budget of retries has not been told of yet.
    untold: Cell<u32>,
}

impl<W: World> Deref for Stage<W> {
    type Target = Ground<W>;

    fn deref(&self) -> &Ground<W> {
        &self.ground
    }
}

impl<W: World> Stage<W> {
    /// The stage of a shard that has none yet; `index` is the shard's place, and
    /// which backend it asks first.
    pub fn new(ground: Rc<Ground<W>>, plan: &Generation<W::Security>, index: usize) -> Self {
        let pools = Pools::new(plan.settings.backends.len(), plan.settings.pool);
        Self::with(ground, plan, pools, index)
    }

    /// The stage that follows this one. Idle connections to backends that stay
    /// go there; the others are closed, and none comes back to them.
    #[must_use]
    pub fn followed_by(&self, plan: &Generation<W::Security>, index: usize) -> Self {
        let nobody = vec![None; plan.settings.backends.len()];
        let follows = plan.number == self.number + 1;
        let kept = if follows { &plan.kept } else { &nobody };
        let pools = self.pools.borrow().followed_by(kept, plan.settings.pool);
        let gone = self.pools.borrow_mut().close_others(kept);
        self.say_farewell(gone);
        let next = Self::with(Rc::clone(&self.ground), plan, pools, index);
        for (place, kept) in kept.iter().enumerate() {
            let before = self.addresses.borrow();
            let before = kept.and_then(|kept| before.get(kept.0));
            let now = plan.addresses.get(place);
            if before.is_some() && before != now {
                let gone = next.pools.borrow_mut().moved(BackendId(place));
                next.say_farewell(gone);
            }
        }
        next
    }

    fn with(
        ground: Rc<Ground<W>>,
        plan: &Generation<W::Security>,
        pools: Pools<W::Stream>,
        index: usize,
    ) -> Self {
        let settings = plan.settings.clone();
        let backends = settings.backends.len();
        let longest = settings.backends.iter().map(BackendSettings::prefix_bytes).max();
        let mut addresses = plan.addresses.clone();
        addresses.resize(backends, Vec::new());
        Self {
            ground,
            number: plan.number,
            index,
            http_limits: http::Limits {
                head_bytes_max: settings.limits.head_bytes,
                headers_max: settings.limits.headers,
                target_bytes_max: settings.limits.target_bytes,
            },
            fleet: Arc::clone(&plan.fleet),
            pools: RefCell::new(pools),
            turn: RefCell::new(Turn::new(&plan.fleet, index)),
            waiting: Waiting::default(),
            security: plan.security.clone(),
            tls_notes: RefCell::new((0..backends).map(|_| Seldom::default()).collect()),
            addresses: RefCell::new(addresses),
            pages: Arc::clone(&plan.pages),
            prefix_room: longest.unwrap_or_default(),
            own_fields: OwnFields::new(&settings),
            routes: Arc::clone(&plan.routes),
            rules: plan.rules.of(index),
            policies: Policies::new(plan.fleet.policy(), &settings.policies),
            untold: Cell::new(0),
            settings,
        }
    }

    /// A backend is reached elsewhere now.
    pub fn move_backend(&self, backend: BackendId, to: &[ConnectAddress]) {
        if let Some(known) = self.addresses.borrow_mut().get_mut(backend.0)
            && known != to
        {
            to.clone_into(known);
            let gone = self.pools.borrow_mut().moved(backend);
            self.say_farewell(gone);
        }
    }

    /// Closes what lies idle: backend connections beyond their time or closed
    /// by their backend, and buffers that a quiet shard does not need.
    pub fn sweep(&self) {
        assert!(self.settings.panics_at.as_deref() != Some("sweep"), "the sweep panics");
        let (gone, idle) = {
            let mut pools = self.pools.borrow_mut();
            (pools.sweep(self.now()), pools.idle_count())
        };
        self.say_farewell(gone);
        self.counters.backend_connections_idle.set(idle as u64);
        self.trim_buffers();
        self.counters.operations.set(crate::rt::operations());
    }

    /// Closes connections that will not be used again.
    pub fn say_farewell(&self, to: Vec<Farewell<W::Stream>>) {
        for farewell in to {
            self.world.spawn(farewell.said());
        }
    }

    /// Chooses a backend, and counts the request there.
    pub fn pick_by(&self, ask: &Ask<'_>) -> Result<Ticket<'_>, NoPick> {
        let (mut turn, mut chance) = (self.turn.borrow_mut(), self.chance.borrow_mut());
        self.fleet.pick(&mut turn, ask, self.now(), &mut chance)
    }

    /// What will be asked of this head once its body has come.
    pub fn head_facts(&self, request: &Request<'_, '_>) -> HeadFacts {
        if self.routes.is_plain() && !self.policies.ask_head() {
            return HeadFacts::default();
        }
        self.routes.head_facts(request.path, &request.fields)
    }

    /// Counts a request that may be retried. The budget, which all shards
    /// share, is told of many at once.
    pub fn count_for_retries(&self) {
        let untold = self.untold.get() + 1;
        self.untold.set(untold);
        if untold >= TOLD_AT_ONCE {
            self.tell_of_requests();
        }
    }

    /// What all shards may spend on further attempts, up to date.
    pub fn retry_budget(&self) -> &Budget {
        self.tell_of_requests();
        &self.common.retries
    }

    /// How many backends all shards may ask beside others, up to date.
    pub fn hedge_cap(&self) -> &HedgeCap {
        self.tell_of_requests();
        &self.common.hedges
    }

    fn tell_of_requests(&self) {
        let (requests, plan) = (self.untold.take(), &self.settings.retry);
        self.common.retries.deposit(requests, plan.budget_percent, self.now());
        if plan.hedges() {
            self.common.hedges.deposit(requests, plan.hedge_percent_max);
        }
    }

    /// Whether a new request could be answered now.
    pub fn is_ready(&self) -> bool {
        !self.draining.get() && self.fleet.any_ready(self.now())
    }
}

/// Requests of which the budget of retries is told at once.
const TOLD_AT_ONCE: u32 = 32;
