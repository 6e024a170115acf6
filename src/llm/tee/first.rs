//! Looks for the first event of a stream that says something: only then is it
//! known whether a status of 200 was true. Pings and comments say nothing.

use super::stream::{End, Verdict, judge};
use crate::llm::complaint::{Complaint, read_complaint};
use crate::llm::dialect::StreamEnd;
use crate::sse::EventScanner;

/// What the first event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Part of an answer, or its end.
    Answer,
    /// An error, in place of an answer.
    Error(Complaint),
}

/// Waits for it.
pub struct FirstEvent {
    scanner: EventScanner,
    mark: StreamEnd,
    found: Option<First>,
}

impl FirstEvent {
    /// `mark` tells the API; an event longer than `event_bytes_max` is judged
    /// by its beginning.
    #[must_use]
    pub fn new(mark: StreamEnd, event_bytes_max: usize) -> Self {
        Self { scanner: EventScanner::new(event_bytes_max), mark, found: None }
    }

    /// Takes the next bytes of the stream, cut anywhere. Says what the first
    /// event is, once it has come.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<First> {
        let Self { scanner, mark, found } = self;
        scanner.feed(bytes, |event| {
            if found.is_some() {
                return;
            }
            let mut joined = Vec::new();
            let reading = event.read(&mut joined);
            let Some(data) = reading.data else { return };
            *found = match judge(Some(*mark), reading.name, data) {
                Verdict::Ping => None,
                Verdict::End(End::Errored) => Some(First::Error(read_complaint(data))),
                Verdict::Content | Verdict::End(_) => Some(First::Answer),
            };
        });
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mark: StreamEnd, stream: &str, expected: Option<First>) {
        for piece in [1, 7, stream.len().max(1)] {
            let mut first = FirstEvent::new(mark, 1024);
            let found = stream.as_bytes().chunks(piece).find_map(|bytes| first.feed(bytes));
            assert_eq!(found, expected, "{stream:?} in pieces of {piece}");
        }
    }

    #[test]
    fn an_error_in_place_of_an_answer_is_found() {
        let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
        let of_backend = Some(First::Error(Complaint::OfBackend));
        check(StreamEnd::MessageStop, overloaded, of_backend);
        check(
            StreamEnd::MessageStop,
            &format!(": hello\n\nevent: ping\ndata: {{\"type\": \"ping\"}}\n\n{overloaded}"),
            of_backend,
        );
        check(
            StreamEnd::DoneLine,
            "data: {\"error\":{\"message\":\"x\",\"code\":503}}\n\n",
            of_backend,
        );
        let about_it = Some(First::Error(Complaint::OfRequest));
        check(
            StreamEnd::DoneLine,
            "data: {\"error\":{\"message\":\"x\",\"code\":400}}\n\n",
            about_it,
        );
        check(StreamEnd::ResponseEvent, "event: error\ndata: {\"type\":\"error\"}\n\n", of_backend);
    }

    #[test]
    fn an_answer_is_one_from_its_first_event_on() {
        let answer = Some(First::Answer);
        check(StreamEnd::DoneLine, "data: {\"choices\":[]}\n\ndata: {\"error\":1}\n\n", answer);
        check(StreamEnd::DoneLine, "data: [DONE]\n\n", answer);
        check(StreamEnd::MessageStop, "event: message_start\ndata: {}\n\n", answer);
        check(StreamEnd::ResponseEvent, "event: response.created\ndata: {}\n\n", answer);
    }

    #[test]
    fn what_says_nothing_is_waited_out() {
        for stream in ["", ": comment\n\n", "data: {\"choices\"", "event: x\n\n", "\n\n\n"] {
            check(StreamEnd::DoneLine, stream, None);
        }
        check(StreamEnd::MessageStop, "event: ping\ndata: {}\n\n", None);
    }
}
