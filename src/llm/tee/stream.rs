//! Reads a streamed answer's events as they pass.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::json::{Kind, Skimmer};
use crate::llm::dialect::{Endpoint, StreamEnd};
use crate::llm::usage::{self, Usage, UsageReport};
use crate::sse::{CARRY_KEPT_BYTES, EVENT_BYTES_MAX, Event, EventScanner, Reading};

static ERROR_KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));

/// How a streamed answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The API's mark of a whole answer has come.
    Proven,
    /// The backend reported an error in the stream: the client knows already.
    Errored,
    /// Neither has come: if the stream ends now it was cut.
    Missing,
}

/// Watches one streamed answer.
pub struct StreamTee {
    scanner: EventScanner,
    watch: Watch,
}

/// All but the scanner, so that its events can be taken while it runs.
struct Watch {
    mark: Option<StreamEnd>,
    events: u64,
    end: End,
    usage: Option<UsageReport>,
    /// Where data of several lines is put together. Empty for every known API.
    joined: Vec<u8>,
}

impl StreamTee {
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self::limited(endpoint, EVENT_BYTES_MAX)
    }

    /// Does not look into events larger than `event_bytes_max`.
    #[must_use]
    pub fn limited(endpoint: Endpoint, event_bytes_max: usize) -> Self {
        let watch = Watch {
            mark: endpoint.stream_end(),
            events: 0,
            end: End::Missing,
            usage: None,
            joined: Vec::new(),
        };
        Self { scanner: EventScanner::new(event_bytes_max), watch }
    }

    /// Takes the next bytes of the answer's body, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { scanner, watch } = self;
        scanner.feed(bytes, |event| watch.take(event));
    }

    /// Events with data, as a client would count them. In a Responses stream
    /// this is the next `sequence_number`.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.watch.events
    }

    /// The counts the backend has reported so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.watch.usage.and_then(|report| report.usage())
    }

    /// Whether a whole answer ends in a mark here, so that [`End::Missing`] at
    /// the end of the body means that it was cut.
    #[must_use]
    pub fn needs_proof(&self) -> bool {
        self.watch.mark.is_some()
    }

    /// How the answer stands with the bytes so far.
    #[must_use]
    pub fn end(&self) -> End {
        if self.watch.end == End::Missing && self.unfinished_done() {
            return End::Proven;
        }
        self.watch.end
    }

    /// How many bytes of an event under way are kept.
    #[must_use]
    pub fn carried_bytes(&self) -> usize {
        self.scanner.carried_bytes()
    }

    /// There is no memory for the event under way: it goes unread, save for
    /// its name and how its data begins.
    pub fn give_up_event(&mut self) {
        self.scanner.give_up_event();
    }

    /// What to write before an event of our own: nothing at a boundary. In the
    /// midst of an event the client will then read the torn event first and
    /// fail on its JSON, which is no clean end either.
    #[must_use]
    pub fn boundary_fill(&self) -> &'static [u8] {
        self.scanner.boundary_fill()
    }

    /// `[DONE]` with its blank line missing: the backend did say that all was
    /// sent, and clients take the end of the body for the end in any case.
    fn unfinished_done(&self) -> bool {
        self.watch.mark == Some(StreamEnd::DoneLine)
            && self
                .scanner
                .unfinished()
                .fields()
                .any(|field| field.name == b"data" && is_done(field.value))
    }
}

impl Watch {
    fn take(&mut self, event: Event<'_>) {
        let mut joined = std::mem::take(&mut self.joined);
        let reading = event.read(&mut joined);
        if let Some(data) = reading.data {
            self.take_data(&reading, data);
        }
        self.joined = joined;
        if self.joined.capacity() > CARRY_KEPT_BYTES {
            self.joined = Vec::new();
        }
    }

    fn take_data(&mut self, reading: &Reading<'_>, data: &[u8]) {
        self.events += 1;
        match judge(self.mark, reading.name, data) {
            Verdict::Content => {}
            Verdict::Ping => return,
            // The first word stands: after it the client reads no further.
            Verdict::End(end) if self.end == End::Missing => self.end = end,
            Verdict::End(_) => {}
        }
        if let Some(report) = usage::find_in_event(data) {
            self.usage.get_or_insert_default().take_later(report);
        }
    }
}

/// What one event says about the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Content,
    Ping,
    End(End),
}

pub(super) fn judge(mark: Option<StreamEnd>, name: &[u8], data: &[u8]) -> Verdict {
    match mark {
        Some(StreamEnd::DoneLine) => judge_done_line(data),
        Some(StreamEnd::ResponseEvent) => judge_response(name, data),
        Some(StreamEnd::MessageStop) => judge_message(name, data),
        None => Verdict::Content,
    }
}

fn judge_done_line(data: &[u8]) -> Verdict {
    if is_done(data) {
        Verdict::End(End::Proven)
    } else if has_error(data) {
        Verdict::End(End::Errored)
    } else {
        Verdict::Content
    }
}

fn judge_response(name: &[u8], data: &[u8]) -> Verdict {
    match type_of(name, data) {
        b"response.completed" | b"response.incomplete" | b"response.failed" => {
            Verdict::End(End::Proven)
        }
        b"error" => Verdict::End(End::Errored),
        b"ping" | b"keepalive" => Verdict::Ping,
        _ => Verdict::Content,
    }
}

fn judge_message(name: &[u8], data: &[u8]) -> Verdict {
    match type_of(name, data) {
        b"message_stop" => Verdict::End(End::Proven),
        b"error" => Verdict::End(End::Errored),
        b"ping" => Verdict::Ping,
        _ => Verdict::Content,
    }
}

/// The event's name, else the `type` at the top of its data: the SDKs go by the
/// name alone and would pass over an event without one, but what matters here
/// is that the backend has said so.
fn type_of<'a>(name: &'a [u8], data: &'a [u8]) -> &'a [u8] {
    if name.is_empty() { type_in_data(data).unwrap_or_default() } else { name }
}

/// Stops at the member, which is the first in all that APIs send: the rest of
/// the event is not skimmed, and may be missing when it was too long.
fn type_in_data(data: &[u8]) -> Option<&[u8]> {
    let mut members = Skimmer::document(data).ok()?;
    while let Some(member) = members.next_member().ok()? {
        if member.key == b"type" {
            return Some(member.value.plain_text()?.of(data));
        }
    }
    None
}

/// The SDK's test: a member `error` at the top that is not null, false, zero
/// or empty.
fn has_error(data: &[u8]) -> bool {
    ERROR_KEY.find(data).is_some() && error_in_data(data).unwrap_or(false)
}

fn error_in_data(data: &[u8]) -> Option<bool> {
    let mut members = Skimmer::document(data).ok()?;
    while let Some(member) = members.next_member().ok()? {
        if member.key == b"error" {
            let text = member.value.span.of(data);
            return Some(match member.value.kind {
                Kind::Null | Kind::False => false,
                Kind::Number => is_not_zero(text),
                Kind::String { .. } => text != b"\"\"",
                Kind::Object => Skimmer::document(text).ok()?.next_member().ok()?.is_some(),
                Kind::Array => holds_something(text),
                Kind::True => true,
            });
        }
    }
    None
}

/// Of `-0.00e7` no digit in front of the exponent counts.
fn is_not_zero(number: &[u8]) -> bool {
    let mantissa = number.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
    mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// Whether anything but blanks stands between the brackets.
fn holds_something(array: &[u8]) -> bool {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    array.get(1..array.len().saturating_sub(1)).is_some_and(|inside| !inside.iter().all(is_blank))
}

/// `[DONE]` and nothing after it but blanks.
fn is_done(data: &[u8]) -> bool {
    data.strip_prefix(b"[DONE]").is_some_and(|rest| rest.iter().all(|byte| *byte == b' '))
}
