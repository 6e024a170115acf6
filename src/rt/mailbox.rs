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
    /// Nobody reads any more.
    closed: bool,
    reader: Option<Waker>,
}

/// A letter that was not left, and why.
#[derive(Debug, PartialEq, Eq)]
pub enum Unsent<T> {
    /// The shard does not keep up.
    Full(T),
    /// The shard has ended.
    Ended(T),
}

/// A mailbox that holds at most `capacity` letters.
#[must_use]
pub fn mailbox<T>(capacity: usize) -> (Mailbox<T>, Letterbox<T>) {
    let shared = Shared { letters: VecDeque::new(), capacity, closed: false, reader: None };
    let shared = Arc::new(Mutex::new(shared));
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
    /// The letter itself, when the box is full or closed.
    pub fn send(&self, letter: T) -> Result<(), Unsent<T>> {
        let reader = {
            let mut shared = lock(&self.shared);
            if shared.closed {
                return Err(Unsent::Ended(letter));
            }
            if shared.letters.len() >= shared.capacity {
                return Err(Unsent::Full(letter));
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

    /// Closes the box if no letter is left to be read; says whether it did.
    #[must_use]
    pub fn close_if_empty(&self) -> bool {
        let mut shared = lock(&self.shared);
        shared.closed |= shared.letters.is_empty();
        shared.closed
    }
}

/// Nothing can be left where nobody reads.
impl<T> Drop for Letterbox<T> {
    fn drop(&mut self) {
        let letters = {
            let mut shared = lock(&self.shared);
            shared.closed = true;
            std::mem::take(&mut shared.letters)
        };
        drop(letters); // With what they hold, and not under the lock.
    }
}

/// A panic while the lock was held cannot leave a queue half changed.
fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_box_takes_no_letter() {
        let (sender, _reader) = mailbox(1);
        assert_eq!(sender.send(1), Ok(()));
        assert_eq!(sender.send(2), Err(Unsent::Full(2)));
    }

    #[test]
    fn a_box_with_a_letter_in_it_cannot_be_closed() {
        let (sender, reader) = mailbox(2);
        assert_eq!(sender.send(1), Ok(()));
        assert!(!reader.close_if_empty());
        assert_eq!(sender.send(2), Ok(()));
    }

    #[test]
    fn a_closed_box_takes_no_letter() {
        let (sender, reader) = mailbox(1);
        assert!(reader.close_if_empty());
        assert_eq!(sender.send(1), Err(Unsent::Ended(1)));
    }

    #[test]
    fn a_box_without_a_reader_keeps_no_letter() {
        let (sender, reader) = mailbox(2);
        let letter = Arc::new(());
        assert_eq!(sender.send(Arc::clone(&letter)), Ok(()));
        drop(reader);
        assert_eq!(Arc::strong_count(&letter), 1);
        assert_eq!(sender.send(Arc::clone(&letter)), Err(Unsent::Ended(letter)));
    }
}
