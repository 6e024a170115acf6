//! Receiving: what has arrived is taken when somebody asks for it, the moment it
//! comes (`ring`) or when he is polled; and a receive may be called back.

use std::{io, task::Waker};

use super::{ECONNRESET, Ended, Receive, wake};
use crate::sim::core::{Event, State};

/// The errno of an operation that was called back.
const ECANCELED: i32 = 125;
/// How late a late cancel is, in nanoseconds.
const CANCEL_LATE: usize = 200_000;

impl State {
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

    pub(super) fn tell_receiver(&mut self, id: u64, side: usize) {
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
}
