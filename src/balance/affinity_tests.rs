//! Facts about conversations that stay where they were.

use std::num::NonZeroU32;

use crate::{
    balance::{
        Ask, BackendId, Balancing, Fleet, Policy, Probed, Seat, Shape, Ticket, Turn, Work, hashes,
    },
    base::{Chance, Instant},
};

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);
const WORK: Work = Work { prompt_bytes: 4000, shape: Shape::Streamed };

/// A fleet, and one shard's way of choosing.
struct Bench {
    fleet: Fleet,
    turn: Turn,
    chance: Chance,
}

impl Bench {
    fn of(policy: Policy, weights: &[u32]) -> Self {
        let seat =
            |(place, &weight): (usize, &u32)| Seat { weight, ..Seat::of(&format!("gpu-{place}")) };
        Self::seated(policy, weights.iter().enumerate().map(seat).collect())
    }

    fn seated(policy: Policy, seats: Vec<Seat>) -> Self {
        let fleet = Fleet::of(seats, Balancing { policy, ..Balancing::DEFAULT });
        for &backend in fleet.everyone() {
            (0..16).for_each(|_| fleet.load(backend).health.begun(NOW));
        }
        let turn = Turn::new(&fleet, 0);
        Self { fleet, turn, chance: Chance::seeded(1) }
    }

    fn pick(&mut self, change: impl FnOnce(&mut Ask<'_>)) -> Ticket<'_> {
        let mut ask = Ask::new(self.fleet.everyone(), self.fleet.policy(), WORK);
        change(&mut ask);
        self.fleet.pick(&mut self.turn, &ask, NOW, &mut self.chance).unwrap()
    }

    fn session(&mut self, conversation: u64) -> usize {
        self.pick(|ask| ask.conversation = Some(conversation)).backend().0
    }

    fn prefix(&mut self, hashes: &[u64]) -> usize {
        let mut ask = Ask::new(self.fleet.everyone(), self.fleet.policy(), WORK);
        ask.hashes = hashes;
        self.fleet.pick(&mut self.turn, &ask, NOW, &mut self.chance).unwrap().backend().0
    }

    /// Gives a backend work of so many tokens.
    fn busy(&self, backend: usize, tokens: u64) {
        let room = crate::balance::load::Room::WIDE;
        self.fleet.load(BackendId(backend)).begin(tokens, true, room, NOW).unwrap();
    }
}

fn talk(of: u8, bytes: usize) -> Vec<u64> {
    hashes(&[&[of], &vec![b'x'; bytes]], 1)
}

#[test]
fn a_session_stays_where_it_was() {
    for weights in [&[1; 8][..], &[1, 2, 3, 4]] {
        let mut bench = Bench::of(Policy::SessionHash, weights);
        for conversation in 0..100 {
            let first = bench.session(conversation);
            assert!((0..20).all(|_| bench.session(conversation) == first), "{conversation}");
        }
    }
}

#[test]
fn sessions_are_shared_as_backends_weigh() {
    for weights in [[1, 1, 1, 1], [1, 2, 3, 4]] {
        let mut bench = Bench::of(Policy::SessionHash, &weights);
        let mut shares = [0_u32; 4];
        (0..4000).for_each(|conversation| shares[bench.session(conversation)] += 1);
        let all: u32 = weights.iter().sum();
        for (share, weight) in shares.iter().zip(weights) {
            let expected = 4000 * weight / all;
            assert!(share.abs_diff(expected) < 4000 / 40, "{weights:?}: {shares:?}");
        }
    }
}

#[test]
fn one_that_goes_moves_only_its_own_sessions_and_one_that_comes_few() {
    for weights in [[1; 5], [1, 2, 3, 2, 1]] {
        let mut whole = Bench::of(Policy::SessionHash, &weights);
        let mut fewer = Bench::of(Policy::SessionHash, &weights[..4]);
        let moved = (0..2000).filter(|&conversation| {
            let (with, without) = (whole.session(conversation), fewer.session(conversation));
            assert!(with == 4 || with == without, "{conversation}: {with} {without}");
            with != without
        });
        let moved = moved.count() as u32;
        let expected = 2000 * weights[4] / weights.iter().sum::<u32>();
        assert!(moved.abs_diff(expected) < 80, "{moved} for {expected}");
    }
}

#[test]
fn a_session_yields_when_its_backend_would_answer_late_and_comes_back() {
    let mut bench = Bench::of(Policy::SessionHash, &[1; 4]);
    let first = bench.session(7);
    bench.busy(first, 30_000);
    let second = bench.session(7);
    assert_ne!(first, second);
    assert!((0..20).all(|_| bench.session(7) == second), "they yield to the same one");
    bench.fleet.load(BackendId(first)).end_waiting(30_000, true);
    assert_eq!(bench.session(7), first);
}

#[test]
fn a_request_without_a_conversation_goes_to_the_soonest() {
    for policy in [Policy::SessionHash, Policy::Prefix] {
        let mut bench = Bench::of(policy, &[1; 2]);
        bench.busy(0, 30_000);
        assert!((0..20).all(|_| bench.pick(|_| ()).backend() == BackendId(1)), "{policy:?}");
    }
}

#[test]
fn a_conversation_goes_on_where_most_of_it_was_read() {
    for backends in [2, 8, 12] {
        let mut bench = Bench::of(Policy::Prefix, &vec![1; backends]);
        for of in 0..20 {
            let first = bench.prefix(&talk(of, 4000));
            for bytes in [4000, 4500, 9000, 30_000, 3000] {
                assert_eq!(bench.prefix(&talk(of, bytes)), first, "{of} {bytes}");
            }
        }
    }
}

#[test]
fn conversations_with_nothing_in_common_are_spread() {
    let mut bench = Bench::of(Policy::Prefix, &[1; 4]);
    let mut given = [0; 4];
    for of in 0..240_u32 {
        let text = format!("{of} ").repeat(200);
        given[bench.prefix(&hashes(&[b"m", b"", b"", text.as_bytes()], 1))] += 1;
    }
    assert!(given.iter().all(|&given| (20..=120).contains(&given)), "{given:?}");
    let read = |place| bench.fleet.figures(BackendId(place), NOW).unwrap().prompt_tokens_read;
    assert_eq!((0..4).map(read).sum::<u64>(), 0, "nobody has read any of them before");
}

#[test]
fn what_was_read_is_no_work() {
    let mut bench = Bench::of(Policy::Prefix, &[1; 2]);
    let hashes = talk(1, 14 * 256);
    let first = bench.prefix(&hashes);
    let backlog = |bench: &Bench, backend| bench.fleet.load(BackendId(backend)).backlog();
    let ask = Ask { hashes: &hashes, ..Ask::new(bench.fleet.everyone(), Policy::Prefix, WORK) };
    let (turn, chance) = (&mut bench.turn, &mut bench.chance);
    let ticket = bench.fleet.pick(turn, &ask, NOW, chance).unwrap();
    assert_eq!(ticket.backend().0, first);
    // Of 1,000 tokens fourteen blocks of 64 are known.
    assert_eq!(bench.fleet.load(BackendId(first)).backlog(), 104);
    drop(ticket);
    assert_eq!(backlog(&bench, first), 0);
    let figures = bench.fleet.figures(BackendId(first), NOW).unwrap();
    assert_eq!((figures.prompt_tokens, figures.prompt_tokens_read), (2000, 896));
}

#[test]
fn a_prefix_yields_when_its_backend_would_answer_late() {
    let mut bench = Bench::of(Policy::Prefix, &[1; 4]);
    let first = bench.prefix(&talk(1, 4000));
    bench.busy(first, 30_000);
    let second = bench.prefix(&talk(1, 4000));
    assert_ne!(first, second);
    assert_eq!(bench.prefix(&talk(1, 4500)), second, "it has read it now");
}

#[test]
fn a_backend_that_has_lost_its_cache_is_not_preferred() {
    let mut bench = Bench::of(Policy::Prefix, &[1; 2]);
    let first = bench.prefix(&talk(1, 4000));
    bench.fleet.came(BackendId(first), NOW);
    (0..16).for_each(|_| bench.fleet.load(BackendId(first)).health.begun(NOW));
    bench.prefix(&talk(1, 4000));
    let figures = bench.fleet.figures(BackendId(first), NOW).unwrap();
    assert_eq!(figures.prompt_tokens_read, 0);
}

#[test]
fn who_is_full_or_left_alone_is_not_preferred() {
    for policy in [Policy::SessionHash, Policy::Prefix] {
        let seat = |name| Seat { capacity: NonZeroU32::new(1), ..Seat::of(name) };
        let mut bench = Bench::seated(policy, vec![seat("a"), seat("b"), seat("c")]);
        let hashes = talk(1, 4000);
        let (turn, chance) = (&mut bench.turn, &mut bench.chance);
        let ask = Ask {
            conversation: Some(9),
            hashes: &hashes,
            ..Ask::new(bench.fleet.everyone(), policy, WORK)
        };
        let first = bench.fleet.pick(turn, &ask, NOW, chance).unwrap();
        let second = bench.fleet.pick(turn, &ask, NOW, chance).unwrap();
        assert_ne!(first.backend(), second.backend(), "{policy:?}");
        bench.fleet.set_probed(second.backend(), Probed::Unhealthy, NOW);
        let unhealthy = second.backend();
        drop(second);
        let third = bench.fleet.pick(turn, &ask, NOW, chance).unwrap();
        assert!(third.backend() != first.backend() && third.backend() != unhealthy, "{policy:?}");
    }
}

#[test]
fn nobody_has_much_more_than_its_share_of_one_conversation_that_all_ask() {
    for policy in [Policy::SessionHash, Policy::Prefix] {
        let bench = Bench::of(policy, &[1; 8]);
        let Bench { fleet, mut turn, mut chance } = bench;
        let hashes = talk(1, 4000);
        let mut shares = [0_u32; 8];
        let mut under_way = std::collections::VecDeque::new();
        for _ in 0..4000 {
            let ask = Ask {
                conversation: Some(9),
                hashes: &hashes,
                ..Ask::new(fleet.everyone(), policy, WORK)
            };
            let mut ticket = fleet.pick(&mut turn, &ask, NOW, &mut chance).unwrap();
            shares[ticket.backend().0] += 1;
            ticket.first_byte(NOW.after(std::time::Duration::from_millis(100)));
            under_way.push_back(ticket);
            if under_way.len() > 24 {
                under_way.pop_front();
            }
        }
        assert!(shares.iter().all(|share| *share < 625), "{policy:?}: {shares:?}");
    }
}

#[test]
fn whatever_is_drawn_lies_between_its_bounds() {
    for drawn in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
        let uniform = super::between_bounds(drawn);
        assert!(uniform > 0.0 && uniform < 1.0 && -uniform.ln() > 0.0, "{drawn}: {uniform}");
    }
}
