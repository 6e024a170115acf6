//! One client connection, as the story of a request sees it: its stream, who
//! it is, and the watch over what it waits for.

use std::{
    cell::{Cell, OnceCell},
    future::{pending, poll_fn},
    ops::Deref,
    task::{Context, Poll, Waker},
};

use super::{
    Stage,
    watch::{Interrupt, Wait, Watch},
};
use crate::{
    base::Instant,
    rt::{Peer, Stream, World},
};

/// One client connection.
pub struct Client<S> {
    pub stream: S,
    pub peer: Peer,
    /// The fields that tell a backend of this client and of how it came,
    /// written once: `x-forwarded-for` and `x-forwarded-proto`.
    pub forwarded: Box<[u8]>,
    /// The name that it has proven by a certificate.
    name: OnceCell<Box<str>>,
    /// Its methods are the connection's: see `deref`.
    watch: Watch,
    /// Over a second backend, made when one is first asked beside another.
    beside: OnceCell<Box<Watch>>,
    /// When its last answer was over, or it came.
    idle_since: Cell<Instant>,
    /// The connection's task, for those who have news for it.
    task: Cell<Option<Waker>>,
}

impl<S> Deref for Client<S> {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        &self.watch
    }
}

impl<S: Stream> Client<S> {
    pub fn new(stream: S, peer: Peer) -> Self {
        let scheme = if stream.is_secure() { "https" } else { "http" };
        let forwarded = format!("x-forwarded-for: {peer}\r\nx-forwarded-proto: {scheme}\r\n");
        Self {
            stream,
            peer,
            forwarded: forwarded.into_bytes().into(),
            name: OnceCell::new(),
            watch: Watch::new(),
            beside: OnceCell::new(),
            idle_since: Cell::new(Instant::default()),
            task: Cell::new(None),
        }
    }

    /// Called once, by the connection's own task.
    pub async fn belongs_to_this_task(&self) {
        poll_fn(|cx| {
            self.watch.wakes(cx.waker());
            self.task.set(Some(cx.waker().clone()));
            Poll::Ready(())
        })
        .await;
    }

    /// Keeps the name that the client has proven.
    pub fn has_proven(&self, name: Box<str>) {
        // A connection is established once.
        let _ = self.name.set(name);
    }

    /// The name that the client has proven by a certificate, if it had to.
    pub fn name(&self) -> Option<&str> {
        self.name.get().map(|name| &**name)
    }

    /// The watch over a second backend that is asked beside the first.
    pub fn beside(&self) -> &Watch {
        self.beside.get_or_init(|| Box::new(Watch::new()))
    }

    /// It has come, or has had an answer.
    pub fn is_idle_from(&self, now: Instant) {
        self.idle_since.set(now);
    }

    /// Waits for a request. Bytes that come to none do not make it longer.
    pub fn wait_for_request<W: World<Stream = S>>(&self, stage: &Stage<W>) {
        let keep_alive = Wait::KeepAlive.deadline(&stage.settings.deadlines);
        self.wait_until(stage, Wait::KeepAlive, self.idle_since.get().after(keep_alive));
    }

    /// Waits until `at`, if nothing ends the request before.
    pub async fn pause<W: World<Stream = S>>(
        &self,
        stage: &Stage<W>,
        at: Instant,
    ) -> Result<(), Interrupt> {
        self.wait_until(stage, Wait::Pause, at);
        match self.unless_interrupted(pending::<()>()).await {
            Ok(()) | Err(Interrupt::Deadline(Wait::Pause)) => Ok(()),
            Err(interrupt) => Err(interrupt),
        }
    }

    /// Ends the request under way at its next turn.
    pub fn drain(&self) {
        self.is_drained();
        self.wake();
    }

    /// The shard drains: who has not begun a request is not waited for. Its
    /// receive ends at the next tick, which loses nothing that has come.
    pub fn waits_no_more<W: World<Stream = S>>(&self, stage: &Stage<W>) {
        if self.waits_for(Wait::Rest) {
            self.wait_until(stage, Wait::Rest, stage.now());
        }
        self.wake();
    }

    /// Lets the task look around.
    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake_by_ref();
            self.task.set(Some(task));
        }
    }

    /// Waits for a receive from the client itself. When the request must end
    /// it is cancelled, and the client can still be told.
    pub async fn guard_receive<T>(
        &self,
        mut poll_receive: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> (T, Option<Interrupt>) {
        let mut interrupt = None;
        poll_fn(|cx: &mut Context<'_>| {
            if interrupt.is_none() {
                interrupt = self.interrupt();
                if interrupt.is_some() {
                    // On epoll a receive must have been polled to be cancelled.
                    if let Poll::Ready(result) = poll_receive(cx) {
                        return Poll::Ready((result, interrupt));
                    }
                    self.stream.cancel_recv();
                }
            }
            poll_receive(cx).map(|result| (result, interrupt))
        })
        .await
    }
}
