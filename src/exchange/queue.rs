//! The wait for a place at a backend, when each that could answer bears no
//! more.
//!
//! Each shard has its own queue, in the order of `balance::queue`; how many
//! wait in all of them is bounded. Those in front are woken when a request of
//! this shard has ended, and look again at every tick of the wheel, as another
//! shard may have given a place back. A client that leaves, a drain and a
//! deadline end the wait like any other.

use std::{
    cell::RefCell,
    future::poll_fn,
    task::{Poll, Waker},
};

use super::{
    Client, Stage,
    ask::AttemptFault,
    permit::Permit,
    watch::{Interrupt, Wait},
};
use crate::{
    balance::{Ask, Free, NoPick, Number, Priority, Queue, Ticket},
    base::{TICK, Wheel},
    llm::Trouble,
    rt::World,
};

/// Those of one shard that wait, each with whom to wake.
pub type Waiting = RefCell<Queue<Option<Waker>>>;

/// A place for this request, at once or after a wait. `None`: there is nobody
/// to wait for.
pub async fn place<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    ask: &Ask<'_>,
    priority: Priority,
) -> Result<Option<Ticket<'s>>, AttemptFault> {
    match take(stage, ask, priority, None) {
        Ok(ticket) => Ok(Some(ticket)),
        Err(NoPick::Nobody) => Ok(None),
        Err(NoPick::Full) => wait(stage, client, ask, priority).await,
    }
}

/// A place for this request, if there is one that nobody waits for.
pub fn at_once<'s, W: World>(
    stage: &'s Stage<W>,
    ask: &Ask<'_>,
    priority: Priority,
) -> Result<Ticket<'s>, NoPick> {
    take(stage, ask, priority, None)
}

/// Tries to take a place that nobody in front wants.
fn take<'s, W: World>(
    stage: &'s Stage<W>,
    ask: &Ask<'_>,
    priority: Priority,
    number: Option<Number>,
) -> Result<Ticket<'s>, NoPick> {
    let queue = stage.waiting.borrow();
    if queue.is_empty() {
        return stage.pick_by(ask);
    }
    let free = match number {
        Some(number) => queue.free_for(number, ask.among),
        None => queue.free_for_new(priority, ask.among),
    };
    match stage.pick_by(&Ask { among: &free, ..*ask }) {
        // Those that are left are wanted by others, and full at best.
        Err(NoPick::Nobody) if stage.fleet.is_open(ask, stage.now()) => Err(NoPick::Full),
        taken => taken,
    }
}

async fn wait<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    ask: &Ask<'_>,
    priority: Priority,
) -> Result<Option<Ticket<'s>>, AttemptFault> {
    let counters = &stage.counters;
    let plan = stage.settings.queue;
    let gauge = &counters.requests_queued;
    let Some(_permit) = Permit::take(&stage.common.queued, gauge, 1, Some(plan.length)) else {
        counters.queue_refusals.increment();
        return Err(Trouble::QueueFull.into());
    };
    counters.queue_waits.increment();
    let came_at = stage.now();
    client.wait_until(stage, Wait::Place, came_at.after(plan.timeout));
    let placed = client.unless_interrupted(turn_comes(stage, ask, priority)).await;
    let waited = stage.now().since(came_at).as_millis();
    counters.queue_wait_milliseconds.add(u64::try_from(waited).unwrap_or(u64::MAX));
    if let Err(Interrupt::Deadline(Wait::Place)) = placed {
        counters.queue_timeouts.increment();
    }
    Ok(placed?)
}

/// Waits in the queue until there is a place, or nobody to have one of.
async fn turn_comes<'s, W: World>(
    stage: &'s Stage<W>,
    ask: &Ask<'_>,
    priority: Priority,
) -> Option<Ticket<'s>> {
    // It stands in nobody's way at those that it will not be sent to again.
    let among = untried(ask);
    let ask = &Ask { among: &among, ..*ask };
    let number = stage.waiting.borrow_mut().enter(priority, ask.among, None);
    let _place = InQueue { waiting: &stage.waiting, number };
    let tick = Wheel::timer();
    poll_fn(|cx| {
        match take(stage, ask, priority, Some(number)) {
            Ok(ticket) => return Poll::Ready(Some(ticket)),
            Err(NoPick::Nobody) => return Poll::Ready(None),
            Err(NoPick::Full) => {}
        }
        let mut queue = stage.waiting.borrow_mut();
        if !queue.free_for(number, ask.among).is_empty() {
            // Other shards give places back, and do not say so.
            tick.wakes(cx.waker());
            stage.set_timer(&tick, stage.now().after(TICK));
        }
        if let Some(waker) = queue.known(number)
            && !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    })
    .await
}

/// The backends that a request may take.
fn untried(ask: &Ask<'_>) -> Free {
    ask.among.iter().copied().filter(|backend| !ask.tried.contains(backend)).collect()
}

/// A request of this shard has ended: its place may be free.
pub fn wake<W: World>(stage: &Stage<W>) {
    wake_fronts(&stage.waiting);
}

fn wake_fronts(waiting: &Waiting) {
    let queue = waiting.borrow();
    queue.fronts().flatten().for_each(Waker::wake_by_ref);
}

/// One that waits; it leaves the queue however its wait ends.
struct InQueue<'s> {
    waiting: &'s Waiting,
    number: Number,
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        self.waiting.borrow_mut().leave(self.number);
        // Whoever stood behind it may be in front now.
        wake_fronts(self.waiting);
    }
}
