//! An engine's prefill: it reads so many prompts at once, and the others wait
//! in the order in which they came. It knows no timer; `deliver` waits.
//!
//! ```text
//!   arrived ──> waiting, by number ──first, and a slot is free──> reading ──drop──> free
//! ```
//!
//! A request waits or reads as long as its [`Slot`] lives, so one whose client
//! has left makes room at once. There are as many as open connections.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{base::Instant, config::MockPrefill};

/// The prompts of one engine.
#[derive(Debug)]
pub struct Prefill {
    plan: MockPrefill,
    /// Prompts that were begun while the engine was cold.
    cold: Cell<u32>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    reading: u32,
    /// The number of the next that comes.
    next: u64,
    waiting: BTreeMap<u64, Waker>,
    /// When the slot was free that the first of them takes. It goes on from
    /// there, so that the timer's grain does not add up along a queue.
    free_since: Option<Instant>,
}

/// One prompt's place. It comes when it is awaited.
#[derive(Debug)]
pub struct Slot<'p> {
    prefill: &'p Prefill,
    held: Held,
}

#[derive(Clone, Copy, Debug)]
enum Held {
    Nothing,
    Place(u64),
    Slot { until: Option<Instant> },
}

impl Prefill {
    /// `None` for an engine that reads in no time.
    #[must_use]
    pub fn of(plan: MockPrefill) -> Option<Self> {
        let takes_time = !plan.per_token.is_zero();
        takes_time.then(|| Self { plan, cold: Cell::new(0), state: RefCell::default() })
    }

    pub fn slot(&self) -> Slot<'_> {
        Slot { prefill: self, held: Held::Nothing }
    }

    /// What the next prompt takes to read.
    fn takes(&self, tokens: u64) -> Duration {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let warm = self.plan.per_token.saturating_mul(tokens);
        if self.cold.get() == self.plan.cold_requests {
            return warm;
        }
        self.cold.set(self.cold.get() + 1);
        warm.saturating_mul(self.plan.cold_times)
    }
}

impl State {
    fn wake_first(&self, slots: u32) {
        if self.reading < slots
            && let Some(first) = self.waiting.values().next()
        {
            // Waking only queues the task: it cannot come back in here.
            first.wake_by_ref();
        }
    }
}

impl Slot<'_> {
    /// Begins to read a prompt of so many tokens in the slot that has come;
    /// returns when it will have been read.
    pub fn begin(&mut self, tokens: u64, now: Instant) -> Instant {
        // Whoever left in the middle of a prompt freed the slot before its time.
        let free_since = self.prefill.state.borrow_mut().free_since.take();
        let begins = free_since.filter(|free| *free <= now).unwrap_or(now);
        let ends = begins.after(self.prefill.takes(tokens));
        self.held = Held::Slot { until: Some(ends) };
        ends
    }
}

impl Future for Slot<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let slots = self.prefill.plan.slots;
        let state = &mut *self.prefill.state.borrow_mut();
        let number = match self.held {
            Held::Slot { .. } => return Poll::Ready(()),
            Held::Place(number) => number,
            Held::Nothing => {
                state.next += 1;
                state.next
            }
        };
        let is_first = state.waiting.keys().next().is_none_or(|first| *first >= number);
        if !is_first || state.reading >= slots {
            state.waiting.insert(number, cx.waker().clone());
            self.held = Held::Place(number);
            return Poll::Pending;
        }
        state.reading += 1;
        if state.waiting.remove(&number).is_none() {
            // Nobody waited for this slot: it may have been free for long.
            state.free_since = None;
        }
        state.wake_first(slots);
        self.held = Held::Slot { until: None };
        Poll::Ready(())
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let state = &mut *self.prefill.state.borrow_mut();
        match self.held {
            Held::Nothing => return,
            Held::Place(number) => drop(state.waiting.remove(&number)),
            Held::Slot { until } => {
                state.reading -= 1;
                state.free_since = until;
            }
        }
        state.wake_first(self.prefill.plan.slots);
    }
}

#[cfg(test)]
#[path = "prefill_tests.rs"]
mod tests;
