//! A Rust file as lines of code and comment, and as tokens and paths.
//!
//! Not a parser: it knows what is text, what is comment, what only tests
//! compile, and how paths and groups of `use` spell out.

/// A Rust file, taken apart.
pub(super) struct Source {
    /// The path from the root, with slashes.
    pub(super) name: String,
    pub(super) lines: Vec<Line>,
    pub(super) tokens: Vec<Token>,
    /// The whole file is test code.
    pub(super) is_test: bool,
}

/// One line: code without the contents of its literals, and comment.
#[derive(Default)]
pub(super) struct Line {
    pub(super) code: String,
    pub(super) comment: String,
}

/// A word, a `::`, or one other character of code.
pub(super) struct Token {
    pub(super) text: String,
    /// Counted from 1.
    pub(super) line: usize,
    /// Under `#[cfg(test)]`, or in a test file.
    pub(super) in_test: bool,
}

impl Token {
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(is_word_char)
    }
}

/// A path in code, groups spelled out: `std::{fs, io}` is two.
#[derive(Debug, PartialEq)]
pub(super) struct CodePath {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
    pub(super) in_test: bool,
}

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Self {
        let lines = split(text);
        let mut tokens = tokens(&lines);
        mark_test_items(&mut tokens);
        let mut source = Self { name: name.to_owned(), lines, tokens, is_test: false };
        if is_test_name(name) {
            source.mark_as_test();
        }
        source
    }

    pub(super) fn mark_as_test(&mut self) {
        self.is_test = true;
        self.tokens.iter_mut().for_each(|token| token.in_test = true);
    }

    /// The modules along the file's path: `src/http/parse.rs` is `http`,
    /// `parse`. A crate's root has none, nor has a file outside `src`.
    pub(super) fn modules(&self) -> Vec<&str> {
        let Some(inner) = self.name.strip_prefix("src/") else { return Vec::new() };
        let stem = inner.strip_suffix(".rs").unwrap_or(inner);
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        if matches!(stem, "lib" | "main") { Vec::new() } else { stem.split('/').collect() }
    }

    /// The room the file is in.
    pub(super) fn room(&self) -> Option<&str> {
        self.modules().first().copied()
    }

    /// Where the files of modules declared as `#[cfg(test)] mod name;` begin.
    pub(super) fn test_children(&self) -> Vec<String> {
        let folder = self.name.strip_suffix("mod.rs").map_or_else(
            || format!("{}/", self.name.strip_suffix(".rs").unwrap_or_default()),
            str::to_owned,
        );
        let folder = if self.modules().is_empty() { "src/".to_owned() } else { folder };
        let declared = self.tokens.windows(3).filter(|three| {
            three[0].in_test && three[0].text == "mod" && three[1].is_word() && three[2].text == ";"
        });
        declared
            .flat_map(|three| {
                [format!("{folder}{}.rs", three[1].text), format!("{folder}{}/", three[1].text)]
            })
            .collect()
    }

    /// Every path of two or more segments, and every single name after `use`.
    pub(super) fn paths(&self) -> Vec<CodePath> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let imported = at > 0 && self.tokens[at - 1].text == "use";
            let from = paths.len();
            if self.tokens[at].is_word() || imported {
                self.spell_out(&mut at, &mut Vec::new(), &mut paths);
                if !imported && paths[from..].iter().all(|path| path.segments.len() == 1) {
                    paths.truncate(from);
                }
            } else {
                at += 1;
            }
        }
        paths
    }

    /// Reads one path tree that starts at token `at`, and leaves `at` behind it.
    fn spell_out(&self, at: &mut usize, prefix: &mut Vec<String>, out: &mut Vec<CodePath>) {
        let depth = prefix.len();
        let text = |at: usize| self.tokens.get(at).map_or("", |token| token.text.as_str());
        if text(*at) == "::" {
            *at += 1; // `use ::std::fs`
        }
        while let Some(token) = self.tokens.get(*at) {
            *at += 1;
            if token.text == "{" {
                while !matches!(text(*at), "}" | "") {
                    match text(*at) {
                        "," => *at += 1,
                        "as" => *at += 2,
                        _ => self.spell_out(at, prefix, out),
                    }
                }
                *at += 1;
                break;
            }
            prefix.push(token.text.clone());
            let goes_on = token.is_word()
                && text(*at) == "::"
                && self.tokens.get(*at + 1).is_some_and(|t| t.is_word() || "{*".contains(&t.text));
            if !goes_on {
                let (line, in_test) = (token.line, token.in_test);
                out.push(CodePath { segments: prefix.clone(), line, in_test });
                break;
            }
            *at += 1;
        }
        prefix.truncate(depth);
    }
}

/// Names that the project keeps for test code.
fn is_test_name(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("tests/")
        || name.starts_with("benches/")
        || name.contains("/tests/")
        || last == "tests.rs"
        || last.ends_with("_tests.rs")
}

fn is_word_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// What the characters at hand are part of.
#[derive(Clone, Copy)]
enum Within {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text,
    RawText { hashes: usize },
}

/// Separates code from comment, and drops what is inside literals.
fn split(text: &str) -> Vec<Line> {
    let chars: Vec<char> = text.chars().collect();
    let mut lines = vec![Line::default()];
    let mut within = Within::Code;
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied().unwrap_or('\n');
        let line = lines.last_mut().expect("one line is there from the start");
        let mut step = 1;
        match (within, c) {
            (_, '\n') => {
                if matches!(within, Within::LineComment) {
                    within = Within::Code;
                }
                lines.push(Line::default());
            }
            (Within::Code, '/') if next == '/' => within = Within::LineComment,
            (Within::Code, '/') if next == '*' => {
                (within, step) = (Within::BlockComment { depth: 1 }, 2);
            }
            (Within::Code, '"') => {
                line.code.push(c);
                within = Within::Text;
            }
            (Within::Code, _) => {
                line.code.push(c);
                (within, step) = literal(&chars, at);
            }
            (Within::LineComment, _) => line.comment.push(c),
            (Within::BlockComment { depth }, '/') if next == '*' => {
                (within, step) = (Within::BlockComment { depth: depth + 1 }, 2);
            }
            (Within::BlockComment { depth }, '*') if next == '/' => {
                step = 2;
                within = match depth {
                    1 => Within::Code,
                    _ => Within::BlockComment { depth: depth - 1 },
                };
            }
            (Within::BlockComment { .. }, _) => line.comment.push(c),
            // An escaped line end still ends the line of the file.
            (Within::Text, '\\') => step = if next == '\n' { 1 } else { 2 },
            (Within::Text, '"') => {
                line.code.push(c);
                within = Within::Code;
            }
            (Within::RawText { hashes }, '"') => {
                let closing = chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count();
                if closing == hashes {
                    line.code.push(c);
                    (within, step) = (Within::Code, 1 + hashes);
                }
            }
            (Within::Text | Within::RawText { .. }, _) => {}
        }
        at += step;
    }
    lines
}

/// What begins at the character `at` of code besides a plain string: a raw
/// string, a character literal (skipped as a whole), or only code.
fn literal(chars: &[char], at: usize) -> (Within, usize) {
    let char_at = |i: usize| chars.get(i).copied().unwrap_or('\n');
    let before = |i: usize| i.checked_sub(1).map_or(' ', |i| chars[i]);
    match chars[at] {
        'r' if !is_word_char(before(at))
            || (matches!(before(at), 'b' | 'c') && !is_word_char(before(at - 1))) =>
        {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            match char_at(at + 1 + hashes) {
                '"' => (Within::RawText { hashes }, 2 + hashes),
                _ => (Within::Code, 1),
            }
        }
        '\'' if char_at(at + 1) == '\\' => {
            let rest = chars.get(at + 3..).unwrap_or_default();
            let closing = rest.iter().position(|c| *c == '\'').unwrap_or(0);
            (Within::Code, 4 + closing)
        }
        '\'' if char_at(at + 2) == '\'' => (Within::Code, 3),
        _ => (Within::Code, 1), // also a lifetime
    }
}

fn tokens(lines: &[Line]) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let mut rest = line.code.as_str();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                c if is_word_char(c) => rest.find(|c| !is_word_char(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            let (text, after) = rest.split_at(length);
            if !first.is_whitespace() {
                tokens.push(Token { text: text.to_owned(), line: index + 1, in_test: false });
            }
            rest = after;
        }
    }
    tokens
}

/// Marks the item that follows each `#[cfg(test)]`, to its `;` or closing brace.
fn mark_test_items(tokens: &mut [Token]) {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut at = 0;
    while at + ATTRIBUTE.len() <= tokens.len() {
        if !ATTRIBUTE.iter().zip(&tokens[at..]).all(|(wanted, token)| *wanted == token.text) {
            at += 1;
            continue;
        }
        let mut depth = 0;
        at += ATTRIBUTE.len();
        while let Some(token) = tokens.get_mut(at) {
            token.in_test = true;
            at += 1;
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" if depth == 1 => break,
                "}" | ")" | "]" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
}
