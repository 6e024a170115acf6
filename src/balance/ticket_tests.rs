//! Facts about what is learnt of a request's end.

use std::num::NonZeroU32;

use super::*;
use crate::{
    balance::{Ask, Balancing, Ejection, NoPick, Policy, Probed, Turn, seat::Seat},
    base::Chance,
};

const STREAMED: Work = Work { prompt_bytes: 4000, shape: Shape::Streamed };
const WHOLE: Work = Work { prompt_bytes: 4000, shape: Shape::Whole };
const OTHER: Work = Work { prompt_bytes: 4000, shape: Shape::Other };
const TOKENS: Outturn =
    Outturn { prompt_tokens: None, completion_tokens: 101, at_backends_pace: true };

fn at(millis: u64) -> Instant {
    Instant::from_nanos(1_000_000_000_000 + millis * 1_000_000)
}

fn fleet(backends: usize) -> Fleet {
    Fleet::new(backends, Balancing::DEFAULT)
}

/// Sends a request to this backend.
fn send(fleet: &Fleet, backend: usize, work: Work, millis: u64) -> Ticket<'_> {
    let tokens = fleet.prompts.tokens(work.prompt_bytes);
    Ticket::begin(fleet, BackendId(backend), (work, tokens), Room::WIDE, at(millis)).unwrap()
}

fn ask(fleet: &Fleet, work: Work) -> Ask<'_> {
    Ask::new(fleet.everyone(), fleet.policy(), work)
}

/// Nothing is under way any more.
#[track_caller]
fn is_settled(fleet: &Fleet, backend: usize) {
    let load = fleet.load(BackendId(backend));
    assert_eq!((load.counts().in_flight(), load.counts().due(), load.backlog()), (0, 0, 0));
}

#[track_caller]
fn is_about(found: Option<f32>, expected: f32) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 0.03 * expected, "{found} for {expected}");
}

#[test]
fn the_counts_come_back_however_it_ends() {
    let ends: [fn(Ticket<'_>); 5] = [
        |ticket| drop(ticket),
        |ticket| ticket.done(TOKENS, at(9)),
        |ticket| assert_eq!(ticket.failed(None, at(9)), None),
        |ticket| assert_eq!(ticket.unreachable(at(9)), None),
        |ticket| ticket.left(at(9)),
    ];
    for work in [STREAMED, WHOLE, OTHER] {
        for end in ends {
            let fleet = fleet(1);
            end(send(&fleet, 0, work, 0));
            is_settled(&fleet, 0);
            let mut begun = send(&fleet, 0, work, 0);
            begun.first_byte(at(5));
            begun.first_byte(at(6));
            assert_eq!(fleet.load(BackendId(0)).counts().streams(), 1);
            end(begun);
            is_settled(&fleet, 0);
        }
    }
}

#[test]
fn a_panic_gives_the_counts_back() {
    let fleet = fleet(1);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ticket = send(&fleet, 0, STREAMED, 0);
        panic!("on purpose");
    }));
    assert!(result.is_err());
    is_settled(&fleet, 0);
    let figures = fleet.figures(BackendId(0), at(0)).unwrap();
    assert_eq!((figures.picks, figures.failures), (1, 0));
}

#[test]
fn a_backend_that_takes_five_times_as_long_is_five_times_as_slow() {
    let fleet = fleet(2);
    for round in 0..200 {
        for (backend, millis) in [(0, 100), (1, 500)] {
            let mut ticket = send(&fleet, backend, STREAMED, round * 1000);
            ticket.first_byte(at(round * 1000 + millis));
            ticket.done(TOKENS, at(round * 1000 + millis));
        }
    }
    let slowness = |backend| fleet.load(BackendId(backend)).slowness.last().unwrap();
    is_about(Some(slowness(1) / slowness(0)), 5.0);
}

#[test]
fn the_pace_is_that_of_the_tokens_after_the_first() {
    let fleet = fleet(1);
    let pace = || fleet.load(BackendId(0)).pace.last();
    let mut stream = send(&fleet, 0, STREAMED, 0);
    stream.first_byte(at(1000));
    stream.done(TOKENS, at(3000));
    is_about(pace(), 0.020);
    // A minute later, so that the sample replaces the one before.
    let taken = fleet.prompts.line().at(1000.0) * 1000.0;
    is_about(Some(taken), 1000.0);
    send(&fleet, 0, WHOLE, 60_000).done(TOKENS, at(60_000 + taken as u64 + 4040));
    is_about(pace(), 0.040);
}

#[test]
fn what_is_not_the_backends_pace_is_not_learnt() {
    let fleet = fleet(1);
    let slow_client = Outturn { at_backends_pace: false, ..TOKENS };
    let few = Outturn { completion_tokens: 7, ..TOKENS };
    for (work, outturn) in [(STREAMED, slow_client), (STREAMED, few), (OTHER, TOKENS)] {
        let mut ticket = send(&fleet, 0, work, 0);
        ticket.first_byte(at(1));
        ticket.done(outturn, at(1000));
    }
    assert_eq!(fleet.load(BackendId(0)).pace.last(), None);
}

#[test]
fn only_first_tokens_tell_of_prompts() {
    for (work, tells) in [(STREAMED, true), (WHOLE, false), (OTHER, false)] {
        let fleet = fleet(1);
        send(&fleet, 0, work, 0).done(TOKENS, at(100));
        assert_eq!(fleet.load(BackendId(0)).slowness.last().is_some(), tells, "{work:?}");
    }
}

#[test]
fn a_failure_is_a_slow_sample() {
    for (retry_after, seconds) in [(None, 5.0), (Some(2), 5.0), (Some(9), 9.0), (Some(900), 60.0)] {
        let fleet = fleet(1);
        send(&fleet, 0, STREAMED, 0).failed(retry_after.map(Duration::from_secs), at(1));
        is_about(fleet.load(BackendId(0)).penalty.last(), seconds);
        send(&fleet, 0, STREAMED, 2).done(TOKENS, at(3));
        is_about(fleet.load(BackendId(0)).penalty.last(), seconds / 2.0);
    }
}

#[test]
fn a_client_that_leaves_tells_how_long_it_waited_and_no_more() {
    let fleet = fleet(1);
    let slowness = || fleet.load(BackendId(0)).slowness.last();
    send(&fleet, 0, STREAMED, 0).done(TOKENS, at(100));
    let before = slowness().unwrap();
    send(&fleet, 0, STREAMED, 100).left(at(110));
    assert_eq!(slowness(), Some(before));
    for _ in 0..100 {
        send(&fleet, 0, STREAMED, 200).left(at(1200));
    }
    is_about(slowness(), before * 10.0);
    let mut begun = send(&fleet, 0, STREAMED, 1300);
    begun.first_byte(at(1400));
    begun.left(at(99_000));
    assert!(slowness().unwrap() < before * 10.1);
    let figures = fleet.figures(BackendId(0), at(2000)).unwrap();
    assert_eq!((figures.failures, figures.ejected), (0, false));
}

#[test]
fn a_client_that_leaves_a_whole_answer_tells_of_what_is_not_usual() {
    let fleet = fleet(1);
    let mut turn = Turn::new(&fleet, 0);
    let penalty = || fleet.load(BackendId(0)).penalty.last();
    send(&fleet, 0, WHOLE, 0).left(at(9000));
    assert_eq!(penalty(), None, "nothing is usual yet");
    send(&fleet, 0, WHOLE, 0).done(TOKENS, at(1000));
    drop(fleet.pick(&mut turn, &ask(&fleet, OTHER), at(2000), &mut Chance::seeded(1)));
    send(&fleet, 0, WHOLE, 2000).left(at(4900));
    assert_eq!(penalty(), None);
    send(&fleet, 0, WHOLE, 2000).left(at(9000));
    is_about(penalty(), 4.0);
}

#[test]
fn failures_in_a_row_eject_and_never_more_than_half() {
    for (backends, most) in [(1, 0), (2, 1), (3, 1), (8, 4)] {
        let fleet = fleet(backends);
        for backend in 0..backends {
            for _ in 0..5 {
                send(&fleet, backend, STREAMED, 0).failed(None, at(1));
            }
        }
        let ejected = |millis| {
            let figures = (0..backends).map(|b| fleet.figures(BackendId(b), at(millis)).unwrap());
            figures.filter(|figures| figures.ejected).count()
        };
        assert_eq!((ejected(2), ejected(5001)), (most, 0), "of {backends}");
    }
}

#[test]
fn a_backend_that_asks_for_a_pause_gets_it() {
    let fleet = fleet(2);
    let is_ejected = |millis| fleet.figures(BackendId(0), at(millis)).unwrap().ejected;
    let two = Some(Duration::from_secs(2));
    assert_eq!(send(&fleet, 0, STREAMED, 0).failed(two, at(0)), two);
    assert!(is_ejected(1999) && !is_ejected(2000));
    send(&fleet, 0, STREAMED, 3000).failed(Some(Duration::from_secs(3600)), at(3000));
    let longest = Ejection::DEFAULT.pause_max.as_millis() as u64;
    assert!(is_ejected(3000 + longest - 1) && !is_ejected(3000 + longest));
}

#[test]
fn a_shorter_pause_that_is_asked_for_later_changes_nothing() {
    let fleet = fleet(2);
    let is_ejected = |millis| fleet.figures(BackendId(0), at(millis)).unwrap().ejected;
    let late = send(&fleet, 0, STREAMED, 0);
    send(&fleet, 0, STREAMED, 0).failed(Some(Duration::from_secs(30)), at(0));
    late.failed(Some(Duration::from_secs(1)), at(1));
    assert!(is_ejected(29_999));
}

#[test]
fn a_pause_of_nothing_is_none() {
    let fleet = fleet(2);
    assert_eq!(send(&fleet, 0, STREAMED, 0).failed(Some(Duration::ZERO), at(0)), None);
}

#[test]
fn a_full_fleet_is_told_from_one_that_was_tried() {
    let mut seat = Seat::of("a");
    seat.capacity = NonZeroU32::new(1);
    let fleet = Fleet::of(vec![seat, seat], Balancing::DEFAULT);
    let (mut turn, mut chance) = (Turn::new(&fleet, 0), Chance::seeded(1));
    let mut pick = |tried: &[BackendId]| {
        fleet.pick(&mut turn, &Ask { tried, ..ask(&fleet, STREAMED) }, at(0), &mut chance)
    };
    let first = pick(&[]).unwrap();
    let second = pick(&[]).unwrap();
    assert_ne!(first.backend(), second.backend());
    assert_eq!(pick(&[]).err(), Some(NoPick::Full));
    assert_eq!(pick(&[first.backend()]).err(), Some(NoPick::Full));
    assert_eq!(pick(&[BackendId(0), BackendId(1)]).err(), Some(NoPick::Nobody));
    drop(first);
    assert!(pick(&[]).is_ok());
}

#[test]
fn no_backend_is_given_more_than_it_bears_by_shards_that_choose_at_once() {
    const CAPACITIES: [u32; 3] = [1, 3, 40];
    let seat = |(place, capacity): (usize, &u32)| Seat {
        capacity: NonZeroU32::new(*capacity),
        ..Seat::of(&place.to_string())
    };
    for policy in [Policy::LeastLatency, Policy::RoundRobin, Policy::LeastInFlight] {
        let fleet =
            Fleet::of(CAPACITIES.iter().enumerate().map(seat).collect(), Balancing::DEFAULT);
        std::thread::scope(|scope| {
            for shard in 0..4 {
                let fleet = &fleet;
                scope.spawn(move || {
                    let (mut turn, mut chance) =
                        (Turn::new(fleet, shard), Chance::seeded(shard as u64));
                    let ask = Ask { policy, ..ask(fleet, STREAMED) };
                    for round in 0..2_000 {
                        let now = at(round);
                        let pick = |_| fleet.pick(&mut turn, &ask, now, &mut chance).ok();
                        let held: Vec<_> = (0..20).filter_map(pick).collect();
                        for (backend, most) in CAPACITIES.iter().enumerate() {
                            let counts = fleet.load(BackendId(backend)).counts();
                            assert!(counts.in_flight() <= *most, "{policy:?} {backend} {counts:?}");
                        }
                        for mut ticket in held {
                            ticket.first_byte(now);
                        }
                    }
                });
            }
        });
        (0..CAPACITIES.len()).for_each(|backend| is_settled(&fleet, backend));
    }
}

#[test]
fn checks_never_take_out_the_last_half() {
    let fleet = fleet(5);
    let set = |backend, probed| fleet.set_probed(BackendId(backend), probed, at(0));
    for _ in 0..2 {
        let out: Vec<_> = (0..5).map(|backend| set(backend, Probed::Unhealthy)).collect();
        assert_eq!(out, [true, true, false, false, false]);
    }
    set(0, Probed::Healthy);
    assert!(set(3, Probed::Unhealthy), "there is room for it now");
    assert_eq!(send(&fleet, 0, STREAMED, 0).failed(Some(Duration::from_secs(9)), at(0)), None);
    assert!(!fleet.set_probed(BackendId(99), Probed::Unhealthy, at(0)), "there is no such");
}

#[test]
fn one_out_of_reach_rests_and_is_found_again() {
    let fleet = fleet(2);
    send(&fleet, 0, OTHER, 0).unreachable(at(0));
    let (mut turn, mut chance) = (Turn::new(&fleet, 0), Chance::seeded(1));
    for _ in 0..20 {
        let ticket = fleet.pick(&mut turn, &ask(&fleet, OTHER), at(1), &mut chance).unwrap();
        assert_eq!(ticket.backend(), BackendId(1));
    }
    assert!(fleet.any_ready(at(1)));
    send(&fleet, 1, OTHER, 0).unreachable(at(0));
    assert!(!fleet.any_ready(at(1)));
    send(&fleet, 1, OTHER, 1).reached();
    assert!(fleet.any_ready(at(1)));
}

#[test]
fn prompts_are_counted_as_backends_count_them() {
    let fleet = fleet(1);
    for round in 0..300 {
        let counted = Outturn { prompt_tokens: Some(2000), ..TOKENS };
        send(&fleet, 0, STREAMED, round).done(counted, at(round + 1));
    }
    let _ticket = send(&fleet, 0, STREAMED, 400);
    assert!((1990..=2000).contains(&fleet.load(BackendId(0)).backlog()));
}
