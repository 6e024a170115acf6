//! Chance that can be replayed: a small generator, seeded by its owner.
//!
//! For choices among backends and for request ids, where speed and replay
//! matter. It is no source of secrets.

/// xoshiro256++ (Blackman and Vigna, "Scrambled Linear Pseudorandom Number
/// Generators", 2019), seeded through splitmix64 as its authors advise.
#[derive(Clone, Debug)]
pub struct Chance {
    state: [u64; 4],
}

impl Chance {
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut z = seed;
        let state = std::array::from_fn(|_| {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = z;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        });
        Self { state }
    }

    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let answer = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        answer
    }

    /// A number below `bound` (at least 1), without the bias of a remainder
    /// that would matter at the sizes used here (Lemire, 2019, without the
    /// rejection step).
    pub fn below(&mut self, bound: usize) -> usize {
        debug_assert!(bound > 0);
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// From zero up to, but not, one.
    pub fn fraction(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// How long until what happens once in a while on average: exponentially
    /// distributed with mean one. Of several, each divided by its weight, each
    /// is the least as often as its weight is to their sum.
    pub fn exponential(&mut self) -> f32 {
        -(1.0 - self.fraction()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_sequence() {
        let (mut a, mut b) = (Chance::seeded(7), Chance::seeded(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
    }

    #[test]
    fn fractions_fill_the_range_and_waits_have_mean_one() {
        let mut chance = Chance::seeded(3);
        let (mut fractions, mut waits) = (0.0, 0.0);
        for _ in 0..10_000 {
            let fraction = chance.fraction();
            assert!((0.0..1.0).contains(&fraction));
            fractions += fraction;
            let wait = chance.exponential();
            assert!(wait.is_finite() && wait >= 0.0);
            waits += wait;
        }
        assert!((4_900.0..5_100.0).contains(&fractions), "{fractions}");
        assert!((9_600.0..10_400.0).contains(&waits), "{waits}");
    }

    #[test]
    fn every_choice_is_made_and_none_beyond_the_bound() {
        let mut chance = Chance::seeded(1);
        let mut seen = [0_u32; 5];
        for _ in 0..10_000 {
            seen[chance.below(5)] += 1;
        }
        assert!(seen.iter().all(|&times| (1_800..2_200).contains(&times)), "{seen:?}");
    }
}
