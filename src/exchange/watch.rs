//! What ends waits: deadlines, a client that leaves, a drain.
//!
//! A connection has one watch for all that it waits for, one thing at a time.
//! While two backends are asked at once there is a second one beside it, so
//! that each has its own deadline; what ends the request ends both.

use std::{
    cell::Cell,
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
    rt::{Stream, World},
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
    /// The moment at which backends may be asked again.
    Pause,
    /// The moment at which a backend is late, and another one is asked beside it.
    Late,
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
            // Set from the settings of pool and queue, and by what `retry` says.
            Self::Rest | Self::Place | Self::Pause | Self::Late => Duration::ZERO,
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
            | Self::Pause
            | Self::Late
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
    /// Nobody will read the answer: its client has left, or another backend has
    /// begun to answer first.
    ClientGone,
    Deadline(Wait),
    /// The process ends and has waited long enough.
    Drained,
}

/// Who watches over what one task waits for.
pub struct Watch {
    timer: Timer,
    waiting_for: Cell<Wait>,
    /// When the request under way must be over.
    total_at: Cell<Instant>,
    gone: Cell<bool>,
    drained: Cell<bool>,
    /// Another backend has begun to answer first.
    overtaken: Cell<bool>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            timer: Wheel::timer(),
            waiting_for: Cell::new(Wait::KeepAlive),
            total_at: Cell::new(Instant::NEVER),
            gone: Cell::new(false),
            drained: Cell::new(false),
            overtaken: Cell::new(false),
        }
    }

    /// The task that waits.
    pub(super) fn wakes(&self, task: &Waker) {
        self.timer.wakes(task);
    }

    /// Knows what `leader` knows of the request that both watch over.
    pub(super) fn follow(&self, leader: &Self) {
        self.total_at.set(leader.total_at.get());
        self.gone.set(leader.gone.get());
        self.drained.set(leader.drained.get());
    }

    /// What it watches over is not needed any more, and must end.
    pub(super) fn cut(&self) {
        self.overtaken.set(true);
    }

    /// What was cut has ended.
    pub(super) fn is_over(&self) {
        self.overtaken.set(false);
    }

    /// Nothing is waited for.
    pub(super) fn rest<W: World>(&self, stage: &Stage<W>) {
        self.is_over();
        stage.set_timer(&self.timer, Instant::NEVER);
    }

    /// Whether the deadline has passed.
    pub(super) fn is_due(&self) -> bool {
        self.timer.fired()
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

    /// Sets the deadline for what is waited for next.
    pub fn wait_for<W: World>(&self, stage: &Stage<W>, wait: Wait) {
        self.wait_until(stage, wait, stage.now().after(wait.deadline(&stage.settings.deadlines)));
    }

    /// The same, at a moment that the caller has computed.
    pub fn wait_until<W: World>(&self, stage: &Stage<W>, wait: Wait, at: Instant) {
        let total_at = self.total_at.get();
        let (wait, at) = if total_at < at { (Wait::Total, total_at) } else { (wait, at) };
        self.waiting_for.set(wait);
        stage.set_timer(&self.timer, at);
    }

    pub(super) fn waits_for(&self, wait: Wait) -> bool {
        self.waiting_for.get() == wait
    }

    /// When the request under way must be over.
    pub fn must_end_at(&self) -> Instant {
        self.total_at.get()
    }

    /// The client's stream has ended.
    pub fn is_gone(&self) {
        self.gone.set(true);
    }

    pub(super) fn is_drained(&self) {
        self.drained.set(true);
    }

    /// Why the request must end, if it must.
    pub fn interrupt(&self) -> Option<Interrupt> {
        if self.gone.get() || self.overtaken.get() {
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
    ) -> Guarded<'a, B, F> {
        Guarded { watch: self, stream, operation, interrupt: None }
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
    /// An operation that is awaited to its end: see [`Watch::guard`]. Written
    /// out, as an `async fn` would hold the operation twice.
    pub struct Guarded<'a, B, F> {
        watch: &'a Watch,
        stream: &'a B,
        #[pin]
        operation: F,
        interrupt: Option<Interrupt>,
    }
}

impl<B: Stream, F: Future> Future for Guarded<'_, B, F> {
    type Output = (F::Output, Option<Interrupt>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.operation.poll(cx) {
            return Poll::Ready((result, *this.interrupt));
        }
        if this.interrupt.is_none() {
            *this.interrupt = this.watch.interrupt();
            if this.interrupt.is_some() {
                this.stream.shutdown();
            }
        }
        Poll::Pending
    }
}
