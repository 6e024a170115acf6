use super::*;
use crate::retry::Classes;

const PLAN: RetryPlan = RetryPlan::DEFAULT;

fn at(millis: u64) -> Instant {
    Instant::default().after(Duration::from_millis(millis))
}

/// A walk after these failures, one backend each, all at time zero.
fn walked<'p>(plan: &'p RetryPlan, failures: &[Failed]) -> Walk<'p> {
    let mut walk = Walk::new(plan, Repeatable::Yes);
    for (place, failed) in failures.iter().enumerate() {
        walk.begins();
        walk.failed(BackendId(place), 0, *failed, at(0));
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
    for class in Class::ALL {
        let next = |times: usize| walked(&PLAN, &vec![failed(class); times]).next(class, 0);
        assert_eq!(next(1), Ok(Next::Another), "{class:?}");
        assert_eq!(next(2), Ok(Next::Another), "{class:?}");
        let three_cuts = class == Class::Cut;
        let third = if three_cuts { GivenUp::NotAgain } else { GivenUp::AttemptsSpent };
        assert_eq!(next(3), Err(third), "{class:?}");
    }
}

#[test]
fn three_cuts_end_a_request_whatever_else_it_met() {
    let plan = RetryPlan { attempts: RetryPlan::ATTEMPTS_MAX, ..PLAN };
    let next = |cuts: usize| {
        let mut failures = vec![failed(Class::Cut); cuts];
        failures.insert(1, failed(Class::NoRoom));
        walked(&plan, &failures).next(Class::Cut, 0)
    };
    assert_eq!(next(2), Ok(Next::Another));
    assert_eq!(next(3), Err(GivenUp::NotAgain));
}

#[test]
fn only_what_the_operator_has_named_is_followed() {
    let plan = RetryPlan { on: Classes::NONE.and(Class::NoRoom), ..PLAN };
    for class in Class::ALL {
        let next = walked(&plan, &[failed(class)]).next(class, 0);
        assert_eq!(next.is_ok(), class == Class::NoRoom, "{class:?}");
    }
    let off = RetryPlan { attempts: 1, ..PLAN };
    assert_eq!(walked(&off, &[failed(Class::Connect)]).next(Class::Connect, 3), {
        // Nobody is told not to try again because we do not.
        Err(GivenUp::NotAgain)
    });
}

#[test]
fn what_may_have_had_an_effect_goes_on_only_unsent() {
    for class in Class::ALL {
        let mut walk = Walk::new(&PLAN, Repeatable::Unsent);
        walk.begins();
        walk.failed(BackendId(0), 0, failed(class), at(0));
        let unsent = matches!(class, Class::Connect | Class::Tls);
        assert_eq!(walk.next(class, 0).is_ok(), unsent, "{class:?}");
    }
}

#[test]
fn an_attempt_is_kept_for_each_fallback() {
    let next = |made: usize, steps_left| {
        walked(&PLAN, &vec![failed(Class::NoRoom); made]).next(Class::NoRoom, steps_left)
    };
    assert_eq!(next(1, 0), Ok(Next::Another));
    assert_eq!(next(1, 1), Ok(Next::Another));
    assert_eq!(next(2, 1), Ok(Next::Step));
    assert_eq!(next(1, 2), Ok(Next::Step));
    assert_eq!(next(1, 9), Ok(Next::Step));
    assert_eq!(next(3, 1), Err(GivenUp::AttemptsSpent));
}

#[test]
fn a_model_asked_for_a_reason_costs_no_attempt() {
    let mut walk = walked(&PLAN, &[failed(Class::NoRoom); 2]);
    walk.begins();
    walk.redirected(BackendId(2), 0);
    assert_eq!(walk.next(Class::NoRoom, 0), Ok(Next::Another));
    walk.begins();
    assert_eq!(walk.next(Class::NoRoom, 0), Err(GivenUp::AttemptsSpent));
}

#[test]
fn an_unsent_request_pays_nothing() {
    let budget = Budget::default();
    let walk = walked(&PLAN, &[]);
    for _ in 0..100 {
        walk.pay(Class::Connect, &budget, at(10)).unwrap();
        walk.pay(Class::Tls, &budget, at(10)).unwrap();
    }
    let paid = (0..100).filter(|_| walk.pay(Class::NoRoom, &budget, at(10)).is_ok()).count();
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
    let mut walk = walked(&PLAN, &[asking(4), asking(2), asking(9), failed(Class::Timeout)]);
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
    for (plan, repeatable, asked, steps_left, may) in [
        (attempts(3), Repeatable::Yes, 1, 0, true),
        (attempts(3), Repeatable::Unsent, 1, 0, false),
        (attempts(1), Repeatable::Yes, 1, 0, false),
        (attempts(2), Repeatable::Yes, 1, 0, true),
        (attempts(2), Repeatable::Yes, 2, 0, false),
        // An attempt is kept for each model that may be asked instead.
        (attempts(3), Repeatable::Yes, 1, 1, true),
        (attempts(3), Repeatable::Yes, 1, 2, false),
        (attempts(3), Repeatable::Yes, 2, 1, false),
        (attempts(3), Repeatable::Yes, 1, usize::MAX, false),
    ] {
        let mut walk = Walk::new(&plan, repeatable);
        (0..asked).for_each(|_| walk.begins());
        let case = (plan.attempts, repeatable, asked, steps_left);
        assert_eq!(walk.may_hedge(steps_left), may, "{case:?}");
        walk.hedged();
        assert_eq!(walk.attempts(), asked + 1);
        assert!(!walk.may_hedge(0), "{case:?}: once");
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
    walk.redirected(BackendId(3), 2);
    assert_eq!(walk.tried(|step| step == 2).to_vec(), [BackendId(3)]);
    assert!(walk.tried(|step| step != 2).is_empty());
}
