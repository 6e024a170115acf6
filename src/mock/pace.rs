//! When tokens are due: all waits of one thread behind one timer.
//!
//! The runtime's own sleep is some 600 bytes and an entry in its wheel for
//! each token; here a token costs 16 bytes in a heap.
//!
//! ```text
//!   stream ──wait(due)──> heap of (due, seat) <──first due── keeper: one sleep
//!      └────────waker──> seats[seat]  <──────────fires──────────┘
//! ```

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::BinaryHeap,
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
};

use slab::Slab;

use crate::{base::Instant, rt::World};

/// The waits of one thread.
#[derive(Default)]
pub struct Pace {
    waits: RefCell<Waits>,
}

#[derive(Default)]
struct Waits {
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    seats: Slab<Seat>,
    /// Wakes the keeper when a wait is due before those it knows.
    keeper: Option<Waker>,
}

enum Seat {
    Waiting(Waker),
    /// Given up before it was due; freed when it comes up in the heap.
    Abandoned,
    /// Due; freed by the one who waits.
    Due,
}

/// One wait. It takes a seat when it is first polled.
pub struct Wait<'p> {
    pace: &'p Pace,
    due: Instant,
    seat: Option<usize>,
}

impl Pace {
    /// Waits until `due`, at the timer's grain of 1 ms.
    #[must_use]
    pub fn wait(&self, due: Instant) -> Wait<'_> {
        Wait { pace: self, due, seat: None }
    }

    /// Wakes whoever is due, for ever. One task of the thread runs it.
    pub async fn keep<W: World>(&self, world: &W) {
        loop {
            let first = poll_fn(|cx| self.poll_first(cx)).await;
            {
                let mut sleep = pin!(world.sleep_until(first));
                poll_fn(|cx| {
                    let is_earlier = self.first_due().is_some_and(|due| due < first);
                    if is_earlier || sleep.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                    self.waits.borrow_mut().keeper = Some(cx.waker().clone());
                    Poll::Pending
                })
                .await;
            }
            self.fire(world.now());
        }
    }

    fn first_due(&self) -> Option<Instant> {
        self.waits.borrow().due.peek().map(|Reverse((due, _))| *due)
    }

    fn poll_first(&self, cx: &Context<'_>) -> Poll<Instant> {
        match self.first_due() {
            Some(due) => Poll::Ready(due),
            None => {
                self.waits.borrow_mut().keeper = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn fire(&self, now: Instant) {
        let waits = &mut *self.waits.borrow_mut();
        while let Some(Reverse((due, seat))) = waits.due.peek().copied() {
            if due > now {
                break;
            }
            waits.due.pop();
            match std::mem::replace(&mut waits.seats[seat], Seat::Due) {
                // Waking only queues the task: it cannot come back in here.
                Seat::Waiting(waker) => waker.wake(),
                Seat::Abandoned | Seat::Due => drop(waits.seats.remove(seat)),
            }
        }
    }
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waits = &mut *self.pace.waits.borrow_mut();
        let Some(seat) = self.seat else {
            let seat = waits.seats.insert(Seat::Waiting(cx.waker().clone()));
            let is_first = waits.due.peek().is_none_or(|Reverse((due, _))| self.due < *due);
            waits.due.push(Reverse((self.due, seat)));
            self.seat = Some(seat);
            if is_first && let Some(keeper) = waits.keeper.take() {
                keeper.wake();
            }
            return Poll::Pending;
        };
        match &mut waits.seats[seat] {
            Seat::Waiting(waker) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            Seat::Due | Seat::Abandoned => Poll::Ready(()),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(seat) = self.seat else { return };
        let seats = &mut self.pace.waits.borrow_mut().seats;
        match &mut seats[seat] {
            Seat::Due => drop(seats.remove(seat)),
            waiting => *waiting = Seat::Abandoned,
        }
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
