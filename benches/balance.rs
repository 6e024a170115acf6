//! What the choice of a backend costs, among 64, with what is told of it
//! afterwards.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokenring::{
    balance::{Ask, Balancing, Fleet, Outturn, Policy, Shape, Turn, Work},
    base::{Chance, Instant},
};

const BACKENDS: usize = 64;
const WORK: Work = Work { prompt_bytes: 2000, shape: Shape::Streamed };
const OUTTURN: Outturn =
    Outturn { prompt_tokens: Some(500), completion_tokens: 100, at_backends_pace: true };

/// A fleet that has answered for a while.
fn fleet(policy: Policy) -> Fleet {
    let fleet = Fleet::new(BACKENDS, Balancing { policy, ..Balancing::DEFAULT });
    let (mut turn, mut chance) = (Turn::new(&fleet, 0), Chance::seeded(1));
    for round in 0..100_000 {
        answer(&fleet, &mut turn, &mut chance, round * 1_000_000);
    }
    fleet
}

/// One request, chosen for, answered, told of.
fn answer(fleet: &Fleet, turn: &mut Turn, chance: &mut Chance, nanos: u64) {
    let at = |after| Instant::from_nanos(nanos + after);
    if let Ok(mut ticket) = fleet.pick(turn, &ask(fleet), at(0), chance) {
        ticket.first_byte(at(50_000_000));
        ticket.done(OUTTURN, at(2_000_000_000));
    }
}

/// Of all, as the fleet's policy says.
fn ask(fleet: &Fleet) -> Ask<'_> {
    Ask::new(fleet.everyone(), fleet.policy(), black_box(WORK))
}

fn bench_pick(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick_of_64");
    for policy in Policy::ALL {
        let fleet = fleet(policy);
        let (mut turn, mut chance) = (Turn::new(&fleet, 0), Chance::seeded(2));
        let mut nanos = 100_000_000_000;
        group.bench_function(BenchmarkId::from_parameter(policy.name()), |b| {
            b.iter(|| {
                // A hundred thousand requests a second, as one shard may have.
                nanos += 10_000;
                let now = Instant::from_nanos(nanos);
                black_box(fleet.pick(&mut turn, &ask(&fleet), now, &mut chance)).ok();
            });
        });
    }
    group.finish();
}

fn bench_ticket(c: &mut Criterion) {
    let fleet = fleet(Policy::LeastLatency);
    let (mut turn, mut chance) = (Turn::new(&fleet, 0), Chance::seeded(3));
    let mut nanos = 100_000_000_000;
    c.bench_function("pick_and_tell_of_64", |b| {
        b.iter(|| {
            nanos += 10_000;
            answer(&fleet, &mut turn, &mut chance, nanos);
        });
    });
}

criterion_group!(benches, bench_pick, bench_ticket);
criterion_main!(benches);
