//! What must hold of whom a request is asked, and how often (`retry/`,
//! `exchange/attempt.rs`): of each order when all is over, of their number at
//! every moment.

use super::{
    faults::{Blames, Swarm},
    house::House,
    ledger::{Asked, Entry, Fate, Ledger, Seen},
    world::SimWorld,
};
use crate::{
    retry::{Class, RetryPlan},
    rt::World,
};

/// Retries each second that need no budget, and at once.
const FLOOR: f64 = 5.0;

/// What the orders of a run have in common.
pub struct Scene<'r> {
    plan: &'r RetryPlan,
    /// What a backend says comes to the proxy, and in time.
    is_clear: bool,
    /// Nothing but the plan's number of attempts ends the walk of an order.
    may_go_on: bool,
}

impl<'r> Scene<'r> {
    pub fn of(house: &'r House, ledger: &Ledger, swarm: &Swarm) -> Self {
        let faults = &swarm.faults;
        let is_clear = !swarm.blames(Blames::Wire)
            && !faults.deaths
            && !faults.drains
            && !faults.tight_deadlines
            && ledger.late_bytes == 0;
        // An error that does not come whole in a moment is not held back.
        let is_prompt = !swarm.has("small pipes") && !swarm.has("hiccups");
        let may_go_on = is_clear
            && is_prompt
            && !swarm.blames(Blames::Operator)
            && house.sum("retry_budget_exhausted") == 0;
        Self { plan: &house.plan.retry, is_clear, may_go_on }
    }
}

/// The ways in which an order was asked wrongly.
pub fn wrongs(entry: &Entry, scene: &Scene<'_>) -> Vec<&'static str> {
    type Broken = fn(&Entry, &Scene<'_>) -> bool;
    let rules: [(Broken, &'static str); 5] = [
        (asked_after_its_answer, "was asked again when its client had an answer's beginning"),
        (asked_too_often, "was asked too often"),
        (asked_more_than_told, "was asked more often than its client was told"),
        (asked_after_a_last_word, "was asked again when nobody could say otherwise"),
        (given_up_too_early, "was given up too early"),
    ];
    let broken = rules.into_iter().filter(|(is_broken, _)| is_broken(entry, scene));
    broken.map(|(_, word)| word).collect()
}

/// What a client has seen the beginning of cannot be answered otherwise.
fn asked_after_its_answer(entry: &Entry, _: &Scene<'_>) -> bool {
    let Some(began) = entry.answer_began else { return false };
    entry.asked.iter().any(|asked| asked.sending > began)
}

/// As often as the plan has attempts; and each of those may come to a backend
/// twice, as a connection that served before may die of age.
fn asked_too_often(entry: &Entry, scene: &Scene<'_>) -> bool {
    let most = scene.plan.attempts as usize;
    let follow = |pair: &[Asked]| pair[0].backend != pair[1].backend;
    let backends = 1 + entry.asked.windows(2).filter(|pair| follow(pair)).count();
    entry.asked.len() > 2 * most || backends > most
}

fn asked_more_than_told(entry: &Entry, _: &Scene<'_>) -> bool {
    entry.attempts_told.is_some_and(|told| entry.asked.len() > told)
}

/// A good answer, and one that faults the request, are the last word.
fn asked_after_a_last_word(entry: &Entry, scene: &Scene<'_>) -> bool {
    let Some((_, before)) = entry.asked.split_last() else { return false };
    scene.is_clear && before.iter().any(|asked| is_last_word(asked.fate))
}

fn is_last_word(fate: Fate) -> bool {
    match fate {
        Fate::Good => true,
        Fate::Error(status) => Class::of_status(status).is_none(),
        Fate::OverloadEvent | Fate::Stalls | Fate::Cut { .. } => false,
    }
}

/// A client that is told of a failure is told when the plan's attempts are
/// spent. (A cut is left out: a request that three backends died of is not tried
/// on a fourth.)
fn given_up_too_early(entry: &Entry, scene: &Scene<'_>) -> bool {
    let Some(Seen::TheirError(_)) = entry.seen else { return false };
    let class = |asked: &Asked| match asked.fate {
        Fate::Error(status) => Class::of_status(status),
        Fate::OverloadEvent => Some(Class::ErrorEvent),
        _ => None,
    };
    let goes_on = |asked| class(asked).is_some_and(|class| scene.plan.on.has(class));
    scene.may_go_on
        && !entry.own_fault
        && entry.asked.iter().all(goes_on)
        && entry.asked.len() < scene.plan.attempts as usize
}

/// Retries after something was sent, at any moment, are no more than a share
/// of the requests so far and a few each second.
pub fn beyond_the_budget(world: &SimWorld, house: &House) -> Option<String> {
    let paid = Class::ALL.into_iter().filter(|class| !class.is_before_sending());
    let retries: u64 = paid.map(|class| house.retries(class)).sum();
    let seconds = world.now().since(house.opened_at).as_secs_f64();
    let share = f64::from(house.plan.retry.budget_percent) / 100.0;
    let most = share * house.sum("requests") as f64 + FLOOR * (seconds + 1.0);
    (retries as f64 > most).then(|| format!("{retries} retries were made, of {most:.1}"))
}

/// Whoever was asked again was so for a reason that is counted, and that the
/// plan has.
pub fn unaccounted(house: &House, ledger: &Ledger) -> Option<String> {
    let again: usize = ledger.entries.iter().map(|e| e.asked.len().saturating_sub(1)).sum();
    let retries: u64 = Class::ALL.into_iter().map(|class| house.retries(class)).sum();
    let resent = house.sum("backend_retries");
    let off = |class: &Class| !house.plan.retry.on.has(*class) && house.retries(*class) > 0;
    if let Some(class) = Class::ALL.into_iter().find(off) {
        return Some(format!("there were retries after {class:?}, which are switched off"));
    }
    let told = format!("{again} times an order was asked again, after {retries} failures");
    (again as u64 > retries + resent).then(|| format!("{told} and {resent} dead connections"))
}
