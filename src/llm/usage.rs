//! Token counts as a backend reports them, in one form for both dialects.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::base::Span;
use crate::json::{JsonFault, Kind, Skimmer, Value};

/// No answer has more tokens than this. A larger count is a fault of the
/// backend, and below it no sum over a request can overflow.
pub const TOKENS_MAX: u64 = 1 << 40;

/// How many places that look like the member are examined in one body. The
/// first is right unless a backend writes objects after `usage`.
const CANDIDATES_MAX: usize = 8;

/// How far from a body's end the member is looked for, so that a strange body
/// costs no more than an ordinary one.
const SEARCHED_BYTES_MAX: usize = 64 << 10;

const KEY: &[u8] = b"\"usage\"";
static KEY_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(KEY));

/// Behind the member stand a few short ones at most.
const WINDOW_BYTES: usize = 1 << 10;
const _: () = assert!(WINDOW_BYTES >= KEY.len());

/// What one answer cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All that the model read, whether from a cache or not.
    pub prompt_tokens: u64,
    /// All that it wrote, its reasoning included.
    pub completion_tokens: u64,
    /// The part of the prompt that came from the provider's cache.
    pub cached_tokens: u64,
    /// The part of the prompt that was written to the provider's cache.
    pub cache_write_tokens: u64,
    /// The part of the completion that was reasoning.
    pub reasoning_tokens: u64,
}

/// The counts of one `usage` object: a field that is not there is not zero,
/// since a later object of the same stream leaves it as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// OpenAI's `prompt_tokens`: all of the prompt.
    prompt: Option<u64>,
    /// `input_tokens`: all of it in OpenAI's words, and in Anthropic's what
    /// came from no cache and went into none.
    input: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    cache_write: Option<u64>,
    reasoning: Option<u64>,
    /// Anthropic's counts of the cached parts are there.
    cache_apart: bool,
}

/// The object says something that cannot be a token count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRefused;

impl From<JsonFault> for UsageRefused {
    fn from(_: JsonFault) -> Self {
        Self
    }
}

impl UsageReport {
    /// Reads a `usage` object. Refused as a whole when a count in it is
    /// negative, has a fraction or an exponent, or exceeds [`TOKENS_MAX`].
    pub fn read(bytes: &[u8], object: Span) -> Result<Self, UsageRefused> {
        Self::take_members(bytes, &mut Skimmer::nested(bytes, object)?)
    }

    fn take_members(bytes: &[u8], members: &mut Skimmer<'_>) -> Result<Self, UsageRefused> {
        let mut report = Self::default();
        while let Some(member) = members.next_member()? {
            let value = member.value;
            match member.key {
                b"prompt_tokens" => report.prompt = count(bytes, value)?,
                b"input_tokens" => report.input = count(bytes, value)?,
                b"completion_tokens" | b"output_tokens" => {
                    report.completion = count(bytes, value)?;
                }
                b"total_tokens" => report.total = count(bytes, value)?,
                b"cache_read_input_tokens" => {
                    report.cached = count(bytes, value)?.or(report.cached);
                    report.cache_apart = true;
                }
                b"cache_creation_input_tokens" => {
                    report.cache_write = count(bytes, value)?;
                    report.cache_apart = true;
                }
                b"prompt_tokens_details" | b"input_tokens_details" => {
                    // Some send both forms, and leave one of them empty.
                    report.cached = detail(bytes, value, b"cached_tokens")?.or(report.cached);
                }
                b"completion_tokens_details" | b"output_tokens_details" => {
                    report.reasoning = detail(bytes, value, b"reasoning_tokens")?;
                }
                _ => {}
            }
        }
        Ok(report)
    }

    /// Takes over what a later object of the same stream says: counts there
    /// are totals so far, so they replace and never add.
    pub fn take_later(&mut self, later: Self) {
        self.prompt = later.prompt.or(self.prompt);
        self.input = later.input.or(self.input);
        self.completion = later.completion.or(self.completion);
        self.total = later.total.or(self.total);
        self.cached = later.cached.or(self.cached);
        self.cache_write = later.cache_write.or(self.cache_write);
        self.reasoning = later.reasoning.or(self.reasoning);
        self.cache_apart |= later.cache_apart;
    }

    /// The counts, if there is a count at all. A report of nothing but a total
    /// (rerankers) is a prompt.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let (cached, cache_write) = (self.cached.unwrap_or(0), self.cache_write.unwrap_or(0));
        // Each is at most TOKENS_MAX, so the sum does not overflow.
        let apart = if self.cache_apart { cached + cache_write } else { 0 };
        let prompt = match (self.prompt, self.input, self.completion) {
            // Whole, even where Anthropic's counts stand beside it (LiteLLM).
            (Some(prompt), ..) => prompt,
            (None, Some(input), _) => input + apart,
            (None, None, Some(_)) => apart,
            (None, None, None) => self.total?,
        };
        Some(Usage {
            prompt_tokens: prompt,
            completion_tokens: self.completion.unwrap_or(0),
            cached_tokens: cached,
            cache_write_tokens: cache_write,
            reasoning_tokens: self.reasoning.unwrap_or(0),
        })
    }
}

/// Finds the answer's own `usage` in a whole JSON answer or in its tail.
///
/// Searched from the end. A candidate counts only if what follows it is the
/// rest of the outermost object and then the end: text that a model wrote (a
/// tool's input that has a member of that name) lies deeper and does not.
#[must_use]
pub fn find_in_body(tail: &[u8]) -> Option<Usage> {
    let tail = tail.get(tail.len().saturating_sub(SEARCHED_BYTES_MAX)..)?;
    let mut before = tail;
    for _ in 0..CANDIDATES_MAX {
        let at = last_key(before)?;
        before = tail.get(..at)?;
        if before.last() != Some(&b'\\')
            && let Some(value_at) = value_after_key(tail, at + KEY.len())
            && let Some(usage) = outermost(tail, value_at)
        {
            return usage;
        }
    }
    None
}

/// Where the last key stands. The vector search only runs forwards, so it is
/// let loose on one window after the other, from the end: the first nearly
/// always holds the member.
fn last_key(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    loop {
        let start = end.saturating_sub(WINDOW_BYTES);
        let window = bytes.get(start..end)?;
        if let Some(at) = KEY_FINDER.find_iter(window).last() {
            return Some(start + at);
        }
        if start == 0 {
            return None;
        }
        end = start + KEY.len() - 1; // the key may stand across the edge
    }
}

/// Reads the object at `value_at` if only the end of the outermost object
/// follows it.
fn outermost(tail: &[u8], value_at: usize) -> Option<Option<Usage>> {
    let mut members = Skimmer::within(tail, value_at).ok()?;
    let report = UsageReport::take_members(tail, &mut members);
    let end = match &report {
        Ok(_) => members.at(),
        Err(UsageRefused) => Skimmer::value_end(tail, value_at).ok()?,
    };
    let mut rest = Skimmer::after_member(tail, end);
    while rest.next_member().ok()?.is_some() {}
    Some(report.ok().and_then(|report| report.usage()))
}

/// Finds `usage` in one event's data: at the top, or within `response`
/// (Responses) or `message` (Anthropic's `message_start`).
pub(super) fn find_in_event(data: &[u8]) -> Option<UsageReport> {
    if !may_hold_usage(data) {
        return None;
    }
    let mut members = Skimmer::document(data).ok()?;
    while let Some(member) = members.next_member().ok()? {
        let report = match (member.key, member.value.kind) {
            (b"usage", Kind::Object) => UsageReport::read(data, member.value.span).ok(),
            (b"response" | b"message", Kind::Object) => find_in_object(data, member.value.span),
            _ => None,
        };
        if report.is_some() {
            return report;
        }
    }
    None
}

fn find_in_object(data: &[u8], object: Span) -> Option<UsageReport> {
    let mut members = Skimmer::nested(data, object).ok()?;
    while let Some(member) = members.next_member().ok()? {
        if member.key == b"usage" && member.value.kind == Kind::Object {
            return UsageReport::read(data, member.value.span).ok();
        }
    }
    None
}

/// The cheap look before the skim: the key is there with an object behind it.
/// With `include_usage` every chunk says `"usage":null`.
fn may_hold_usage(data: &[u8]) -> bool {
    if data.ends_with(b"\"usage\":null}") {
        return false; // OpenAI's form; spares the search
    }
    KEY_FINDER.find_iter(data).any(|at| value_after_key(data, at + KEY.len()).is_some())
}

/// Where the object behind a key begins; `at` is just behind the key's quote.
fn value_after_key(bytes: &[u8], at: usize) -> Option<usize> {
    let colon = skip_blanks(bytes, at);
    (bytes.get(colon) == Some(&b':')).then_some(())?;
    let value = skip_blanks(bytes, colon + 1);
    (bytes.get(value) == Some(&b'{')).then_some(value)
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

fn detail(bytes: &[u8], value: Value, key: &[u8]) -> Result<Option<u64>, UsageRefused> {
    match value.kind {
        Kind::Null => return Ok(None),
        Kind::Object => {}
        _ => return Err(UsageRefused),
    }
    let mut members = Skimmer::nested(bytes, value.span)?;
    let mut found = None;
    while let Some(member) = members.next_member()? {
        if member.key == key {
            found = count(bytes, member.value)?;
        }
    }
    Ok(found)
}

/// Plain digits, or `null` for nothing.
fn count(bytes: &[u8], value: Value) -> Result<Option<u64>, UsageRefused> {
    match value.kind {
        Kind::Null => Ok(None),
        Kind::Number => value
            .span
            .of(bytes)
            .iter()
            .try_fold(0_u64, |number, byte| {
                let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
                Some(number.checked_mul(10)?.checked_add(digit)?).filter(|n| *n <= TOKENS_MAX)
            })
            .map(Some)
            .ok_or(UsageRefused),
        _ => Err(UsageRefused),
    }
}

#[cfg(test)]
mod tests;
