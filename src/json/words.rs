//! Eight bytes at a time, for what is too short to be worth a vector search.

use memchr::memchr2;

/// How many words are looked through before the vector search is worth its
/// call: keys, roles and the stretches between escapes are shorter than this.
const WORDS_FIRST: usize = 2;

/// Where the first quote or backslash stands.
#[inline]
pub(super) fn quote_or_backslash(rest: &[u8]) -> Option<usize> {
    if let Some(found) = in_first_words(rest) {
        return Some(found);
    }
    let searched = rest.len().min(WORDS_FIRST * 8) & !7;
    memchr2(b'"', b'\\', rest.get(searched..)?).map(|found| searched + found)
}

/// The length of what stands before the closing quote, if that is near and no
/// backslash comes first.
#[inline]
pub(super) fn short_plain(rest: &[u8]) -> Option<usize> {
    in_first_words(rest).filter(|found| rest.get(*found) == Some(&b'"'))
}

/// The length of what stands before the closing quote, if that is near and all
/// before it is printable ASCII and no backslash: such a key needs no further
/// look.
#[inline]
pub(super) fn short_printable(rest: &[u8]) -> Option<usize> {
    let (words, _) = rest.as_chunks::<8>();
    for (index, word) in words.iter().take(WORDS_FIRST).enumerate() {
        let number = u64::from_le_bytes(*word);
        let hits = zero_bytes(number ^ (REPEAT * u64::from(b'"')))
            | zero_bytes(number ^ (REPEAT * u64::from(b'\\')))
            | unprintable(*word);
        if hits != 0 {
            let found = index * 8 + hits.trailing_zeros() as usize / 8;
            return (rest.get(found) == Some(&b'"')).then_some(found);
        }
    }
    None
}

#[inline]
fn in_first_words(rest: &[u8]) -> Option<usize> {
    let (words, _) = rest.as_chunks::<8>();
    for (index, word) in words.iter().take(WORDS_FIRST).enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = zero_bytes(word ^ (REPEAT * u64::from(b'"')))
            | zero_bytes(word ^ (REPEAT * u64::from(b'\\')));
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    None
}

const REPEAT: u64 = 0x0101_0101_0101_0101;

/// The top bit of each byte that is zero. A borrow may set bits above the
/// first such byte, so only the lowest one is to be trusted.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(REPEAT) & !word & (REPEAT << 7)
}

/// Whether all bytes are printable ASCII.
#[inline]
pub(super) fn is_printable_ascii(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
    };
    let (words, _) = bytes.as_chunks::<8>();
    // The last eight overlap those before.
    words.iter().fold(unprintable(*last), |found, word| found | unprintable(*word)) == 0
}

/// Not zero if one of the bytes is no printable ASCII: it has its top bit set,
/// or borrows when a blank is taken from it, or gets its top bit by adding
/// one. Only such a byte borrows from or carries into its neighbour.
#[inline]
fn unprintable(word: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(word);
    let tops = word | word.wrapping_sub(REPEAT * 0x20) | word.wrapping_add(REPEAT);
    tops & (REPEAT << 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_judged_at_every_place() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut bytes = b"~ a".iter().copied().cycle().take(length).collect::<Vec<_>>();
                    bytes[at] = byte;
                    let expected = byte == b' ' || byte.is_ascii_graphic();
                    assert_eq!(is_printable_ascii(&bytes), expected, "{byte:#x} at {at}");
                    let found = matches!(byte, b'"' | b'\\').then_some(at);
                    assert_eq!(quote_or_backslash(&bytes), found, "{byte:#x} at {at}");
                    bytes.extend_from_slice(b"\"       ");
                    let is_near = at.max(length) < 8 * WORDS_FIRST;
                    let end = if byte == b'"' { at } else { length };
                    let plain = expected && byte != b'\\' || byte == b'"';
                    if is_near {
                        let short = plain.then_some(end);
                        assert_eq!(short_printable(&bytes), short, "{byte:#x} at {at}");
                    }
                }
            }
        }
    }
}
