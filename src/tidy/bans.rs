//! What code may not name, room by room, and what to take instead.

use super::Fault;
use super::source::Source;

/// A path that some rooms may not name.
struct Ban {
    /// Segments that follow each other somewhere in a path; a lone segment has
    /// to be the first. The last may end in `*`.
    path: &'static str,
    reason: &'static str,
    instead: &'static str,
}

/// Rooms that decide. They know no socket, no thread, no file, no clock.
const PURE_ROOMS: &[&str] = &[
    "base", "http", "sse", "json", "tls", "llm", "balance", "route", "retry", "exchange", "probe",
    "config", "admin",
];

const PURE_BANS: &[Ban] = &[
    Ban {
        path: "net::Tcp*",
        reason: "a pure room knows no socket",
        instead: "be generic over the traits of rt/",
    },
    Ban {
        path: "net::Udp*",
        reason: "a pure room knows no socket",
        instead: "be generic over the traits of rt/",
    },
    Ban {
        path: "unix::net",
        reason: "a pure room knows no socket",
        instead: "be generic over the traits of rt/",
    },
    Ban {
        path: "std::thread",
        reason: "a pure room knows no thread",
        instead: "rt/ starts and names threads",
    },
    Ban {
        path: "std::fs",
        reason: "a pure room reads no file",
        instead: "take the contents as an argument (config/load.rs reads them)",
    },
    Ban {
        path: "std::env",
        reason: "a pure room reads no environment",
        instead: "take the value as an argument (config/load.rs reads it)",
    },
    Ban {
        path: "Instant::now",
        reason: "a pure room knows no clock",
        instead: "take `now` as an argument",
    },
    Ban {
        path: "SystemTime::now",
        reason: "a pure room knows no clock",
        instead: "take `now` as an argument",
    },
];

/// Only `rt/` names these, also in its neighbours' tests.
const RUNTIME_BANS: &[Ban] = &[
    Ban {
        path: "monoio",
        reason: "only rt/ names the runtime",
        instead: "use the traits of rt/, or add to them",
    },
    Ban {
        path: "io_uring",
        reason: "only rt/ names the ring",
        instead: "use the traits of rt/, or add to them",
    },
    Ban {
        path: "libc",
        reason: "only rt/ calls the C library",
        instead: "put the call behind a safe function in rt/",
    },
];

/// Rooms that read bytes from the wire.
const WIRE_ROOMS: &[&str] = &["http", "sse", "json", "llm", "probe"];

/// Methods that are too kind to wire bytes, as in `.trim(` or `.parse::`.
const WIRE_METHODS: &[&str] =
    &["trim", "trim_start", "trim_end", "parse", "to_lowercase", "to_uppercase", "lines"];

const WIRE_REASON: &str = "takes more than the RFC grants (a sign, Unicode blanks, a bare CR)";
const WIRE_INSTEAD: &str = "compare bytes, and read digits one by one with a limit";

/// Names that say nothing about a room's job.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "misc", "stuff"];

/// Single files that do a job their room otherwise must not do.
const EXEMPT: &[(&str, &str)] =
    &[("src/config/load.rs", "std::fs"), ("src/config/load.rs", "std::env")];

pub(super) fn faults(source: &Source) -> Vec<Fault> {
    let mut faults = names(source);
    let Some(room) = source.room().filter(|room| *room != "tidy") else { return faults };
    if room != "rt" {
        faults.extend(paths(source, RUNTIME_BANS, true));
        faults.extend(unsafe_code(source));
    }
    if PURE_ROOMS.contains(&room) {
        faults.extend(paths(source, PURE_BANS, false));
    }
    if WIRE_ROOMS.contains(&room) {
        faults.extend(wire_methods(source));
    }
    faults.extend(unexplained_discards(source));
    faults.extend(test_file_without_test(source));
    faults
}

fn fault(source: &Source, line: usize, reason: String, instead: &'static str) -> Fault {
    Fault { file: source.name.clone(), line, reason, instead }
}

/// Paths that meet a ban. Test code is held to it where `tests_too`.
fn paths(source: &Source, bans: &[Ban], tests_too: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    for path in source.paths().iter().filter(|path| tests_too || !path.in_test) {
        for ban in bans.iter().filter(|ban| meets(&path.segments, ban.path)) {
            if !EXEMPT.contains(&(source.name.as_str(), ban.path)) {
                let reason = format!("names {}, but {}", path.segments.join("::"), ban.reason);
                faults.push(fault(source, path.line, reason, ban.instead));
            }
        }
    }
    faults
}

fn meets(segments: &[String], ban: &str) -> bool {
    let wanted: Vec<&str> = ban.split("::").collect();
    let fits = |window: &[String]| {
        window.iter().zip(&wanted).all(|(segment, wanted)| match wanted.strip_suffix('*') {
            // A glob brings in what is banned by its first letters.
            Some(start) => segment == "*" || segment.starts_with(start),
            None => segment == wanted,
        })
    };
    match wanted.len() {
        1 => segments.get(..1).is_some_and(fits),
        length => segments.windows(length).any(fits),
    }
}

fn unsafe_code(source: &Source) -> Vec<Fault> {
    let found = source.tokens.iter().filter(|token| token.text == "unsafe");
    found
        .map(|token| {
            let reason = "only rt/ contains unsafe code".to_owned();
            fault(source, token.line, reason, "put it behind a safe function in rt/")
        })
        .collect()
}

fn wire_methods(source: &Source) -> Vec<Fault> {
    let calls = source.tokens.windows(3).filter(|three| {
        let method = three[1].text.as_str();
        three[0].text == "."
            && matches!(three[2].text.as_str(), "(" | "::")
            // Without a turbofish it may be a parser of our own.
            && WIRE_METHODS.contains(&method)
            && (method != "parse" || three[2].text == "::")
            && !three[1].in_test
    });
    let radix =
        source.tokens.iter().filter(|token| token.text == "from_str_radix" && !token.in_test);
    calls
        .map(|three| &three[1])
        .chain(radix)
        .map(|token| {
            let reason = format!("`{}` {WIRE_REASON}", token.text);
            fault(source, token.line, reason, WIRE_INSTEAD)
        })
        .collect()
}

/// `let _ =` outside tests, with no comment on its line or above.
fn unexplained_discards(source: &Source) -> Vec<Fault> {
    let discards = source.tokens.windows(3).filter(|three| {
        three[0].text == "let"
            && three[1].text == "_"
            && matches!(three[2].text.as_str(), "=" | ":")
            && !three[0].in_test
    });
    let explained = |line: usize| {
        let says = |index: usize| {
            source
                .lines
                .get(index)
                .is_some_and(|line| line.comment.chars().any(char::is_alphabetic))
        };
        says(line - 1) || line.checked_sub(2).is_some_and(says)
    };
    discards
        .filter(|three| !explained(three[0].line))
        .map(|three| {
            let reason = "a result is dropped without a word".to_owned();
            fault(source, three[0].line, reason, "say why in a comment on the line or above")
        })
        .collect()
}

/// A file that is named as one of tests, and cannot fail.
fn test_file_without_test(source: &Source) -> Option<Fault> {
    let named = source.name.ends_with("/tests.rs") || source.name.ends_with("_tests.rs");
    let tests = source.tokens.windows(3).any(|three| {
        three[1].text == "test" && three[0].text == "[" && three[2].text == "]"
            || three[0].text == "mod" // its children have them
    });
    let reason = || "a test file that holds no test".to_owned();
    (named && !tests).then(|| fault(source, 1, reason(), "write the rows, or remove the file"))
}

/// Files and modules whose name says nothing.
fn names(source: &Source) -> Vec<Fault> {
    const INSTEAD: &str = "name it after its job";
    let stem = source.name.strip_suffix(".rs").unwrap_or(&source.name);
    let by_path = stem.split('/').filter(|part| EMPTY_NAMES.contains(part)).map(|part| (part, 1));
    let declared = source.tokens.windows(2).filter(|two| two[0].text == "mod");
    let by_word = declared
        .filter(|two| EMPTY_NAMES.contains(&two[1].text.as_str()))
        .map(|two| (two[1].text.as_str(), two[1].line));
    by_path
        .chain(by_word)
        .map(|(name, line)| {
            fault(source, line, format!("a module called {name} has no job"), INSTEAD)
        })
        .collect()
}
