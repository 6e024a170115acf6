use super::{super::Chance, *};

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

/// Turns the wheel as a shard does: to each moment it asks for.
fn run_until(wheel: &mut Wheel, end: Instant) {
    while let Some(next) = wheel.next().filter(|&next| next <= end) {
        wheel.advance(next);
    }
    wheel.advance(end);
}

#[test]
fn fires_at_the_tick_after_the_deadline_and_not_before() {
    for millis in [1, 9, 10, 11, 500, 10_230, 10_240, 10_250, 75_000, 3_600_000] {
        let mut wheel = Wheel::new(at(0));
        let timer = Wheel::timer();
        wheel.set(&timer, at(millis));
        run_until(&mut wheel, at(millis - 1));
        assert!(!timer.fired(), "{millis} ms fired early");
        run_until(&mut wheel, at(millis + 10));
        assert!(timer.fired(), "{millis} ms did not fire");
    }
}

#[test]
fn a_deadline_moved_later_does_not_fire_at_its_old_time() {
    let mut wheel = Wheel::new(at(0));
    let timer = Wheel::timer();
    for step in 0..100 {
        wheel.set(&timer, at(step * 50 + 100));
        run_until(&mut wheel, at(step * 50 + 50));
        assert!(!timer.fired());
    }
}

#[test]
fn a_deadline_moved_earlier_fires_at_its_new_time() {
    let mut wheel = Wheel::new(at(0));
    let timer = Wheel::timer();
    wheel.set(&timer, at(9_000));
    assert!(wheel.set(&timer, at(100)), "the wheel must turn earlier now");
    run_until(&mut wheel, at(110));
    assert!(timer.fired());
}

#[test]
fn a_timer_that_was_dropped_or_set_to_never_does_not_fire() {
    let mut wheel = Wheel::new(at(0));
    let timer = Wheel::timer();
    wheel.set(&timer, at(100));
    wheel.set(&timer, Instant::NEVER);
    let dropped = Wheel::timer();
    wheel.set(&dropped, at(100));
    drop(dropped);
    assert_eq!(wheel.advance(at(1_000)), 0);
    assert!(!timer.fired());
}

#[test]
fn a_steady_connection_leaves_no_trail_in_the_wheel() {
    let mut wheel = Wheel::new(at(0));
    let timer = Wheel::timer();
    for request in 0..10_000_u64 {
        wheel.set(&timer, at(request + 600_000)); // waiting for a backend
        wheel.set(&timer, at(request + 1_000)); // waiting for a client
        run_until(&mut wheel, at(request));
    }
    let held: usize = wheel.slots.iter().map(Vec::len).sum();
    assert!(held <= 3, "{held} references to one timer");
}

#[test]
fn agrees_with_a_sorted_list_over_random_moves() {
    let mut chance = Chance::seeded(3);
    let mut wheel = Wheel::new(at(0));
    let timers: Vec<Timer> = (0..50).map(|_| Wheel::timer()).collect();
    let mut due = vec![None; timers.len()];
    for now in (0..60_000).step_by(10) {
        wheel.advance(at(now));
        for (timer, due) in timers.iter().zip(&mut due) {
            let expected = due.is_some_and(|due: u64| due.div_ceil(10) * 10 <= now);
            assert_eq!(timer.fired(), expected, "at {now} ms, due {due:?}");
            if expected {
                wheel.set(timer, Instant::NEVER);
                *due = None;
            }
        }
        let index = chance.below(timers.len());
        let later = now + 1 + chance.below(30_000) as u64;
        wheel.set(&timers[index], at(later));
        due[index] = Some(later);
    }
}
