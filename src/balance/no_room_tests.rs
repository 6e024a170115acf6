//! Facts about backends that have no room for one of their models.

use std::time::Duration;

use super::{Ask, BackendId, Balancing, Fleet, ModelKey, Outturn, Policy, Seat, Turn, Work};
use crate::base::{Chance, Instant};

const SPENT: Option<&str> = Some("spent");
const OTHER: Option<&str> = Some("other");

fn at(seconds: u64) -> Instant {
    Instant::default().after(Duration::from_secs(seconds))
}

struct Bench {
    fleet: Fleet,
    turn: Turn,
    chance: Chance,
}

impl Bench {
    fn of(backends: usize, policy: Policy, serves_one: bool) -> Self {
        let seat = |place: usize| Seat { serves_one, ..Seat::of(&place.to_string()) };
        let balancing = Balancing { policy, ..Balancing::DEFAULT };
        let fleet = Fleet::of((0..backends).map(seat).collect(), balancing);
        let turn = Turn::new(&fleet, 0);
        let mut bench = Self { fleet, turn, chance: Chance::seeded(1) };
        // They have all proven themselves, for both models.
        for place in 0..backends {
            for model in [SPENT, OTHER] {
                (0..16).for_each(|_| bench.answers(place, model, at(1)));
            }
        }
        bench
    }

    fn ask<'a>(&self, among: &'a [BackendId], model: Option<&str>) -> Ask<'a> {
        let model = model.map(|model| ModelKey::of(model.as_bytes()));
        let ask = Ask::new(among, self.fleet.policy(), Work::default());
        Ask { model, conversation: Some(self.turn.usual_at.map_or(0, Instant::as_nanos)), ..ask }
    }

    fn answers(&mut self, place: usize, model: Option<&str>, now: Instant) {
        let among = [BackendId(place)];
        let ask = self.ask(&among, model);
        let ticket = self.fleet.pick(&mut self.turn, &ask, now, &mut self.chance).unwrap();
        ticket.done(Outturn::default(), now);
    }

    /// A backend says 429 to a request of this model. Says whether it is left
    /// alone from now on.
    fn declines(&mut self, place: usize, model: Option<&str>, after: Option<u64>) -> bool {
        let among = [BackendId(place)];
        let ask = self.ask(&among, model);
        let ticket = self.fleet.pick(&mut self.turn, &ask, at(10), &mut self.chance).unwrap();
        ticket.no_room(after.map(Duration::from_secs), at(10)).is_some()
    }

    /// How many of a hundred requests of this model each backend is given.
    fn shares(&mut self, model: Option<&str>, seconds: u64) -> Vec<usize> {
        let everyone = self.fleet.everyone().to_vec();
        let mut shares = vec![0; everyone.len()];
        for conversation in 0..100 {
            let ask = Ask { conversation: Some(conversation), ..self.ask(&everyone, model) };
            let (turn, now) = (&mut self.turn, at(seconds));
            let ticket = self.fleet.pick(turn, &ask, now, &mut self.chance).unwrap();
            shares[ticket.backend().0] += 1;
            ticket.left(now);
        }
        shares
    }
}

#[test]
fn a_model_that_is_spent_leaves_a_backend_to_the_others() {
    for policy in Policy::ALL {
        let mut bench = Bench::of(2, policy, false);
        assert!(bench.declines(0, SPENT, Some(30)));
        assert_eq!(bench.shares(SPENT, 39), [0, 100], "{policy:?}");
        let shares = bench.shares(OTHER, 11);
        assert!(shares.iter().all(|share| *share >= 25), "{policy:?}: {shares:?}");
        let of_none = bench.shares(None, 11);
        assert!(of_none.iter().all(|share| *share >= 25), "{policy:?}: {of_none:?}");
        assert!(bench.shares(SPENT, 200)[0] >= 25, "{policy:?}: its time is over");
    }
}

#[test]
fn so_do_those_that_say_so_again_and_again() {
    let mut bench = Bench::of(2, Policy::LeastLatency, false);
    let ejected: Vec<_> = (0..5).map(|_| bench.declines(0, SPENT, None)).collect();
    assert_eq!(ejected, [false, false, false, false, true]);
    assert_eq!(bench.shares(SPENT, 14), [0, 100]);
    assert!(bench.shares(OTHER, 14)[0] >= 25);
    let figures = bench.fleet.figures(BackendId(0), at(14)).unwrap();
    assert_eq!((figures.ejected, figures.ejected_models, figures.failures), (false, 1, 5));
}

#[test]
fn before_that_it_looks_slower_for_this_model_alone() {
    let mut bench = Bench::of(2, Policy::LeastLatency, false);
    assert!(!bench.declines(0, SPENT, None));
    assert_eq!(bench.shares(SPENT, 11), [0, 100]);
    assert!(bench.shares(OTHER, 11)[0] >= 25);
}

#[test]
fn where_it_has_one_model_or_none_was_named_all_leave_it_alone() {
    for (model, serves_one) in [(None, false), (SPENT, true)] {
        let mut bench = Bench::of(2, Policy::RoundRobin, serves_one);
        assert!(bench.declines(0, model, Some(30)));
        for model in [SPENT, OTHER, None] {
            assert_eq!(bench.shares(model, 11), [0, 100], "{model:?}");
        }
    }
}

#[test]
fn half_of_them_stay_for_each_model() {
    let mut bench = Bench::of(2, Policy::RoundRobin, false);
    assert!(bench.declines(0, SPENT, Some(30)));
    assert!(!bench.declines(1, SPENT, Some(30)));
    assert!(bench.declines(1, OTHER, Some(30)));
    assert_eq!((bench.shares(SPENT, 11), bench.shares(OTHER, 11)), (vec![0, 100], vec![100, 0]));
}

#[test]
fn a_backend_without_room_for_many_models_has_none() {
    let mut bench = Bench::of(2, Policy::RoundRobin, false);
    for model in 0..9 {
        assert!(bench.declines(0, Some(&format!("model-{model}")), Some(30)));
    }
    assert_eq!(bench.shares(OTHER, 11), [0, 100]);
}

#[test]
fn a_model_is_asked_for_once_one_is_spent_and_in_the_plans_that_follow() {
    let mut bench = Bench::of(2, Policy::RoundRobin, false);
    assert!(!bench.fleet.tells_models_apart());
    let ask = bench.ask(&[BackendId(0)], None);
    let ticket = bench.fleet.pick(&mut bench.turn, &ask, at(10), &mut bench.chance).unwrap();
    // Which it is was not known before.
    let ticket = ticket.of_model(Some(ModelKey::of(b"spent")));
    assert!(ticket.no_room(Some(Duration::from_secs(30)), at(10)).is_some());
    assert_eq!(bench.shares(SPENT, 11), [0, 100]);
    assert!(bench.shares(OTHER, 11)[0] >= 25);
    assert!(bench.fleet.tells_models_apart());
    let seats = ["0", "1"].map(Seat::of).to_vec();
    let known = [BackendId(0), BackendId(1)].map(Some);
    let next = bench.fleet.followed_by(&known, seats, Balancing::DEFAULT, at(12));
    assert!(next.tells_models_apart());
}
