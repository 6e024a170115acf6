//! What must hold of how many requests are under way at a backend, and of how
//! long the others wait.

use std::{num::NonZeroU32, sync::Arc};

use super::{
    faults::{Blames, Swarm},
    house::House,
    ledger::Ledger,
    world::SimWorld,
};
use crate::{balance::BackendId, base::TICK, rt::World};

/// The most that any plan which still has requests lets a backend bear.
fn most(house: &House, backend: usize) -> Option<NonZeroU32> {
    let (said, fleets) = (house.said.borrow(), house.fleets.borrow());
    let last = fleets.len() - 1;
    let mut most = NonZeroU32::MIN;
    for (place, (set, says)) in said.iter().enumerate() {
        let is_used = place == last || Arc::strong_count(&fleets[place]) > 1;
        if is_used && set.contains(&backend) {
            most = most.max(says.capacity(backend)?);
        }
    }
    Some(most)
}

/// By the proxy's own count, at every moment and over all shards.
pub fn over(world: &SimWorld, house: &House) -> Option<String> {
    if house.plan.says.capacities.is_empty() {
        return None;
    }
    let (said, fleets) = (house.said.borrow(), house.fleets.borrow());
    let ((set, _), fleet) = (said.last()?, fleets.last()?);
    set.iter().enumerate().find_map(|(place, &backend)| {
        let figures = fleet.figures(BackendId(place), world.now())?;
        let most = most(house, backend)?.get();
        let found = figures.waiting + figures.streams;
        (found > most).then(|| format!("{found} requests are at backend {backend}, of {most}"))
    })
}

/// By what backends have seen, when nothing makes the proxy leave one that
/// still works; and how long others have waited.
pub fn breaches(house: &House, ledger: &Ledger, swarm: &Swarm) -> Vec<String> {
    let mut breaches = Vec::new();
    let faults = &swarm.faults;
    let leaves_who_works = [faults.deaths, faults.drains, faults.tight_deadlines, faults.reloads]
        .contains(&true)
        || faults.hedges
        || ["stalls", "halts", "hasty", "late bytes"].iter().any(|name| swarm.has(name))
        || [Blames::Wire, Blames::Client].iter().any(|&whom| swarm.blames(whom));
    let is_clear =
        !leaves_who_works && house.sum("answers_cut") + house.sum("deadlines_passed") == 0;
    for (&backend, &(_, found)) in &ledger.at_work {
        let capacity = house.plan.says.capacity(backend).filter(|_| is_clear);
        if let Some(most) = capacity.filter(|most| found > most.get() as usize) {
            breaches
                .push(format!("backend {backend} has seen {found} requests at once, of {most}"));
        }
    }
    // A tick late, and one more until it is seen.
    let longest = (house.plan.queue.timeout + 2 * TICK).as_millis() as u64;
    let (waits, waited) = (house.sum("queue_waits"), house.sum("queue_wait_milliseconds"));
    if waited > waits * longest {
        breaches.push(format!("{waits} requests have waited {waited} ms in all"));
    }
    breaches
}
