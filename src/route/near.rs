//! Which known names an unknown one was meant to be. Only an unknown name
//! costs this, and an amount that has a bound.

use crate::base::{letters_off, letters_off_at_least, letters_off_max};

/// The names that are looked at; a plan with more is one that was generated.
const NAMES_LOOKED_AT_MAX: usize = 512;
/// Longer names are not compared, as that costs the product of their lengths.
const NAME_BYTES_COMPARED_MAX: usize = 48;
/// The names that are compared letter by letter: those with the most letters in
/// common. Whoever asks for unknown names must not hold a shard up.
const NAMES_COMPARED_MAX: usize = 16;
/// The names that are told.
const NAMES_TOLD_MAX: usize = 3;

/// The nearest names, the nearest first.
pub(super) fn near_names(known: &[Box<str>], name: &[u8]) -> Vec<Box<str>> {
    let Ok(name) = std::str::from_utf8(name) else { return Vec::new() };
    if name.len() > NAME_BYTES_COMPARED_MAX {
        return Vec::new();
    }
    let name = name.to_ascii_lowercase();
    let comparable = known.iter().take(NAMES_LOOKED_AT_MAX);
    let mut likely: Vec<(usize, &Box<str>)> = comparable
        .filter(|known| known.len() <= NAME_BYTES_COMPARED_MAX)
        .map(|known| (distance_at_least(known, &name), known))
        .filter(|(least, _)| *least <= letters_off_max(&name))
        .collect();
    likely.sort_by_key(|(least, _)| *least);
    likely.truncate(NAMES_COMPARED_MAX);
    let mut near: Vec<(usize, &Box<str>)> = likely
        .into_iter()
        .filter_map(|(_, known)| Some((distance(&known.to_ascii_lowercase(), &name)?, known)))
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(NAMES_TOLD_MAX).map(|(_, known)| known.clone()).collect()
}

/// A bound from below on how far apart they are. A part of the other is as near
/// as anything.
fn distance_at_least(known: &str, name: &str) -> usize {
    let known = known.to_ascii_lowercase();
    if is_part(&known, name) { 0 } else { letters_off_at_least(&known, name) }
}

/// A name without its version or its maker.
fn is_part(known: &str, name: &str) -> bool {
    name.len() >= 3 && (known.contains(name) || name.contains(known))
}

/// How far apart they are, if one may have been meant by the other.
fn distance(known: &str, name: &str) -> Option<usize> {
    if is_part(known, name) {
        // It is nearer than its letters say.
        return Some(usize::from(known != name));
    }
    letters_off(known, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &[&str]) {
        let known = ["gpt-4o", "gpt-4o-mini", "llama-3-70b", "qwen2.5-coder", "chat"];
        let known: Vec<Box<str>> = known.into_iter().map(Box::from).collect();
        let near = near_names(&known, name.as_bytes());
        assert_eq!(near.iter().map(|n| &**n).collect::<Vec<_>>(), expected, "{name}");
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_name() {
        check("gpt4o", &["gpt-4o"]);
        check("GPT-4O", &["gpt-4o", "gpt-4o-mini"]);
        check("lama-3-70b", &["llama-3-70b"]);
        check("chta", &["chat"]);
    }

    #[test]
    fn a_name_without_its_maker_or_version_is_found() {
        check("qwen2.5", &["qwen2.5-coder"]);
        check("meta/llama-3-70b", &["llama-3-70b"]);
    }

    #[test]
    fn the_nearest_is_found_among_many_that_look_like_it() {
        let mut known: Vec<Box<str>> = (100..600).map(|n| format!("model-{n}").into()).collect();
        known[400] = "model-abc".into();
        assert_eq!(&*near_names(&known, b"model-abd")[0], "model-abc");
    }

    #[test]
    fn what_is_far_from_all_finds_nothing() {
        check("claude-sonnet", &[]);
        check("", &[]);
        check(&"gpt-4o".repeat(20), &[]);
        let known = [Box::from("x")];
        assert_eq!(near_names(&known, b"\xff"), Vec::<Box<str>>::new());
    }
}
