//! Words that have no place in any file: paths of one machine, hosts of package
//! registries, notes to oneself.
//!
//! Each is written in two halves, so that this file does not contain it.

use super::Fault;

struct Word {
    halves: [&'static str; 2],
    reason: &'static str,
    instead: &'static str,
}

const A_PATH: &str = "a path of one machine";
const A_PATH_INSTEAD: &str = "a path from the root of the tree";
const A_HOST: &str = "a package registry's host, which a mirror replaces";
const A_HOST_INSTEAD: &str = "the package's name, fetched with its ordinary client";
const A_NOTE: &str = "a note to oneself";
const A_NOTE_INSTEAD: &str = "do it, or say in the README what is absent";

const fn word(halves: [&'static str; 2], reason: &'static str, instead: &'static str) -> Word {
    Word { halves, reason, instead }
}

const WORDS: &[Word] = &[
    word(["/wo", "rk/"], A_PATH, A_PATH_INSTEAD),
    word(["/ro", "ot/"], A_PATH, A_PATH_INSTEAD),
    word(["/tm", "p/"], "a path that other users can guess", "mktemp, or the tempfile crate"),
    word(["index.crates", ".io"], A_HOST, A_HOST_INSTEAD),
    word(["static.crates", ".io"], A_HOST, A_HOST_INSTEAD),
    word(["pypi", ".org"], A_HOST, A_HOST_INSTEAD),
    word(["pythonhosted", ".org"], A_HOST, A_HOST_INSTEAD),
    word(["npmjs", ".org"], A_HOST, A_HOST_INSTEAD),
    word(["deb.debian", ".org"], A_HOST, A_HOST_INSTEAD),
    word(["arti", "factory"], A_HOST, A_HOST_INSTEAD),
    word(["TO", "DO"], A_NOTE, A_NOTE_INSTEAD),
    word(["FIX", "ME"], A_NOTE, A_NOTE_INSTEAD),
];

pub(super) fn faults(name: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for word in WORDS {
        let needle = word.halves.concat();
        for (index, line) in text.lines().enumerate() {
            if stands_in(line, &needle) {
                faults.push(Fault {
                    file: name.to_owned(),
                    line: index + 1,
                    reason: format!("`{needle}` is {}", word.reason),
                    instead: word.instead,
                });
            }
        }
    }
    faults
}

/// Whether `needle` is in `line` and not a part of a longer word or path.
fn stands_in(line: &str, needle: &str) -> bool {
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    line.match_indices(needle).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + needle.len()..].chars().next();
        let longer = before.is_some_and(is_word)
            || (needle.ends_with(is_word) && after.is_some_and(is_word));
        !longer
    })
}
