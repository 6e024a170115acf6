//! The story itself.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
};

use super::{
    Client, Stage,
    ask::AttemptFault,
    attempt::attempt,
    body::{self, BodyFault},
    choose::choose,
    inbound::Inbound,
    mirror::mirror,
    permit::Permit,
    queue,
    refuse::{Addressee, count_answer, refuse, show},
    relay::{Outcome, relay},
    settle::settle,
    understand::{Asked, Asker, Head, head},
    watch::Interrupt,
};
use crate::{
    http::BodyFraming,
    llm::{Dialect, Trouble},
    route::Decision,
    rt::{Stream, World},
};

/// What becomes of the client's connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The next request.
    NextRequest,
    /// Nobody is there any more.
    Gone,
    /// The connection ends in a reset, as its end would pass for the answer's.
    Aborted,
    /// The answer was the last one; the client is given time to read it.
    LastAnswer,
}

/// Tells the story of the request whose head, of `head_bytes` bytes, is held
/// inbound. `admin` is whether it came by the admin listener.
pub async fn tell<W: World>(
    stage: &Rc<Stage<W>>,
    client: &Client<W::Stream>,
    mut inbound: Pin<&mut dyn Inbound>,
    head_bytes: usize,
    admin: bool,
) -> After {
    let bytes = inbound.as_mut().held();
    let head_text = bytes.get(..head_bytes).unwrap_or_default();
    // It is large, and so it stays where it is written.
    let mut understood = head(stage, &client.forwarded, admin, head_text);
    let asked = match &mut understood {
        Ok(Head::Asked(asked)) => asked,
        Ok(Head::Page { page, to_head, client_speaks_11, keep_alive, framing }) => {
            body::consume(bytes, head_bytes);
            let client_lives = *keep_alive && *framing == BodyFraming::None;
            let asker = Asker { dialect: Dialect::OpenAi, to_head: *to_head };
            let stranger = Addressee::stranger(asker);
            let to = Addressee { client_speaks_11: *client_speaks_11, client_lives, ..stranger };
            return after(show(stage, client, to, page).await, client_lives);
        }
        Err(refused) => return refuse_head(stage, client, &refused.trouble, refused.asker).await,
    };
    stage.counters.requests.increment();
    let requests_max = stage.settings.limits.requests_in_flight;
    let requests_max = requests_max.map(std::num::NonZero::get);
    let gauge = &stage.counters.requests_in_flight;
    client.begin_request(asked.arrived.after(stage.settings.deadlines.total));
    let after = match Permit::take(&stage.common.requests, gauge, 1, requests_max) {
        Some(permit) => {
            let mut permit = Some(permit);
            match body::read(stage, client, inbound.as_mut(), asked, head_bytes).await {
                Ok(()) => {
                    let work = pin!(answer(stage, client, asked, &mut permit));
                    beside(stage, client, inbound, work).await
                }
                Err(BodyFault::Refused(trouble)) => {
                    asked.keep_alive = false; // Where its body ends is not known.
                    refuse_asked(stage, client, asked, &trouble).await
                }
                Err(BodyFault::ClientGone) => {
                    stage.counters.clients_gone.increment();
                    After::Gone
                }
            }
        }
        None => {
            asked.keep_alive &= asked.framing == BodyFraming::None;
            body::consume(inbound.held(), head_bytes);
            refuse_asked(stage, client, asked, &Trouble::Overloaded).await
        }
    };
    client.end_request();
    queue::wake(stage);
    stage.return_buffer(asked.outgoing.get_mut().lend());
    after
}

/// The request is whole: ask a backend, and pass on what it says.
async fn answer<W: World>(
    stage: &Rc<Stage<W>>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
    permit: &mut Option<Permit<'_>>,
) -> After {
    // It is large where anything is decided, and so it stays where it is written.
    let decided = decide(stage, asked);
    let decision = match &decided {
        Ok(decision) => decision.as_ref(),
        Err(trouble) => return refuse_asked(stage, client, asked, trouble).await,
    };
    if let Some(decision) = decision {
        mirror(stage, asked, decision);
    }
    let begun = match attempt(stage, client, asked, decision).await {
        Ok(begun) => begun,
        Err(AttemptFault::Refused(trouble)) => {
            return refuse_asked(stage, client, asked, &trouble).await;
        }
        Err(AttemptFault::Interrupted(interrupt)) => {
            return interrupted(stage, client, asked, interrupt).await;
        }
    };
    let head = begun.0.head;
    count_answer(stage, head.status);
    let client_lives = head.client_lives;
    // It will not be sent again: its memory goes back, that of the body to the
    // budget too.
    drop(asked.body_permit.take());
    drop(asked.outgoing.get_mut().lend_apart());
    stage.return_buffer(asked.outgoing.get_mut().lend());
    let relayed = relay(stage, client, asked, begun, permit).await;
    settle(stage, &relayed);
    match relayed.outcome {
        Outcome::Whole => after(true, client_lives),
        Outcome::ClientGone { reset: false } => After::Gone,
        Outcome::ClientGone { reset: true } => {
            client.stream.abort();
            After::Aborted
        }
        Outcome::Cut { reason, reset } => {
            tracing::debug!(?reason, "an answer was cut");
            if reset {
                client.stream.abort();
                return After::Aborted;
            }
            After::LastAnswer
        }
    }
}

/// Who is asked, by what the body says.
fn decide<'s, W: World>(
    stage: &'s Stage<W>,
    asked: &mut Asked<'_>,
) -> Result<Option<Decision<'s>>, Trouble> {
    let peek = asked.check_body(!stage.routes.is_plain())?;
    asked.recall(stage, peek.as_ref());
    choose(stage, asked, peek.as_ref())
}

/// No answer has begun, and the request must end.
async fn interrupted<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    asked: &Asked<'_>,
    interrupt: Interrupt,
) -> After {
    match interrupt {
        Interrupt::ClientGone => {
            stage.counters.clients_gone.increment();
            After::Gone
        }
        Interrupt::Deadline(wait) => {
            stage.counters.deadlines_passed.increment();
            refuse_asked(stage, client, asked, &wait.trouble()).await
        }
        Interrupt::Drained => refuse_asked(stage, client, asked, &Trouble::Draining).await,
    }
}

/// Refuses a head, or what is not even one. Where the next request would
/// begin is not known, so the connection closes.
pub async fn refuse_head<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    trouble: &Trouble,
    asker: Asker,
) -> After {
    after(refuse(stage, client, Addressee::stranger(asker), trouble).await, false)
}

async fn refuse_asked<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    asked: &Asked<'_>,
    trouble: &Trouble,
) -> After {
    let to = Addressee {
        dialect: asked.dialect,
        request_id: asked.request_id.as_bytes(),
        come_by: &asked.come_by,
        to_head: asked.to_head,
        client_speaks_11: asked.client_speaks_11,
        client_lives: asked.keep_alive && !stage.draining.get(),
    };
    after(refuse(stage, client, to, trouble).await, to.client_lives)
}

fn after(told: bool, client_lives: bool) -> After {
    match (told, client_lives) {
        (true, true) => After::NextRequest,
        (true, false) => After::LastAnswer,
        (false, _) => After::Gone,
    }
}

/// Runs the work with the next receive armed beside it: see `inbound`. The work
/// is pinned by the caller, since a future is as large as its whole story and
/// moving it is copying it.
fn beside<W: World, T>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    mut inbound: Pin<&mut dyn Inbound>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> impl Future<Output = T> {
    let mut watching = true;
    let ahead_max = stage.settings.limits.head_bytes;
    poll_fn(move |cx| {
        if watching && inbound.as_mut().poll_watch(cx, ahead_max) {
            watching = false;
            client.is_gone();
        }
        work.as_mut().poll(cx)
    })
}
