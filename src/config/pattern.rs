//! Names with at most one `*`, held against each other before any request is
//! there. Which pattern a request meets is found in `route/`.

use super::route_fault::RouteFault;
use crate::llm::MODEL_BYTES_MAX;
use crate::route::Pattern;

/// The name of a model, or a pattern of such names.
pub(super) fn read_name(word: &str) -> Result<Pattern, RouteFault> {
    match word {
        "" => Err(RouteFault::NameEmpty),
        word if word.contains(char::is_control) => Err(RouteFault::NameControl),
        word if word.len() > MODEL_BYTES_MAX => Err(RouteFault::NameLong(MODEL_BYTES_MAX)),
        word => read_pattern(word),
    }
}

/// Any text with at most one `*`.
pub(super) fn read_pattern(word: &str) -> Result<Pattern, RouteFault> {
    if word.matches('*').count() > 1 {
        return Err(RouteFault::TwoStars);
    }
    Ok(Pattern(word.into()))
}

/// The name of one model, which a backend is sent.
pub(super) fn read_sent(word: &str) -> Result<Pattern, RouteFault> {
    let name = read_name(word)?;
    if has_star(&name) { Err(RouteFault::SentStar) } else { Ok(name) }
}

pub(super) fn has_star(pattern: &Pattern) -> bool {
    pattern.0.contains('*')
}

/// Whether every text that meets `narrow` meets `wide` too.
pub(super) fn covers(wide: &Pattern, narrow: &Pattern) -> bool {
    match (parts(wide), parts(narrow)) {
        ((_, None), _) => wide == narrow,
        ((head, Some(tail)), (whole, None)) => {
            whole.len() >= head.len() + tail.len()
                && whole.starts_with(head)
                && whole.ends_with(tail)
        }
        ((head, Some(tail)), (narrow_head, Some(narrow_tail))) => {
            narrow_head.starts_with(head) && narrow_tail.ends_with(tail)
        }
    }
}

/// Whether there is a text that meets both.
pub(super) fn overlap(one: &Pattern, other: &Pattern) -> bool {
    match (parts(one), parts(other)) {
        ((_, None), _) => covers(other, one),
        (_, (_, None)) => covers(one, other),
        ((head, Some(tail)), (other_head, Some(other_tail))) => {
            (head.starts_with(other_head) || other_head.starts_with(head))
                && (tail.ends_with(other_tail) || other_tail.ends_with(tail))
        }
    }
}

/// What is before the star and behind it.
fn parts(pattern: &Pattern) -> (&str, Option<&str>) {
    match pattern.0.split_once('*') {
        Some((head, tail)) => (head, Some(tail)),
        None => (&pattern.0, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern(text.into())
    }

    #[test]
    fn a_pattern_covers_what_can_meet_no_text_without_it() {
        for (wide, narrow, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "a*", false),
            ("*", "", true),
            ("*", "a*b", true),
            ("a*", "a", true),
            ("a*", "ab*c", true),
            ("ab*", "a*", false),
            ("a*c", "abc", true),
            ("a*c", "ab*dc", true),
            ("aba*aba", "aba", false),
            ("ab*ba", "aba", false),
            ("*b", "a*b", true),
            ("*b", "b*", false),
            ("A", "a", false),
        ] {
            assert_eq!(covers(&pattern(wide), &pattern(narrow)), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn two_patterns_overlap_where_one_text_meets_both() {
        for (one, other, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a*", "*b", true),
            ("a*", "b*", false),
            ("*a", "*b", false),
            ("a*c", "ab*", true),
            ("a*", "a", true),
            ("ab*", "a", false),
        ] {
            assert_eq!(overlap(&pattern(one), &pattern(other)), expected, "{one} {other}");
            assert_eq!(overlap(&pattern(other), &pattern(one)), expected, "{other} {one}");
        }
    }

    /// Every text of three letters is tried against every pair of patterns.
    #[test]
    fn covering_and_overlapping_hold_for_every_short_text() {
        let texts = || {
            let letters = ["", "a", "b"];
            let all = letters.iter().flat_map(move |x| letters.map(|y| format!("{x}{y}")));
            all.flat_map(move |xy| letters.map(|z| format!("{xy}{z}"))).collect::<Vec<_>>()
        };
        let meets = |p: &Pattern, text: &str| covers(p, &pattern(text));
        let mut patterns: Vec<_> = texts().iter().map(|text| pattern(text)).collect();
        for head in ["", "a", "b", "ab"] {
            for tail in ["", "a", "b", "ba"] {
                patterns.push(pattern(&format!("{head}*{tail}")));
            }
        }
        for one in &patterns {
            for other in &patterns {
                let both = |text: &String| meets(one, text) && meets(other, text);
                assert!(!texts().iter().any(both) || overlap(one, other), "{one:?} {other:?}");
                let only = |text: &String| meets(other, text) && !meets(one, text);
                assert!(!(covers(one, other) && texts().iter().any(only)), "{one:?} {other:?}");
            }
        }
    }
}
