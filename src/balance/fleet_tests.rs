//! Facts about what is known of all backends.

use super::*;
use crate::balance::{Probed, Work};

const NOW: Instant = Instant::from_nanos(1);

/// A request that fails at a backend.
fn fails_at(fleet: &Fleet, place: usize) {
    let (mut turn, mut chance) = (Turn::new(fleet, 0), Chance::seeded(1));
    let (among, work) = ([BackendId(place)], Work::default());
    let ask = Ask::new(&among, fleet.policy(), work);
    fleet.pick(&mut turn, &ask, NOW, &mut chance).unwrap().failed(None, NOW);
}

fn failures(fleet: &Fleet) -> Vec<u64> {
    let figures = (0..).map_while(|place| fleet.figures(BackendId(place), NOW));
    figures.map(|figures| figures.failures).collect()
}

fn seats(count: usize) -> Vec<Seat> {
    (0..count).map(|place| Seat::of(&place.to_string())).collect()
}

#[test]
fn what_is_known_of_a_backend_goes_with_it_into_the_next_plan() {
    let before = Fleet::new(2, Balancing::DEFAULT);
    fails_at(&before, 1);
    before.prompts.learn_line(1000.0, 0.001);
    let known = [None, Some(BackendId(1)), None];
    let after = before.followed_by(&known, seats(3), Balancing::DEFAULT, NOW);
    assert_eq!(failures(&after), [0, 1, 0]);
    assert_eq!(after.prompts.line(), before.prompts.line());
    // A request that is still told by the plan before counts in both.
    fails_at(&before, 1);
    assert_eq!((failures(&before), failures(&after)), (vec![0, 2], vec![0, 2, 0]));
}

#[test]
fn a_backend_that_was_none_of_the_plan_before_begins_anew() {
    let before = Fleet::new(1, Balancing::DEFAULT);
    fails_at(&before, 0);
    for known in [&[Some(BackendId(7))][..], &[None], &[]] {
        let after = before.followed_by(known, seats(1), Balancing::DEFAULT, NOW);
        assert_eq!(failures(&after), [0]);
    }
}

/// The request that is under way keeps the plan by which it is told.
#[test]
fn one_that_comes_back_while_its_requests_are_under_way_has_them_still() {
    let first = Fleet::new(2, Balancing::DEFAULT);
    let both =
        |known| move |fleet: &Fleet| fleet.followed_by(known, seats(2), Balancing::DEFAULT, NOW);
    let (mut turn, mut chance) = (Turn::new(&first, 0), Chance::seeded(1));
    let only = [BackendId(1)];
    let ask = Ask::new(&only, first.policy(), Work::default());
    let ticket = first.pick(&mut turn, &ask, NOW, &mut chance).unwrap();
    let known = [Some(BackendId(0))];
    let without = first.followed_by(&known, seats(1), Balancing::DEFAULT, NOW);
    let without = without.followed_by(&known, seats(1), Balancing::DEFAULT, NOW);
    let again = both(&[Some(BackendId(0)), None])(&without);
    let waiting = |fleet: &Fleet| fleet.figures(BackendId(1), NOW).unwrap().waiting;
    assert_eq!(waiting(&again), 1);
    // It is there once, so that whoever else comes to that place is another.
    let twice = [seats(2), seats(2).split_off(1)].concat();
    let known = [Some(BackendId(0)), None, None];
    let twice = without.followed_by(&known, twice, Balancing::DEFAULT, NOW);
    assert_eq!((waiting(&twice), twice.figures(BackendId(2), NOW).unwrap().waiting), (1, 0));
    drop((again, twice, ticket));
    drop(first);
    let anew = both(&[Some(BackendId(0)), None])(&without);
    assert_eq!(anew.figures(BackendId(1), NOW).unwrap().picks, 0, "nobody knows it any more");
}

/// Who is out when all of these fail, one after the other.
fn out(fleet: &Fleet, failing: &[usize], by_probes: bool) -> Vec<usize> {
    for &place in failing {
        match by_probes {
            true => {
                fleet.set_probed(BackendId(place), Probed::Unhealthy, NOW);
            }
            false => (0..5).for_each(|_| fails_at(fleet, place)),
        }
    }
    let is_out = |&place: &usize| fleet.load(BackendId(place)).health.is_out(NOW);
    (0..fleet.everyone().len()).filter(is_out).collect()
}

/// By requests that fail and by probes alike.
#[test]
fn an_outage_of_a_model_keeps_none_of_those_that_stand_in_for_it() {
    let ids = |places: [usize; 2]| places.map(BackendId).to_vec();
    for by_probes in [false, true] {
        let peers = [Peers::of(ids([0, 1]), ids([2, 3])), Peers::of(ids([2, 3]), vec![])];
        let fleet =
            Fleet::new(4, Balancing::DEFAULT).with_peers(peers.into_iter().flatten().collect());
        assert_eq!(out(&fleet, &[0, 1, 2, 3], by_probes), [0, 1, 2], "by probes: {by_probes}");
    }
}

#[test]
fn where_nothing_is_said_everyone_stands_in_for_everyone() {
    let fleet = Fleet::new(4, Balancing::DEFAULT);
    assert_eq!(out(&fleet, &[0, 1, 2, 3], false), [0, 1]);
}
