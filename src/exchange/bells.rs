//! How a shard is told that the one in front of its queue may have a place:
//! another shard, which has given it back, rings. For those that wait; a
//! request that finds a place rings nobody.

use std::sync::{Mutex, PoisonError};

use crate::rt::{Letterbox, Mailbox, mailbox};

/// One bell for each shard. Without any, those that wait look at each tick.
#[derive(Default)]
pub struct Bells(Box<[Bell]>);

struct Bell {
    /// Holds one letter: who is rung for twice before it looks comes once.
    rope: Mailbox<()>,
    /// Until the shard has taken it.
    ear: Mutex<Option<Letterbox<()>>>,
}

impl Bells {
    #[must_use]
    pub fn new(shards: usize) -> Self {
        let bell = |_| {
            let (rope, ear) = mailbox(1);
            Bell { rope, ear: Mutex::new(Some(ear)) }
        };
        Self((0..shards).map(bell).collect())
    }

    pub(super) fn ring(&self, shard: usize) {
        if let Some(bell) = self.0.get(shard) {
            // It has been rung and has not looked yet, or has ended.
            let _ = bell.rope.send(());
        }
    }

    /// What a shard listens with; once.
    pub fn listen(&self, shard: usize) -> Option<Letterbox<()>> {
        let bell = self.0.get(shard)?;
        bell.ear.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for Bells {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Bells({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn who_is_rung_for_comes_once() {
        let bells = Bells::new(2);
        let ear = bells.listen(1).unwrap();
        assert!(bells.listen(1).is_none() && bells.listen(2).is_none());
        bells.ring(0);
        bells.ring(1);
        bells.ring(1);
        bells.ring(2);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(pin!(ear.recv()).poll(&mut cx), Poll::Ready(()));
        assert_eq!(pin!(ear.recv()).poll(&mut cx), Poll::Pending);
    }
}
