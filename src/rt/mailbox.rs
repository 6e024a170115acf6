//! A shard's mailbox: how news and handed-over sockets reach it.
//!
//! For what is rare. A request never passes through here.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

/// The sending side; any thread may hold one.
pub struct Mailbox<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

/// The receiving side, held by the shard.
pub struct Letterbox<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

struct Shared<T> {
    letters: VecDeque<T>,
    capacity: usize,
    reader: Option<Waker>,
}

/// A mailbox that holds at most `capacity` letters.
#[must_use]
pub fn mailbox<T>(capacity: usize) -> (Mailbox<T>, Letterbox<T>) {
    let shared = Arc::new(Mutex::new(Shared { letters: VecDeque::new(), capacity, reader: None }));
    (Mailbox { shared: Arc::clone(&shared) }, Letterbox { shared })
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Mailbox<T> {
    /// Leaves a letter and wakes the shard.
    ///
    /// # Errors
    /// The letter itself, when the box is full.
    pub fn send(&self, letter: T) -> Result<(), T> {
        let reader = {
            let mut shared = lock(&self.shared);
            if shared.letters.len() >= shared.capacity {
                return Err(letter);
            }
            shared.letters.push_back(letter);
            shared.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }
}

impl<T> Letterbox<T> {
    /// The next letter; waits until there is one. May be dropped.
    pub async fn recv(&self) -> T {
        poll_fn(|cx| {
            let mut shared = lock(&self.shared);
            if let Some(letter) = shared.letters.pop_front() {
                return Poll::Ready(letter);
            }
            shared.reader = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A panic while the lock was held cannot leave a queue half changed.
fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
