//! What must hold of whom a request is asked, and how often (`retry/`,
//! `exchange/attempt.rs`): of each order when all is over, of their number at
//! every moment.

use std::time::Duration;

use super::{
    faults::{Blames, Swarm},
    house::House,
    ledger::{Asked, Entry, Fate, Ledger, Seen},
    models,
    order::Api,
    world::SimWorld,
};
use crate::{
    llm::Complaint,
    retry::{Class, RetryPlan},
    rt::World,
};

/// Retries each second that need no budget, and at once.
const FLOOR: f64 = 5.0;

/// A backend that nobody waits for any more has heard of it after so long, when
/// it has read the prompt, its bytes have travelled and their reset has come back.
const HEARD_OF_CUT_WITHIN: Duration = Duration::from_millis(500);
/// The beginning of an answer has come after so long.
const HEARD_WITHIN: Duration = Duration::from_millis(150);

/// What a backend says that answers before it has read everything.
const HASTY: Fate = Fate::Error(400);

/// What the orders of a run have in common.
pub struct Scene<'r> {
    house: &'r House,
    plan: &'r RetryPlan,
    /// What a backend says comes to the proxy, and in time.
    is_clear: bool,
    /// Nothing but the plan's number of attempts ends the walk of an order.
    may_go_on: bool,
    /// Bytes take no longer than they usually do.
    is_prompt: bool,
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
        let is_prompt =
            faults.pipe_bytes == 0 && !swarm.has("slow backends") && !swarm.has("hiccups");
        let may_go_on = is_clear
            && is_prompt
            && !swarm.blames(Blames::Operator)
            && house.sum("retry_budget_exhausted") == 0;
        Self { house, plan: &house.plan.retry, is_clear, may_go_on, is_prompt }
    }
}

/// The ways in which an order was asked wrongly.
pub fn wrongs(entry: &Entry, scene: &Scene<'_>) -> Vec<&'static str> {
    type Broken = fn(&Entry, &Scene<'_>) -> bool;
    let rules: [(Broken, &'static str); 10] = [
        (asked_by_another_name, "was asked by a name or of a backend that is not its model's"),
        (asked_twice_in_effect, "was asked twice, and must not be"),
        (asked_without_complaint, "was asked of a model that is for other prompts"),
        (asked_after_its_answer, "was asked again when its client had an answer's beginning"),
        (asked_too_often, "was asked too often"),
        (asked_more_than_told, "was asked more often than its client was told"),
        (asked_after_a_last_word, "was asked again when nobody could say otherwise"),
        (given_up_too_early, "was given up too early"),
        (answered_late, "was answered later than a backend has said so"),
        (worked_on_by_losers, "was worked on by others than who answered it"),
    ];
    let broken = rules.into_iter().filter(|(is_broken, _)| is_broken(entry, scene));
    broken.map(|(_, word)| word).collect()
}

/// What a backend is asked for is what some plan says of it.
fn asked_by_another_name(entry: &Entry, scene: &Scene<'_>) -> bool {
    let said = scene.house.said.borrow();
    let is_said = |asked: &&Asked| {
        // One that answers in haste has not looked.
        asked.fate == HASTY
            || said.iter().any(|(set, says)| {
                says.models.allows(&entry.order, asked.backend, &asked.model, set)
            })
    };
    entry.asked.iter().any(|asked| !is_said(&asked))
}

/// Only a model's work may be done twice.
fn asked_twice_in_effect(entry: &Entry, _: &Scene<'_>) -> bool {
    entry.order.api == Api::Batches && entry.asked.len() > 1
}

/// A model for long prompts, or for declined ones, is asked when there was a
/// complaint of that.
fn asked_without_complaint(entry: &Entry, _: &Scene<'_>) -> bool {
    (0..entry.asked.len()).any(|place| {
        let (before, asked) = (&entry.asked[..place], &entry.asked[place]);
        [Complaint::ContextWindow, Complaint::ContentPolicy].into_iter().any(|about| {
            let complains = |before: &Asked| before.fate == Fate::Complains(about);
            models::is_for(about, &asked.model) && !before.iter().any(complains)
        })
    })
}

/// What a client has seen the beginning of cannot be answered otherwise.
fn asked_after_its_answer(entry: &Entry, _: &Scene<'_>) -> bool {
    let Some(began) = entry.answer_began else { return false };
    entry.asked.iter().any(|asked| asked.sending > began)
}

/// As often as the plan has attempts for each model, and each way of a model once
/// all the same. Each of those may come to a backend twice, as a connection that
/// served before may die of age.
fn asked_too_often(entry: &Entry, scene: &Scene<'_>) -> bool {
    // Who answers in haste has not looked for the name: it may be any model's.
    let unnamed = entry.asked.iter().filter(|asked| asked.model.is_empty()).count();
    let most = (scene.plan.attempts as usize).max(models::WAYS_MAX);
    let mut named: Vec<_> =
        entry.asked.iter().map(|asked| (models::model_sent(&asked.model), asked)).collect();
    named.sort_by_key(|(model, _)| *model);
    named.chunk_by(|(one, _), (next, _)| one == next).any(|of_model| {
        let asked: Vec<&Asked> = of_model.iter().map(|(_, asked)| *asked).collect();
        let complaints = asked.iter().filter(|asked| is_about_request(asked.fate)).count();
        let most = most + complaints + unnamed;
        let follow = |pair: &[&Asked]| pair[0].backend != pair[1].backend;
        let backends = 1 + asked.windows(2).filter(|pair| follow(pair)).count();
        // Two that are asked beside each other may each be asked twice.
        asked.len() > 2 * most || (backends > most && !scene.plan.hedges())
    })
}

fn asked_more_than_told(entry: &Entry, _: &Scene<'_>) -> bool {
    entry.attempts_told.is_some_and(|told| entry.asked.len() > told)
}

/// A good answer, and one that faults the request, are the last word, unless
/// another model is there for just that, or this was not the client's own.
fn asked_after_a_last_word(entry: &Entry, scene: &Scene<'_>) -> bool {
    let is_ignored = |pair: &[Asked]| {
        let (asked, next) = (&pair[0], &pair[1]);
        // Who answers in haste has not looked for the name.
        let is_unnamed = asked.model.is_empty() || next.model.is_empty();
        let was_fallback = is_unnamed && !scene.house.plan.says.models.are_none()
            || models::is_fallback(&entry.order, &asked.model);
        // One that was late may not have been heard.
        let heard_at = asked.answered_at.map(|at| at.after(HEARD_WITHIN));
        let is_beside = heard_at.is_none_or(|at| next.sending.at < at) || !scene.is_prompt;
        match asked.fate {
            _ if scene.plan.hedges() && is_beside => false,
            Fate::Good => true,
            _ if was_fallback || !is_about_request(asked.fate) => false,
            Fate::Complains(about) => !models::is_for(about, &next.model),
            _ => true,
        }
    };
    scene.is_clear && entry.asked.windows(2).any(is_ignored)
}

fn is_about_request(fate: Fate) -> bool {
    match fate {
        Fate::Complains(_) => true,
        Fate::Error(status) => Class::of_status(status).is_none(),
        _ => false,
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
        && entry.order.api != Api::Batches
        && entry.asked.iter().all(goes_on)
        && entry.asked.len() < scene.plan.attempts as usize
}

/// Nothing keeps back an answer that has come, least of all another backend
/// that is asked beside.
fn answered_late(entry: &Entry, scene: &Scene<'_>) -> bool {
    let Some(began) = entry.answer_began else { return false };
    let good = entry.asked.iter().filter(|asked| asked.fate == Fate::Good);
    let heard_at = good.filter_map(|asked| asked.answered_at).min();
    let is_late = heard_at.is_some_and(|at| began.at > at.after(HEARD_WITHIN));
    scene.is_clear && scene.is_prompt && is_late
}

/// When a client is being answered, one backend works for it: all others are
/// cut.
fn worked_on_by_losers(entry: &Entry, scene: &Scene<'_>) -> bool {
    let Some(began) = entry.answer_began else { return false };
    let heard_at = began.at.after(HEARD_OF_CUT_WITHIN);
    let writes = |asked: &&Asked| matches!(asked.fate, Fate::Good | Fate::Cut { .. });
    let goes_on = |asked: &&Asked| asked.done_at.is_none_or(|at| at > heard_at);
    let workers = entry.asked.iter().filter(writes).filter(goes_on);
    scene.is_clear && scene.is_prompt && workers.count() > 1
}

/// Hedges, at any moment, are no more than their share of the requests so far.
pub fn beyond_the_cap(house: &House) -> Option<String> {
    let (hedges, requests) = (house.sum("hedges"), house.sum("requests"));
    let percent = u64::from(house.plan.retry.hedge_percent_max);
    let is_over = hedges > 0 && (!house.plan.retry.hedges() || hedges * 100 > requests * percent);
    is_over.then(|| format!("{hedges} hedges were made, of {percent} % of {requests}"))
}

/// Retries after something was sent, at any moment, are no more than a share
/// of the requests so far and a few each second. The first ask of another model
/// is counted as one, and needs not be paid.
pub fn beyond_the_budget(world: &SimWorld, house: &House) -> Option<String> {
    let paid = Class::ALL.into_iter().filter(|class| !class.is_before_sending());
    let retries: u64 = paid.map(|class| house.retries(class)).sum();
    let seconds = world.now().since(house.opened_at).as_secs_f64();
    let share = f64::from(house.plan.retry.budget_percent) / 100.0;
    let unpaid = house.fallbacks() as f64;
    let most = share * house.sum("requests") as f64 + FLOOR * (seconds + 1.0) + unpaid;
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
    let others = house.fallbacks() + house.sum("hedges");
    (again as u64 > retries + resent + others)
        .then(|| format!("{told} and {resent} dead connections"))
}
