use super::*;
use crate::retry::Classes;

const PLAN: RetryPlan = RetryPlan::DEFAULT;

fn at(millis: u64) -> Instant {
    Instant::default().after(Duration::from_millis(millis))
}

/// The only step of the only model.
const HERE: At = At { step: 0, model: None };
const ALONE: Ahead = Ahead { of_model: 0, of_others: false };

fn of_model(of_model: u32) -> Ahead {
    Ahead { of_model, of_others: false }
}

const OF_OTHERS: Ahead = Ahead { of_model: 0, of_others: true };

/// A walk after these failures, one backend each, all at time zero.
fn walked<'p>(plan: &'p RetryPlan, failures: &[Failed]) -> Walk<'p> {
    let mut walk = Walk::new(plan, Repeatable::Yes);
    for (place, failed) in failures.iter().enumerate() {
        walk.begins(HERE);
        walk.failed(BackendId(place), HERE, *failed, at(0));
    }
    walk
}

fn failed(class: Class) -> Failed {
    Failed { class, after: None }
}

fn asking(seconds: u64) -> Failed {
    Failed { class: Class::NoRoom, after: Some(Duration::from_secs(seconds)) }
}

#[test]
fn a_failure_is_followed_by_another_attempt_until_they_are_spent() {
    let is_sent = |class: &Class| !class.is_before_sending();
    for class in Class::ALL.into_iter().filter(is_sent) {
        let walk = |times: usize| walked(&PLAN, &vec![failed(class); times]);
        let next = |times| walk(times).next(class, HERE, ALONE);
        assert_eq!(next(1), Ok(Next::Another), "{class:?}");
        assert_eq!(next(2), Ok(Next::Another), "{class:?}");
        let three_cuts = class == Class::Cut;
        let third = if three_cuts { GivenUp::NotAgain } else { GivenUp::AttemptsSpent };
        assert_eq!(next(3), Err(third), "{class:?}");
    }
}

#[test]
fn who_could_not_be_connected_to_costs_no_attempt_but_a_round() {
    for class in [Class::Connect, Class::Tls] {
        for attempts in [1, 3] {
            let plan = RetryPlan { attempts, ..PLAN };
            let walk = walked(&plan, &[failed(class); 9]);
            assert_eq!(walk.next(class, HERE, ALONE), Ok(Next::Another), "{class:?}");
            assert!(walk.is_for_well(HERE), "nobody else is asked in vain");
            assert!(!walk.is_for_well(At { step: 1, ..HERE }), "each step is asked once");
        }
        let walk = walked(&PLAN, &[failed(class), failed(class)]);
        assert!(!walk.is_for_well(HERE));
        let mut failures = vec![failed(class); 5];
        failures.extend([failed(Class::NoRoom); 3]);
        let next = walked(&PLAN, &failures).next(Class::NoRoom, HERE, ALONE);
        assert_eq!(next, Err(GivenUp::AttemptsSpent));
    }
    let chance = &mut Chance::seeded(1);
    let round = |times| walked(&PLAN, &vec![failed(Class::Connect); times]);
    assert!(round(2).next_round(at(0), Instant::NEVER, chance).is_ok());
    let spent = Err(GivenUp::AttemptsSpent);
    assert_eq!(round(3).next_round(at(0), Instant::NEVER, chance), spent);
}

#[test]
fn three_cuts_end_a_request_whatever_else_it_met() {
    let plan = RetryPlan { attempts: RetryPlan::ATTEMPTS_MAX, ..PLAN };
    let next = |cuts: usize| {
        let mut failures = vec![failed(Class::Cut); cuts];
        failures.insert(1, failed(Class::NoRoom));
        walked(&plan, &failures).next(Class::Cut, HERE, ALONE)
    };
    assert_eq!(next(2), Ok(Next::Another));
    assert_eq!(next(3), Err(GivenUp::NotAgain));
}

#[test]
fn only_what_the_operator_has_named_is_followed() {
    let plan = RetryPlan { on: Classes::NONE.and(Class::NoRoom), ..PLAN };
    for class in Class::ALL {
        let next = walked(&plan, &[failed(class)]).next(class, HERE, ALONE);
        assert_eq!(next.is_ok(), class == Class::NoRoom, "{class:?}");
    }
    let off = RetryPlan { attempts: 1, ..PLAN };
    // Nobody is told not to try again because we do not.
    let next = walked(&off, &[failed(Class::NoRoom)]).next(Class::NoRoom, HERE, ALONE);
    assert_eq!(next, Err(GivenUp::NotAgain));
}

#[test]
fn what_may_have_had_an_effect_goes_on_only_unsent() {
    for class in Class::ALL {
        let mut walk = Walk::new(&PLAN, Repeatable::Unsent);
        walk.begins(HERE);
        walk.failed(BackendId(0), HERE, failed(class), at(0));
        let unsent = matches!(class, Class::Connect | Class::Tls);
        assert_eq!(walk.next(class, HERE, ALONE).is_ok(), unsent, "{class:?}");
    }
}

#[test]
fn an_attempt_is_kept_for_each_step_of_a_model_and_each_is_asked_once() {
    let next = |made: usize, ahead| {
        let walk = walked(&PLAN, &vec![failed(Class::NoRoom); made]);
        walk.next(Class::NoRoom, HERE, ahead)
    };
    assert_eq!(next(1, ALONE), Ok(Next::Another));
    assert_eq!(next(1, of_model(1)), Ok(Next::Another));
    assert_eq!(next(2, of_model(1)), Ok(Next::Step));
    assert_eq!(next(1, of_model(2)), Ok(Next::Step));
    assert_eq!(next(1, of_model(9)), Ok(Next::Step));
    assert_eq!(next(3, of_model(1)), Ok(Next::Step));
    assert_eq!(next(9, of_model(1)), Ok(Next::Step));
    assert_eq!(next(3, ALONE), Err(GivenUp::AttemptsSpent));
}

#[test]
fn another_model_has_attempts_of_its_own() {
    for attempts in [1, 3] {
        let plan = RetryPlan { attempts, ..PLAN };
        let mut walk = walked(&plan, &vec![failed(Class::NoRoom); attempts as usize]);
        assert_eq!(walk.next(Class::NoRoom, HERE, OF_OTHERS), Ok(Next::Step));
        let other = At { step: 1, model: Some(7) };
        assert!(walk.may_ask(other) && !walk.has_asked_model(other.model));
        for _ in 1..attempts {
            walk.begins(other);
            assert_eq!(walk.next(Class::NoRoom, other, ALONE), Ok(Next::Another));
        }
        walk.begins(other);
        let spent = Err(GivenUp::AttemptsSpent);
        assert_eq!(walk.next(Class::NoRoom, other, ALONE), spent, "{attempts}");
        assert!(!walk.may_ask(other) && !walk.may_ask(HERE));
        assert!(walk.may_ask(At { step: 2, ..other }), "each step is asked once");
    }
}

#[test]
fn a_further_round_is_for_models_with_attempts_left() {
    let (other, chance) = (At { step: 1, model: Some(7) }, &mut Chance::seeded(1));
    let mut walk = walked(&PLAN, &[failed(Class::NoRoom); 3]);
    walk.begins(other);
    walk.failed(BackendId(3), other, asking(2), at(0));
    assert_eq!(walk.next_round(at(0), Instant::NEVER, chance), Ok(at(2000)));
    walk.begins(other);
    walk.begins(other);
    walk.failed(BackendId(3), other, asking(2), at(0));
    let round = walk.next_round(at(0), Instant::NEVER, chance);
    assert_eq!(round, Err(GivenUp::AttemptsSpent));
}

#[test]
fn an_unsent_request_pays_nothing() {
    let budget = Budget::default();
    let walk = walked(&PLAN, &[]);
    for _ in 0..100 {
        assert_eq!(walk.pay(Class::Connect, &budget, at(10)), Ok(Paid::Nothing));
        assert_eq!(walk.pay(Class::Tls, &budget, at(10)), Ok(Paid::Nothing));
    }
    let pays = || walk.pay(Class::NoRoom, &budget, at(10));
    let paid = (0..100).filter(|_| pays() == Ok(Paid::OfFloor)).count();
    assert_eq!(paid, 5, "the floor was not touched before");
    assert_eq!(walk.pay(Class::Cut, &budget, at(10)), Err(GivenUp::BudgetSpent));
}

#[test]
fn a_round_begins_within_its_pause_and_everywhere_in_it() {
    let (mut least, mut most) = (Instant::NEVER, at(0));
    for seed in 0..200 {
        let mut walk = walked(&PLAN, &[failed(Class::Cut)]);
        let begins = walk.next_round(at(0), Instant::NEVER, &mut Chance::seeded(seed)).unwrap();
        (least, most) = (least.min(begins), most.max(begins));
        assert_eq!(walk.tried(|_| true).to_vec(), []);
    }
    assert!(least < at(5) && most > at(45) && most <= at(50), "{least:?} {most:?}");
}

#[test]
fn a_round_waits_for_the_first_who_is_ready() {
    let chance = &mut Chance::seeded(1);
    let plan = RetryPlan { attempts: 5, ..PLAN };
    let mut walk = walked(&plan, &[asking(4), asking(2), asking(9), failed(Class::Timeout)]);
    assert_eq!(walk.next_round(at(0), Instant::NEVER, chance), Ok(at(2000)));
    let left = [BackendId(0), BackendId(2), BackendId(3)];
    assert_eq!(walk.tried(|_| true).to_vec(), left, "who is not ready stays out of it");
    let mut walk = walked(&PLAN, &[asking(2)]);
    assert_eq!(walk.next_round(at(0), at(1000), chance), Err(GivenUp::NobodyLeft));
    assert_eq!(walk.tried(|_| true).to_vec(), [BackendId(0)], "nothing has changed");
}

#[test]
fn who_asks_for_too_long_or_cannot_heal_is_not_asked_again() {
    for failure in [asking(6), failed(Class::Timeout), failed(Class::Tls), failed(Class::Protocol)]
    {
        let mut walk = walked(&PLAN, &[failure]);
        let round = walk.next_round(at(0), Instant::NEVER, &mut Chance::seeded(1));
        assert_eq!(round, Err(GivenUp::NobodyLeft), "{failure:?}");
    }
    assert!(!GivenUp::NobodyLeft.is_final(), "the client may wait longer than we");
}

#[test]
fn a_second_backend_is_asked_once_and_within_the_attempts() {
    let attempts = |attempts| RetryPlan { attempts, ..PLAN };
    for (plan, repeatable, asked, ahead, may) in [
        (attempts(3), Repeatable::Yes, 1, ALONE, true),
        (attempts(3), Repeatable::Unsent, 1, ALONE, false),
        (attempts(1), Repeatable::Yes, 1, ALONE, false),
        (attempts(2), Repeatable::Yes, 1, ALONE, true),
        (attempts(2), Repeatable::Yes, 2, ALONE, false),
        // An attempt is kept for each step of the model, …
        (attempts(3), Repeatable::Yes, 1, of_model(1), true),
        (attempts(3), Repeatable::Yes, 1, of_model(2), false),
        (attempts(3), Repeatable::Yes, 2, of_model(1), false),
        (attempts(3), Repeatable::Yes, 1, of_model(u32::MAX), false),
        // … and other models have their own.
        (attempts(2), Repeatable::Yes, 1, OF_OTHERS, true),
    ] {
        let mut walk = Walk::new(&plan, repeatable);
        (0..asked).for_each(|_| walk.begins(HERE));
        let case = (plan.attempts, repeatable, asked, ahead);
        assert_eq!(walk.may_hedge(HERE, ahead), may, "{case:?}");
        walk.hedged(HERE);
        assert_eq!(walk.attempts(), asked + 1);
        assert!(!walk.may_hedge(HERE, ALONE), "{case:?}: once");
    }
}

#[test]
fn another_model_may_ask_whom_only_its_model_has_failed() {
    for class in Class::ALL {
        let walk = walked(&PLAN, &[failed(class)]);
        assert_eq!(walk.tried(|step| step == 0).to_vec(), [BackendId(0)], "{class:?}");
        let is_left_out = !walk.tried(|step| step == 1).is_empty();
        let of_model = matches!(class, Class::NoRoom | Class::ServerError | Class::ErrorEvent);
        assert_eq!(is_left_out, !of_model, "{class:?}");
    }
    let mut walk = walked(&PLAN, &[]);
    walk.redirected(BackendId(3), At { step: 2, model: None });
    assert_eq!(walk.tried(|step| step == 2).to_vec(), [BackendId(3)]);
    assert!(walk.tried(|step| step != 2).is_empty());
}
