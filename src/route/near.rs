//! Which known names an unknown one was meant to be. Only an unknown name
//! costs this, and an amount that has a bound.

/// The names that are compared; a plan with more is one that was generated.
const NAMES_COMPARED_MAX: usize = 512;
/// Longer names are not compared, as that costs the product of their lengths.
const NAME_BYTES_COMPARED_MAX: usize = 64;
/// The names that are told.
const NAMES_TOLD_MAX: usize = 3;

/// The nearest names, the nearest first.
pub(super) fn near_names(known: &[Box<str>], name: &[u8]) -> Vec<Box<str>> {
    let Ok(name) = std::str::from_utf8(name) else { return Vec::new() };
    if name.len() > NAME_BYTES_COMPARED_MAX {
        return Vec::new();
    }
    let name = name.to_ascii_lowercase();
    let comparable = known.iter().filter(|known| known.len() <= NAME_BYTES_COMPARED_MAX);
    let mut near: Vec<(usize, &Box<str>)> = comparable
        .take(NAMES_COMPARED_MAX)
        .filter_map(|known| Some((distance(&known.to_ascii_lowercase(), &name)?, known)))
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(NAMES_TOLD_MAX).map(|(_, known)| known.clone()).collect()
}

/// How far apart they are, if one may have been meant by the other.
fn distance(known: &str, name: &str) -> Option<usize> {
    let letters = strsim::osa_distance(known, name);
    let is_part = name.len() >= 3 && (known.contains(name) || name.contains(known));
    let letters_max = match name.len() {
        0..3 => 1,
        3..8 => 2,
        length => length / 3,
    };
    // A name without its version or its maker is nearer than its letters say.
    (letters <= letters_max || is_part).then_some(if is_part { letters.min(1) } else { letters })
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
    fn what_is_far_from_all_finds_nothing() {
        check("claude-sonnet", &[]);
        check("", &[]);
        check(&"gpt-4o".repeat(20), &[]);
        let known = [Box::from("x")];
        assert_eq!(near_names(&known, b"\xff"), Vec::<Box<str>>::new());
    }
}
