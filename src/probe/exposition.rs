//! Prometheus' text format, as far as it says how full an engine is.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>
//!
//! ```text
//! sample = name [blanks] [ "{" labels "}" ] blanks value [ blanks timestamp ] LF
//! ```
//!
//! Bytes come in any pieces. A line that is not understood says nothing; a last
//! line without its end may have been cut, and says nothing either.

use crate::balance::EngineFigures;

/// A longer line says nothing: labels of the lines that are read hold a few
/// names.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// Digits that are kept of a number; the others only shift it.
const DIGITS_MAX: u32 = 18;
/// Beyond this a number is zero or out of all measure.
const EXPONENT_MAX: i32 = 400;

/// Reads one page.
#[derive(Debug, Default)]
pub struct Exposition {
    /// A line that has not come whole.
    line: Vec<u8>,
    is_too_long: bool,
    waiting: Option<f64>,
    running: Option<f64>,
    kv_usage: Option<f64>,
}

/// What a sample is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Waiting,
    Running,
    KvUsage,
}

/// The names of vLLM (the older one of the cache's usage as well), SGLang,
/// llama.cpp and TGI. Some servers write `_` for `:`, as SGLang does now.
const NAMES: [(&[u8], Subject); 12] = [
    (b"vllm:num_requests_waiting", Subject::Waiting),
    (b"vllm:num_requests_running", Subject::Running),
    (b"vllm:kv_cache_usage_perc", Subject::KvUsage),
    (b"vllm:gpu_cache_usage_perc", Subject::KvUsage),
    (b"sglang:num_queue_reqs", Subject::Waiting),
    (b"sglang:num_running_reqs", Subject::Running),
    (b"sglang:token_usage", Subject::KvUsage),
    (b"llamacpp:requests_deferred", Subject::Waiting),
    (b"llamacpp:requests_processing", Subject::Running),
    (b"llamacpp:kv_cache_usage_ratio", Subject::KvUsage),
    (b"tgi_queue_size", Subject::Waiting),
    (b"tgi_batch_current_size", Subject::Running),
];

impl Exposition {
    /// Takes the next bytes of the page.
    pub fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (end, after) = rest.split_at(at);
            self.end_line(end);
            rest = after.get(1..).unwrap_or_default();
        }
        self.keep(rest);
    }

    /// What the page has said; `None` if it is not an engine's.
    #[must_use]
    pub fn figures(&self) -> Option<EngineFigures> {
        if self.waiting.is_none() && self.running.is_none() && self.kv_usage.is_none() {
            return None;
        }
        let count = |sum: Option<f64>| sum.unwrap_or_default().round() as u32;
        Some(EngineFigures {
            waiting: count(self.waiting),
            running: count(self.running),
            kv_usage: self.kv_usage.unwrap_or_default().min(1.0) as f32,
        })
    }

    /// Bytes of a line that has not come whole.
    pub(super) fn held_bytes(&self) -> usize {
        self.line.len()
    }

    /// `end` ends the line under way, or is a whole one.
    fn end_line(&mut self, end: &[u8]) {
        if self.line.is_empty() && !self.is_too_long && end.len() <= LINE_BYTES_MAX {
            return self.read(end);
        }
        self.keep(end);
        let line = std::mem::take(&mut self.line);
        if !std::mem::take(&mut self.is_too_long) {
            self.read(&line);
        }
        self.line = line;
        self.line.clear();
    }

    fn keep(&mut self, part: &[u8]) {
        self.is_too_long |= self.line.len() + part.len() > LINE_BYTES_MAX;
        if self.is_too_long {
            self.line.clear();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn read(&mut self, line: &[u8]) {
        let Some((subject, value)) = sample(line) else { return };
        match subject {
            // One series for each model or engine behind the same door.
            Subject::Waiting => *self.waiting.get_or_insert(0.0) += value,
            Subject::Running => *self.running.get_or_insert(0.0) += value,
            // The fullest cache is the one that makes requests wait.
            Subject::KvUsage => {
                let so_far = self.kv_usage.unwrap_or_default();
                self.kv_usage = Some(so_far.max(value));
            }
        }
    }
}

/// What a line says, if it is about an engine.
fn sample(line: &[u8]) -> Option<(Subject, f64)> {
    let line = after_blanks(line);
    let (name, rest) = split_where(line, |byte| !is_of_name(byte));
    let subject = subject_of(name)?;
    let rest = after_blanks(rest);
    let rest = match rest.strip_prefix(b"{") {
        Some(labels) => after_labels(labels)?,
        None => rest,
    };
    let (value, _timestamp) = split_where(after_blanks(rest), is_blank);
    Some((subject, number(value)?))
}

fn subject_of(name: &[u8]) -> Option<Subject> {
    let plain = |byte: u8| if byte == b':' { b'_' } else { byte };
    let is_name = |known: &[u8]| {
        known.len() == name.len() && known.iter().zip(name).all(|(a, b)| plain(*a) == plain(*b))
    };
    NAMES.iter().find(|(known, _)| is_name(known)).map(|(_, subject)| *subject)
}

/// What follows the brace that ends the labels. One within a value is quoted,
/// and a quote within a value is escaped.
fn after_labels(labels: &[u8]) -> Option<&[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, byte) in labels.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return labels.get(at + 1..),
            _ => {}
        }
    }
    None
}

/// A number that can be a figure: `12`, `0.28`, `8.128902e+06`. None is
/// negative, infinite or no number, though the format knows such.
fn number(text: &[u8]) -> Option<f64> {
    let (whole, rest) = split_where(text, |byte| !byte.is_ascii_digit());
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => split_where(rest, |byte| !byte.is_ascii_digit()),
        None => (&[][..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut exponent = match rest {
        [] => 0,
        [b'e' | b'E', exponent @ ..] => exponent_of(exponent)?,
        _ => return None,
    };
    let mut kept = 0_u64;
    let mut digits = 0;
    for (place, digit) in whole.iter().chain(fraction).enumerate() {
        let is_kept = digits < DIGITS_MAX;
        if is_kept {
            kept = kept * 10 + u64::from(digit - b'0');
            digits += u32::from(kept > 0);
        }
        // A digit of the fraction makes it smaller, one that is not kept larger.
        let is_of_fraction = place >= whole.len();
        exponent += i32::from(!is_kept) - i32::from(is_of_fraction);
    }
    let power = 10_f64.powi(exponent.abs().min(EXPONENT_MAX));
    let value = if exponent < 0 { kept as f64 / power } else { kept as f64 * power };
    value.is_finite().then_some(value)
}

fn exponent_of(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits
        .iter()
        .fold(0_i32, |size, digit| (size * 10 + i32::from(digit - b'0')).min(EXPONENT_MAX));
    Some(sign * size)
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`; the names that are looked for begin with a letter.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn after_blanks(text: &[u8]) -> &[u8] {
    split_where(text, |byte| !is_blank(byte)).1
}

/// In front of the first byte that is so, and from it on.
fn split_where(text: &[u8], is_so: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = text.iter().position(|byte| is_so(*byte));
    text.split_at(at.unwrap_or(text.len()))
}

#[cfg(test)]
#[path = "exposition_tests.rs"]
mod tests;
