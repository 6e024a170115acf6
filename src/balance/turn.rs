//! What one shard keeps for itself to choose with.

use super::{BackendId, Fleet};
use crate::base::Instant;

/// One shard's part in the choice.
#[derive(Debug)]
pub struct Turn {
    /// Whose turn it is to be sent a request that was sent nowhere yet.
    pub(super) firsts: Turns,
    /// The same for all others, so that their turns do not shift the first's:
    /// with two backends of which one fails, it would get every request first.
    pub(super) others: Turns,
    /// Requests that each backend was given of late, and all of them.
    given: Vec<f32>,
    given_in_all: f32,
    pub(super) usual_at: Option<Instant>,
    /// Room to sort estimates in.
    pub(super) sorted: Vec<f32>,
}

/// Turns that are taken, each backend in its own.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    /// Who stands first among those whose turn it is alike.
    first: usize,
    /// How far each backend is in its turns; the one furthest behind is next.
    passes: Vec<u64>,
}

/// How far one turn brings a backend of weight one. Weights go up to a million,
/// whose stride is told to a part in four thousand.
const STRIDE: u64 = 1 << 32;
/// That of a backend whose share has just begun to grow.
const STRIDE_MAX: u64 = 16 * STRIDE;
/// A pass that comes so far takes as much from all as brings it back to half.
const PASS_MAX: u64 = 1 << 62;

/// Requests for each backend after which half of them are forgotten.
const OF_LATE: f32 = 64.0;

impl Turn {
    /// `first` is where this shard begins, so that shards that start together
    /// do not all begin with the same backend.
    #[must_use]
    pub fn new(fleet: &Fleet, first: usize) -> Self {
        let backends = fleet.everyone().len();
        let turns = Turns { first: first % backends.max(1), passes: vec![0; backends] };
        Self {
            firsts: turns.clone(),
            others: turns,
            given: vec![0.0; backends],
            given_in_all: 0.0,
            usual_at: None,
            sorted: Vec::with_capacity(backends),
        }
    }

    /// Notes who was given a request.
    pub(super) fn give(&mut self, backend: BackendId) {
        if let Some(given) = self.given.get_mut(backend.0) {
            *given += 1.0;
            self.given_in_all += 1.0;
        }
        if self.given_in_all > OF_LATE * self.given.len() as f32 {
            self.given.iter_mut().for_each(|given| *given /= 2.0);
            self.given_in_all /= 2.0;
        }
    }

    /// How many it was given of late.
    pub(super) fn recent(&self, backend: BackendId) -> f32 {
        self.given.get(backend.0).copied().unwrap_or_default()
    }
}

impl Turns {
    /// Whose turn it is of these, each with its part and place. It is the
    /// one that is furthest behind, and its turn takes it the further the less
    /// its part is (Waldspurger and Weihl, "Stride scheduling", 1995): so each
    /// has its share also where the choices are among ever other ones.
    pub(super) fn next(
        &mut self,
        among: impl Iterator<Item = (BackendId, f32, usize)>,
    ) -> Option<usize> {
        let count = self.passes.len();
        let mut next: Option<((u64, usize), usize, usize, u64)> = None;
        let (mut foremost, mut longest) = (0, 0);
        for (BackendId(index), part, place) in among {
            let pass = *self.passes.get(index)?;
            let stride = ((STRIDE as f32 / part) as u64).clamp(1, STRIDE_MAX);
            let rank = (pass, (index + count - self.first) % count);
            if next.is_none_or(|(least, ..)| rank < least) {
                next = Some((rank, index, place, stride));
            }
            foremost = foremost.max(pass);
            longest = longest.max(stride);
        }
        let ((pass, _), index, place, stride) = next?;
        // Who was away does not make up for the turns that it has missed.
        let pass = pass.max(foremost.saturating_sub(longest));
        let pass = pass.saturating_add(stride);
        *self.passes.get_mut(index)? = pass;
        if pass > PASS_MAX {
            let back = |pass: &mut u64| *pass = pass.saturating_sub(PASS_MAX / 2);
            self.passes.iter_mut().for_each(back);
        }
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Balancing;

    /// How often each of these is next in so many turns.
    fn count(turn: &mut Turn, among: &[(usize, f32)], turns: usize) -> Vec<usize> {
        let mut counts = vec![0; among.len()];
        for _ in 0..turns {
            let those = among.iter().enumerate();
            let those = those.map(|(place, &(index, part))| (BackendId(index), part, place));
            counts[turn.firsts.next(those).unwrap()] += 1;
        }
        counts
    }

    fn turn(backends: usize) -> Turn {
        Turn::new(&Fleet::new(backends, Balancing::DEFAULT), 0)
    }

    #[test]
    fn each_has_its_share_at_any_time() {
        let weights = [(0, 5.0), (1, 1.0), (2, 2.0)];
        let mut turn = turn(3);
        for _ in 0..100 {
            assert_eq!(count(&mut turn, &weights, 8), [5, 1, 2]);
        }
    }

    #[test]
    fn large_weights_are_as_much_in_proportion_as_small_ones() {
        for (weights, expected) in [
            ([600_000.0, 1_000_000.0], [300, 500]),
            ([300_000.0, 500_000.0], [300, 500]),
            ([999_999.0, 1_000_000.0], [400, 400]),
        ] {
            let weights = [(0, weights[0]), (1, weights[1])];
            let counts = count(&mut turn(2), &weights, 800);
            let is_near =
                counts.iter().zip(expected).all(|(a, b): (&usize, usize)| a.abs_diff(b) <= 1);
            assert!(is_near, "{weights:?}: {counts:?}");
        }
    }

    #[test]
    fn who_comes_to_the_end_of_the_passes_goes_on_as_before() {
        let mut turn = turn(2);
        turn.firsts.passes.fill(PASS_MAX - 8 * STRIDE);
        assert_eq!(count(&mut turn, &[(0, 3.0), (1, 1.0)], 400), [300, 100]);
        assert!(turn.firsts.passes.iter().all(|&pass| pass < PASS_MAX));
    }

    #[test]
    fn two_models_that_are_asked_in_turn_leave_nobody_out() {
        let mut turn = turn(4);
        let mut counts = [0; 4];
        for _ in 0..100 {
            for among in [[0, 1], [2, 3]] {
                let one = count(&mut turn, &among.map(|index| (index, 1.0)), 1);
                counts[among[0]] += one[0];
                counts[among[1]] += one[1];
            }
        }
        assert_eq!(counts, [50; 4]);
    }

    #[test]
    fn who_was_away_does_not_make_up_for_it() {
        let mut turn = turn(3);
        count(&mut turn, &[(0, 1.0), (1, 1.0)], 1000);
        let counts = count(&mut turn, &[(0, 1.0), (1, 1.0), (2, 1.0)], 30);
        assert!(counts[2] <= 11, "{counts:?}");
    }

    #[test]
    fn what_was_given_is_forgotten_by_half_again_and_again() {
        let mut turn = turn(4);
        (0..10_000).for_each(|_| turn.give(BackendId(1)));
        turn.give(BackendId(7));
        assert!((128.0..=256.0).contains(&turn.recent(BackendId(1))));
        assert_eq!((turn.recent(BackendId(0)), turn.recent(BackendId(7))), (0.0, 0.0));
        (0..2_000).for_each(|_| turn.give(BackendId(0)));
        assert!(turn.recent(BackendId(1)) < 2.0);
    }

    #[test]
    fn a_weight_beyond_the_stride_is_the_largest_there_is() {
        let counts = count(&mut turn(2), &[(0, 4e9), (1, 4e9)], 100);
        assert_eq!(counts, [50, 50]);
    }
}
