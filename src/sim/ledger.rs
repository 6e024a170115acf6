//! What was ordered, what backends were asked and did, what clients saw.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use super::{connection::Sending, order::Order};
use crate::{base::Instant, llm::Complaint};

pub type SharedLedger = Rc<RefCell<Ledger>>;

#[derive(Default)]
pub struct Ledger {
    pub entries: Vec<Entry>,
    /// A backend has sent bytes that nobody asked for, and they may have been
    /// taken for the beginning of an answer.
    pub late_bytes: usize,
    /// What backends have heard that was no order.
    pub babble_heard: usize,
    /// Orders that each backend works on now, and the most there ever were.
    pub at_work: BTreeMap<usize, (usize, usize)>,
    /// Pages of the proxy's own that were asked for.
    pub pages: usize,
}

pub struct Entry {
    pub order: Order,
    /// Each time that it came to a backend.
    pub asked: Vec<Asked>,
    /// The sending by which the proxy began an answer to its client.
    pub answer_began: Option<Sending>,
    /// How often backends were asked, as the answer told.
    pub attempts_told: Option<usize>,
    /// What its client saw.
    pub seen: Option<Seen>,
    /// Its client has done something after which it may expect nothing.
    pub own_fault: bool,
}

/// An order as it came to a backend.
#[derive(Clone, Debug)]
pub struct Asked {
    pub backend: usize,
    /// By which name.
    pub model: String,
    /// The sending by which the proxy began to ask.
    pub sending: Sending,
    pub fate: Fate,
    /// When the backend began its answer.
    pub answered_at: Option<Instant>,
    /// When it had nothing left to do for it.
    pub done_at: Option<Instant>,
}

/// What a backend makes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Good,
    /// It answers with this status.
    Error(u16),
    /// It answers 400, for a reason that it tells.
    Complains(Complaint),
    /// The stream begins with an error.
    OverloadEvent,
    /// It never answers.
    Stalls,
    /// It ends after so many bytes of the body.
    Cut {
        at: usize,
        by_reset: bool,
    },
    /// After so many bytes of the body nothing more comes.
    Halts {
        at: usize,
    },
}

/// What a client saw of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Whole,
    /// A backend's own error, whole.
    TheirError(u16),
    /// The proxy's own.
    OurError(u16),
    /// Less than a whole answer, and it showed.
    Cut,
    /// The connection ended before any of it came.
    Nothing,
    /// The client did not wait for it.
    Left,
}

impl Ledger {
    /// A backend begins to work on an order. Returns the place of this among
    /// all the times that the order was asked.
    pub fn begins_work(&mut self, order: usize, asked: Asked) -> usize {
        let (now, most) = self.at_work.entry(asked.backend).or_default();
        *now += 1;
        *most = (*most).max(*now);
        let asked_so_far = &mut self.entries[order].asked;
        asked_so_far.push(asked);
        asked_so_far.len() - 1
    }

    pub fn ends_work(&mut self, order: usize, place: usize, now: Instant) {
        let asked = &mut self.entries[order].asked[place];
        asked.done_at = Some(now);
        if let Some((under_way, _)) = self.at_work.get_mut(&asked.backend) {
            *under_way -= 1;
        }
    }

    pub fn begin(&mut self, order: Order) -> usize {
        let id = order.id;
        self.entries.push(Entry {
            order,
            asked: Vec::new(),
            answer_began: None,
            attempts_told: None,
            seen: None,
            own_fault: false,
        });
        id
    }

    pub fn saw(&mut self, id: usize, seen: Seen) {
        self.entries[id].seen = Some(seen);
    }

    pub fn count(&self, what: impl Fn(Seen) -> bool) -> usize {
        self.entries.iter().filter_map(|entry| entry.seen).filter(|&seen| what(seen)).count()
    }
}
