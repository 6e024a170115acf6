//! What must hold, in every run: after each step, when all is quiet, and when
//! the house has ended.

use std::sync::atomic::Ordering;

use super::{
    attempts, capacity,
    executor::Owner,
    faults::{Blames, Swarm},
    house::House,
    ledger::{Entry, Fate, Ledger, Seen},
    world::SimWorld,
};
use crate::{balance::BackendId, rt::World};

/// Tasks that every shard has until its process ends: the wheel, the sweep, the
/// bell.
const VITAL_TASKS: usize = 3;

/// Budgets are kept at every moment.
pub fn after_each_step(world: &SimWorld, house: &House) {
    let limits = &house.plan.limits;
    let bodies = house.common.body_bytes.load(Ordering::Relaxed);
    let requests = house.common.requests.load(Ordering::Relaxed);
    let requests_max = limits.requests_in_flight.map_or(usize::MAX, std::num::NonZero::get);
    let open: u64 = house.counters.iter().map(|counters| counters.connections_open.read()).sum();
    let breach = |word: String| world.core.with(|state| state.chronicle.breach(word));
    if bodies > limits.body_memory_total {
        breach(format!("{bodies} bytes of bodies are held, of {}", limits.body_memory_total));
    }
    if let Some(word) = capacity::over(world, house) {
        breach(word);
    }
    if let Some(word) = attempts::beyond_the_budget(world, house) {
        breach(word);
    }
    if let Some(word) = attempts::beyond_the_cap(house) {
        breach(word);
    }
    if requests > requests_max {
        breach(format!("{requests} requests are under way, of {requests_max}"));
    }
    if open > limits.connections as u64 {
        breach(format!("{open} connections are open, of {}", limits.connections));
    }
}

/// What is not at rest although nobody asks for anything.
pub fn unrest(house: &House, world: &SimWorld) -> Vec<String> {
    let mut unrest = house.gauges_up();
    let mut shared = |what: &str, amount: usize| {
        if amount != 0 {
            unrest.push(format!("{what}: {amount} are held"));
        }
    };
    shared("bytes of bodies", house.common.body_bytes.load(Ordering::Relaxed));
    shared("places for requests", house.common.requests.load(Ordering::Relaxed));
    for fleet in house.fleets.borrow().iter() {
        for figures in (0..).map_while(|place| fleet.figures(BackendId(place), world.now())) {
            shared("tickets that wait", figures.waiting as usize);
            shared("tickets of streams", figures.streams as usize);
        }
    }
    unrest
}

/// What is left of a house that has ended.
pub fn remains(house: &House, world: &SimWorld) -> Vec<String> {
    let mut remains = unrest(house, world);
    let tasks = world.tasks.count(Owner::House);
    let vital = VITAL_TASKS * house.plan.shards;
    if tasks != vital {
        remains.push(format!("{tasks} tasks are left, of which {vital} are to be"));
    }
    let streams = world.core.with(|state| state.streams_of(Owner::House));
    let pooled = house.pooled();
    if streams != pooled {
        remains.push(format!("{streams} streams are open, and {pooled} in the pools"));
    }
    let open = house.sum("connections_open") + house.sum("connections_resting");
    if open != 0 {
        remains.push(format!("{open} clients are connected, or rest"));
    }
    remains
}

/// Whether every order came to what it may come to.
pub fn orders(house: &House, ledger: &Ledger, swarm: &Swarm) -> Vec<String> {
    let mut faults = Vec::new();
    let scene = attempts::Scene::of(house, ledger, swarm);
    for entry in &ledger.entries {
        let id = entry.order.id;
        let asked = &entry.asked;
        let Some(seen) = entry.seen else {
            faults.push(format!("order {id} came to nothing that its client saw"));
            continue;
        };
        if seen == Seen::Whole && !asked.iter().any(|asked| asked.fate == Fate::Good) {
            faults.push(format!("order {id} is whole, and no backend said so: {asked:?}"));
        }
        if let Seen::TheirError(status) = seen
            && !asked.iter().any(|asked| said(asked.fate, status))
        {
            faults.push(format!("order {id} came to {status} of a backend: {asked:?}"));
        }
        for wrong in attempts::wrongs(entry, &scene) {
            faults.push(format!("order {id} {wrong}: {asked:?}"));
        }
        if seen != Seen::Whole && !is_excused(entry, ledger, swarm) {
            faults.push(format!("order {id} is {seen:?} without a reason: {asked:?}"));
        }
    }
    faults
}

fn said(fate: Fate, status: u16) -> bool {
    match fate {
        Fate::Error(its) => its == status,
        Fate::Complains(_) => status == 400,
        Fate::OverloadEvent => status == 200,
        _ => false,
    }
}

/// Whether something is to blame for an order that was not answered well.
fn is_excused(entry: &Entry, ledger: &Ledger, swarm: &Swarm) -> bool {
    let by_fate = entry.asked.iter().any(|asked| asked.fate != Fate::Good);
    let everywhere = [Blames::Wire, Blames::Operator].iter().any(|&whom| swarm.blames(whom));
    let faults = &swarm.faults;
    let unknown = entry.order.is_unknown() && entry.seen == Some(Seen::OurError(404));
    unknown || entry.own_fault || by_fate || everywhere || faults.deaths || ledger.late_bytes > 0
}

/// Whether what was counted is what happened.
pub fn counts(house: &House, ledger: &Ledger, swarm: &Swarm) -> Vec<String> {
    let sum = |name| house.sum(name) as usize;
    let mut faults = Vec::new();
    let mut hold = |holds: bool, word: String| {
        if !holds {
            faults.push(word);
        }
    };
    // Each request is settled as one of these, and as one only.
    let requests = sum("requests");
    let (refused, gone, cut) = (sum("refusals"), sum("clients_gone"), sum("answers_cut"));
    let whole = ledger.count(|seen| matches!(seen, Seen::Whole | Seen::TheirError(_)));
    let word = format!("requests {requests}, refused {refused}, gone {gone}, cut {cut}");
    hold(whole + gone + cut <= requests, format!("{word}, but {whole} came whole"));
    let relayed = sum("responses") - refused;
    hold(relayed <= requests + ledger.pages, format!("{word}, but {relayed} answers were relayed"));
    for word in capacity::breaches(house, ledger, swarm) {
        hold(false, word);
    }
    if let Some(word) = attempts::unaccounted(house, ledger) {
        hold(false, word);
    }
    // Tokens are counted for no answer twice, and for every one that is whole.
    let tokens = sum("completion_tokens");
    let seen: usize =
        ledger.entries.iter().filter(|e| e.seen == Some(Seen::Whole)).map(tokens_of).sum();
    let said: usize = ledger.entries.iter().filter(|entry| is_answered(entry)).map(tokens_of).sum();
    hold(
        (seen..=said).contains(&tokens),
        format!("{tokens} tokens are counted; clients have seen {seen}, backends said {said}"),
    );
    if swarm.is_harmless() && ledger.late_bytes == 0 {
        let orders = ledger.entries.iter().filter(|entry| !entry.own_fault).count();
        let is_unknown = |entry: &&Entry| entry.order.is_unknown() && !entry.own_fault;
        let unknown = ledger.entries.iter().filter(is_unknown).count();
        let right = (requests, refused, gone, cut) == (orders, unknown, 0, 0) && tokens == seen;
        hold(right, format!("{orders} orders went well, but {word}, {tokens} tokens of {seen}"));
    }
    faults
}

fn tokens_of(entry: &Entry) -> usize {
    entry.order.tokens_counted()
}

/// A backend may have said how many tokens it came to.
fn is_answered(entry: &Entry) -> bool {
    entry
        .asked
        .iter()
        .any(|asked| matches!(asked.fate, Fate::Good | Fate::Cut { .. } | Fate::Halts { .. }))
}
