//! Sending: at once what the kernel takes, and the rest in its own time.
//!
//! A small piece is always taken at once, by a plain system call: that costs
//! less than an operation of the ring, spares a turn of the task, and nothing
//! is left that could end unseen. Only what a slow peer leaves over becomes an
//! operation, with a deadline.

use std::{io, ops::Range};

use super::{
    Stage,
    watch::{Interrupt, Wait, Watch},
};
use crate::rt::{Stream, World};

/// Why not everything was sent.
#[derive(Debug)]
pub enum SendFault {
    Interrupted(Interrupt),
    Closed,
    /// The peer has reset the connection, or the kernel has given it up.
    Io(#[allow(dead_code, reason = "for the log")] io::Error),
}

/// Sends what the kernel takes at once and shortens `part` by it.
#[inline]
pub fn send_now<S: Stream>(
    stream: &S,
    buffer: &[u8],
    part: &mut Range<usize>,
) -> Result<(), SendFault> {
    let bytes = buffer.get(part.clone()).unwrap_or_default();
    if !bytes.is_empty() {
        part.start += stream.try_send(bytes).map_err(SendFault::Io)?;
    }
    Ok(())
}

impl Watch {
    /// Sends all of `part` to `stream`, a backend's or the client's own. The
    /// deadline starts anew with every piece that the peer takes; when the
    /// request must end, the stream is shut down. The buffer always comes back.
    pub async fn send_all<W: World>(
        &self,
        stage: &Stage<W>,
        stream: &W::Stream,
        buffer: Vec<u8>,
        mut part: Range<usize>,
        wait: Wait,
    ) -> (Result<(), SendFault>, Vec<u8>) {
        match send_now(stream, &buffer, &mut part) {
            Ok(()) if part.is_empty() => (Ok(()), buffer),
            Ok(()) => self.send_rest(stage, stream, buffer, part, wait).await,
            Err(fault) => (Err(fault), buffer),
        }
    }

    /// The same without an attempt to send at once. It always waits a turn, so
    /// a client cannot keep a shard busy with requests that cost nothing.
    pub async fn send_rest<W: World>(
        &self,
        stage: &Stage<W>,
        stream: &W::Stream,
        mut buffer: Vec<u8>,
        mut part: Range<usize>,
        wait: Wait,
    ) -> (Result<(), SendFault>, Vec<u8>) {
        while !part.is_empty() {
            self.wait_for(stage, wait);
            let sending = self.guard(stream, stream.send(buffer, part.clone()));
            let ((result, returned), interrupt) = sending.await;
            buffer = returned;
            part.start += match (result, interrupt) {
                (_, Some(interrupt)) => return (Err(SendFault::Interrupted(interrupt)), buffer),
                (Ok(0), None) => return (Err(SendFault::Closed), buffer),
                (Ok(sent), None) => sent,
                (Err(error), None) => return (Err(SendFault::Io(error)), buffer),
            };
        }
        (Ok(()), buffer)
    }
}
