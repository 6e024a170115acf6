//! One coarse deadline wheel for a whole shard.
//!
//! A connection has one [`Timer`] for its life. To move its deadline later,
//! which is what happens at every read and write, is one store: the wheel is
//! not touched. Only when the wheel comes to the tick at which it meant to
//! look does it learn that the deadline has moved, and looks again then.
//! (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987; the
//! lazy move is what makes it fit deadlines that hardly ever come.)
//!
//! ```text
//! slots   [t0][t1][t2] … [t1023]     one slot a tick, 10 ms each
//!              |
//!              timers to look at then; those due fire, the others
//!              are put into the slot of their deadline, or into the
//!              one of the last when that is beyond the horizon
//! ```

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Waker,
    time::Duration,
};

use super::Instant;

/// The grain of every deadline.
pub const TICK: Duration = Duration::from_millis(10);
const TICK_NANOS: u64 = TICK.as_nanos() as u64;
/// Slots of the wheel: a horizon of about ten seconds.
const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;
/// Ticks between two looks at timers that are far from due.
const TOGETHER: u64 = 64;
const NEVER: u64 = u64::MAX;

/// A deadline that its owner may move at any time.
#[derive(Debug)]
pub struct Timer {
    cell: Rc<TimerCell>,
}

#[derive(Debug)]
struct TimerCell {
    /// The tick at which it is due, or `NEVER`.
    due: Cell<u64>,
    /// The tick at which the wheel will look, or `NEVER` if it will not.
    looked_at: Cell<u64>,
    fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Timer {
    /// Whether the deadline has passed since it was last set.
    #[must_use]
    pub fn fired(&self) -> bool {
        self.cell.fired.get()
    }

    /// The task to wake when the deadline passes. A task tells it once.
    pub fn wakes(&self, waker: &Waker) {
        let mut held = self.cell.waker.borrow_mut();
        if !held.as_ref().is_some_and(|held| held.will_wake(waker)) {
            *held = Some(waker.clone());
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.cell.due.set(NEVER);
        self.cell.waker.borrow_mut().take();
    }
}

/// The deadlines of one shard.
#[derive(Debug)]
pub struct Wheel {
    slots: Vec<Vec<Rc<TimerCell>>>,
    /// One bit for each slot that is not empty.
    occupied: [u64; WORDS],
    /// The last tick that was looked at.
    tick: u64,
    /// Reused by `advance`, so that a turn of the wheel allocates nothing.
    looking: Vec<Rc<TimerCell>>,
}

impl Wheel {
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; WORDS],
            tick: tick_at(now),
            looking: Vec::new(),
        }
    }

    /// A timer without a deadline.
    #[must_use]
    pub fn timer() -> Timer {
        Timer {
            cell: Rc::new(TimerCell {
                due: Cell::new(NEVER),
                looked_at: Cell::new(NEVER),
                fired: Cell::new(false),
                waker: RefCell::new(None),
            }),
        }
    }

    /// Sets the deadline, [`Instant::NEVER`] for none; it fires at the first
    /// tick that is not before it. Says whether the wheel must now turn earlier
    /// than it meant to.
    pub fn set(&mut self, timer: &Timer, deadline: Instant) -> bool {
        let cell = &timer.cell;
        cell.fired.set(false);
        if deadline == Instant::NEVER {
            cell.due.set(NEVER);
            return false;
        }
        // Rounded up, and never into the past.
        let due = deadline.as_nanos().div_ceil(TICK_NANOS).max(self.tick + 1);
        cell.due.set(due);
        if due >= cell.looked_at.get() {
            return false;
        }
        let earliest = self.next_tick();
        let at = self.place(Rc::clone(cell));
        earliest.is_none_or(|earliest| at < earliest)
    }

    /// When the wheel must next be turned, if ever.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.next_tick().map(|tick| Instant::from_nanos(tick * TICK_NANOS))
    }

    /// Turns the wheel to `now`: wakes the task of every deadline that has
    /// passed. Returns how many fired.
    pub fn advance(&mut self, now: Instant) -> usize {
        let to = now.as_nanos() / TICK_NANOS;
        let mut fired = 0;
        while self.tick < to {
            let Some(next) = self.next_tick().filter(|&next| next <= to) else {
                self.tick = to;
                break;
            };
            self.tick = next;
            fired += self.look(next);
        }
        fired
    }

    fn look(&mut self, tick: u64) -> usize {
        let slot = slot_of(tick);
        std::mem::swap(&mut self.looking, &mut self.slots[slot]);
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        let mut looking = std::mem::take(&mut self.looking);
        let mut fired = 0;
        for cell in looking.drain(..) {
            if cell.looked_at.get() != tick {
                continue; // It was given an earlier slot since.
            }
            cell.looked_at.set(NEVER);
            match cell.due.get() {
                NEVER => {}
                due if due <= tick => {
                    fired += 1;
                    cell.due.set(NEVER);
                    cell.fired.set(true);
                    if let Some(waker) = &*cell.waker.borrow() {
                        waker.wake_by_ref();
                    }
                }
                _ => {
                    self.place(cell);
                }
            }
        }
        // The larger of the two allocations is not worth keeping for ever.
        looking.shrink_to(64);
        self.looking = looking;
        fired
    }

    /// Puts the timer where the wheel will see it in time.
    fn place(&mut self, cell: Rc<TimerCell>) -> u64 {
        // Those beyond the horizon are looked at together: thousands of idle
        // connections then wake the shard twice a second and not at every tick.
        let horizon = (self.tick + SLOTS as u64 - 1) / TOGETHER * TOGETHER;
        let at = cell.due.get().min(horizon);
        cell.looked_at.set(at);
        let slot = slot_of(at);
        self.slots[slot].push(cell);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        at
    }

    /// The first tick after the present one whose slot is not empty.
    fn next_tick(&self) -> Option<u64> {
        let first = slot_of(self.tick + 1);
        let mut steps = 0;
        while steps < SLOTS {
            let slot = (first + steps) % SLOTS;
            let bits = self.occupied[slot / 64] >> (slot % 64);
            if bits == 0 {
                steps += 64 - slot % 64;
                continue;
            }
            steps += bits.trailing_zeros() as usize;
            return (steps < SLOTS).then(|| self.tick + 1 + steps as u64);
        }
        None
    }
}

fn tick_at(now: Instant) -> u64 {
    now.as_nanos() / TICK_NANOS
}

fn slot_of(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

#[cfg(test)]
#[path = "wheel_tests.rs"]
mod tests;
