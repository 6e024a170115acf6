//! One connection: two pipes of bytes, and what each of its ends has done.
//!
//! ```text
//! side 0 ── pipes[0]: in flight … arrived ──► side 1
//!        ◄──────────────── pipes[1] ────────
//! ```
//!
//! What is sent arrives in order, in its time. A receive that waits is filled
//! the moment bytes arrive (`ring`) or when it is polled next.

mod receiving;
mod sending;

use std::{collections::VecDeque, io, ops::Range, task::Waker};

use super::{core::State, executor::Owner};
use crate::base::Instant;

/// The errnos of Linux.
const ECONNRESET: i32 = 104;
const EPIPE: i32 = 32;

pub struct Connection {
    pub ends: [End; 2],
    /// By who sends.
    pub pipes: [Pipe; 2],
    /// Nanoseconds from one side to the other.
    delay: u64,
}

pub struct End {
    pub owner: Owner,
    pub closed: bool,
    /// Its close is a reset.
    pub aborted: bool,
    finished: bool,
    /// The end is not on its way yet: it stands behind a send for which there
    /// was no room. (A reset takes its place.)
    end_waits: bool,
    deaf: bool,
    /// It has been reset.
    broken: bool,
    /// Whoever was there is gone without a word.
    silent: bool,
    receive: Option<Receive>,
    send: Option<Send>,
    pub poller: Option<Waker>,
}

pub struct Pipe {
    flying: VecDeque<Parcel>,
    arrived: VecDeque<u8>,
    /// Bytes in it, wherever.
    bytes: usize,
    capacity: usize,
    last_arrival: u64,
    /// Up to which byte was sent by which sending.
    sendings: Vec<(usize, Sending)>,
    ended: Option<Ended>,
    /// Nothing arrives in this time.
    pub hiccup: Range<u64>,
}

/// One of all sendings in the world: the how manyth it was, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sending {
    pub number: u64,
    pub at: Instant,
}

enum Parcel {
    Bytes(Vec<u8>),
    End(Ended),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Orderly,
    Reset,
}

/// A receive that is under way.
struct Receive {
    operation: u64,
    bytes_max: usize,
    cancelable: bool,
    done: Option<io::Result<Vec<u8>>>,
    waker: Option<Waker>,
}

/// A send that is under way.
struct Send {
    bytes: Vec<u8>,
    done: Option<io::Result<usize>>,
    waker: Option<Waker>,
}

impl Connection {
    pub fn new(owners: [Owner; 2], delay: u64, capacity: usize) -> Self {
        let end = |owner| End {
            owner,
            closed: false,
            aborted: false,
            finished: false,
            end_waits: false,
            deaf: false,
            broken: false,
            silent: false,
            receive: None,
            send: None,
            poller: None,
        };
        let pipe = || Pipe {
            flying: VecDeque::new(),
            arrived: VecDeque::new(),
            bytes: 0,
            capacity,
            last_arrival: 0,
            sendings: Vec::new(),
            ended: None,
            hiccup: 0..0,
        };
        Self { ends: owners.map(end), pipes: [pipe(), pipe()], delay }
    }

    /// Whether a receive of this side would not wait.
    pub fn is_readable(&self, side: usize) -> bool {
        let pipe = &self.pipes[1 - side];
        !pipe.arrived.is_empty() || pipe.ended.is_some() || self.ends[side].deaf
    }

    /// Neither byte nor end has come.
    pub fn is_quiet(&self, side: usize) -> bool {
        let pipe = &self.pipes[1 - side];
        pipe.arrived.is_empty() && pipe.ended.is_none()
    }

    pub fn cannot_send(&self, side: usize) -> bool {
        let end = &self.ends[side];
        end.finished || end.broken
    }

    fn room(&self, side: usize) -> usize {
        let pipe = &self.pipes[side];
        pipe.capacity.saturating_sub(pipe.bytes)
    }
}

impl State {
    pub fn connection(&mut self, id: u64) -> &mut Connection {
        // An end that is open keeps it; whoever asks holds one.
        self.network.connections.get_mut(&id).expect("a connection with an open end")
    }

    /// The parcel in front of a pipe has arrived.
    pub fn arrive(&mut self, id: u64, side: usize) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let Some(parcel) = connection.pipes[side].flying.pop_front() else { return };
        let there = &mut connection.ends[1 - side];
        if there.silent {
            return;
        }
        match parcel {
            Parcel::Bytes(bytes) if there.closed => {
                connection.pipes[side].bytes -= bytes.len();
                // Nobody is there to take it.
                self.send_parcel(id, 1 - side, Parcel::End(Ended::Reset));
            }
            Parcel::Bytes(bytes) => connection.pipes[side].arrived.extend(bytes),
            Parcel::End(_) if there.closed => {}
            Parcel::End(Ended::Orderly) => {
                let ended = &mut connection.pipes[side].ended;
                *ended = ended.or(Some(Ended::Orderly));
            }
            Parcel::End(Ended::Reset) => return self.reset(id, 1 - side),
        }
        self.tell_receiver(id, 1 - side);
    }

    /// A reset has come to this side.
    fn reset(&mut self, id: u64, side: usize) {
        self.note("reset", id * 2 + side as u64, 0);
        let overtakes = self.faults.resets_overtake && self.chance.below(2) == 0;
        let connection = self.connection(id);
        let end = &mut connection.ends[side];
        if end.closed || end.broken {
            return;
        }
        end.broken = true;
        let came = &mut connection.pipes[1 - side];
        came.ended = Some(Ended::Reset);
        if overtakes {
            came.arrived.clear();
        }
        self.tell_receiver(id, side);
        self.tell_sender(id, side);
    }

    /// The connection is torn: both sides are told by a reset.
    pub fn tear(&mut self, id: u64) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        for pipe in &mut connection.pipes {
            pipe.flying.clear();
        }
        self.reset(id, 0);
        self.reset(id, 1);
    }

    /// Whoever is on this side is gone, and nobody says so.
    pub fn fall_silent(&mut self, id: u64, side: usize) {
        self.note("silence", id * 2 + side as u64, 0);
        let connection = self.connection(id);
        connection.ends[side].silent = true;
        connection.pipes[side].flying.clear();
        // Its own tasks must end all the same.
        connection.ends[side].broken = true;
        connection.pipes[1 - side].ended = Some(Ended::Reset);
        self.tell_receiver(id, side);
        self.tell_sender(id, side);
    }

    // What an end does.

    /// No more is sent: the other side sees the end behind what was.
    pub fn finish(&mut self, id: u64, side: usize) {
        let end = &mut self.connection(id).ends[side];
        if !std::mem::replace(&mut end.finished, true) {
            end.end_waits = !end.broken && !end.silent;
            self.note("finish", id * 2 + side as u64, 0);
            self.tell_sender(id, side);
        }
    }

    /// No more is received, once what has come is.
    pub fn turn_deaf(&mut self, id: u64, side: usize) {
        self.connection(id).ends[side].deaf = true;
        self.tell_receiver(id, side);
    }

    pub fn abort(&mut self, id: u64, side: usize) {
        self.connection(id).ends[side].aborted = true;
        self.turn_deaf(id, side);
    }

    /// A stream is dropped. Whoever closes with bytes unread resets.
    pub fn close(&mut self, id: u64, side: usize) {
        let connection = self.connection(id);
        let unread = !connection.pipes[1 - side].arrived.is_empty();
        if connection.ends[side].aborted || unread {
            self.abandon(id, side);
            return;
        }
        self.finish(id, side);
        self.forget(id, side);
    }

    /// Closes with a reset.
    pub fn abandon(&mut self, id: u64, side: usize) {
        let overtakes = self.faults.resets_overtake && self.chance.below(2) == 0;
        let connection = self.connection(id);
        let end = &mut connection.ends[side];
        if !end.broken && !end.silent {
            if overtakes {
                connection.pipes[side].flying.clear();
            }
            connection.ends[side].end_waits = false;
            self.send_parcel(id, side, Parcel::End(Ended::Reset));
        }
        self.forget(id, side);
    }

    fn forget(&mut self, id: u64, side: usize) {
        let connection = self.connection(id);
        connection.ends[side].closed = true;
        // What nobody will read takes no room.
        let pipe = &mut connection.pipes[1 - side];
        pipe.bytes -= pipe.arrived.len();
        pipe.arrived.clear();
        if connection.ends[1 - side].closed {
            self.network.connections.remove(&id);
        }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
