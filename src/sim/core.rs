//! What all of a simulated world share: its clock, what is still to happen, its
//! one source of chance, its network. Everybody runs on one thread; the lock is
//! there because an accepted socket must be able to travel between shards.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{self, AtomicBool},
    },
    task::Waker,
};

use super::{chronicle::Chronicle, faults::Faults, network::Network};
use crate::base::{Chance, Instant};

/// A run begins a while after zero, so that nothing is taken for unset.
const BEGINNING: u64 = 1_000_000_000;

pub struct Core(Mutex<State>);

pub struct State {
    /// Nanoseconds.
    pub now: u64,
    pub chance: Chance,
    pub faults: Faults,
    pub chronicle: Chronicle,
    pub network: Network,
    /// How often anybody has sent anything.
    pub sendings: u64,
    /// The process has ended: what it held is dropped with it, as the kernel
    /// would take it back.
    pub house_ended: bool,
    agenda: BinaryHeap<Entry>,
    entries: u64,
}

/// What is to happen at a moment.
pub enum Event {
    /// Somebody has slept enough.
    Wake(Arc<Alarm>),
    /// What is in front of a connection's pipe has arrived.
    Arrive { connection: u64, side: usize },
    /// A cancel has come to the operation that it was for.
    Cancel { connection: u64, side: usize, operation: u64 },
    /// A connection is torn down from outside.
    Break { connection: u64 },
}

/// One sleep.
pub struct Alarm {
    pub waker: Mutex<Option<Waker>>,
    pub given_up: AtomicBool,
}

struct Entry {
    at: u64,
    place: u64,
    event: Event,
}

impl Core {
    pub fn new(seed: u64, faults: Faults) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            now: BEGINNING,
            chance: Chance::seeded(seed),
            faults,
            chronicle: Chronicle::default(),
            network: Network::default(),
            sendings: 0,
            house_ended: false,
            agenda: BinaryHeap::new(),
            entries: 0,
        })))
    }

    /// Looks at the world, or changes it. Wakers only put tasks into a queue,
    /// so they may be woken in here; tasks must not be dropped in here.
    pub fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn now(&self) -> Instant {
        self.with(|state| Instant::from_nanos(state.now))
    }

    /// Lets the next thing happen, at its time; false if there is none.
    pub fn step(&self) -> bool {
        self.with(|state| {
            while let Some(Entry { at, event, .. }) = state.agenda.pop() {
                if let Event::Wake(alarm) = &event
                    && alarm.given_up.load(atomic::Ordering::Relaxed)
                {
                    continue;
                }
                state.now = state.now.max(at);
                state.happen(event);
                return true;
            }
            false
        })
    }
}

impl State {
    pub fn later(&mut self, at: u64, event: Event) {
        let place = self.entries;
        self.entries += 1;
        self.agenda.push(Entry { at, place, event });
    }

    pub fn note(&mut self, what: &'static str, whom: u64, how_much: u64) {
        self.chronicle.note(self.now, what, whom, how_much);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(alarm) => {
                let waker = alarm.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Event::Arrive { connection, side } => self.arrive(connection, side),
            Event::Cancel { connection, side, operation } => {
                self.cancel_comes(connection, side, operation);
            }
            Event::Break { connection } => self.tear(connection),
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest; of two at the same moment, who was first.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.place).cmp(&(self.at, self.place))
    }
}
