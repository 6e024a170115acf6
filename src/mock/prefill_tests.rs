//! Facts about who reads when, on a made-up clock.

use std::pin::pin;

use super::*;

fn prefill(change: impl FnOnce(&mut MockPrefill)) -> Prefill {
    let mut plan = MockPrefill { per_token: Duration::from_millis(1), ..MockPrefill::NONE };
    change(&mut plan);
    Prefill::of(plan).unwrap()
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn is_there(slot: &mut Slot<'_>) -> bool {
    pin!(slot).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn an_engine_that_reads_in_no_time_has_no_queue() {
    assert!(Prefill::of(MockPrefill::NONE).is_none());
}

#[test]
fn one_reads_and_the_others_wait_in_their_order() {
    let prefill = prefill(|_| ());
    let (mut first, mut second, mut third) = (prefill.slot(), prefill.slot(), prefill.slot());
    assert!(is_there(&mut first) && !is_there(&mut second) && !is_there(&mut third));
    drop(first);
    assert!(!is_there(&mut third), "the second came before it");
    assert!(is_there(&mut second));
    drop(second);
    assert!(is_there(&mut third));
}

#[test]
fn as_many_read_at_once_as_there_are_slots() {
    let prefill = prefill(|plan| plan.slots = 2);
    let (mut first, mut second, mut third) = (prefill.slot(), prefill.slot(), prefill.slot());
    assert!(is_there(&mut first) && is_there(&mut second) && !is_there(&mut third));
    drop(second);
    assert!(is_there(&mut third));
}

#[test]
fn whoever_leaves_makes_room_whether_it_waited_or_read() {
    let prefill = prefill(|_| ());
    let (mut reads, mut waits, mut last) = (prefill.slot(), prefill.slot(), prefill.slot());
    assert!(is_there(&mut reads) && !is_there(&mut waits) && !is_there(&mut last));
    reads.begin(1000, at(0));
    drop(waits);
    drop(reads);
    assert!(is_there(&mut last));
    // The prompt that was given up would have been read until 1 s.
    assert_eq!(last.begin(7, at(10)), at(17));
    drop(last);
    assert!(prefill.state.borrow().waiting.is_empty());
    assert_eq!(prefill.state.borrow().reading, 0);
}

#[test]
fn a_queue_goes_on_where_the_last_prompt_ended_and_an_idle_engine_from_now() {
    let prefill = prefill(|_| ());
    let (mut first, mut second) = (prefill.slot(), prefill.slot());
    assert!(is_there(&mut first) && !is_there(&mut second));
    assert_eq!(first.begin(5, at(0)), at(5));
    drop(first);
    assert!(is_there(&mut second));
    assert_eq!(second.begin(5, at(6)), at(10), "the timer was late by 1 ms");
    drop(second);
    let mut late = prefill.slot();
    assert!(is_there(&mut late));
    assert_eq!(late.begin(5, at(100)), at(105));
}

#[test]
fn a_cold_engine_is_slow_for_its_first_prompts() {
    let prefill = prefill(|plan| (plan.cold_requests, plan.cold_times) = (2, 10));
    let takes = [3, 5, 5].map(|tokens| prefill.takes(tokens).as_millis());
    assert_eq!(takes, [30, 50, 5]);
    assert_eq!(prefill.takes(u64::MAX), Duration::from_millis(u32::MAX.into()));
}
