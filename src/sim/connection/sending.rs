//! Sending: bytes are put on their way where there is room for them, and a send
//! that finds none waits until the other side has taken some.

use std::{io, task::Waker};

use super::{EPIPE, Ended, Parcel, Send, Sending, wake};
use crate::{
    base::Instant,
    sim::{
        core::{Event, State},
        executor::nanos,
    },
};

impl State {
    /// Which of all sendings has sent this byte to this side.
    pub fn sending_of(&mut self, id: u64, side: usize, byte: usize) -> Sending {
        let sendings = &self.connection(id).pipes[1 - side].sendings;
        let at = sendings.partition_point(|(end, _)| *end <= byte);
        sendings[at].1
    }

    /// Puts bytes on their way.
    fn push(&mut self, id: u64, side: usize, bytes: &[u8]) {
        self.note("send", id * 2 + side as u64, bytes.len() as u64);
        self.sendings += 1;
        let sending = Sending { number: self.sendings, at: Instant::from_nanos(self.now) };
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

    pub(super) fn send_parcel(&mut self, id: u64, side: usize, parcel: Parcel) {
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

    pub(super) fn tell_sender(&mut self, id: u64, side: usize) {
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
}
