//! A hash that is the same in every shard, process and release, so that a
//! conversation finds its place again. It is no defence against anyone.

/// Odd, and its bits look like chance: splitmix64's increment and multipliers.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const FIRST: u64 = 0xbf58_476d_1ce4_e5b9;
const SECOND: u64 = 0x94d0_49bb_1331_11eb;

/// Hashes bytes from a seed; of two seeds, the hashes have nothing in common.
#[must_use]
pub fn stable_hash(seed: u64, bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut hash = mixed(seed ^ (bytes.len() as u64).wrapping_mul(STEP));
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(FIRST).rotate_left(29);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    mixed(hash ^ u64::from_le_bytes(last))
}

/// Spreads each bit of a number over all bits (splitmix64's finaliser, Steele,
/// Lea and Flood, 2014).
#[must_use]
pub fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(STEP);
    let number = (number ^ (number >> 30)).wrapping_mul(FIRST);
    let number = (number ^ (number >> 27)).wrapping_mul(SECOND);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_have_the_same_hash_in_every_release() {
        assert_eq!(mixed(0), 0xe220_a839_7b1d_cdaf, "the first number of splitmix64 from 0");
        let hashes =
            ["", "a", "conversation", "conversation 2"].map(|t| stable_hash(1, t.as_bytes()));
        let pinned = [
            6_791_897_765_849_424_158,
            3_691_784_304_057_940_263,
            5_477_939_700_473_752_454,
            1_111_411_381_656_917_515,
        ];
        assert_eq!(hashes, pinned);
    }

    #[test]
    fn every_byte_counts_and_so_does_the_length() {
        let text = b"0123456789abcdef0123";
        let mut seen = std::collections::HashSet::new();
        for end in 0..=text.len() {
            assert!(seen.insert(stable_hash(7, &text[..end])), "{end}");
            let zeros = vec![0; end + 1];
            assert!(seen.insert(stable_hash(7, &zeros)), "{end} zeros");
        }
        for at in 0..text.len() {
            let mut other = *text;
            other[at] ^= 1;
            assert!(seen.insert(stable_hash(7, &other)), "{at}");
        }
        assert_ne!(stable_hash(1, text), stable_hash(2, text));
    }
}
