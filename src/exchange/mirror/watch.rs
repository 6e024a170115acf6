//! The steps of a copy that wait: each for its own deadline, and all of them
//! for that of a request. No client is asked whether to go on.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    ops::Range,
    pin::pin,
    task::Poll,
};

use super::Ended;
use crate::{
    balance::BackendId,
    base::{Instant, Timer, Wheel},
    exchange::{
        Stage, Wait,
        ask::class_of,
        connect::{ADDRESSES_MAX, reach},
        link::Link,
    },
    llm::Trouble,
    retry::Class,
    rt::{Stream, World},
};

/// The one timer of a copy, and what it waits for.
pub struct Watch<'s, W: World> {
    pub stage: &'s Stage<W>,
    timer: Timer,
    ends_at: Instant,
    waits_for: Cell<Wait>,
}

impl<'s, W: World> Watch<'s, W> {
    pub async fn of_this_task(stage: &'s Stage<W>) -> Self {
        let timer = Wheel::timer();
        poll_fn(|cx| {
            timer.wakes(cx.waker());
            Poll::Ready(())
        })
        .await;
        let ends_at = stage.now().after(stage.settings.deadlines.total);
        Self { stage, timer, ends_at, waits_for: Cell::new(Wait::Total) }
    }

    pub fn wait_for(&self, wait: Wait) {
        let at = self.stage.now().after(wait.deadline(&self.stage.settings.deadlines));
        let (wait, at) = if self.ends_at < at { (Wait::Total, self.ends_at) } else { (wait, at) };
        self.waits_for.set(wait);
        self.stage.set_timer(&self.timer, at);
    }

    pub fn is_over(&self) -> bool {
        self.timer.fired()
    }

    /// Whose fault it is that its time was over.
    pub fn lateness(&self) -> Ended {
        match self.waits_for.get() {
            Wait::Total => Ended::Left,
            _ => Class::Timeout.into(),
        }
    }

    /// Waits for an operation on the stream to its end. At the deadline the
    /// stream is shut down, and the operation ends by itself.
    pub async fn guard<F: Future>(&self, stream: &W::Stream, operation: F) -> F::Output {
        let mut operation = pin!(operation);
        let mut is_shut = false;
        poll_fn(|cx| {
            if let Poll::Ready(output) = operation.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            if self.is_over() && !is_shut {
                is_shut = true;
                stream.shutdown();
            }
            Poll::Pending
        })
        .await
    }

    /// A connection to the backend, from the pool or made now.
    pub async fn link(&self, backend: BackendId) -> Result<Link<'s, W::Stream>, Ended> {
        let stage = self.stage;
        let moves = stage.pools.borrow().moves(backend);
        let taken = stage.pools.borrow_mut().take(backend, stage.now());
        stage.say_farewell(taken.old);
        if let Some((stream, armed)) = taken.usable {
            stage.counters.backend_reuses.increment();
            return Ok(Link::reused(stream, armed, backend, moves, &stage.counters));
        }
        let addresses = stage.addresses.borrow().get(backend.0).cloned().unwrap_or_default();
        let mut ended = Ended::from(Class::Connect);
        for address in addresses.iter().take(ADDRESSES_MAX) {
            self.wait_for(Wait::Connect);
            let shakes = Cell::new(false);
            // It owns polls only, and is given up at the deadline.
            let mut reaching = pin!(reach(stage, backend, address, &shakes));
            let reached = poll_fn(|cx| match reaching.as_mut().poll(cx) {
                Poll::Ready(reached) => Poll::Ready(reached),
                Poll::Pending if self.is_over() => Poll::Ready(Err(Trouble::BackendConnectTimeout)),
                Poll::Pending => Poll::Pending,
            });
            match reached.await {
                Ok(stream) => {
                    stage.counters.backend_connects.increment();
                    return Ok(Link::fresh(stream, backend, moves, &stage.counters));
                }
                Err(trouble) => {
                    stage.counters.backend_connect_failures.increment();
                    // What is no backend's failure is our want of descriptors.
                    ended = class_of(&trouble).map_or(Ended::Unsaid, Ended::from);
                }
            }
        }
        Err(ended)
    }

    /// Sends all of `part`; false where the backend takes no more of it.
    pub async fn send(
        &self,
        stream: &W::Stream,
        mut bytes: Vec<u8>,
        mut part: Range<usize>,
    ) -> bool {
        while !part.is_empty() {
            self.wait_for(Wait::FirstByte);
            let sending = stream.send(bytes, part.clone());
            let (result, returned) = self.guard(stream, sending).await;
            bytes = returned;
            match result {
                Ok(sent @ 1..) if !self.is_over() => part.start += sent,
                _ => return false,
            }
        }
        true
    }
}
