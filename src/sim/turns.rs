//! Requests that wait at a full house: in one shard they are served by their
//! urgency, and then as they came.

use std::{cell::RefCell, num::NonZeroU32, rc::Rc, time::Duration};

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
    balance::Priority,
    base::{Chance, Instant},
    rt::World,
};

const ORDERS: usize = 40;
/// More than any of the houses here can answer in this time.
const WITHIN: Duration = Duration::from_millis(1500);
/// Whoever comes as close to a free place as this may find it first.
const CLOSE: Duration = Duration::from_micros(10);

/// What one order is to others that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(Priority, Instant);

struct Came {
    world: SimWorld,
    ledger: SharedLedger,
    ranks: RefCell<Vec<Rank>>,
}

impl Came {
    /// One client with one order, from its beginning to its end.
    async fn order(self: Rc<Self>, order: Order, at: Duration) {
        self.world.sleep(at).await;
        let priority = order.priority.and_then(|word| Priority::of(word.as_bytes()));
        self.ranks.borrow_mut()[order.id] = Rank(priority.unwrap_or_default(), self.world.now());
        assert_eq!(order_once(&self.world, &order).await, 200);
        self.ledger.borrow_mut().saw(order.id, Seen::Whole);
    }

    /// Whom somebody has overtaken: the one, and the other.
    fn overtaken(&self) -> Vec<(usize, usize)> {
        let (ledger, ranks) = (self.ledger.borrow(), self.ranks.borrow());
        // A backend may look at it later, when it is done with the one before.
        let sent = |id: usize| ledger.entries[id].asked[0].sending;
        let mut overtaken = Vec::new();
        for one in 0..ORDERS {
            for other in 0..ORDERS {
                let waited = ranks[other].1.after(CLOSE) < sent(one).at;
                if waited && sent(one) < sent(other) && ranks[other] < ranks[one] {
                    overtaken.push((one, other));
                }
            }
        }
        overtaken
    }
}

#[track_caller]
fn check(seed: u64, backends: usize) {
    let mut chance = Chance::seeded(seed);
    let faults = Faults { ring: seed.is_multiple_of(2), any_order: true, ..Faults::default() };
    let world = SimWorld::new(seed, faults.clone());
    let ledger: SharedLedger = Rc::new(RefCell::new(Ledger::default()));
    let mut plan = Plan::drawn(&world, &mut chance);
    (plan.shards, plan.backends) = (1, backends);
    plan.says.capacities = vec![NonZeroU32::new(1 + chance.below(2) as u32); backends];
    for index in 0..backends {
        Backend::new(&world, &ledger, index).start(&mut chance);
    }
    let house = House::open(&world, plan, &mut chance);
    let of_clients = world.of(Owner::Client);
    let came = Rc::new(Came {
        world: of_clients.clone(),
        ledger,
        ranks: RefCell::new(vec![Rank(Priority::Normal, Instant::default()); ORDERS]),
    });
    for id in 0..ORDERS {
        let order = Order { old: false, ..Order::drawn(id, &faults, &mut chance) };
        came.ledger.borrow_mut().begin(order.clone());
        let at = chance.up_to(WITHIN);
        of_clients.spawn(Rc::clone(&came).order(order, at));
    }
    let is_over = || world.tasks.count(Owner::Client) == 0;
    assert!(world.tasks.run(&world.core, Duration::from_secs(600), is_over, || ()));
    assert!(house.sum("queue_waits") > 10, "nobody had to wait");
    assert_eq!(came.overtaken(), [], "seed {seed}");
    world.core.with(|state| {
        assert_eq!(state.chronicle.breaches(), [] as [String; 0]);
        state.house_ended = true;
    });
    world.tasks.end();
}

#[test]
fn who_waits_is_served_by_urgency_and_then_in_order() {
    for seed in 0..20 {
        check(seed, 1 + seed as usize % 3);
    }
}
