//! Reads along: usage, events, and the proof that a stream is whole. It never
//! changes or delays a byte.

use std::sync::atomic::AtomicUsize;

use super::{
    Counter, Stage,
    answer::{AnswerHead, Content},
    permit::Permit,
};
use crate::{
    llm::{BodyTee, End, Endpoint, StreamTee, Usage},
    rt::World,
    sse::CARRY_KEPT_BYTES,
};

/// What is read of one answer's body.
pub enum Tee<'s> {
    Events(Box<Events<'s>>),
    Json(BodyTee),
    Known(Option<Usage>),
}

/// A stream of events. One that no read brings whole is put together in memory
/// of ours. Beyond a small amount that is held within the budget of all
/// request bodies; where there is no room the event goes unread.
pub struct Events<'s> {
    tee: StreamTee,
    room: Option<Permit<'s>>,
    budget: &'s AtomicUsize,
    gauge: &'s Counter,
    budget_max: usize,
    event_bytes_max: usize,
}

impl Events<'_> {
    fn feed(&mut self, bytes: &[u8]) {
        let most = self.tee.carried_bytes() + bytes.len();
        if most > CARRY_KEPT_BYTES {
            self.take_room(most);
        }
        self.tee.feed(bytes);
        if self.room.is_some() && self.tee.carried_bytes() <= CARRY_KEPT_BYTES {
            self.room = None;
        }
    }

    /// Takes room for what an event of so many bytes is kept in, which doubles
    /// as it grows.
    #[cold]
    fn take_room(&mut self, event_bytes: usize) {
        let wanted = event_bytes.saturating_mul(2).min(self.event_bytes_max);
        let taken = self.room.as_ref().map_or(0, Permit::amount);
        if wanted <= taken {
            return;
        }
        self.room = match self.room.take() {
            Some(room) => room.extended(wanted - taken),
            None => Permit::take(self.budget, self.gauge, wanted, Some(self.budget_max)),
        };
        if self.room.is_none() {
            self.tee.give_up_event();
        }
    }
}

impl<'s> Tee<'s> {
    pub fn new<W: World>(stage: &'s Stage<W>, head: &AnswerHead, endpoint: Endpoint) -> Self {
        let limits = &stage.settings.limits;
        match head.content {
            // An answer that is an error is not a stream of the API's.
            Content::Events if head.status == 200 => Self::Events(Box::new(Events {
                tee: StreamTee::limited(endpoint, limits.sse_event_bytes),
                room: None,
                budget: &stage.common.body_bytes,
                gauge: &stage.counters.event_bytes_held,
                budget_max: limits.body_memory_total,
                event_bytes_max: limits.sse_event_bytes,
            })),
            Content::Json if head.status == 200 && endpoint.needs_model() => {
                Self::Json(BodyTee::new())
            }
            _ => Self::Known(None),
        }
    }

    /// Takes the next bytes of the body; `last` when they are its end.
    pub fn feed(&mut self, bytes: &[u8], last: bool) {
        match self {
            Self::Events(events) => events.feed(bytes),
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
        self.stream().is_some_and(|tee| tee.needs_proof() && tee.end() == End::Missing)
    }

    pub fn stream(&self) -> Option<&StreamTee> {
        match self {
            Self::Events(events) => Some(&events.tee),
            _ => None,
        }
    }

    /// Usage, as far as it has been told, and the number of events.
    pub fn so_far(&self) -> (Option<Usage>, u64) {
        match self {
            Self::Events(events) => (events.tee.usage(), events.tee.events()),
            Self::Json(_) => (None, 0),
            Self::Known(usage) => (*usage, 0),
        }
    }

    /// Usage and the number of events.
    pub fn finish(self) -> (Option<Usage>, u64) {
        match self {
            Self::Json(tee) => (tee.finish(), 0),
            other => other.so_far(),
        }
    }
}
