//! Eight bytes at a time, for what is too short to be worth a vector search.

use memchr::memchr2;

use crate::base::{TOPS, by_eight, eight, places_of};

/// How many words are looked through before the vector search is worth its
/// call: keys, roles and the stretches between escapes are shorter than this.
const WORDS_FIRST: usize = 2;

/// Where the first quote or backslash stands.
#[inline]
pub(super) fn quote_or_backslash(rest: &[u8]) -> Option<usize> {
    if let Some(found) = in_first_words(rest, quotes_and_backslashes) {
        return Some(found);
    }
    let searched = rest.len().min(WORDS_FIRST * 8) & !7;
    memchr2(b'"', b'\\', rest.get(searched..)?).map(|found| searched + found)
}

/// The length of what stands before the closing quote, if that is near and no
/// backslash comes first.
#[inline]
pub(super) fn short_plain(rest: &[u8]) -> Option<usize> {
    in_first_words(rest, quotes_and_backslashes).filter(|found| rest.get(*found) == Some(&b'"'))
}

/// The same if all before the quote is printable ASCII: such a key needs no
/// further look.
#[inline]
pub(super) fn short_printable(rest: &[u8]) -> Option<usize> {
    in_first_words(rest, |word| quotes_and_backslashes(word) | unprintable(word))
        .filter(|found| rest.get(*found) == Some(&b'"'))
}

#[inline]
fn quotes_and_backslashes(word: u64) -> u64 {
    places_of(b'"', word) | places_of(b'\\', word)
}

/// Where `look` first sees something.
#[inline]
fn in_first_words(rest: &[u8], look: impl Fn(u64) -> u64) -> Option<usize> {
    let (words, _) = rest.as_chunks::<8>();
    words.iter().take(WORDS_FIRST).enumerate().find_map(|(index, word)| {
        let seen = look(u64::from_le_bytes(*word));
        (seen != 0).then(|| index * 8 + seen.trailing_zeros() as usize / 8)
    })
}

/// Whether all bytes are printable ASCII.
#[inline]
pub(super) fn is_printable_ascii(bytes: &[u8]) -> bool {
    match by_eight(bytes, unprintable) {
        Some(seen) => seen == 0,
        None => bytes.iter().all(|byte| (0x20..0x7f).contains(byte)),
    }
}

/// Not zero if one of the bytes is no printable ASCII: it has its top bit set,
/// or borrows when a blank is taken from it, or gets its top bit by adding
/// one. Only such a byte borrows from or carries into its neighbour.
#[inline]
fn unprintable(word: u64) -> u64 {
    (word | word.wrapping_sub(eight(0x20)) | word.wrapping_add(eight(1))) & TOPS
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
