//! Facts about whom each policy chooses.

use std::{num::NonZeroU32, time::Duration};

use super::*;
use crate::{
    balance::{Balancing, Fleet, Probed, Shape, cost::Usual, prompts::Line},
    base::Instant,
};

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

/// Some backends, and one shard's way of choosing among them.
struct Bench {
    loads: Vec<Arc<Load>>,
    seats: Vec<Seat>,
    policy: Policy,
    turn: Turn,
    chance: Chance,
}

impl Bench {
    fn of(backends: usize, policy: Policy) -> Self {
        let loads: Vec<Arc<Load>> = (0..backends).map(|_| Arc::default()).collect();
        // They have all proven themselves.
        loads.iter().for_each(|load| (0..16).for_each(|_| load.health.begun(NOW)));
        let seats = vec![Seat::of("one of many"); backends];
        let turn = Turn::new(&Fleet::new(backends, Balancing::DEFAULT), 0);
        Self { loads, seats, policy, turn, chance: Chance::seeded(1) }
    }

    /// Chooses among all.
    fn pick(&mut self, tried: &[usize]) -> Option<usize> {
        let all: Vec<usize> = (0..self.loads.len()).collect();
        self.pick_among(&all, tried)
    }

    fn pick_among(&mut self, among: &[usize], tried: &[usize]) -> Option<usize> {
        let line = Line { floor: 0.05, per_token: 0.0001 };
        let terms = Terms {
            line,
            usual: Usual::GUESS,
            capacity: 100.0,
            tokens: 100,
            shape: Shape::Streamed,
            model: None,
            now: NOW,
        };
        let ids = |indices: &[usize]| indices.iter().copied().map(BackendId).collect::<Vec<_>>();
        let first_weight = self.seats.first().map_or(1, |seat| seat.weight);
        let choice = Choice {
            reach: Reach::Anyone,
            loads: &self.loads,
            seats: &self.seats,
            is_even: first_weight > 0 && self.seats.iter().all(|seat| seat.weight == first_weight),
            policy: self.policy,
            slow_start: Duration::from_secs(10),
            gate: self.chance.fraction(),
            terms,
            conversation: None,
            held: &Held::new(),
            tokens_per_block: 64.0,
            patience: 2.0,
            among: &ids(among),
            tried: &ids(tried),
            is_first: tried.is_empty(),
        };
        choice.make(&mut self.turn, &mut self.chance).map(|chosen| chosen.backend.0)
    }

    fn weighing(mut self, weights: &[u32]) -> Self {
        for (seat, &weight) in self.seats.iter_mut().zip(weights) {
            seat.weight = weight;
        }
        self
    }

    fn bearing(mut self, capacities: &[u32]) -> Self {
        for (seat, &capacity) in self.seats.iter_mut().zip(capacities) {
            seat.capacity = NonZeroU32::new(capacity);
        }
        self
    }

    /// How often each is chosen of a thousand times.
    fn shares(&mut self) -> Vec<u32> {
        let mut shares = vec![0; self.loads.len()];
        for _ in 0..1000 {
            shares[self.pick(&[]).unwrap()] += 1;
        }
        shares
    }

    fn busy(self, backend: usize, requests: u32) -> Self {
        for _ in 0..requests {
            self.loads[backend].begin(100, false, Room::WIDE, NOW);
        }
        self
    }

    fn ejected(self, backends: &[usize]) -> Self {
        for &backend in backends {
            self.loads[backend].health.eject(Duration::from_secs(1), true, NOW);
        }
        self
    }
}

/// One backend always fails, or is late: each time somebody else is asked after
/// it, or beside it.
#[test]
fn a_further_attempt_takes_no_turn() {
    for backends in [2, 4] {
        let mut bench = Bench::of(backends, Policy::RoundRobin);
        let mut firsts = vec![0; backends];
        let mut seconds = vec![0; backends];
        for _ in 0..100 * backends {
            let first = bench.pick(&[]).unwrap();
            firsts[first] += 1;
            if first == 0 {
                seconds[bench.pick(&[first]).unwrap()] += 1;
            }
        }
        assert_eq!(firsts, vec![100; backends]);
        let rest = 100 / (backends - 1);
        assert!(seconds[1..].iter().all(|n| (rest..=rest + 1).contains(n)), "{seconds:?}");
    }
}

const ALL: [Policy; 8] = Policy::ALL;

#[test]
fn in_turn_every_backend_has_its_turn() {
    let mut bench = Bench::of(3, Policy::RoundRobin).ejected(&[1]);
    let picks: Vec<_> = (0..4).filter_map(|_| bench.pick(&[])).collect();
    assert_eq!(picks, [0, 2, 0, 2]);
    assert_eq!((bench.pick(&[0]), bench.pick(&[])), (Some(2), Some(0)));
}

#[test]
fn by_chance_every_backend_is_chosen_as_often() {
    for policy in [Policy::Random, Policy::PowerOfTwo, Policy::LeastInFlight, Policy::LeastLatency]
    {
        for backends in [3, 8] {
            let expected = 1000 / backends as u32;
            let shares = Bench::of(backends, policy).shares();
            let fair = expected * 7 / 10..expected * 13 / 10;
            assert!(shares.iter().all(|share| fair.contains(share)), "{policy:?}: {shares:?}");
        }
    }
}

#[test]
fn the_busiest_is_avoided() {
    for policy in
        [Policy::PowerOfTwo, Policy::LeastInFlight, Policy::PeakEwma, Policy::LeastLatency]
    {
        let shares = Bench::of(4, policy).busy(2, 5).shares();
        assert_eq!(shares[2], 0, "{policy:?}: {shares:?}");
    }
    let shares = Bench::of(4, Policy::Random).busy(2, 5).shares();
    assert!(shares[2] > 200, "{shares:?}");
}

#[test]
fn only_least_in_flight_looks_at_all() {
    let busy_but_one = |policy| {
        (1..16).fold(Bench::of(16, policy), |bench, backend| bench.busy(backend, 5)).shares()[0]
    };
    assert_eq!(busy_but_one(Policy::LeastInFlight), 1000);
    assert!((100..150).contains(&busy_but_one(Policy::PowerOfTwo)));
    assert!((450..550).contains(&busy_but_one(Policy::LeastLatency)));
}

#[test]
fn a_long_prompt_weighs_more_than_many_short_ones() {
    let bench = |policy| {
        let bench = Bench::of(2, policy).busy(0, 20);
        bench.loads[1].begin(30_000, true, Room::WIDE, NOW);
        bench
    };
    assert_eq!(bench(Policy::LeastLatency).shares(), [1000, 0]);
    assert_eq!(bench(Policy::LeastInFlight).shares(), [0, 1000]);
}

#[test]
fn the_slow_one_is_avoided_by_those_who_look_at_time() {
    let slow = |policy| {
        let bench = Bench::of(2, policy);
        for (load, seconds) in bench.loads.iter().zip([0.5, 0.1]) {
            load.slowness.set(seconds, NOW);
            load.first_byte.set(seconds, NOW);
        }
        bench
    };
    for policy in [Policy::LeastLatency, Policy::PeakEwma] {
        assert_eq!(slow(policy).shares(), [0, 1000], "{policy:?}");
    }
    assert!(slow(Policy::PowerOfTwo).shares()[0] > 400);
}

#[test]
fn whoever_was_tried_is_not_chosen_again() {
    for policy in ALL {
        let mut bench = Bench::of(3, policy);
        for _ in 0..100 {
            assert_eq!(bench.pick(&[0, 2]), Some(1), "{policy:?}");
            assert_eq!(bench.pick(&[0, 1, 2]), None, "{policy:?}");
        }
        assert_eq!(Bench::of(0, policy).pick(&[]), None, "{policy:?}");
    }
}

#[test]
fn one_left_alone_is_chosen_when_nobody_else_is_left() {
    for policy in ALL {
        let mut bench = Bench::of(8, policy).ejected(&[0, 3, 5]);
        bench.loads[6].health.rest(NOW);
        let shares = bench.shares();
        assert!([0, 3, 5, 6].iter().all(|&out| shares[out] == 0), "{policy:?}: {shares:?}");
        assert!(matches!(bench.pick(&[1, 2, 4, 7]), Some(0 | 3 | 5 | 6)), "{policy:?}");
    }
}

#[test]
fn one_on_probation_gets_one_request_at_a_time() {
    for policy in ALL {
        let mut bench = Bench::of(4, policy);
        bench.loads[2].health.eject(Duration::ZERO, true, Instant::from_nanos(1));
        assert!(bench.shares()[2] > 0, "{policy:?}");
        let mut bench = bench.busy(2, 1).busy(0, 9).busy(1, 9).busy(3, 9);
        assert_eq!(bench.shares()[2], 0, "{policy:?}");
        assert_eq!(bench.pick(&[0, 1, 3]), Some(2), "{policy:?}: an error is certain otherwise");
    }
}

#[test]
fn a_new_backend_gets_one_request_until_its_first_answer() {
    let mut bench = Bench::of(4, Policy::LeastLatency);
    bench.loads[2] = Arc::default();
    assert!(bench.shares()[2] > 100);
    let mut bench = bench.busy(2, 1).busy(0, 9).busy(1, 9).busy(3, 9);
    assert_eq!(bench.shares()[2], 0);
    bench.loads[2].health.begun(NOW);
    assert!(bench.shares()[2] > 400);
}

#[test]
fn only_those_of_the_step_are_chosen() {
    for policy in ALL {
        for weights in [[1; 12], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]] {
            let mut bench = Bench::of(12, policy).weighing(&weights);
            for among in [&[7][..], &[2, 9], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 11]] {
                let mut seen = vec![];
                for _ in 0..500 {
                    seen.extend(bench.pick_among(among, &[2]));
                }
                seen.sort_unstable();
                seen.dedup();
                let expected: Vec<_> = among.iter().copied().filter(|&index| index != 2).collect();
                // Who counts requests takes the heaviest while there are none.
                if weights[0] == weights[1] {
                    assert_eq!(seen, expected, "{policy:?}");
                } else {
                    assert!(seen.iter().all(|one| expected.contains(one)), "{policy:?} {seen:?}");
                }
            }
            assert_eq!(bench.pick_among(&[], &[]), None, "{policy:?}");
        }
    }
}

#[test]
fn each_is_chosen_as_often_as_it_weighs() {
    let even_at_rest = [Policy::RoundRobin, Policy::Random, Policy::LeastLatency];
    for policy in even_at_rest {
        let shares = Bench::of(3, policy).weighing(&[5, 3, 2]).shares();
        for (share, expected) in shares.iter().zip([500, 300, 200]) {
            assert!(share.abs_diff(expected) < 60, "{policy:?}: {shares:?}");
        }
        let mut weights = [1; 12];
        weights[4] = 9;
        let shares = Bench::of(12, policy).weighing(&weights).shares();
        assert!((380..520).contains(&shares[4]), "{policy:?}: {shares:?}");
    }
}

#[test]
fn those_who_count_requests_share_them_as_they_weigh() {
    for policy in [Policy::LeastInFlight, Policy::PowerOfTwo, Policy::PeakEwma] {
        let mut bench = Bench::of(2, policy).weighing(&[3, 1]);
        for _ in 0..400 {
            let chosen = bench.pick(&[]).unwrap();
            bench = bench.busy(chosen, 1);
        }
        let busy = bench.loads[0].counts().in_flight();
        assert!((290..310).contains(&busy), "{policy:?}: {busy}");
    }
}

#[test]
fn a_heavy_backend_that_is_slow_is_still_avoided() {
    let mut bench = Bench::of(2, Policy::LeastLatency).weighing(&[9, 1]);
    bench.loads[0].slowness.set(5.0, NOW);
    assert!(bench.shares()[0] < 30, "{:?}", bench.shares());
}

#[test]
fn one_without_a_share_is_only_chosen_when_no_other_is_there() {
    for policy in ALL {
        for backends in [3, 12] {
            let mut bench = Bench::of(backends, policy).weighing(&[0]).ejected(&[1]);
            assert_eq!(bench.shares()[0], 0, "{policy:?}");
            let others: Vec<_> = (2..backends).collect();
            assert_eq!(bench.pick(&others), Some(0), "{policy:?}: one that is well comes first");
            assert_eq!(bench.pick_among(&[0], &[]), Some(0), "{policy:?}");
            let mut bench = bench.bearing(&vec![1; backends]);
            for &other in &others {
                bench = bench.busy(other, 1);
            }
            assert_eq!(bench.pick(&[]), Some(0), "{policy:?}: those who are full are not there");
        }
    }
}

#[test]
fn who_is_full_is_not_chosen_whatever_else() {
    for policy in ALL {
        let mut bench = Bench::of(3, policy).bearing(&[2, 1, 0]).busy(0, 2).busy(1, 1);
        assert_eq!(bench.shares(), [0, 0, 1000], "{policy:?}");
        assert_eq!(bench.pick(&[2]), None, "{policy:?}");
        assert_eq!(bench.pick_among(&[0, 1], &[]), None, "{policy:?}");
        bench.loads[0].end_waiting(100, false);
        assert_eq!(bench.pick(&[2]), Some(0), "{policy:?}");
    }
}

#[test]
fn one_that_came_back_does_not_wait_for_the_end_of_old_streams() {
    let mut bench = Bench::of(2, Policy::LeastLatency).busy(0, 9).busy(1, 9);
    (0..9).for_each(|_| bench.loads[1].to_stream(100, false, NOW));
    bench.loads[1].health.eject(Duration::ZERO, true, Instant::from_nanos(1));
    assert!(bench.shares()[1] > 400);
}

/// Four backends of which the second came so many seconds ago.
fn joined(policy: Policy, seconds: u64) -> Bench {
    let mut bench = Bench::of(4, policy);
    bench.loads[1] = Arc::default();
    let came_at = NOW.as_nanos() - seconds * 1_000_000_000;
    bench.loads[1].health.came(Instant::from_nanos(came_at));
    (0..16).for_each(|_| bench.loads[1].health.begun(NOW));
    bench
}

#[test]
fn one_that_has_just_come_has_a_tenth_of_its_share_and_then_more() {
    for policy in ALL {
        let counts =
            matches!(policy, Policy::LeastInFlight | Policy::PowerOfTwo | Policy::PeakEwma);
        for (seconds, expected) in [(0, 0.1), (5, 0.5), (10, 1.0)] {
            let mut bench = joined(policy, seconds);
            let mut shares = [0.0; 4];
            for _ in 0..1000 {
                let chosen = bench.pick(&[]).unwrap();
                shares[chosen] += 1.0;
                // Who counts requests compares those under way.
                bench = if counts { bench.busy(chosen, 1) } else { bench };
            }
            let found = 3.0 * shares[1] / (1000.0 - shares[1]);
            let fair = expected * 0.6..expected * 1.4;
            assert!(fair.contains(&found), "{policy:?} after {seconds} s: {found}");
        }
        let nobody_else = joined(policy, 0).pick(&[0, 2, 3]);
        assert_eq!(nobody_else, Some(1), "{policy:?}");
    }
}

#[test]
fn one_that_checks_found_unhealthy_is_left_alone_while_others_are_there() {
    for policy in ALL {
        let mut bench = Bench::of(3, policy);
        bench.loads[1].health.set_probed(Probed::Unhealthy, NOW);
        assert_eq!(bench.shares()[1], 0, "{policy:?}");
        assert_eq!(bench.pick(&[0, 2]), Some(1), "{policy:?}");
    }
}
