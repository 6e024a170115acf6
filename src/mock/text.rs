//! What the mock says: one passage, told over and over, cut into tokens.
//!
//! Byte `n` of an answer is a function of `n` and of where the answer sets
//! in, so an answer of any size costs no memory, and what arrived can be
//! compared with what was meant.

/// Plain ASCII that needs no escape in JSON. It starts and ends within words
/// that go on, so that the seam does not show.
const PASSAGE: &[u8] =
    b" a ring of tokens goes around the table, and each who holds one may speak. \
the first says what the weather was, the second what the harbour sold, the third \
remembers a song and hums it. nobody speaks twice before all have spoken once, \
nobody is left out, and when the lamp burns low the last one hands the token on \
and says what the first one said, as if it were new. so the evening passes, word \
by word, while the boats knock softly on the pier and rain counts the roof tiles.";

/// Long enough that a piece of [`PIECE_BYTES`] is one copy.
const PIECE_BYTES: usize = 256;

/// The passage and as much of its start again as one piece needs.
static LOOP: [u8; PASSAGE.len() + PIECE_BYTES] = {
    let mut bytes = [0; PASSAGE.len() + PIECE_BYTES];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = PASSAGE[at % PASSAGE.len()];
        at += 1;
    }
    bytes
};

/// The text of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    offset: usize,
}

impl Text {
    /// The text of the request with this digest; it starts with a word.
    #[must_use]
    pub fn of(digest: u64) -> Self {
        let anywhere = (digest % PASSAGE.len() as u64) as usize;
        let rest = PASSAGE.get(anywhere..).unwrap_or_default();
        // The passage starts with a blank, so position 0 is always a word's.
        let to_word = rest.iter().position(|byte| *byte == b' ');
        Self { offset: to_word.map_or(0, |blanks| anywhere + blanks) }
    }

    /// Appends bytes `from..from + length` of the answer.
    pub fn write(self, out: &mut Vec<u8>, from: u64, length: usize) {
        let mut at = ((self.offset as u64 + from) % PASSAGE.len() as u64) as usize;
        let mut left = length;
        while left > 0 {
            let piece = left.min(PIECE_BYTES);
            out.extend_from_slice(LOOP.get(at..at + piece).unwrap_or_default());
            at = (at + piece) % PASSAGE.len();
            left -= piece;
        }
    }
}

/// A digest of bytes that is the same on every machine and in every run. It
/// tells requests apart for people; it is no match for anyone who wants two to
/// collide.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    let mut state = mix(0x9e37_79b9_7f4a_7c15 ^ bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    mix(mix(state ^ u64::from_le_bytes(last)))
}

fn mix(word: u64) -> u64 {
    let product = u128::from(word) * 0xbf58_476d_1ce4_e5b9;
    (product ^ (product >> 64)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(digest: u64, from: u64, length: usize) -> String {
        let mut out = Vec::new();
        Text::of(digest).write(&mut out, from, length);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn needs_no_escape_in_json() {
        assert!(PASSAGE.iter().all(|byte| matches!(byte, b'a'..=b'z' | b' ' | b',' | b'.')));
    }

    #[test]
    fn pieces_join_to_the_whole_wherever_it_is_cut() {
        let whole = text(77, 0, 3 * PASSAGE.len());
        for size in [1, 4, 255, 256, 257, 700] {
            let mut joined = String::new();
            while joined.len() < whole.len() {
                let length = size.min(whole.len() - joined.len());
                joined += &text(77, joined.len() as u64, length);
            }
            assert_eq!(joined, whole, "pieces of {size}");
        }
    }

    #[test]
    fn every_answer_starts_with_a_word() {
        for digest in 0..2 * PASSAGE.len() as u64 {
            assert!(text(digest, 0, 1).starts_with(' '), "{digest}");
        }
    }

    #[test]
    fn a_text_far_out_costs_no_more_than_one_at_the_start() {
        let around = PASSAGE.len() as u64 * 1_000_000_000;
        assert_eq!(text(5, around + 3, 40), text(5, 3, 40));
    }

    #[test]
    fn digests_differ_in_length_and_in_every_byte() {
        let zeros = [0_u8; 17];
        let mut seen: Vec<u64> = (0..=17).map(|length| digest(&zeros[..length])).collect();
        for at in 0..17 {
            let mut bytes = zeros;
            bytes[at] = 1;
            seen.push(digest(&bytes));
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
