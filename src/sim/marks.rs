//! A backend that says it is unwell: it is left alone as soon as it has said so
//! often enough, no request is lost for it, and it is asked again when it is well.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::{
    backend::Backend,
    client::order_once,
    executor::Owner,
    faults::Faults,
    house::House,
    ledger::{Ledger, Seen, SharedLedger},
    order::Order,
    plan::Plan,
    world::SimWorld,
};
use crate::{
    base::{Chance, Instant},
    rt::World,
};

const ORDERS: usize = 600;
const GAP: Duration = Duration::from_millis(40);
const INTERVAL: Duration = Duration::from_millis(100);
const ILL_FROM: Duration = Duration::from_secs(4);
const ILL_UNTIL: Duration = Duration::from_secs(12);
/// Two probes, of which the first may just have begun, and the jitter.
const KNOWN_WITHIN: Duration = Duration::from_millis(350);

#[track_caller]
fn check(seed: u64) {
    let mut chance = Chance::seeded(seed);
    let faults = Faults { ring: seed.is_multiple_of(2), probes: true, ..Faults::default() };
    let world = SimWorld::new(seed, faults.clone());
    let ledger: SharedLedger = Rc::new(RefCell::new(Ledger::default()));
    let mut plan = Plan::drawn(&world, &mut chance);
    plan.backends = 2 + chance.below(3);
    plan.probes.health.interval = Some(INTERVAL);
    (plan.probes.health.unhealthy_after, plan.probes.health.healthy_after) = (2, 2);
    let backends: Vec<Backend> =
        (0..plan.backends).map(|index| Backend::new(&world, &ledger, index)).collect();
    backends.iter().for_each(|backend| backend.start(&mut chance));
    let house = House::open(&world, plan, &mut chance);
    let begins = world.now();
    let (of_run, is_ill) = (world.of(Owner::Run), Rc::clone(&backends[0].is_ill));
    world.spawn(async move {
        of_run.sleep(ILL_FROM).await;
        is_ill.set(true);
        of_run.sleep(ILL_UNTIL - ILL_FROM).await;
        is_ill.set(false);
    });
    let of_clients = world.of(Owner::Client);
    for id in 0..ORDERS {
        let order = Order { old: false, ..Order::drawn(id, &faults, &mut chance) };
        ledger.borrow_mut().begin(order.clone());
        let (world, ledger) = (of_clients.clone(), Rc::clone(&ledger));
        of_clients.spawn(async move {
            world.sleep(GAP * id as u32).await;
            assert_eq!(order_once(&world, &order).await, 200);
            ledger.borrow_mut().saw(order.id, Seen::Whole);
        });
    }
    let is_over = || world.tasks.count(Owner::Client) == 0;
    assert!(world.tasks.run(&world.core, Duration::from_secs(600), is_over, || ()));
    let asked_from = |from: Instant, to: Instant| {
        let ledger = ledger.borrow();
        let asked = ledger.entries.iter().flat_map(|entry| &entry.asked);
        let of_the_ill = asked.filter(|asked| asked.backend == 0);
        of_the_ill.filter(|asked| (from..to).contains(&asked.sending.at)).count()
    };
    let at = |after: Duration| begins.after(after);
    assert!(asked_from(begins, at(ILL_FROM)) > 0, "seed {seed}: never asked before");
    assert_eq!(asked_from(at(ILL_FROM + KNOWN_WITHIN), at(ILL_UNTIL)), 0, "seed {seed}");
    assert!(asked_from(at(ILL_UNTIL), Instant::NEVER) > 0, "seed {seed}: never asked again");
    world.core.with(|state| {
        assert_eq!(state.chronicle.breaches(), [] as [String; 0]);
        state.house_ended = true;
    });
    world.tasks.end();
    drop(house);
}

#[test]
fn who_is_unwell_is_left_alone_until_it_is_well() {
    (0..10).for_each(check);
}
