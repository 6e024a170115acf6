//! One connection: two pipes of bytes, and what each of its ends has done.
//!
//! ```text
//! side 0 ── pipes[0]: in flight … arrived ──► side 1
//!        ◄──────────────── pipes[1] ────────
//! ```
//!
//! What is sent arrives in order, in its time. A receive that waits is filled
//! the moment bytes arrive (`ring`) or when it is polled next.

use std::{collections::VecDeque, io, ops::Range, task::Waker};

use super::{
    core::{Event, State},
    executor::{Owner, nanos},
};

/// The errnos of Linux.
const ECONNRESET: i32 = 104;
const EPIPE: i32 = 32;
const ECANCELED: i32 = 125;
/// How late a late cancel is, in nanoseconds.
const CANCEL_LATE: usize = 200_000;

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
    /// Up to which byte was sent by which sending of the world's.
    sendings: Vec<(usize, u64)>,
    ended: Option<Ended>,
    /// Nothing arrives in this time.
    pub hiccup: Range<u64>,
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

    // Sending.

    /// Which of all sendings has sent this byte to this side.
    pub fn sending_of(&mut self, id: u64, side: usize, byte: usize) -> u64 {
        let sendings = &self.connection(id).pipes[1 - side].sendings;
        let at = sendings.partition_point(|(end, _)| *end <= byte);
        sendings[at].1
    }

    /// Puts bytes on their way.
    fn push(&mut self, id: u64, side: usize, bytes: &[u8]) {
        self.note("send", id * 2 + side as u64, bytes.len() as u64);
        self.sendings += 1;
        let sending = self.sendings;
        let pipe = &mut self.connection(id).pipes[side];
        pipe.bytes += bytes.len();
        let before = pipe.sendings.last().map_or(0, |(end, _)| *end);
        pipe.sendings.push((before + bytes.len(), sending));
        let mut rest = bytes;
        while !rest.is_empty() {
            let odds = self.faults.pieces;
            let cut = if rest.len() > 1 && self.chance.happens(odds) {
                1 + self.chance.below(rest.len())
            } else {
                rest.len()
            };
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            self.send_parcel(id, side, Parcel::Bytes(piece.to_vec()));
            rest = behind;
        }
    }

    fn send_parcel(&mut self, id: u64, side: usize, parcel: Parcel) {
        let jitter = nanos(self.chance.up_to(self.faults.jitter));
        let now = self.now;
        let connection = self.connection(id);
        let mut at = now + connection.delay + jitter;
        let pipe = &mut connection.pipes[side];
        if pipe.hiccup.contains(&at) {
            at = pipe.hiccup.end;
        }
        at = at.max(pipe.last_arrival);
        pipe.last_arrival = at;
        pipe.flying.push_back(parcel);
        self.later(at, Event::Arrive { connection: id, side });
    }

    /// A plain send: what there is room for, or less.
    pub fn try_send(&mut self, id: u64, side: usize, bytes: &[u8]) -> io::Result<usize> {
        let connection = self.connection(id);
        if connection.cannot_send(side) {
            return Err(io::Error::from_raw_os_error(EPIPE));
        }
        let mut taken = connection.room(side).min(bytes.len());
        let odds = self.faults.shy_sends;
        if self.chance.happens(odds) {
            taken = self.chance.below(taken + 1);
        }
        if taken > 0 {
            self.push(id, side, &bytes[..taken]);
        }
        Ok(taken)
    }

    pub fn start_send(&mut self, id: u64, side: usize, bytes: Vec<u8>) {
        if self.connection(id).ends[side].send.is_some() {
            self.chronicle.breach("two sends are under way at once".to_owned());
        }
        self.connection(id).ends[side].send = Some(Send { bytes, done: None, waker: None });
        if self.faults.ring {
            self.go_on_sending(id, side);
        }
    }

    fn go_on_sending(&mut self, id: u64, side: usize) {
        let odds = self.faults.short_writes;
        let connection = self.connection(id);
        let (cannot, room) = (connection.cannot_send(side), connection.room(side));
        let Some(send) = &mut connection.ends[side].send else { return };
        if send.done.is_some() || (!cannot && room == 0) {
            return;
        }
        let bytes = std::mem::take(&mut send.bytes);
        let done = if cannot {
            Err(io::Error::from_raw_os_error(EPIPE))
        } else {
            let mut taken = room.min(bytes.len());
            if self.chance.happens(odds) {
                taken = 1 + self.chance.below(taken);
            }
            self.push(id, side, &bytes[..taken]);
            Ok(taken)
        };
        if let Some(send) = &mut self.connection(id).ends[side].send {
            send.done = Some(done);
            wake(&mut send.waker);
        }
    }

    /// What a send has come to; `None` while it is under way.
    pub fn poll_send(&mut self, id: u64, side: usize, waker: &Waker) -> Option<io::Result<usize>> {
        self.go_on_sending(id, side);
        let send = &mut self.connection(id).ends[side].send;
        match send.take() {
            Some(Send { done: Some(done), .. }) => Some(done),
            Some(waiting) => {
                *send = Some(Send { waker: Some(waker.clone()), ..waiting });
                None
            }
            None => Some(Ok(0)),
        }
    }

    pub fn drop_send(&mut self, id: u64, side: usize) {
        self.connection(id).ends[side].send = None;
    }

    // Receiving.

    /// Returns the operation's number.
    pub fn start_receive(&mut self, id: u64, side: usize, bytes_max: usize, cancelable: bool) {
        if self.connection(id).ends[side].receive.is_some() {
            self.chronicle.breach("two receives are under way at once".to_owned());
        }
        self.network.operations += 1;
        let operation = self.network.operations;
        let receive = Receive { operation, bytes_max, cancelable, done: None, waker: None };
        self.connection(id).ends[side].receive = Some(receive);
        if self.faults.ring {
            self.go_on_receiving(id, side);
        }
    }

    fn go_on_receiving(&mut self, id: u64, side: usize) {
        let odds = self.faults.short_reads;
        let connection = self.connection(id);
        let readable = connection.is_readable(side);
        let Some(receive) = &mut connection.ends[side].receive else { return };
        if receive.done.is_some() || !readable {
            return;
        }
        let bytes_max = receive.bytes_max;
        let pipe = &mut connection.pipes[1 - side];
        let mut bytes = bytes_max.min(pipe.arrived.len());
        let done = if bytes > 0 {
            if self.chance.happens(odds) {
                bytes = 1 + self.chance.below(bytes);
            }
            let pipe = &mut self.connection(id).pipes[1 - side];
            pipe.bytes -= bytes;
            Ok(pipe.arrived.drain(..bytes).collect())
        } else if pipe.ended == Some(Ended::Reset) {
            // Told once, as by the kernel.
            pipe.ended = Some(Ended::Orderly);
            Err(io::Error::from_raw_os_error(ECONNRESET))
        } else {
            Ok(Vec::new())
        };
        self.note("receive", id * 2 + side as u64, bytes as u64);
        if let Some(receive) = &mut self.connection(id).ends[side].receive {
            receive.done = Some(done);
            wake(&mut receive.waker);
        }
        // There is room again.
        self.tell_sender(id, 1 - side);
    }

    fn tell_sender(&mut self, id: u64, side: usize) {
        let connection = self.connection(id);
        let has_room = connection.room(side) > 0;
        if has_room && std::mem::take(&mut connection.ends[side].end_waits) {
            self.send_parcel(id, side, Parcel::End(Ended::Orderly));
        }
        if self.faults.ring {
            self.go_on_sending(id, side);
        } else if let Some(send) = &mut self.connection(id).ends[side].send {
            wake(&mut send.waker);
        }
    }

    /// What a receive has come to; `None` while it is under way.
    pub fn poll_receive(
        &mut self,
        id: u64,
        side: usize,
        waker: &Waker,
    ) -> Option<io::Result<Vec<u8>>> {
        self.go_on_receiving(id, side);
        let receive = &mut self.connection(id).ends[side].receive;
        match receive.take() {
            Some(Receive { done: Some(done), .. }) => Some(done),
            Some(waiting) => {
                *receive = Some(Receive { waker: Some(waker.clone()), ..waiting });
                None
            }
            None => Some(Ok(Vec::new())),
        }
    }

    pub fn drop_receive(&mut self, id: u64, side: usize) {
        self.connection(id).ends[side].receive = None;
    }

    pub fn cancel_receive(&mut self, id: u64, side: usize) {
        let Some(receive) = &self.connection(id).ends[side].receive else { return };
        if !receive.cancelable || receive.done.is_some() {
            return;
        }
        let operation = receive.operation;
        if self.faults.late_cancels {
            let at = self.now + self.chance.below(CANCEL_LATE) as u64;
            self.later(at, Event::Cancel { connection: id, side, operation });
        } else {
            self.cancel_comes(id, side, operation);
        }
    }

    pub fn cancel_comes(&mut self, id: u64, side: usize, operation: u64) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        if let Some(receive) = &mut connection.ends[side].receive
            && receive.operation == operation
            && receive.done.is_none()
        {
            receive.done = Some(Err(io::Error::from_raw_os_error(ECANCELED)));
            wake(&mut receive.waker);
        }
    }

    // What happens.

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

    fn tell_receiver(&mut self, id: u64, side: usize) {
        let ring = self.faults.ring;
        let connection = self.connection(id);
        let end = &mut connection.ends[side];
        wake(&mut end.poller);
        if ring {
            self.go_on_receiving(id, side);
        } else if let Some(receive) = &mut end.receive {
            wake(&mut receive.waker);
        }
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
