//! The proxy in a simulated world: its shards, all in one executor. What
//! `server/` does with threads and sockets is done here in one place, so that
//! a change of how a shard is built is a change here.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

use super::{
    backend,
    client::front,
    executor::Owner,
    faults::Faults,
    plan::{Plan, Says, name_of},
    probes::Probes,
    world::SimWorld,
};
use crate::{
    admin::{self, Facts},
    balance::{BackendId, Fleet},
    base::{Chance, Instant},
    exchange::{Common, Counters, Generation, Ground, Kind, Stage, peers},
    retry::Class,
    route::RouteTable,
    rt::{ConnectAddress, Mailbox, World, mailbox},
    shard::{self, Letter, Shard},
};

type Mail = shard::Mail<SimWorld>;

/// Letters that may wait for one shard.
const MAILBOX_LETTERS: usize = 64;

pub struct House {
    pub plan: Plan,
    pub common: Arc<Common>,
    pub counters: Arc<[Arc<Counters>]>,
    pub opened_at: Instant,
    world: SimWorld,
    now: RefCell<InForce>,
    /// The fleets of all generations, which may still have tickets out.
    pub fleets: RefCell<Vec<Arc<Fleet>>>,
    /// What was ever said, and of which backends.
    pub said: RefCell<Vec<(Vec<usize>, Says)>>,
    shards: Vec<Rc<Shard<SimWorld>>>,
    mailboxes: Vec<Mailbox<Mail>>,
    probes: Probes,
    /// Shards that run.
    running: Rc<Cell<usize>>,
}

/// The generation that requests are told by which begin now.
pub struct InForce {
    pub number: u64,
    /// Which backends it has, in its order.
    pub set: Vec<usize>,
    says: Says,
    pub fleet: Arc<Fleet>,
}

impl House {
    /// Builds the shards, and lets them run.
    pub fn open(world: &SimWorld, plan: Plan, chance: &mut Chance) -> Self {
        let world = world.of(Owner::House);
        let (mailboxes, letterboxes): (Vec<_>, Vec<_>) =
            (0..plan.shards).map(|_| mailbox(MAILBOX_LETTERS)).unzip();
        let set: Vec<usize> = (0..plan.backends).collect();
        let peers = peers(&plan.says.models.routes(&set));
        let fleet = Fleet::of(plan.says.seats(&set), plan.balancing).with_peers(peers);
        let fleet = Arc::new(fleet);
        let counters: Arc<[Arc<Counters>]> =
            (0..plan.shards).map(|_| Arc::new(Counters::default())).collect();
        let seats = Arc::new(shard::House::new(plan.shards, None));
        let now = InForce { number: 1, set, says: plan.says.clone(), fleet };
        let mut house = Self {
            common: Arc::new(Common::of(plan.shards, 0)),
            counters,
            opened_at: world.now(),
            world: world.clone(),
            fleets: RefCell::new(vec![Arc::clone(&now.fleet)]),
            said: RefCell::new(vec![(now.set.clone(), plan.says.clone())]),
            probes: Probes::start(&world, &plan.probes, &now, chance.next_u64()),
            now: RefCell::new(now),
            shards: Vec::new(),
            mailboxes,
            running: Rc::new(Cell::new(plan.shards)),
            plan,
        };
        let nobody = vec![None; house.plan.backends];
        let generation = house.generation(nobody);
        for (index, letterbox) in letterboxes.into_iter().enumerate() {
            let seed = chance.next_u64();
            let shard = Rc::new(house.build_shard(&generation, index, &seats, seed));
            house.shards.push(Rc::clone(&shard));
            let listener = world.listen(front());
            let running = Rc::clone(&house.running);
            world.spawn_vital(async move {
                shard.run(vec![(listener, false)], letterbox).await;
                running.set(running.get() - 1);
            });
        }
        house
    }

    /// What shards are told of the plan in force, as `server/generation.rs`
    /// writes it.
    fn generation(&self, kept: Vec<Option<BackendId>>) -> Generation<()> {
        let now = self.now.borrow();
        let facts = Facts {
            version: "",
            driver: Arc::default(),
            panics: || 0,
            certificates: None,
            fleet: Arc::clone(&now.fleet),
            backends: now.set.iter().map(|index| name_of(*index)).collect(),
            probes: now.set.iter().map(|_| Arc::default()).collect(),
            reloads: Arc::default(),
            rules: Arc::default(),
        };
        let address = |index: &usize| vec![ConnectAddress::Tcp(backend::address(*index, false))];
        Generation {
            number: now.number,
            settings: self.plan.settings(&now.set, &now.says, &self.faults()),
            pages: admin::pages(Arc::clone(&self.counters), facts),
            fleet: Arc::clone(&now.fleet),
            routes: Arc::new(RouteTable::new(&now.says.models.routes(&now.set))),
            rules: Arc::default(),
            security: vec![(); now.set.len()],
            addresses: now.set.iter().map(address).collect(),
            kept,
        }
    }

    fn faults(&self) -> Faults {
        self.world.core.with(|state| state.faults.clone())
    }

    /// A new plan is taken, with these backends in this order.
    pub fn reload(&self, set: Vec<usize>, chance: &mut Chance) {
        let says = Says::drawn(&self.faults(), self.plan.backends, chance);
        let kept: Vec<Option<BackendId>> = {
            let before = &self.now.borrow().set;
            let place = |index: &usize| before.iter().position(|old| old == index).map(BackendId);
            set.iter().map(place).collect()
        };
        let next = {
            let now = self.now.borrow();
            let seats = says.seats(&set);
            let at = self.world.now();
            let fleet = now.fleet.followed_by(&kept, seats, self.plan.balancing, at);
            let fleet = Arc::new(fleet.with_peers(peers(&says.models.routes(&set))));
            InForce { number: now.number + 1, set, says, fleet }
        };
        self.probes.follow(&self.plan.probes, &next);
        self.said.borrow_mut().push((next.set.clone(), next.says.clone()));
        self.fleets.borrow_mut().push(Arc::clone(&next.fleet));
        *self.now.borrow_mut() = next;
        let generation = Arc::new(self.generation(kept));
        self.tell(|| Letter::Plan(Arc::clone(&generation)));
    }

    /// One shard, as `server/shards.rs` builds it.
    fn build_shard(
        &self,
        generation: &Generation<()>,
        index: usize,
        seats: &Arc<shard::House>,
        seed: u64,
    ) -> Shard<SimWorld> {
        let (common, counters) = (Arc::clone(&self.common), Arc::clone(&self.counters[index]));
        let ground = Ground::new(self.world.clone(), self.plan.pool, common, counters, seed);
        let stage = Stage::new(Rc::new(ground), generation, index);
        let connections_max = self.plan.limits.connections;
        Shard::new(index, stage, self.mailboxes.clone(), Arc::clone(seats), connections_max)
    }

    fn tell(&self, letter: impl Fn() -> Mail) {
        for mailbox in &self.mailboxes {
            // A shard that has ended has nobody to tell.
            let _ = mailbox.send(letter());
        }
    }

    pub fn drain(&self) {
        self.tell(|| Letter::Drain);
    }

    pub fn cut(&self) {
        self.tell(|| Letter::Cut);
    }

    pub fn backend_moves(&self, index: usize, moved: bool) {
        let now = self.now.borrow();
        let Some(place) = now.set.iter().position(|known| *known == index) else { return };
        let addresses = vec![ConnectAddress::Tcp(backend::address(index, moved))];
        self.probes.moved(now.number, BackendId(place), &addresses);
        self.tell(|| Letter::Addresses {
            generation: now.number,
            backend: BackendId(place),
            addresses: addresses.clone(),
        });
    }

    /// Backends are not asked any more how they are.
    pub fn end_probes(&self) {
        self.probes.end();
    }

    pub fn has_ended(&self) -> bool {
        self.running.get() == 0
    }

    /// A figure, over all shards.
    pub fn sum(&self, name: &str) -> u64 {
        let mut sum = 0_u64;
        for counters in self.counters.iter() {
            counters.each(|found, _, _, value| {
                if found == name {
                    sum = sum.wrapping_add(value);
                }
            });
        }
        sum
    }

    /// Every figure, over all shards.
    pub fn figures(&self) -> BTreeMap<&'static str, u64> {
        let mut figures = BTreeMap::new();
        for counters in self.counters.iter() {
            counters.each(|name, _, _, value| {
                let sum: &mut u64 = figures.entry(name).or_default();
                *sum = sum.wrapping_add(value);
            });
        }
        figures.insert("fallbacks", self.fallbacks());
        figures.insert("retries", Class::ALL.into_iter().map(|class| self.retries(class)).sum());
        figures
    }

    /// Further attempts after this class of failure, in all shards.
    pub fn retries(&self, of: Class) -> u64 {
        let counts = self.counters.iter().flat_map(|counters| counters.retries());
        counts.filter(|(class, _)| *class == of).map(|(_, count)| count).sum()
    }

    /// Other models that were asked, in all shards.
    pub fn fallbacks(&self) -> u64 {
        let counts = self.counters.iter().flat_map(|counters| counters.fallbacks());
        counts.map(|(_, count)| count).sum()
    }

    /// Gauges that are not at zero, but for those that tell of what may stay.
    pub fn gauges_up(&self) -> Vec<String> {
        /// What is open may stay so, and operations are no gauge of a world
        /// without a kernel.
        const MAY_STAY: [&str; 4] =
            ["connections_open", "connections_resting", "backend_connections_idle", "operations"];
        let mut up = Vec::new();
        for (shard, counters) in self.counters.iter().enumerate() {
            counters.each(|name, kind, _, value| {
                if kind == Kind::Gauge && value != 0 && !MAY_STAY.contains(&name) {
                    up.push(format!("{name} of shard {shard} is {}", value as i64));
                }
            });
        }
        up
    }

    /// Connections that lie idle in the shards' pools.
    pub fn pooled(&self) -> usize {
        self.shards.iter().map(|shard| shard.stage().pools.borrow().idle_count()).sum()
    }
}
