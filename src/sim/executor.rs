//! All tasks of a simulated world, one after another on one thread. When none
//! can go on, time jumps to the next thing that is to happen.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::core::Core;
use crate::base::Instant;

/// Polls without a step of time: somebody wakes himself for ever.
const POLLS_AT_ONCE_MAX: u64 = 1_000_000;

/// What a panic says that a world asks for (`Settings::panics_at`).
const PANIC_WANTED: &str = "as a test told it to";

/// Whose a task or a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The proxy's.
    House,
    Client,
    /// So many.
    Backend(usize),
    /// The run's own.
    Run,
}

#[derive(Default)]
pub struct Tasks {
    alive: RefCell<BTreeMap<u64, Task>>,
    next: Cell<u64>,
    polls: Cell<u64>,
    ready: Arc<Ready>,
}

struct Task {
    owner: Owner,
    future: Pin<Box<dyn Future<Output = ()>>>,
    waking: Arc<Waking>,
}

#[derive(Default)]
struct Ready(Mutex<VecDeque<u64>>);

struct Waking {
    task: u64,
    is_ready: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::Relaxed) {
            let mut ready = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
            ready.push_back(self.task);
        }
    }
}

impl Tasks {
    pub fn spawn(&self, owner: Owner, future: impl Future<Output = ()> + 'static) {
        let id = self.next.get();
        self.next.set(id + 1);
        let ready = Arc::clone(&self.ready);
        let waking = Arc::new(Waking { task: id, is_ready: AtomicBool::new(false), ready });
        waking.wake_by_ref();
        let task = Task { owner, future: Box::pin(future), waking };
        self.alive.borrow_mut().insert(id, task);
    }

    /// Tasks that have not ended.
    pub fn count(&self, owner: Owner) -> usize {
        self.alive.borrow().values().filter(|task| task.owner == owner).count()
    }

    pub fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Who goes on next: in the order of the wake-ups, or anyone.
    fn next_ready(&self, core: &Core) -> Option<u64> {
        let mut ready = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = core.with(|state| match ready.len() {
            0 | 1 => 0,
            many if state.faults.any_order => state.chance.below(many),
            _ => 0,
        });
        ready.remove(place)
    }

    fn poll(&self, core: &Core, id: u64) {
        let Some(mut task) = self.alive.borrow_mut().remove(&id) else { return };
        self.polls.set(self.polls.get() + 1);
        core.with(|state| state.note("poll", id, 0));
        task.waking.is_ready.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.waking));
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| task.future.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => {
                self.alive.borrow_mut().insert(id, task);
            }
            Ok(Poll::Ready(())) => {}
            Err(panic) => {
                let word = panic.downcast_ref::<String>().cloned();
                let word = word.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                let owner = task.owner;
                // Dropping may panic as well, which adds nothing.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
                core.with(|state| {
                    let word = word.unwrap_or_default();
                    if state.faults.panics && word.ends_with(PANIC_WANTED) {
                        state.note("panic", id, 0);
                        return;
                    }
                    state.chronicle.breach(format!("a task of {owner:?} panicked: {word}"));
                });
            }
        }
    }

    /// Runs until `done` (true), or until `patience` is over or nothing is left
    /// to happen (false). `look` is called after every step.
    pub fn run(
        &self,
        core: &Core,
        patience: Duration,
        done: impl Fn() -> bool,
        look: impl Fn(),
    ) -> bool {
        let end = core.now().after(patience);
        loop {
            let mut at_once = 0;
            while let Some(id) = self.next_ready(core) {
                self.poll(core, id);
                look();
                at_once += 1;
                if at_once == POLLS_AT_ONCE_MAX {
                    let word = "tasks wake each other for ever, and time stands still";
                    core.with(|state| state.chronicle.breach(word.to_owned()));
                    return false;
                }
            }
            if done() {
                return true;
            }
            if core.now() >= end || !core.step() {
                return false;
            }
        }
    }

    /// The world ends: every task is dropped where it stands.
    pub fn end(&self) {
        loop {
            // Dropping a task may wake or end others, so not under the borrow.
            let Some((_, task)) = self.alive.borrow_mut().pop_first() else { break };
            drop(task);
        }
    }
}

pub type SharedTasks = Rc<Tasks>;

/// For those who need a moment as a number.
pub fn nanos(duration: Duration) -> u64 {
    Instant::default().after(duration).as_nanos()
}
