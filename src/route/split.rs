//! Shares of a whole, by weight and by hash.
//!
//! Weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): every part
//! gets a number out of the key and its own name, stretched by its weight, and
//! the largest wins. Where one weight changes, only keys move that this part
//! gains or loses; the others stay where they are.

use crate::base::mixed;

/// How far ahead a part is for this key: of parts that are compared for one
/// key, the largest has won. Never for a weight of zero.
pub(super) fn standing(key: u64, name: u64, weight: u32) -> Option<f64> {
    if weight == 0 {
        return None;
    }
    /// The numbers that a double's fraction holds.
    const STEPS: f64 = (1_u64 << 53) as f64;
    // Within (0, 1): neither end has a logarithm that could be divided.
    let number = ((mixed(key ^ name) >> 11) as f64 + 0.5) / STEPS;
    Some(-f64::from(weight) / number.ln())
}

/// The part that the key falls to. `parts` are names, hashed, and weights;
/// `None` if all weights are zero.
pub(super) fn winner(key: u64, parts: impl Iterator<Item = (u64, u32)>) -> Option<usize> {
    let standings = parts.map(|(name, weight)| standing(key, name, weight)).enumerate();
    let running = standings.filter_map(|(index, standing)| Some((index, standing?)));
    running.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

/// Whether one of so many in a hundred falls to the key.
pub(super) fn is_among(key: u64, percent: f32) -> bool {
    let number = (mixed(key) >> 11) as f64 / (1_u64 << 53) as f64;
    number * 100.0 < f64::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 20_000;

    fn shares(weights: &[u32]) -> Vec<f64> {
        let mut counts = vec![0_u32; weights.len()];
        for key in 0..KEYS {
            counts[part_of(key, weights)] += 1;
        }
        counts.into_iter().map(|count| f64::from(count) / KEYS as f64).collect()
    }

    fn part_of(key: u64, weights: &[u32]) -> usize {
        let parts = weights.iter().enumerate();
        winner(mixed(key), parts.map(|(index, weight)| (mixed(index as u64), *weight))).unwrap()
    }

    #[track_caller]
    fn check(weights: &[u32], expected: &[f64]) {
        for (share, expected) in shares(weights).into_iter().zip(expected) {
            assert!((share - expected).abs() < 0.012, "{weights:?}: {share} for {expected}");
        }
    }

    #[test]
    fn each_part_has_its_share() {
        check(&[1], &[1.0]);
        check(&[1, 1], &[0.5, 0.5]);
        check(&[9, 1], &[0.9, 0.1]);
        check(&[99, 1], &[0.99, 0.01]);
        check(&[3, 0, 1], &[0.75, 0.0, 0.25]);
        check(&[1, 2, 3, 4], &[0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn a_change_of_one_weight_moves_only_its_share() {
        let (before, after) = ([4, 3, 1], [4, 3, 2]);
        for key in 0..KEYS {
            let (was, is) = (part_of(key, &before), part_of(key, &after));
            assert!(was == is || is == 2, "{key} went from {was} to {is}");
        }
    }

    #[test]
    fn nothing_falls_to_weights_of_zero() {
        assert_eq!(winner(1, [(1, 0), (2, 0)].into_iter()), None);
        assert_eq!(winner(1, std::iter::empty()), None);
    }

    #[test]
    fn so_many_in_a_hundred() {
        for (percent, expected) in [(0.0, 0.0), (5.0, 0.05), (50.0, 0.5), (100.0, 1.0)] {
            let hits = (0..KEYS).filter(|key| is_among(mixed(*key), percent)).count();
            let share = hits as f64 / KEYS as f64;
            assert!((share - expected).abs() < 0.01, "{percent}: {share}");
        }
    }
}
