//! What the operator has said of one backend, as far as a choice asks it.

use std::num::NonZeroU32;

/// One backend's part in the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Stands for its name, so that a conversation finds it again whatever
    /// place it has in a later plan.
    pub key: u64,
    /// Stands for where it is reached: one that comes back there is the same,
    /// whatever its name.
    pub place: u64,
    /// Its share beside the others; zero is none while others are there.
    pub weight: u32,
    /// Most requests under way at it, of all shards; `None` is no bound.
    pub capacity: Option<NonZeroU32>,
    /// It answers for one model alone: what that has no room for, nobody has.
    pub serves_one: bool,
}

impl Seat {
    /// A backend of which nothing is said but its name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let key = key_of(name);
        Self { key, place: key, weight: 1, capacity: None, serves_one: false }
    }
}

/// FNV-1a over the name's bytes, mixed once more: names differ in their last
/// byte, which FNV-1a leaves in the low bits (Fowler, Noll, Vo; RFC 9923).
fn key_of(name: &str) -> u64 {
    let fnv = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv))
}

/// Every bit of the word moves every bit of the result (the finalizer of
/// splitmix64; Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014).
pub(super) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_a_byte_have_keys_that_differ_in_half_their_bits() {
        let key = |name| Seat::of(name).key;
        assert_eq!(key("gpu-1"), key("gpu-1"));
        for (one, other) in [("gpu-1", "gpu-2"), ("10.0.0.1:8000", "10.0.0.2:8000"), ("", "a")] {
            let bits = (key(one) ^ key(other)).count_ones();
            assert!((16..=48).contains(&bits), "{one} {other}: {bits}");
        }
    }
}
