//! One client connection, as the story of a request sees it: its stream, its
//! one timer, and whether the request must end before it is done.

use std::{
    cell::{Cell, OnceCell},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{Stage, settings::Deadlines};
use crate::{
    base::{Instant, Timer, Wheel},
    llm::Trouble,
    rt::{Peer, Stream, World},
};

/// What is being waited for, and so which deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A client that has not proven yet that it can be spoken to: TLS.
    Handshake,
    /// A client without a request.
    KeepAlive,
    /// A client without a request, until its buffer is taken from it.
    Rest,
    /// The rest of a request head.
    Head,
    /// The rest of a request body.
    Body,
    /// A place at a backend.
    Place,
    Connect,
    FirstByte,
    /// More of an answer.
    MoreAnswer,
    /// A client that should take bytes.
    ClientWrite,
    /// The whole request.
    Total,
    /// The client's end, after an answer that closes.
    Linger,
}

impl Wait {
    /// How long it may last.
    #[must_use]
    pub fn deadline(self, deadlines: &Deadlines) -> Duration {
        match self {
            Self::Handshake => deadlines.handshake,
            Self::KeepAlive => deadlines.keep_alive,
            Self::Rest => Duration::ZERO, // set from the pool's settings
            Self::Place => Duration::ZERO, // set from the queue's settings
            Self::Head => deadlines.head,
            Self::Body => deadlines.body_rate_grace,
            Self::Connect => deadlines.connect,
            Self::FirstByte => deadlines.first_byte,
            Self::MoreAnswer => deadlines.idle_between_reads,
            Self::ClientWrite => deadlines.client_write,
            Self::Total => deadlines.total,
            Self::Linger => Deadlines::LINGER,
        }
    }

    /// The fault that its passing is.
    #[must_use]
    pub fn trouble(self) -> Trouble {
        match self {
            Self::Place => Trouble::QueueTimeout,
            Self::Connect => Trouble::BackendConnectTimeout,
            Self::FirstByte => Trouble::BackendFirstByteTimeout,
            Self::MoreAnswer => Trouble::BackendIdleTimeout,
            Self::Total => Trouble::TotalTimeout,
            Self::Handshake
            | Self::KeepAlive
            | Self::Rest
            | Self::Head
            | Self::Body
            | Self::ClientWrite
            | Self::Linger => Trouble::RequestTimeout,
        }
    }
}

/// Why a request must end although neither side has finished it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Its client has left: nobody will read the answer.
    ClientGone,
    Deadline(Wait),
    /// The process ends and has waited long enough.
    Drained,
}

/// One client connection.
pub struct Client<S> {
    pub stream: S,
    pub peer: Peer,
    /// The fields that tell a backend of this client and of how it came,
    /// written once: `x-forwarded-for` and `x-forwarded-proto`.
    pub forwarded: Box<[u8]>,
    /// The name that it has proven by a certificate.
    name: OnceCell<Box<str>>,
    timer: Timer,
    waiting_for: Cell<Wait>,
    /// When its last answer was over, or it came.
    idle_since: Cell<Instant>,
    /// When the request under way must be over.
    total_at: Cell<Instant>,
    gone: Cell<bool>,
    drained: Cell<bool>,
    /// The connection's task, for those who have news for it.
    task: Cell<Option<Waker>>,
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
            timer: Wheel::timer(),
            waiting_for: Cell::new(Wait::KeepAlive),
            idle_since: Cell::new(Instant::default()),
            total_at: Cell::new(Instant::NEVER),
            gone: Cell::new(false),
            drained: Cell::new(false),
            task: Cell::new(None),
        }
    }

    /// Called once, by the connection's own task.
    pub async fn belongs_to_this_task(&self) {
        poll_fn(|cx| {
            self.timer.wakes(cx.waker());
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

    /// Starts the clock of one request.
    pub fn begin_request(&self, total_at: Instant) {
        self.total_at.set(total_at);
    }

    pub fn end_request(&self) {
        self.total_at.set(Instant::NEVER);
    }

    /// The request has ended early; what is left is to tell the client, which
    /// has its own deadline.
    pub fn last_words(&self) {
        self.total_at.set(Instant::NEVER);
        self.drained.set(false);
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

    /// Sets the deadline for what is waited for next.
    pub fn wait_for<W: World<Stream = S>>(&self, stage: &Stage<W>, wait: Wait) {
        self.wait_until(stage, wait, stage.now().after(wait.deadline(&stage.settings.deadlines)));
    }

    /// The same, at a moment that the caller has computed.
    pub fn wait_until<W: World<Stream = S>>(&self, stage: &Stage<W>, wait: Wait, at: Instant) {
        let total_at = self.total_at.get();
        let (wait, at) = if total_at < at { (Wait::Total, total_at) } else { (wait, at) };
        self.waiting_for.set(wait);
        stage.set_timer(&self.timer, at);
    }

    /// The client's stream has ended.
    pub fn is_gone(&self) {
        self.gone.set(true);
    }

    /// Ends the request under way at its next turn.
    pub fn drain(&self) {
        self.drained.set(true);
        self.wake();
    }

    /// The shard drains: who has not begun a request is not waited for. Its
    /// receive ends at the next tick, which loses nothing that has come.
    pub fn waits_no_more<W: World<Stream = S>>(&self, stage: &Stage<W>) {
        if self.waiting_for.get() == Wait::Rest {
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

    /// Why the request must end, if it must.
    pub fn interrupt(&self) -> Option<Interrupt> {
        if self.gone.get() {
            Some(Interrupt::ClientGone)
        } else if self.timer.fired() {
            Some(Interrupt::Deadline(self.waiting_for.get()))
        } else if self.drained.get() {
            Some(Interrupt::Drained)
        } else {
            None
        }
    }

    /// Waits for an operation on `stream`, a client's or a backend's. When
    /// the request must end, the stream is shut down; the operation then ends
    /// by itself and its result, with its buffer, still comes back.
    pub fn guard<'a, B: Stream, F: Future>(
        &'a self,
        stream: &'a B,
        operation: F,
    ) -> Guarded<'a, S, B, F> {
        Guarded { client: self, stream, operation, interrupt: None }
    }

    /// Waits for a receive from the client itself. When the request must end
    /// it is cancelled, and the client can still be told.
    pub async fn guard_receive<T>(
        &self,
        receive: impl Future<Output = T>,
    ) -> (T, Option<Interrupt>) {
        let mut receive = pin!(receive);
        let mut interrupt = None;
        poll_fn(|cx: &mut Context<'_>| {
            if interrupt.is_none() {
                interrupt = self.interrupt();
                if interrupt.is_some() {
                    // On epoll a receive must have been polled to be cancelled.
                    if let Poll::Ready(result) = receive.as_mut().poll(cx) {
                        return Poll::Ready((result, interrupt));
                    }
                    self.stream.cancel_recv();
                }
            }
            receive.as_mut().poll(cx).map(|result| (result, interrupt))
        })
        .await
    }

    /// Waits for what owns no kernel operation's buffer, such as a connect:
    /// at an interrupt it is simply given up.
    pub async fn unless_interrupted<T>(
        &self,
        waiting: impl Future<Output = T>,
    ) -> Result<T, Interrupt> {
        let mut waiting = pin!(waiting);
        poll_fn(|cx: &mut Context<'_>| {
            if let Poll::Ready(result) = waiting.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            match self.interrupt() {
                Some(interrupt) => Poll::Ready(Err(interrupt)),
                None => Poll::Pending,
            }
        })
        .await
    }
}

pin_project! {
    /// An operation that is awaited to its end: see [`Client::guard`]. Written
    /// out, as an `async fn` would hold the operation twice.
    pub struct Guarded<'a, S, B, F> {
        client: &'a Client<S>,
        stream: &'a B,
        #[pin]
        operation: F,
        interrupt: Option<Interrupt>,
    }
}

impl<S: Stream, B: Stream, F: Future> Future for Guarded<'_, S, B, F> {
    type Output = (F::Output, Option<Interrupt>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.operation.poll(cx) {
            return Poll::Ready((result, *this.interrupt));
        }
        if this.interrupt.is_none() {
            *this.interrupt = this.client.interrupt();
            if this.interrupt.is_some() {
                this.stream.shutdown();
            }
        }
        Poll::Pending
    }
}
