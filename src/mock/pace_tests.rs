use std::task::Waker;

use super::*;

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn is_due(wait: &mut std::pin::Pin<&mut Wait<'_>>) -> bool {
    wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn whoever_is_due_goes_on_and_nobody_before() {
    let pace = Pace::default();
    let mut late = pin!(pace.wait(at(20)));
    let mut early = pin!(pace.wait(at(10)));
    assert!(!is_due(&mut late) && !is_due(&mut early));
    assert_eq!(pace.first_due(), Some(at(10)));
    pace.fire(at(9));
    assert!(!is_due(&mut early));
    pace.fire(at(10));
    assert!(is_due(&mut early) && !is_due(&mut late));
    pace.fire(at(25));
    assert!(is_due(&mut late));
}

#[test]
fn no_seat_is_kept_whether_a_wait_was_awaited_or_given_up() {
    let pace = Pace::default();
    {
        let mut awaited = pin!(pace.wait(at(10)));
        let mut given_up = pin!(pace.wait(at(20)));
        assert!(!is_due(&mut awaited) && !is_due(&mut given_up));
        pace.fire(at(10));
        assert!(is_due(&mut awaited));
    }
    // The abandoned seat is freed when its moment comes.
    assert_eq!(pace.waits.borrow().seats.len(), 1);
    pace.fire(at(20));
    assert_eq!(pace.waits.borrow().seats.len(), 0);
    assert_eq!(pace.first_due(), None);
}
