//! How far a word is from a known one, where one may have been meant by the
//! other.

/// How many letters of a word may be wrong.
#[must_use]
pub fn letters_off_max(word: &str) -> usize {
    match word.chars().count() {
        0..3 => 1,
        3..8 => 2,
        length => length / 3,
    }
}

/// How many letters are wrong, left out, too many or changed about, if it may be
/// the known word that was meant. Costs the product of both lengths, unless the
/// letters alone say that it is not.
#[must_use]
pub fn letters_off(known: &str, word: &str) -> Option<usize> {
    let most = letters_off_max(word);
    if letters_off_at_least(known, word) > most {
        return None;
    }
    Some(strsim::osa_distance(known, word)).filter(|off| *off <= most)
}

/// A bound from below on that, by counting letters: one that is wrong changes
/// two counts at most. Of other letters than ASCII's it says nothing.
#[must_use]
pub fn letters_off_at_least(one: &str, other: &str) -> usize {
    if !one.is_ascii() || !other.is_ascii() {
        return 0;
    }
    let mut counts = [0_i16; 128];
    let mut count = |word: &str, by: i16| {
        for byte in word.bytes() {
            if let Some(count) = counts.get_mut(usize::from(byte)) {
                *count = count.saturating_add(by);
            }
        }
    };
    count(one, 1);
    count(other, -1);
    let apart: usize = counts.iter().map(|count| usize::from(count.unsigned_abs())).sum();
    apart.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_are_counted_never_say_more_than_are_off() {
        let words = ["chat", "chta", "hcat", "gpt-4o", "gpt4o", "abc", "xyz", "", "äöü", "äou"];
        for one in words {
            for other in words {
                let letters = strsim::osa_distance(one, other);
                assert!(letters_off_at_least(one, other) <= letters, "{one} {other}");
            }
        }
    }

    #[test]
    fn the_longer_a_word_the_more_of_it_may_be_wrong() {
        for (known, word, expected) in [
            ("ab", "ab", Some(0)),
            ("ab", "xb", Some(1)),
            ("ab", "xy", None),
            ("url", "ulr", Some(1)),
            ("chat", "cht", Some(1)),
            ("chat", "xxat", Some(2)),
            ("chat", "xxxt", None),
            ("größe", "grösse", Some(2)),
            ("connection", "xxxnection", Some(3)),
            ("connection", "xxxxection", None),
        ] {
            assert_eq!(letters_off(known, word), expected, "{known} {word}");
        }
    }
}
