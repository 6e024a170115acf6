//! A test that keeps the house in order: floors, pure rooms, sizes and words.
//!
//! It reads the tree as text, so it also sees what no compiler looks at. Every
//! fault it prints names the line, the reason and what to do instead. Whether
//! the test itself can fail is shown in `tidy/tests.rs`.

mod bans;
mod floors;
mod sizes;
mod source;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// One line that breaks a rule of the house.
struct Fault {
    file: String,
    line: usize,
    reason: String,
    instead: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}:{}: {}; instead: {}", self.file, self.line, self.reason, self.instead)
    }
}

/// What git ignores, and what programs write by themselves.
const NOT_OURS: &[&str] = &[
    ".git",
    ".pytest_cache",
    ".venv",
    "Cargo.lock",
    "__pycache__",
    "fuzz/artifacts",
    "fuzz/corpus",
    "fuzz/coverage",
    "perf/tmp",
    "target",
];

#[test]
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = read_tree(root);
    let sources = sources(&files);
    assert!(sources.len() > 10, "the walk found next to nothing under {}", root.display());
    let plan = files.iter().find(|(name, _)| name == "src/lib.rs").expect("a floor plan");

    let mut faults = floors::faults(&floors::Plan::drawn_in(&plan.1), &sources);
    faults.extend(sources.iter().flat_map(bans::faults));
    faults.extend(sizes::faults(&sources));
    faults.extend(files.iter().flat_map(|(name, text)| words::faults(name, text)));

    let list: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(list.is_empty(), "{} faults:\n{}\n", list.len(), list.join("\n"));
}

/// Every text file of the tree as (path from the root, text), sorted.
fn read_tree(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let path = folder.join(entry.file_name());
            let name = path.to_string_lossy().into_owned();
            let last = entry.file_name();
            if NOT_OURS.iter().any(|not_ours| name == *not_ours || last == *not_ours) {
                continue;
            }
            let kind = entry.file_type().expect("a file type");
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                // A file that is not UTF-8 is a recording or a picture.
                files.extend(fs::read_to_string(entry.path()).ok().map(|text| (name, text)));
            }
        }
    }
    files.sort();
    files
}

/// The Rust files among them, taken apart. A module that its parent declares
/// under `#[cfg(test)]` is marked as test code as a whole.
fn sources(files: &[(String, String)]) -> Vec<Source> {
    let mut sources: Vec<Source> = files
        .iter()
        .filter(|(name, _)| name.ends_with(".rs"))
        .map(|(name, text)| Source::new(name, text))
        .collect();
    let tests: Vec<String> = sources.iter().flat_map(Source::test_children).collect();
    for source in &mut sources {
        if tests.iter().any(|test| source.name.starts_with(test)) {
            source.mark_as_test();
        }
    }
    sources
}
