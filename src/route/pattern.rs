//! Names with a `*` in them.

use super::Pattern;

impl Pattern {
    /// Whether it is a name and nothing else.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether the name is meant. Each `*` stands for any bytes, none included.
    ///
    /// Only the last `*` met is gone back to, so the work is bounded by the
    /// product of both lengths, and is one comparison for the usual `name*`.
    #[must_use]
    pub fn meets(&self, name: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let (mut at, mut in_name) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            match (pattern.get(at), name.get(in_name)) {
                (Some(b'*'), _) if at + 1 == pattern.len() => return true,
                (Some(b'*'), _) => {
                    at += 1;
                    star = Some((at, in_name));
                }
                (None, None) => return true,
                (Some(wanted), Some(byte)) if wanted == byte => {
                    at += 1;
                    in_name += 1;
                }
                // The last star takes one byte more.
                (_, Some(_)) => match star {
                    Some((behind, from)) => {
                        star = Some((behind, from + 1));
                        at = behind;
                        in_name = from + 1;
                    }
                    None => return false,
                },
                (Some(_), None) => return false,
            }
        }
    }
}

/// A pattern that is held against every request: most are known by their
/// beginning not to be met.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pattern: Pattern,
    /// The bytes before the first `*`.
    plain: usize,
}

impl Matcher {
    pub(super) fn new(pattern: &Pattern) -> Self {
        let plain = pattern.0.find('*').unwrap_or(pattern.0.len());
        Self { pattern: pattern.clone(), plain }
    }

    /// As [`Pattern::meets`].
    pub(super) fn meets(&self, name: &[u8]) -> bool {
        let pattern = self.pattern.0.as_bytes();
        let (plain, rest) = pattern.split_at_checked(self.plain).unwrap_or((pattern, &[]));
        match (name.strip_prefix(plain), rest) {
            (None, _) => false,
            (Some(behind), []) => behind.is_empty(),
            (Some(_), [b'*']) => true,
            (Some(_), _) => self.pattern.meets(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        let told = Pattern(pattern.into());
        assert_eq!(told.meets(name.as_bytes()), expected, "{pattern} {name}");
        assert_eq!(Matcher::new(&told).meets(name.as_bytes()), expected, "{pattern} {name}");
    }

    #[test]
    fn a_name_meets_itself_alone() {
        check("gpt-4o", "gpt-4o", true);
        check("gpt-4o", "gpt-4", false);
        check("gpt-4o", "gpt-4o-mini", false);
        check("gpt-4o", "GPT-4o", false);
        check("gpt-4o", "", false);
        check("", "", true);
        check("", "a", false);
    }

    #[test]
    fn a_star_stands_for_any_bytes_and_for_none() {
        check("*", "", true);
        check("*", "a/b", true);
        check("qwen*", "qwen", true);
        check("qwen*", "qwen-7b", true);
        check("qwen*", "qwe", false);
        check("*-instruct", "llama-instruct", true);
        check("*-instruct", "llama-instruct-v2", false);
        check("*/llama*", "meta/llama-3", true);
        check("a*b*c", "abc", true);
        check("a*b*c", "aXbYbZc", true);
        check("a*b*c", "aXcYb", false);
        check("**", "x", true);
        check("a**", "a", true);
        check("*ab", "aab", true);
    }

    #[test]
    fn a_pattern_of_many_stars_ends_soon() {
        check(&"a*".repeat(50), &"a".repeat(256), true);
        check(&format!("{}b", "a*".repeat(50)), &"a".repeat(256), false);
    }
}
