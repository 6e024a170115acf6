//! Facts about whom each policy chooses.

use std::time::Duration;

use super::*;
use crate::{
    balance::{Shape, cost::Usual, prompts::Line},
    base::Instant,
};

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

/// Some backends, and one shard's way of choosing among them.
struct Bench {
    loads: Vec<Arc<Load>>,
    policy: Policy,
    next: usize,
    chance: Chance,
}

impl Bench {
    fn of(backends: usize, policy: Policy) -> Self {
        let loads: Vec<Arc<Load>> = (0..backends).map(|_| Arc::default()).collect();
        // They have all proven themselves.
        loads.iter().for_each(|load| (0..16).for_each(|_| load.health.begun()));
        Self { loads, policy, next: 0, chance: Chance::seeded(1) }
    }

    fn pick(&mut self, tried: &[usize]) -> Option<usize> {
        let line = Line { floor: 0.05, per_token: 0.0001 };
        let terms = Terms {
            line,
            usual: Usual::GUESS,
            capacity: 100.0,
            tokens: 100,
            shape: Shape::Streamed,
            now: NOW,
        };
        let tried: Vec<_> = tried.iter().copied().map(BackendId).collect();
        let choice = Choice { loads: &self.loads, policy: self.policy, terms, tried: &tried };
        choice.make(&mut self.next, &mut self.chance).map(|id| id.0)
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
            self.loads[backend].begin(100, false, NOW);
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

const ALL: [Policy; 6] = Policy::ALL;

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
    assert!((280..350).contains(&busy_but_one(Policy::LeastLatency)));
}

#[test]
fn a_long_prompt_weighs_more_than_many_short_ones() {
    let bench = |policy| {
        let bench = Bench::of(2, policy).busy(0, 20);
        bench.loads[1].begin(30_000, true, NOW);
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
        bench.loads[2].health.eject(Duration::ZERO, true, NOW);
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
    bench.loads[2].health.begun();
    assert!(bench.shares()[2] > 400);
}
