//! What the client has sent, received beside the work.
//!
//! A connection is two futures in one task: a receiver that always has a
//! receive under way, and the work that reads the inbox and sends. So the
//! client's end is seen while the work streams or stalls, and no receive is
//! ever dropped.
//!
//! ```text
//!   socket ──recv──> landing buffer ──swap or append──> arrived ──> the work
//!                        └─ the next receive goes on at once
//! ```

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use crate::{
    base::Instant,
    rt::{Stream, TAIL_ROOM, World},
};

use super::stats::Counters;

/// Capacity of a receive's buffer at first, and after a receive that was full.
const LANDING_BYTES: usize = 4 * 1024;
const LANDING_BYTES_MAX: usize = 64 * 1024;
/// Unread bytes beyond which nothing more is received, so that a client that
/// sends ahead costs bounded memory. (Its end is then not seen either.)
const ARRIVED_BYTES_MAX: usize = 1024 * 1024;

/// Shared by the two futures of one connection; both are polled by one task.
#[derive(Default)]
pub struct Inbox {
    arrived: RefCell<Vec<u8>>,
    /// How much of `arrived` has been read.
    read: Cell<usize>,
    ended: Cell<Option<Instant>>,
    /// The receiver waits for room.
    is_full: Cell<bool>,
}

impl Inbox {
    /// When the client's end, or its failure, was seen.
    pub fn ended(&self) -> Option<Instant> {
        self.ended.get()
    }

    /// Shows the unread bytes to `read`, which says how many of them it has
    /// used up.
    pub fn read<T>(&self, read: impl FnOnce(&mut [u8]) -> (usize, T)) -> T {
        let mut arrived = self.arrived.borrow_mut();
        let unread = arrived.get_mut(self.read.get()..).unwrap_or_default();
        let (used, answer) = read(unread);
        debug_assert!(used <= unread.len());
        self.read.set(self.read.get() + used);
        if self.read.get() == arrived.len() {
            arrived.clear();
            // What a reader that lagged, or a large body, has left behind.
            arrived.shrink_to(LANDING_BYTES);
            self.read.set(0);
        }
        answer
    }

    pub fn unread(&self) -> usize {
        self.arrived.borrow().len() - self.read.get()
    }

    /// Waits until there are more unread bytes than `known`, or no more will
    /// come. May be dropped.
    pub async fn more_than(&self, known: usize) {
        poll_fn(|_| {
            let has_news = self.unread() > known || self.ended.get().is_some();
            if has_news { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Puts what landed behind what is there, and returns a buffer for the
    /// next receive.
    fn put(&self, mut landed: Vec<u8>) -> Vec<u8> {
        // A receive leaves some room at the end of its buffer.
        let was_full = landed.capacity() - landed.len() <= TAIL_ROOM;
        let mut arrived = self.arrived.borrow_mut();
        if arrived.is_empty() {
            std::mem::swap(&mut *arrived, &mut landed);
        } else {
            // What was read goes first, so that a connection whose requests
            // overlap does not grow for ever.
            arrived.drain(..self.read.replace(0));
            arrived.extend_from_slice(&landed);
        }
        landed.clear();
        // It may be the buffer that gathered what was not read in time.
        let wanted = if was_full { LANDING_BYTES_MAX } else { LANDING_BYTES };
        landed.shrink_to(wanted);
        landed.reserve_exact(wanted);
        landed
    }
}

/// Receives into the inbox until the client ends.
async fn receive<W: World>(world: &W, stream: &W::Stream, inbox: &Inbox, counters: &Counters) {
    let mut landing = Vec::with_capacity(LANDING_BYTES);
    loop {
        let (result, buffer) = stream.recv(landing).await;
        match result {
            Ok(bytes @ 1..) => counters.count(|c| &c.bytes_in, bytes as u64),
            Ok(0) | Err(_) => break,
        }
        landing = inbox.put(buffer);
        poll_fn(|_| {
            inbox.is_full.set(inbox.unread() > ARRIVED_BYTES_MAX);
            if inbox.is_full.get() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
    inbox.ended.set(Some(world.now()));
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Close,
    Reset,
}

/// Runs `work` with a receive beside it, then ends the connection as the work
/// says.
pub async fn receiving_beside<W: World>(
    world: &W,
    stream: &W::Stream,
    inbox: &Inbox,
    counters: &Counters,
    work: impl Future<Output = Ending>,
) {
    let mut receiver = pin!(receive(world, stream, inbox, counters));
    let mut work = pin!(work);
    let mut is_receiving = true;
    let ending = poll_fn(|cx| {
        loop {
            if is_receiving && receiver.as_mut().poll(cx).is_ready() {
                is_receiving = false;
            }
            if let Poll::Ready(ending) = work.as_mut().poll(cx) {
                return Poll::Ready(ending);
            }
            // The work may have made the room that the receiver waits for.
            let may_go_on = inbox.is_full.get() && inbox.unread() <= ARRIVED_BYTES_MAX;
            if !(is_receiving && may_go_on) {
                return Poll::Pending;
            }
        }
    })
    .await;
    match ending {
        Ending::Close => stream.shutdown(),
        Ending::Reset => stream.abort(),
    }
    if is_receiving {
        // That ends the receive, which must not be dropped before. What was
        // under way to us still comes first, and is of no use any more.
        poll_fn(|cx| {
            loop {
                inbox.read(|unread| (unread.len(), ()));
                let receiving = receiver.as_mut().poll(cx);
                if receiving.is_ready() || !inbox.is_full.get() {
                    return receiving;
                }
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a receive would bring it that had more to bring.
    fn fill(landing: &mut Vec<u8>) {
        landing.resize(landing.capacity() - TAIL_ROOM, b'x');
    }

    fn read_all(inbox: &Inbox) {
        inbox.read(|unread| (unread.len(), ()));
    }

    #[test]
    fn more_is_received_after_a_full_receive_and_less_after_another() {
        let inbox = Inbox::default();
        let mut landing = Vec::with_capacity(LANDING_BYTES);
        for _ in 0..3 {
            fill(&mut landing);
            landing = inbox.put(landing);
            assert_eq!(landing.capacity(), LANDING_BYTES_MAX);
            read_all(&inbox);
        }
        landing.push(b'x');
        landing = inbox.put(landing);
        assert_eq!(landing.capacity(), LANDING_BYTES);
        read_all(&inbox);
        assert!(inbox.arrived.borrow().capacity() <= LANDING_BYTES);
    }

    #[test]
    fn a_reader_that_lagged_leaves_no_large_buffer_behind() {
        let inbox = Inbox::default();
        let mut landing = Vec::with_capacity(LANDING_BYTES);
        while inbox.unread() <= ARRIVED_BYTES_MAX {
            fill(&mut landing);
            landing = inbox.put(landing);
            assert!(landing.capacity() <= LANDING_BYTES_MAX);
        }
        read_all(&inbox);
        landing.push(b'x');
        landing = inbox.put(landing);
        read_all(&inbox);
        let kept = landing.capacity() + inbox.arrived.borrow().capacity();
        assert!(kept <= 2 * LANDING_BYTES, "{kept} bytes are kept");
    }

    #[test]
    fn what_lands_is_read_in_order_however_the_reader_lags() {
        let inbox = Inbox::default();
        let mut landing = Vec::with_capacity(8);
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        for round in 0..200_u8 {
            landing.extend_from_slice(&[round; 3]);
            sent.extend_from_slice(&[round; 3]);
            landing = inbox.put(landing);
            assert!(landing.is_empty() && landing.capacity() > 0);
            // Reads 2 of each 3 for a while, then all that is left.
            let wanted = if round < 100 { 2 } else { usize::MAX };
            inbox.read(|unread| {
                let used = unread.len().min(wanted);
                got.extend_from_slice(&unread[..used]);
                (used, ())
            });
        }
        assert_eq!(got, sent);
        assert_eq!(inbox.unread(), 0);
    }
}
