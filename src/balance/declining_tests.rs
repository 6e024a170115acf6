//! A backend that declines every request at once (4xx) beside three that work,
//! in virtual time and from fixed seeds: it must not draw the requests.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::*;
use crate::base::{Chance, Instant};

const BACKENDS: usize = 4;
const DECLINING: usize = 2;
const REQUESTS: usize = 400;
const ANSWER: Outturn =
    Outturn { prompt_tokens: None, completion_tokens: 20, at_backends_pace: true };

fn at(millis: u64) -> Instant {
    Instant::from_nanos(1_000_000_000 + millis * 1_000_000)
}

/// So many clients, each of which asks again when it is answered: how many
/// requests each backend gets. A good one takes 100 ms, the other one 1 ms.
fn shares(policy: Policy, shape: Shape, clients: usize, seed: u64) -> [usize; BACKENDS] {
    let fleet = Fleet::new(BACKENDS, Balancing { policy, ..Balancing::DEFAULT });
    let (mut turn, mut chance) = (Turn::new(&fleet, 0), Chance::seeded(seed));
    let (mut given, mut now) = ([0; BACKENDS], 0);
    let mut tickets: Vec<Option<Ticket<'_>>> = (0..clients).map(|_| None).collect();
    let mut free: BinaryHeap<_> = (0..clients).map(|client| Reverse((0, client))).collect();
    for _ in 0..REQUESTS {
        let Some(Reverse((until, client))) = free.pop() else { break };
        now = until.max(now);
        match tickets[client].take() {
            Some(ticket) if ticket.backend().0 == DECLINING => ticket.declined(at(now)),
            Some(ticket) => ticket.done(ANSWER, at(now)),
            None => {}
        }
        let work = Work { prompt_bytes: 400, shape };
        let ask = Ask::new(fleet.everyone(), policy, work);
        let ticket = fleet.pick(&mut turn, &ask, at(now), &mut chance).unwrap();
        let backend = ticket.backend().0;
        given[backend] += 1;
        tickets[client] = Some(ticket);
        free.push(Reverse((now + if backend == DECLINING { 1 } else { 100 }, client)));
    }
    let figures = fleet.figures(BackendId(DECLINING), at(now)).unwrap();
    assert_eq!((figures.failures, figures.ejected), (0, false), "it has answered");
    given
}

#[test]
fn who_declines_at_once_gets_no_more_than_its_fair_share() {
    for policy in [
        Policy::LeastLatency,
        Policy::PeakEwma,
        Policy::Prefix,
        Policy::SessionHash,
        Policy::LeastInFlight,
        Policy::PowerOfTwo,
    ] {
        for shape in [Shape::Whole, Shape::Streamed] {
            for (clients, seed) in [(1, 1), (8, 2), (8, 3), (40, 4)] {
                let given = shares(policy, shape, clients, seed);
                let most = REQUESTS / BACKENDS;
                assert!(given[DECLINING] <= most, "{policy:?} {shape:?} {clients}: {given:?}");
                assert!(given.iter().all(|&given| given > 0), "{policy:?} {shape:?}: {given:?}");
            }
        }
    }
}

/// With nothing else to tell them apart, it gets its share again some time.
#[test]
fn who_has_declined_once_is_forgiven() {
    for policy in [Policy::LeastInFlight, Policy::PowerOfTwo] {
        let fleet = Fleet::new(2, Balancing { policy, ..Balancing::DEFAULT });
        let (mut turn, mut chance) = (Turn::new(&fleet, 0), Chance::seeded(5));
        let mut shares = |from: u64| {
            let mut given = [0; 2];
            for pick in 0..100 {
                let now = at(from + pick);
                let ask = Ask::new(fleet.everyone(), policy, Work::default());
                let ticket = fleet.pick(&mut turn, &ask, now, &mut chance).unwrap();
                given[ticket.backend().0] += 1;
                drop(ticket);
            }
            given
        };
        let one = Ask::new(&fleet.everyone()[..1], policy, Work::default());
        let mut first_turn = Turn::new(&fleet, 0);
        let ticket = fleet.pick(&mut first_turn, &one, at(0), &mut Chance::seeded(1)).unwrap();
        ticket.declined(at(0));
        assert_eq!(shares(1), [0, 100], "{policy:?}");
        assert!(shares(10_000)[0] > 25, "{policy:?}");
    }
}
