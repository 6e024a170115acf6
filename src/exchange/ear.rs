//! Whether a future that is pending has called since it was polled.
//!
//! A task waits for several things at once, and whichever calls has it look at
//! all of them. To poll a receive in vain costs as much as a good deal of a
//! request, so each has an ear of its own, which passes on its calls to the task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Listens to one future at a time.
pub struct Ear {
    calls: Arc<Calls>,
    /// What calls there.
    waker: Waker,
}

struct Calls {
    has_called: AtomicBool,
    /// Who is woken by a call.
    task: Waker,
}

impl Ear {
    /// Its calls wake this task.
    pub fn new(task: &Waker) -> Self {
        let calls = Arc::new(Calls { has_called: AtomicBool::new(true), task: task.clone() });
        Self { waker: Waker::from(Arc::clone(&calls)), calls }
    }

    /// Another future is listened to, or this one must be looked at.
    pub fn listen_anew(&self) {
        self.calls.has_called.store(true, Ordering::Release);
    }

    /// Polls what is listened to, if it has called or was not polled yet.
    #[inline]
    pub fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        if !self.calls.has_called.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // Before it is polled, as it may call meanwhile.
        self.calls.has_called.store(false, Ordering::Release);
        poll(&mut Context::from_waker(&self.waker))
    }
}

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_called.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts how often it is woken.
    struct Task(std::sync::atomic::AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_has_not_called_is_not_polled_again() {
        let task = Arc::new(Task(0.into()));
        let ear = Ear::new(&Waker::from(Arc::clone(&task)));
        let (polls, waker) = (Cell::new(0), Cell::new(None));
        let poll = || {
            ear.poll(|cx| {
                polls.set(polls.get() + 1);
                waker.set(Some(cx.waker().clone()));
                if polls.get() < 3 { Poll::Pending } else { Poll::Ready(()) }
            })
        };
        assert!(poll().is_pending() && poll().is_pending());
        assert_eq!(polls.get(), 1);
        waker.take().unwrap().wake();
        assert_eq!(task.0.load(Ordering::Relaxed), 1, "the task is woken too");
        assert!(poll().is_pending() && poll().is_pending());
        assert_eq!(polls.get(), 2);
        ear.listen_anew();
        assert!(poll().is_ready());
    }

    #[test]
    fn a_call_while_it_is_polled_is_heard() {
        let ear = Ear::new(Waker::noop());
        let poll = |result: Poll<()>| {
            ear.poll(|cx| {
                cx.waker().wake_by_ref();
                result
            })
        };
        assert!(poll(Poll::Pending).is_pending());
        assert!(poll(Poll::Ready(())).is_ready());
    }
}
