//! Looking for bytes: sets of them, and eight at a time.

/// A set of byte values, made while compiling.
#[derive(Clone, Copy, Debug)]
pub struct ByteSet([bool; 256]);

impl ByteSet {
    #[must_use]
    #[allow(clippy::indexing_slicing, reason = "done while compiling, where it cannot fail later")]
    pub const fn of(bytes: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut at = 0;
        while at < bytes.len() {
            set[bytes[at] as usize] = true;
            at += 1;
        }
        Self(set)
    }

    #[inline]
    #[must_use]
    pub fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)) == Some(&true)
    }
}

/// Eight bytes with this value in each.
#[inline]
#[must_use]
pub const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The top bits of eight bytes.
pub const TOPS: u64 = eight(0x80);

/// The top bit of each byte of the word that is `byte`, by the carry trick:
/// after the exclusive or it is zero, and only a zero byte borrows into its
/// top bit. A borrow may go on into the bytes above it, so only the lowest bit
/// is to be trusted, and that there is none.
#[inline]
#[must_use]
pub const fn places_of(byte: u8, word: u64) -> u64 {
    let differs = word ^ eight(byte);
    differs.wrapping_sub(eight(1)) & !differs & TOPS
}

/// Looks at eight bytes at a time, the last eight overlapping those before, and
/// gathers what `look` sees; nothing of fewer than eight. For what is too short
/// to be worth a vector search.
#[inline]
pub fn by_eight(bytes: &[u8], look: impl Fn(u64) -> u64) -> Option<u64> {
    let last = look(u64::from_le_bytes(*bytes.last_chunk()?));
    let (words, _) = bytes.as_chunks::<8>();
    Some(words.iter().fold(last, |seen, word| seen | look(u64::from_le_bytes(*word))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_at_every_place() {
        for byte in 0..=255_u8 {
            for at in 0..20 {
                // Its neighbours, which borrow and carry.
                let mut bytes = [byte.wrapping_add(1), byte.wrapping_sub(1)].repeat(10);
                let look = |word| places_of(byte, word);
                assert_eq!(by_eight(&bytes, look), Some(0), "{byte:#x}");
                bytes[at] = byte;
                assert_ne!(by_eight(&bytes, look), Some(0), "{byte:#x} at {at}");
            }
        }
        assert_eq!(by_eight(b"1234567", |_| 1), None);
    }

    #[test]
    fn the_lowest_place_is_right() {
        let word = u64::from_le_bytes(*b"ab_`_c__");
        assert_eq!(places_of(b'_', word).trailing_zeros() / 8, 2);
    }

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        const VOWELS: ByteSet = ByteSet::of(b"aeiou");
        for byte in 0..=255 {
            assert_eq!(VOWELS.contains(byte), b"aeiou".contains(&byte), "{byte:#x}");
        }
    }
}
