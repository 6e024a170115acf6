//! Whether a backend is left alone, and how it comes back.
//!
//! ```text
//!        a connection refused                  failures in a row, few successes
//! Well ─────────────────────► Resting, 1 s  ──────────────────────────┐
//!  ▲                                                                  ▼
//!  │ many answers      one request at a time, then more     Ejected, a pause
//!  └───────────────── Probation ◄─────────────────────────────────────┘
//!                         │ a failure: ejected again, for twice as long
//!                         └───────────────────────────────────────────►
//! ```

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::Ejection;
use crate::base::Instant;

/// How long a backend that could not be reached is left alone. Short: this
/// costs one failed connect a second, and a backend that was restarted is
/// found again at once.
pub const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Answers after which a backend is trusted with any number of requests.
pub const ANSWERS_PROVING: u32 = 16;

/// The share that a backend has at once when it comes: less, and nobody would
/// learn that it is well.
const SHARE_AT_FIRST: f32 = 0.1;

/// A pause doubles so often at most; the longest bounds it anyway.
const DOUBLINGS_MAX: u32 = 16;

/// One backend's health, as all shards see it.
#[derive(Debug, Default)]
pub struct Health {
    /// The last answers, a bit each, 1 for a failure and the latest lowest;
    /// above them how many there are.
    answers: AtomicU64,
    resting_until: AtomicU64,
    ejected_until: AtomicU64,
    /// When it came, or came back or will; zero is from the beginning.
    came_at: AtomicU64,
    /// Pauses since it was last well.
    pauses: AtomicU32,
    /// Answers since it came, or came back.
    proven: AtomicU32,
    probed_unhealthy: AtomicBool,
    /// Until when any of its models is told apart, in ticks of 2^30 ns: it
    /// stands here as this is looked at by every choice (`apart`).
    apart_until: AtomicU32,
}

const APART_TICK_BITS: u32 = 30;

/// What active checks have found of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    Healthy,
    Unhealthy,
}

/// The last answers of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers(u64);

impl Answers {
    fn and(self, failed: bool) -> Self {
        let count = (self.count() + 1).min(Ejection::WINDOW);
        let bits = (self.0 as u32) << 1 | u32::from(failed);
        Self(u64::from(count) << 32 | u64::from(bits))
    }

    fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether a backend that has answered so is to be left alone.
    fn condemn(self, ejection: &Ejection) -> bool {
        let failures = self.0 as u32;
        let in_a_row = failures.trailing_ones().min(self.count());
        let successes = self.count() - failures.count_ones();
        let too_many = ejection.after.is_some_and(|most| in_a_row >= most.get());
        let too_few = self.count() >= Ejection::WINDOW_MIN
            && ejection
                .below_percent
                .is_some_and(|least| successes * 100 < self.count() * u32::from(least.get()));
        too_many || too_few
    }
}

impl Health {
    /// Known to be out of reach.
    pub fn is_resting(&self, now: Instant) -> bool {
        self.resting_until.load(Relaxed) > now.as_nanos()
    }

    pub fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.load(Relaxed) > now.as_nanos()
    }

    pub fn is_probed_unhealthy(&self) -> bool {
        self.probed_unhealthy.load(Relaxed)
    }

    /// Whether nothing speaks against it.
    pub fn is_well(&self, now: Instant) -> bool {
        !self.is_resting(now) && !self.is_ejected(now) && !self.is_probed_unhealthy()
    }

    /// Whether some of its models may be told apart.
    pub fn tells_apart(&self, now: Instant) -> bool {
        self.apart_until.load(Relaxed) > (now.as_nanos() >> APART_TICK_BITS) as u32
    }

    /// Some of its models are told apart until then.
    pub fn tell_apart(&self, until: Instant) {
        let tick = (until.as_nanos() >> APART_TICK_BITS) as u32;
        self.apart_until.fetch_max(tick.saturating_add(1), Relaxed);
    }

    /// Whether it has been taken out of its own accord or by the checks.
    pub fn is_out(&self, now: Instant) -> bool {
        self.is_ejected(now) || self.is_probed_unhealthy()
    }

    /// Notes what active checks have found.
    pub fn set_probed(&self, probed: Probed, now: Instant) {
        let unhealthy = probed == Probed::Unhealthy;
        let was_unhealthy = self.probed_unhealthy.swap(unhealthy, Relaxed);
        if was_unhealthy && !unhealthy {
            self.came(now);
        }
    }

    /// It has just come: its share grows from now on.
    pub fn came(&self, now: Instant) {
        self.came_at.fetch_max(now.as_nanos(), Relaxed);
        self.proven.store(0, Relaxed);
    }

    /// The part of its share that it is to have, where a share takes so long
    /// to grow.
    pub fn share(&self, slow_start: Duration, now: Instant) -> f32 {
        let came_at = self.came_at.load(Relaxed);
        let here = now.since(Instant::from_nanos(came_at));
        if came_at == 0 || here >= slow_start {
            return 1.0;
        }
        (super::seconds(here) / super::seconds(slow_start)).max(SHARE_AT_FIRST)
    }

    pub fn rest(&self, now: Instant) {
        self.resting_until.store(now.after(REST_AFTER_FAILURE).as_nanos(), Relaxed);
    }

    pub fn reached(&self) {
        if self.resting_until.load(Relaxed) != 0 {
            self.resting_until.store(0, Relaxed);
        }
    }

    /// Whether it has been ejected and not proven itself since.
    pub fn is_on_probation(&self) -> bool {
        self.pauses.load(Relaxed) > 0
    }

    /// Whether it has answered often enough since it came, or came back.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Relaxed) >= ANSWERS_PROVING
    }

    /// How many requests may wait for it at once. One that has just come gets
    /// one, and one more for each that it has answered; `None` is any number.
    /// Those past their first byte do not count: they may go on for minutes,
    /// and one that comes back must not wait for their end.
    pub fn waiting_max(&self) -> Option<u32> {
        let proven = self.proven.load(Relaxed);
        (proven < ANSWERS_PROVING).then(|| proven + 1)
    }

    /// It has begun an answer.
    pub fn begun(&self, now: Instant) {
        // One that is left alone answers what it was sent before, which proves
        // nothing of how it comes back.
        if self.is_proven() || self.is_ejected(now) {
            return;
        }
        let one_more = |proven| (proven < ANSWERS_PROVING).then_some(proven + 1);
        if self.proven.fetch_update(Relaxed, Relaxed, one_more) == Ok(ANSWERS_PROVING - 1) {
            self.pauses.store(0, Relaxed);
        }
    }

    pub fn succeeded(&self) {
        self.note(false);
    }

    /// Notes a failure. Says how long the backend is to be left alone for it,
    /// if it is.
    pub fn failed(&self, ejection: &Ejection, now: Instant) -> Option<Duration> {
        let answers = self.note(true);
        let ejects = ejection.after.is_some() || ejection.below_percent.is_some();
        let again = ejects && self.is_on_probation();
        // What was under way when it was ejected says nothing new.
        if self.is_ejected(now) || !(again || answers.condemn(ejection)) {
            return None;
        }
        let doublings = self.pauses.load(Relaxed).min(DOUBLINGS_MAX);
        Some(ejection.pause.saturating_mul(1 << doublings).min(ejection.pause_max))
    }

    /// Is left alone from now on. `counts` is whether the next pause is to be
    /// longer.
    pub fn eject(&self, pause: Duration, counts: bool, now: Instant) {
        // What was under way may still ask for a shorter pause.
        let until = now.after(pause).as_nanos();
        self.ejected_until.fetch_max(until, Relaxed);
        self.came_at.fetch_max(until, Relaxed);
        self.answers.store(0, Relaxed);
        self.proven.store(0, Relaxed);
        if counts {
            self.pauses.fetch_add(1, Relaxed);
        }
    }

    /// Nothing is known any more.
    pub fn forget(&self) {
        let words = [&self.answers, &self.resting_until, &self.ejected_until, &self.came_at];
        words.into_iter().for_each(|word| word.store(0, Relaxed));
        self.pauses.store(0, Relaxed);
        self.proven.store(0, Relaxed);
        self.probed_unhealthy.store(false, Relaxed);
    }

    fn note(&self, failed: bool) -> Answers {
        let before = self.answers.load(Relaxed);
        let after = Answers(before).and(failed);
        // The usual case: all was well, and is.
        if after.0 == before {
            return after;
        }
        let update = |answers| Some(Answers(answers).and(failed).0);
        // It always has something to say.
        let before = self.answers.fetch_update(Relaxed, Relaxed, update).unwrap_or(before);
        Answers(before).and(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU8, NonZeroU32};

    use super::*;

    const EJECTION: Ejection = Ejection::DEFAULT;
    const PAUSE: Duration = EJECTION.pause;

    fn at(seconds: u64) -> Instant {
        Instant::default().after(Duration::from_secs(seconds))
    }

    /// After these answers (`.` and `x`) the backend is ejected or not.
    #[track_caller]
    fn check(answers: &str, ejection: &Ejection, ejected: bool) {
        let health = Health::default();
        let mut pause = None;
        for answer in answers.bytes() {
            pause = match answer {
                b'x' => health.failed(ejection, at(0)),
                _ => {
                    health.succeeded();
                    None
                }
            };
        }
        assert_eq!(pause.is_some(), ejected, "{answers}");
    }

    #[test]
    fn failures_in_a_row_eject() {
        check("xxxx", &EJECTION, false);
        check("xxxxx", &EJECTION, true);
        check("xxxx.xxxx", &EJECTION, false);
        check(&format!("{}xxxxx", ".".repeat(100)), &EJECTION, true);
        let patient = Ejection { after: NonZeroU32::new(32), below_percent: None, ..EJECTION };
        check(&"x".repeat(31), &patient, false);
        check(&"x".repeat(32), &patient, true);
    }

    #[test]
    fn a_small_share_of_successes_ejects() {
        check(&"x.".repeat(7), &EJECTION, false);
        check(&format!("{}x", ".x".repeat(7)), &EJECTION, false);
        check(&format!("x{}", ".x".repeat(8)), &EJECTION, true);
        check(&".x".repeat(30), &EJECTION, false);
        check(&format!("{}x", ".x".repeat(30)), &EJECTION, true);
        let strict = Ejection { after: None, below_percent: NonZeroU8::new(95), ..EJECTION };
        check(&format!("{}x", ".".repeat(40)), &strict, false);
        check(&format!("{}x.x", ".".repeat(40)), &strict, true);
    }

    #[test]
    fn without_a_bound_nothing_ejects() {
        let never = Ejection { after: None, below_percent: None, ..EJECTION };
        check(&"x".repeat(100), &never, false);
    }

    #[test]
    fn a_failed_probation_doubles_the_pause_up_to_the_longest() {
        let health = Health::default();
        let mut now = at(0);
        (0..4).for_each(|_| assert_eq!(health.failed(&EJECTION, now), None));
        for seconds in [5, 10, 20, 40, 60, 60] {
            let pause = health.failed(&EJECTION, now).unwrap();
            assert_eq!(pause, Duration::from_secs(seconds));
            health.eject(pause, true, now);
            assert!(health.is_ejected(now));
            assert_eq!(health.failed(&EJECTION, now), None, "it was under way before");
            now = now.after(pause);
            assert!(!health.is_ejected(now));
        }
    }

    #[test]
    fn one_that_comes_back_is_trusted_step_by_step() {
        let health = Health::default();
        health.eject(PAUSE, true, at(0));
        health.begun(at(1));
        assert_eq!(health.waiting_max(), Some(1), "it was sent before");
        health.begun(at(5));
        assert_eq!(health.waiting_max(), Some(2));
        for _ in 1..ANSWERS_PROVING {
            assert!(health.is_on_probation());
            health.begun(at(6));
        }
        assert!(health.waiting_max().is_none() && !health.is_on_probation());
    }

    #[test]
    fn a_pause_is_not_shortened() {
        let health = Health::default();
        health.eject(Duration::from_secs(60), true, at(0));
        health.eject(Duration::from_secs(1), false, at(1));
        assert!(health.is_ejected(at(59)) && !health.is_ejected(at(60)));
    }

    #[test]
    fn a_pause_that_was_asked_for_makes_no_later_one_longer() {
        let health = Health::default();
        health.eject(PAUSE, false, at(0));
        assert!(health.is_ejected(at(4)) && !health.is_ejected(at(5)));
        assert!(!health.is_on_probation() && health.waiting_max() == Some(1));
    }

    #[test]
    fn the_share_of_one_that_comes_back_grows_with_time() {
        const SLOW: Duration = Duration::from_secs(10);
        let health = Health::default();
        assert_eq!(health.share(SLOW, at(0)), 1.0, "it was there from the beginning");
        health.eject(PAUSE, true, at(1));
        for (seconds, expected) in [(6, 0.1), (7, 0.1), (8, 0.2), (11, 0.5), (16, 1.0), (99, 1.0)] {
            let share = health.share(SLOW, at(seconds));
            assert!((share - expected).abs() < 1e-6, "{share} at {seconds}");
        }
        assert_eq!(health.share(Duration::ZERO, at(6)), 1.0, "it is switched off");
    }

    #[test]
    fn what_checks_find_takes_a_backend_out_and_back() {
        let health = Health::default();
        health.set_probed(Probed::Healthy, at(1));
        assert_eq!(health.share(PAUSE, at(1)), 1.0, "it was never away");
        health.set_probed(Probed::Unhealthy, at(2));
        assert!(!health.is_well(at(9)) && health.is_out(at(9)));
        health.set_probed(Probed::Healthy, at(9));
        assert!(health.is_well(at(9)) && !health.is_out(at(9)));
        assert!(health.share(PAUSE, at(9)) < 0.2 && health.waiting_max() == Some(1));
    }

    #[test]
    fn one_that_is_out_of_reach_rests_for_a_second() {
        let health = Health::default();
        health.rest(at(1));
        assert!(health.is_resting(at(1)) && !health.is_resting(at(2)));
        health.rest(at(3));
        health.reached();
        assert!(!health.is_resting(at(3)));
    }
}
