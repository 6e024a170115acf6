//! The end of a process: drain, and after a while cut.

use std::time::Duration;

use super::shards::Mail;
use crate::{
    rt::{Mailbox, Unsent, spawn_thread},
    shard::Letter,
};

/// Tells all shards to end.
#[derive(Clone)]
pub struct Stopper {
    pub(super) mailboxes: Vec<Mailbox<Mail>>,
}

impl Stopper {
    /// No new connections; answers under way may end within `patience`, and
    /// are cut with an error after it.
    pub fn drain(&self, patience: Duration) {
        self.tell(|| Letter::Drain);
        let cutter = self.clone();
        let waiting = spawn_thread("tr-drain", move || {
            // Nobody sends: the wait is the point.
            let (_alive, never) = std::sync::mpsc::channel::<()>();
            let _ = never.recv_timeout(patience); // It can only time out.
            cutter.tell(|| Letter::Cut);
        });
        if let Err(error) = waiting {
            tracing::error!(%error, "no thread to wait with; cutting at once");
            self.tell(|| Letter::Cut);
        }
    }

    fn tell(&self, letter: impl Fn() -> Mail) {
        for mailbox in &self.mailboxes {
            // Who has ended already needs not be told.
            if let Err(Unsent::Full(_)) = mailbox.send(letter()) {
                tracing::error!("a shard's mailbox is full; it may not hear of the end");
            }
        }
    }
}
