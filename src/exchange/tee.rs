//! Reads along: usage, events, and the proof that a stream is whole. It never
//! changes or delays a byte.

use super::answer::Content;
use crate::llm::{BodyTee, End, Endpoint, StreamTee, Usage};

/// What is read of one answer's body.
pub enum Tee {
    Events(Box<StreamTee>),
    Json(BodyTee),
    Known(Option<Usage>),
}

impl Tee {
    pub fn new(content: Content, status: u16, endpoint: Endpoint, event_bytes_max: usize) -> Self {
        match content {
            // An answer that is an error is not a stream of the API's.
            Content::Events if status == 200 => {
                Self::Events(Box::new(StreamTee::limited(endpoint, event_bytes_max)))
            }
            Content::Json if status == 200 && endpoint.needs_model() => Self::Json(BodyTee::new()),
            _ => Self::Known(None),
        }
    }

    /// Takes the next bytes of the body; `last` when they are its end.
    pub fn feed(&mut self, bytes: &[u8], last: bool) {
        match self {
            Self::Events(tee) => tee.feed(bytes),
            Self::Json(_) if last => {
                if let Self::Json(tee) = std::mem::replace(self, Self::Known(None)) {
                    *self = Self::Known(tee.feed_last(bytes));
                }
            }
            Self::Json(tee) => tee.feed(bytes),
            Self::Known(_) => {}
        }
    }

    /// If the body ends here, it ends without the mark that its API promises.
    pub fn is_cut(&self) -> bool {
        matches!(self, Self::Events(tee) if tee.needs_proof() && tee.end() == End::Missing)
    }

    pub fn stream(&self) -> Option<&StreamTee> {
        match self {
            Self::Events(tee) => Some(tee),
            _ => None,
        }
    }

    /// Usage and the number of events.
    pub fn finish(self) -> (Option<Usage>, u64) {
        match self {
            Self::Events(tee) => (tee.usage(), tee.events()),
            Self::Json(tee) => (tee.finish(), 0),
            Self::Known(usage) => (usage, 0),
        }
    }
}
