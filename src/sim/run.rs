//! One run of a world, from its seed to the verdict on it.

use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc, time::Duration};

use super::{
    actions::{self, Scene},
    backend::Backend,
    checks,
    client::Client,
    executor::Owner,
    faults::Swarm,
    house::House,
    ledger::{Ledger, SharedLedger},
    plan::Plan,
    world::SimWorld,
};
use crate::base::Chance;

/// Longer than everything that clients do, at their slowest: every deadline of
/// a run is shorter.
const CLIENTS_PATIENCE: Duration = Duration::from_secs(1800);
/// Longer than every deadline but that of a whole request.
const QUIET_PATIENCE: Duration = Duration::from_secs(120);

/// What a run came to.
pub struct Outcome {
    pub seed: u64,
    pub faults: Vec<&'static str>,
    pub breaches: Vec<String>,
    pub fingerprint: u64,
    pub orders: usize,
    /// What the shards have counted.
    pub figures: BTreeMap<&'static str, u64>,
    pub polls: u64,
    pub tail: String,
}

impl Outcome {
    pub fn is_well(&self) -> bool {
        self.breaches.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, faults, fingerprint, orders, polls, .. } = self;
        write!(to, "seed {seed}: {fingerprint:016x}, {orders} orders, {polls} polls, {faults:?}")?;
        self.breaches.iter().try_for_each(|breach| write!(to, "\n    {breach}"))
    }
}

/// Runs the world of a seed.
pub fn run(seed: u64) -> Outcome {
    let mut chance = Chance::seeded(seed);
    let swarm = Swarm::drawn(&mut chance);
    run_with(seed, swarm, chance)
}

pub fn run_with(seed: u64, swarm: Swarm, mut chance: Chance) -> Outcome {
    let world = SimWorld::new(chance.next_u64(), swarm.faults.clone());
    let ledger: SharedLedger = Rc::new(RefCell::new(Ledger::default()));
    let plan = Plan::drawn(&world, &mut chance);
    let backends: Vec<Backend> =
        (0..plan.backends).map(|index| Backend::new(&world, &ledger, index)).collect();
    for backend in &backends {
        backend.start(&mut chance);
    }
    let house = Rc::new(House::open(&world, plan, &mut chance));
    for _ in 0..1 + chance.below(10) {
        let orders = 1 + chance.below(6);
        Client::new(&world, &ledger, orders, chance.next_u64()).start();
    }
    let scene = Rc::new(Scene { world: world.clone(), house: Rc::clone(&house), backends });
    actions::start(&scene, &mut chance);
    live(&world, &house);
    judge(&world, &house, &ledger.borrow(), &swarm);
    let (polls, figures) = (world.tasks.polls(), house.figures());
    // Whoever holds a stream lets go of it before the world is gone.
    world.core.with(|state| state.house_ended = true);
    world.tasks.end();
    drop((scene, house));
    let orders = ledger.borrow().entries.len();
    world.core.with(|state| Outcome {
        seed,
        faults: swarm.names(),
        breaches: state.chronicle.breaches().to_vec(),
        fingerprint: state.chronicle.fingerprint(),
        orders,
        figures,
        polls,
        tail: state.chronicle.tail(),
    })
}

/// Clients order until they have what they want; then it is quiet; then the
/// house is closed.
fn live(world: &SimWorld, house: &Rc<House>) {
    let breach = |word: String| world.core.with(|state| state.chronicle.breach(word));
    let run = |patience, done: &dyn Fn() -> bool| {
        world.tasks.run(&world.core, patience, done, || checks::after_each_step(world, house))
    };
    if !run(CLIENTS_PATIENCE, &|| world.tasks.count(Owner::Client) == 0) {
        breach(format!("{} tasks of clients hang", world.tasks.count(Owner::Client)));
    }
    if !run(QUIET_PATIENCE, &|| checks::unrest(house, world).is_empty()) {
        breach(format!("it does not become quiet: {:?}", checks::unrest(house, world)));
    }
    house.drain();
    house.end_probes();
    if !run(QUIET_PATIENCE, &|| house.has_ended()) {
        breach("a shard does not end".to_owned());
    }
    if !run(QUIET_PATIENCE, &|| checks::remains(house, world).is_empty()) {
        breach(format!("the house is not empty: {:?}", checks::remains(house, world)));
    }
}

fn judge(world: &SimWorld, house: &House, ledger: &Ledger, swarm: &Swarm) {
    let mut faults = checks::orders(house, ledger, swarm);
    faults.extend(checks::counts(house, ledger, swarm));
    world.core.with(|state| faults.into_iter().for_each(|fault| state.chronicle.breach(fault)));
}
