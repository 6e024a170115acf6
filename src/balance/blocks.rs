//! What a conversation begins with, as a few numbers: a hash for each of its
//! 256-byte blocks, chained, so that each stands for all that comes before it
//! too. Two conversations have a hash in common if they have begun alike up to
//! there, which is what an engine's cache of keys and values goes by.
//!
//! Deep blocks are told less finely, so that the longest conversation comes to
//! a bounded number of hashes:
//!
//! ```text
//! hash       1  2  3 … 32 | 33  34 … 48 | 49  50 …  64 | …
//! blocks     1  2  3 … 32 | 34  36 … 64 | 68  72 … 128 | …
//! ```

use super::seat::mix;

/// Bytes of text in a block: about the tokens that engines share at once (64 in
/// SGLang's pages, 16 in vLLM's blocks).
pub const BLOCK_BYTES: usize = 256;
/// Blocks that are told one by one, and hashes for each doubling after them.
const SINGLE: usize = 32;
const PER_DOUBLING: usize = SINGLE / 2;
const DOUBLINGS: usize = 7;
/// Hashes of the longest conversation: its first mebibyte.
pub const HASHES_MAX: usize = SINGLE + DOUBLINGS * PER_DOUBLING;
const BLOCKS_MAX: usize = SINGLE << DOUBLINGS;

const _: () = assert!(blocks_at(HASHES_MAX - 1) == BLOCKS_MAX);
const _: () = assert!(BLOCKS_MAX * BLOCK_BYTES == 1 << 20);

/// How many blocks the hash at this place stands for.
pub const fn blocks_at(place: usize) -> usize {
    if place < SINGLE {
        return place + 1;
    }
    let (doubling, step) = ((place - SINGLE) / PER_DOUBLING, (place - SINGLE) % PER_DOUBLING + 1);
    (SINGLE << doubling) + (step << (doubling + 1))
}

/// The hashes of a conversation that a model reads in these parts: first what
/// stays as it is from turn to turn (the model's name, tools, the system's
/// words), last what grows. `seed` is the process's own, so that nobody outside
/// can make two conversations look alike.
#[must_use]
pub fn hashes(parts: &[&[u8]], seed: u64) -> Vec<u64> {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let mut found = Vec::with_capacity((bytes / BLOCK_BYTES).min(HASHES_MAX));
    let (mut state, mut depth) = (mix(seed), 0);
    let key = mix(!seed);
    for part in parts {
        let (blocks, rest) = part.as_chunks::<BLOCK_BYTES>();
        for block in blocks {
            state = absorb(state, key, block);
            depth += 1;
            if depth == blocks_at(found.len()) {
                found.push(mix(state));
            }
            if depth == BLOCKS_MAX {
                return found;
            }
        }
        // What is left of a part, and that a part has nothing, goes into the
        // block behind it, and is none of its own: two conversations with the
        // same model and no more in common have not begun alike. Behind the
        // last part there is none: what grows is not told by its rest.
        state = absorb(state, key, rest);
    }
    found
}

/// Sixteen bytes at a time are multiplied into the state; both halves of the
/// product are kept, so that every bit reaches every other.
fn absorb(state: u64, key: u64, bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<16>();
    let word = |half: &[u8]| half.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    let fold = |state: u64, low: u64, high: u64| {
        let product = u128::from(low ^ state) * u128::from(high ^ key);
        // A product of nothing must not forget what came before.
        (product as u64) ^ ((product >> 64) as u64) ^ state.rotate_left(23)
    };
    let state = pairs.iter().fold(state, |state, pair| {
        let number = u128::from_le_bytes(*pair);
        fold(state, number as u64, (number >> 64) as u64)
    });
    let (low, high) = rest.split_at(rest.len().min(8));
    fold(state, word(low), word(high)) ^ bytes.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|place| (mix(place as u64) % 96 + 32) as u8).collect()
    }

    /// How many hashes two conversations have in common, from the first on.
    fn common(one: &[&[u8]], other: &[&[u8]]) -> usize {
        let (one, other) = (hashes(one, 7), hashes(other, 7));
        one.iter().zip(&other).take_while(|(one, other)| one == other).count()
    }

    #[test]
    fn a_conversation_that_goes_on_keeps_its_hashes() {
        let long = text(5000);
        for bytes in [0, 255, 256, 257, 1000, 4096] {
            assert_eq!(hashes(&[&long[..bytes]], 7).len(), bytes / BLOCK_BYTES);
            assert_eq!(common(&[&long[..bytes]], &[&long]), bytes / BLOCK_BYTES);
        }
    }

    #[test]
    fn one_byte_changes_its_block_and_all_behind_it() {
        let one = text(4096);
        for place in [0, 7, 255, 256, 1000, 4095] {
            let mut other = one.clone();
            other[place] ^= 1;
            assert_eq!(common(&[&one], &[&other]), place / BLOCK_BYTES, "{place}");
            let (one, other) = (hashes(&[&one], 7), hashes(&[&other], 7));
            let later = one.iter().zip(&other).skip(place / BLOCK_BYTES);
            assert!(later.clone().all(|(one, other)| one != other));
        }
    }

    #[test]
    fn what_comes_before_the_conversation_counts() {
        let words = text(1000);
        assert_eq!(common(&[b"a", &words], &[b"b", &words]), 0);
        assert_eq!(common(&[b"ab", b"", &words], &[b"a", b"b", &words]), 0);
        assert_eq!(common(&[b"", &words], &[&words]), 0);
        assert_eq!(common(&[b"a", &words], &[b"a", &words[..600]]), 2);
    }

    #[test]
    fn unrelated_conversations_with_one_model_have_nothing_in_common() {
        let (one, other) = (text(2000), vec![b'x'; 2000]);
        assert_eq!(common(&[b"m", b"", b"", &one], &[b"m", b"", b"", &other]), 0);
        assert_eq!(common(&[b"m", b"", b"Be brief.", &one], &[b"m", b"", b"Be brief.", &other]), 0);
        // Only what is as long as a block counts, and for as much as it is.
        let system = text(700);
        assert_eq!(common(&[b"m", b"", &system, &one], &[b"m", b"", &system, &other]), 2);
        assert_eq!(hashes(&[b"m", b"", b"", &one[..255]], 7), [] as [u64; 0]);
    }

    #[test]
    fn zeros_are_told_from_fewer_zeros_and_another_seed_from_this_one() {
        let zeros = vec![0; 4096];
        let found = hashes(&[&zeros], 7);
        let distinct: std::collections::HashSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), 16);
        assert!(hashes(&[&zeros], 8).iter().all(|hash| !found.contains(hash)));
    }

    #[test]
    fn the_longest_conversation_comes_to_a_bounded_number_of_hashes() {
        let long = vec![b'a'; 3 << 20];
        let found = hashes(&[&long], 7);
        assert_eq!(found.len(), HASHES_MAX);
        assert_eq!(common(&[&long], &[&long[..1 << 20]]), HASHES_MAX);
        let depths: Vec<_> = (0..HASHES_MAX).map(blocks_at).collect();
        assert!(depths.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((depths[31], depths[32], depths[47], depths[48]), (32, 34, 64, 68));
    }
}
