//! The wait for a place at a backend, when each that could answer bears no
//! more.
//!
//! Each shard has its own queue, in the order of `balance::queue`; how many
//! wait in all of them is bounded. Whoever is in front of its shard's stands in
//! line with those of the others (`balance::front`), so a place that is given
//! back goes to the first of all. It is woken by whoever ends a request, in
//! another shard by its bell, and looks again at every tick of the wheel, as it
//! may have been missed, or another shard's first has left. A client that
//! leaves, a drain and a deadline end the wait like any other.

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
    balance::{Ask, BackendId, Fleet, Free, NoPick, Number, Priority, Queue, Rank, Ticket},
    base::{TICK, Wheel},
    llm::Trouble,
    rt::World,
};

/// Those of one shard that wait, each with whom to wake.
pub type Waiting = RefCell<Queue<Option<Waker>>>;

/// A place for this request, if there is one that nobody waits for.
pub fn at_once<'s, W: World>(
    stage: &'s Stage<W>,
    ask: &Ask<'_>,
    priority: Priority,
) -> Result<Ticket<'s>, NoPick> {
    if stage.common.queued.is_empty() {
        return stage.pick_by(ask);
    }
    let free = stage.waiting.borrow().free_for_new(priority, ask.among);
    take(stage, ask, free, Rank::new(priority, stage.now(), stage.index))
}

/// Takes a place at one of those that nobody in front of it in this shard wants,
/// if nobody of another shard stands before it there.
fn take<'s, W: World>(
    stage: &'s Stage<W>,
    ask: &Ask<'_>,
    mut free: Free,
    rank: Rank,
) -> Result<Ticket<'s>, NoPick> {
    free.retain(|backend| !stage.fleet.has_before(*backend, rank));
    match stage.pick_by(&Ask { among: &free, ..*ask }) {
        // Those that are left are wanted by others, and full at best.
        Err(NoPick::Nobody) if stage.fleet.is_open(ask, stage.now()) => Err(NoPick::Full),
        taken => taken,
    }
}

/// Waits for the first place at any of these ways to have the request answered,
/// and says by which it came; of two at once, the one that stands before the
/// other. `None`: there is nobody to wait for.
pub async fn wait<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    asks: &[Ask<'_>],
    priority: Priority,
) -> Result<Option<(usize, Ticket<'s>)>, AttemptFault> {
    let counters = &stage.counters;
    let plan = stage.settings.queue;
    let gauge = &counters.requests_queued;
    let Some(_permit) = Permit::take(&stage.common.queued.0, gauge, 1, Some(plan.length)) else {
        counters.queue_refusals.increment();
        return Err(Trouble::QueueFull.into());
    };
    counters.queue_waits.increment();
    let came_at = stage.now();
    client.wait_until(stage, Wait::Place, came_at.after(plan.timeout));
    let placed = client.unless_interrupted(turn_comes(stage, asks, priority)).await;
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
    asks: &[Ask<'_>],
    priority: Priority,
) -> Option<(usize, Ticket<'s>)> {
    // It stands in nobody's way at those that it will not be sent to again.
    let among: Vec<_> = asks.iter().map(untried).collect();
    let any: Free = among.iter().flatten().copied().collect();
    let place = InQueue::enter(stage, &any, priority);
    let tick = Wheel::timer();
    poll_fn(|cx| {
        let free = stage.waiting.borrow().free_for(place.number, &any);
        let is_in_front = !free.is_empty();
        stage.fleet.say_rank(&free, place.rank);
        let mut is_full = false;
        for (index, (ask, among)) in asks.iter().zip(&among).enumerate() {
            let free = free.iter().copied().filter(|backend| among.contains(backend)).collect();
            match take(stage, &Ask { among, ..*ask }, free, place.rank) {
                Ok(ticket) => return Poll::Ready(Some((index, ticket))),
                Err(NoPick::Nobody) => {}
                Err(NoPick::Full) => is_full = true,
            }
        }
        if !is_full {
            return Poll::Ready(None);
        }
        if is_in_front {
            tick.wakes(cx.waker());
            stage.set_timer(&tick, stage.now().after(TICK));
        }
        let mut queue = stage.waiting.borrow_mut();
        if let Some(waker) = queue.known(place.number)
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

/// A request of this shard has ended: its place may be free, for whoever stands
/// in front.
pub fn wake<W: World>(stage: &Stage<W>) {
    if stage.common.queued.is_empty() {
        return;
    }
    look_again(stage);
    for shard in stage.fleet.called().filter(|&shard| shard != stage.index) {
        stage.common.bells.ring(shard);
    }
}

/// Has those in front of this shard's queue look whether there is a place.
pub fn look_again<W: World>(stage: &Stage<W>) {
    wake_fronts(&stage.waiting);
}

fn wake_fronts(waiting: &Waiting) {
    let queue = waiting.borrow();
    queue.fronts().flatten().for_each(Waker::wake_by_ref);
}

/// One that waits; it leaves the queue however its wait ends.
struct InQueue<'s> {
    waiting: &'s Waiting,
    fleet: &'s Fleet,
    among: Free,
    number: Number,
    rank: Rank,
}

impl<'s> InQueue<'s> {
    fn enter<W: World>(stage: &'s Stage<W>, among: &[BackendId], priority: Priority) -> Self {
        let number = stage.waiting.borrow_mut().enter(priority, among, None);
        let rank = Rank::new(priority, stage.now(), stage.index);
        let (waiting, fleet) = (&stage.waiting, &*stage.fleet);
        Self { waiting, fleet, among: among.into(), number, rank }
    }
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        self.waiting.borrow_mut().leave(self.number);
        self.fleet.take_back_rank(&self.among, self.rank);
        // Whoever stood behind it may be in front now.
        wake_fronts(self.waiting);
    }
}
