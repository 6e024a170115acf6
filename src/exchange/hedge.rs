//! Verb five, hedging: where a backend is late with the first byte of its
//! answer, or with the first event of a stream, another one of the same step is
//! asked beside it. Who shows the beginning of an answer first is told.
//!
//! ```text
//!          late
//! first  ───┬──── asked ──┬─► answers, or the request must end ─► decides
//!           │             └─► fails: the other goes on alone
//! second    └──── asked ──┬─► (the same)
//!                         └─►
//!
//! decided      the other is cut: its socket is shut down and its operation
//!              awaited, here, as nothing in flight is dropped
//! both failed  two failures, and what follows is `retry`'s
//! ```
//!
//! Both run on the request's task, each under a watch of its own. The second
//! sends a copy, which can only be made while nothing of the request is lent
//! to an operation of the first.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use smallvec::SmallVec;

use super::{
    Stage,
    ask::{Asking, AttemptFault, Word, ask_backend},
    errand::{Errand, Interims},
    permit::Permit,
    queue,
    understand::Asked,
    verdict,
    watch::{Wait, Watch},
};
use crate::{
    balance::{Ask, Reach, Shape, Ticket},
    base::{BackendId, Instant},
    retry::Failed,
    rt::World,
};

/// What asking a backend has come to, and its place there.
pub struct Heard<'s, S> {
    pub asking: Asking<'s, S>,
    pub ticket: Ticket<'s>,
}

/// Who may be asked beside a backend, and from when on.
pub struct Beside<'k> {
    pub ask: Ask<'k>,
    pub late_at: Instant,
}

/// What asking one backend, and perhaps another one beside it, has come to.
pub struct Both<'s, S> {
    pub heard: Heard<'s, S>,
    /// A failure that came before what was heard.
    pub failed_before: Option<(Failed, Word<'s, S>, Ticket<'s>)>,
    /// Two were asked.
    pub is_hedged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    First,
    Second,
}

/// What has ended the race.
#[derive(Clone, Copy)]
struct Decision {
    by: Side,
    /// The other was under way still.
    cut: bool,
}

type Work<'f, 's, S> = Pin<Box<dyn Future<Output = Heard<'s, S>> + 'f>>;

impl<S> Heard<'_, S> {
    /// Nothing that the other may come to matters any more.
    fn decides(&self) -> bool {
        match &self.asking {
            Asking::Begun(..) | Asking::Ended(AttemptFault::Interrupted(_)) => true,
            Asking::Failed(..) | Asking::Ended(AttemptFault::Refused(_)) => false,
        }
    }
}

/// When this backend is late with what is asked, where that tells anything: of
/// requests to a model, as others cost little or may not be asked twice.
pub fn late_at<W: World>(
    stage: &Stage<W>,
    asked: &Asked<'_>,
    ticket: &Ticket<'_>,
) -> Option<Instant> {
    if asked.to_head || asked.work.shape == Shape::Other {
        return None;
    }
    let delay = stage.settings.retry.hedge_after.delay(|| ticket.expected())?;
    Some(stage.now().after(delay))
}

/// Asks the backend of this ticket, and another one beside it once it is late.
pub async fn ask_beside<'s, W: World>(
    stage: &'s Stage<W>,
    errand: &Errand<'_, W::Stream>,
    ticket: Ticket<'s>,
    beside: Beside<'_>,
) -> Both<'s, W::Stream> {
    let watch = errand.client.beside();
    watch.follow(errand.watch);
    watch.wait_until(stage, Wait::Late, beside.late_at);
    let backend = ticket.backend();
    let mut first = pin!(run(stage, errand, ticket));
    let mut second = None;
    let mut may_begin = true;
    let (mut one, mut other) = (None, None);
    let mut last = Side::First;
    let mut decision = None;
    let (one, other) = poll_fn(|cx| {
        watch.wakes(cx.waker());
        watch.follow(errand.watch);
        if poll_into(first.as_mut(), &mut one, cx) {
            last = Side::First;
        }
        // A request that must end is not late: its operation is being ended.
        let is_late = one.is_none() && watch.is_due() && errand.watch.interrupt().is_none();
        if may_begin && is_late && errand.outgoing.borrow().is_at_home() {
            may_begin = false;
            second = begin(stage, errand, watch, backend, &beside.ask);
        }
        if let Some(second) = &mut second {
            if poll_into(second.as_mut(), &mut other, cx) {
                last = Side::Second;
            }
            if decision.is_none() {
                decision = decide(&one, &other);
            }
            match (&one, &other, decision) {
                (Some(_), None, Some(_)) => {
                    watch.cut();
                    poll_into(second.as_mut(), &mut other, cx);
                }
                (None, Some(_), Some(_)) => {
                    errand.watch.cut();
                    poll_into(first.as_mut(), &mut one, cx);
                }
                _ => {}
            }
        }
        match (one.take(), other.take()) {
            (Some(one), None) if second.is_none() => Poll::Ready((one, None)),
            (Some(one), Some(other)) => Poll::Ready((one, Some(other))),
            under_way => {
                (one, other) = under_way;
                Poll::Pending
            }
        }
    })
    .await;
    errand.watch.is_over();
    watch.rest(stage);
    let Some(other) = other else {
        return Both { heard: one, failed_before: None, is_hedged: false };
    };
    errand.shared.interims.set(Interims::Pass);
    // What the first was waited for concerns nobody any more.
    errand.watch.wait_for(stage, Wait::MoreAnswer);
    match decision {
        Some(Decision { by, cut }) => decided(stage, in_order(by, one, other), by, cut),
        None => both_failed(stage, in_order(last, one, other)),
    }
}

async fn run<'s, W: World>(
    stage: &'s Stage<W>,
    errand: &Errand<'_, W::Stream>,
    ticket: Ticket<'s>,
) -> Heard<'s, W::Stream> {
    let asking = ask_backend(stage, errand, &ticket).await;
    Heard { asking, ticket }
}

/// Begins to ask a second backend, if there is one that is well and has room,
/// and the cap and the memory for bodies bear it.
fn begin<'f, 's: 'f, W: World>(
    stage: &'s Stage<W>,
    errand: &Errand<'f, W::Stream>,
    watch: &'f Watch,
    first: BackendId,
    ask: &Ask<'_>,
) -> Option<Work<'f, 's, W::Stream>> {
    if errand.shared.interims.get() == Interims::Passed {
        return None;
    }
    let mut tried: SmallVec<[BackendId; 4]> = ask.tried.into();
    tried.push(first);
    // Who is left alone is a last resort, and there is one already.
    let may_answer = |backend: &BackendId| {
        !tried.contains(backend) && stage.fleet.is_well(*backend, stage.now())
    };
    let among: SmallVec<[BackendId; 8]> = ask.among.iter().copied().filter(may_answer).collect();
    if among.is_empty() {
        return None;
    }
    let cap = stage.hedge_cap();
    if !cap.withdraw() {
        stage.counters.hedges_capped.increment();
        return None;
    }
    let outgoing = errand.outgoing.borrow();
    let (gauge, most) =
        (&stage.counters.request_body_bytes_held, stage.settings.limits.body_memory_total);
    let room = Permit::take(&stage.common.body_bytes, gauge, outgoing.size(), Some(most));
    let reach = Reach::Well;
    let ask = Ask { among: &among, tried: &tried, reach, is_first: false, ..*ask };
    let place = || queue::at_once(stage, &ask, errand.asked.priority).ok();
    let Some((room, ticket)) = room.and_then(|room| Some((room, place()?))) else {
        cap.give_back();
        return None;
    };
    stage.counters.hedges.increment();
    errand.shared.interims.set(Interims::EndHere);
    let copy = RefCell::new(outgoing.copy(stage.lend_buffer()));
    let errand = *errand;
    Some(Box::pin(async move {
        let heard = run(stage, &Errand { watch, outgoing: &copy, ..errand }, ticket).await;
        stage.return_buffer(copy.into_inner().into_buffer());
        drop(room);
        heard
    }))
}

/// Says whether it is over now.
fn poll_into<T>(
    work: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    over: &mut Option<T>,
    cx: &mut Context<'_>,
) -> bool {
    if over.is_none()
        && let Poll::Ready(result) = work.poll(cx)
    {
        *over = Some(result);
        return true;
    }
    false
}

fn decide<S>(one: &Option<Heard<'_, S>>, other: &Option<Heard<'_, S>>) -> Option<Decision> {
    if one.as_ref().is_some_and(Heard::decides) {
        return Some(Decision { by: Side::First, cut: other.is_none() });
    }
    let by_other = other.as_ref().is_some_and(Heard::decides);
    by_other.then_some(Decision { by: Side::Second, cut: one.is_none() })
}

/// The one of this side, and then the other.
fn in_order<T>(side: Side, first: T, second: T) -> (T, T) {
    match side {
        Side::First => (first, second),
        Side::Second => (second, first),
    }
}

/// One has decided. The other was cut, or was over before.
fn decided<'s, W: World>(
    stage: &'s Stage<W>,
    (heard, other): (Heard<'s, W::Stream>, Heard<'s, W::Stream>),
    by: Side,
    cut: bool,
) -> Both<'s, W::Stream> {
    if by == Side::Second && matches!(heard.asking, Asking::Begun(..)) {
        stage.counters.hedges_won.increment();
    }
    let failed_before = if cut { leave(stage, other) } else { over(stage, other) };
    Both { heard, failed_before, is_hedged: true }
}

/// Neither has answered; the first of the pair was the last to say so.
fn both_failed<'s, W: World>(
    stage: &'s Stage<W>,
    (heard, before): (Heard<'s, W::Stream>, Heard<'s, W::Stream>),
) -> Both<'s, W::Stream> {
    let has_failed = |heard: &Heard<'_, _>| matches!(heard.asking, Asking::Failed(..));
    // That we have no room ends a request only if nothing else is to be said.
    let is_in_order = has_failed(&heard) || !has_failed(&before);
    let (heard, before) = if is_in_order { (heard, before) } else { (before, heard) };
    Both { heard, failed_before: over(stage, before), is_hedged: true }
}

/// It is over by itself, and is not what is told.
fn over<'s, W: World>(
    stage: &'s Stage<W>,
    Heard { asking, ticket }: Heard<'s, W::Stream>,
) -> Option<(Failed, Word<'s, W::Stream>, Ticket<'s>)> {
    match asking {
        Asking::Failed(failed, word) => Some((failed, word, ticket)),
        Asking::Ended(fault) => {
            verdict::ended(stage, ticket, &fault);
            None
        }
        asking @ Asking::Begun(..) => leave(stage, Heard { asking, ticket }),
    }
}

/// It was left for the other. What it came to after that was our doing; that
/// it had not answered by then is noted.
fn leave<'s, W: World>(
    stage: &'s Stage<W>,
    Heard { asking, ticket }: Heard<'s, W::Stream>,
) -> Option<(Failed, Word<'s, W::Stream>, Ticket<'s>)> {
    if let Asking::Begun(answer, _) | Asking::Failed(_, Word::Answer(answer)) = asking {
        answer.lost(stage);
    }
    let (now, counters) = (stage.now(), &stage.counters);
    let (tokens, ran) = ticket.spent(now);
    counters.hedges_lost_prompt_tokens.add(tokens);
    counters.hedges_lost_milliseconds.add(u64::try_from(ran.as_millis()).unwrap_or(u64::MAX));
    ticket.left(now);
    None
}
