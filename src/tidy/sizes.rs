//! How long a file and a function may be. The exceptions only ever shrink.

use super::Fault;
use super::source::Source;

const FILE_LINES_MAX: usize = 400;
/// Rows of test input are read one at a time, not as a story.
const TEST_FILE_LINES_MAX: usize = 800;
/// The first to the last line, signature and braces included.
const FUNCTION_LINES_MAX: usize = 70;
/// How far an exception may lag behind what it excepts before it is lowered.
const EXCEPTION_SLACK: usize = 20;

/// Something longer than the rest, and why.
pub(super) struct Exception {
    /// A file, or `file::function`.
    pub(super) name: &'static str,
    pub(super) lines_max: usize,
    pub(super) reason: &'static str,
}

/// Add nothing here that can be split by meaning.
const EXCEPTIONS: &[Exception] = &[];

pub(super) fn faults(sources: &[Source]) -> Vec<Fault> {
    faults_but_for(EXCEPTIONS, sources)
}

/// What is too long, and exceptions that are no longer needed in full.
pub(super) fn faults_but_for(exceptions: &[Exception], sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    for source in sources {
        let lines_max = if source.is_test { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
        // The last line end opens a line that is not there.
        let lines = source.lines.len().saturating_sub(1);
        faults.extend(measure(exceptions, source, &source.name, (1, lines), lines_max));
        seen.push(source.name.clone());
        for (name, line, lines) in functions(source) {
            let name = format!("{}::{name}", source.name);
            faults.extend(measure(exceptions, source, &name, (line, lines), FUNCTION_LINES_MAX));
            seen.push(name);
        }
    }
    let gone = exceptions.iter().filter(|exception| !seen.iter().any(|s| s == exception.name));
    faults.extend(gone.map(|exception| Fault {
        file: exception.name.to_owned(),
        line: 1,
        reason: "an exception in tidy/sizes.rs is for something that is gone".to_owned(),
        instead: "remove the exception",
    }));
    faults
}

fn measure(
    exceptions: &[Exception],
    source: &Source,
    name: &str,
    (line, lines): (usize, usize),
    lines_max: usize,
) -> Option<Fault> {
    let exception = exceptions.iter().find(|exception| exception.name == name);
    let fault = |reason, instead| Some(Fault { file: source.name.clone(), line, reason, instead });
    match exception {
        Some(e) if lines > e.lines_max => fault(
            format!("{name} has {lines} lines, and grew beyond its exception of {}", e.lines_max),
            "split it by meaning; an exception is never raised",
        ),
        Some(_) if lines <= lines_max => fault(
            format!("{name} has {lines} lines and needs no exception any more"),
            "remove it from tidy/sizes.rs",
        ),
        Some(e) if lines + EXCEPTION_SLACK < e.lines_max => fault(
            format!("{name} has {lines} lines, its exception {} ({})", e.lines_max, e.reason),
            "lower the exception in tidy/sizes.rs to what it is now",
        ),
        None if lines > lines_max => {
            fault(format!("{name} has {lines} lines, over {lines_max}"), "split it by meaning")
        }
        _ => None,
    }
}

/// Every function outside tests that has a body: name, line, and its length.
fn functions(source: &Source) -> Vec<(&str, usize, usize)> {
    let tokens = &source.tokens;
    let starts = tokens
        .windows(2)
        .enumerate()
        .filter(|(_, two)| two[0].text == "fn" && two[1].is_word() && !two[0].in_test);
    starts
        .filter_map(|(at, two)| {
            let mut depth = 0;
            for token in &tokens[at..] {
                match token.text.as_str() {
                    "{" | "(" | "[" => depth += 1,
                    ")" | "]" => depth -= 1,
                    "}" => {
                        depth -= 1;
                        if depth == 0 {
                            let lines = token.line + 1 - two[0].line;
                            return Some((two[1].text.as_str(), two[0].line, lines));
                        }
                    }
                    ";" if depth == 0 => return None,
                    _ => {}
                }
            }
            None
        })
        .collect()
}
