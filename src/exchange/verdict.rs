//! What the end of a request says of its backend, and who is to blame for it.
//! A client's fault and a client that leaves never count as its failure.
//!
//! An answer of 400 to 499 declines the request (but 429, and a 401 that refuses
//! a key of ours: those are failures before). Mostly that is the client's fault,
//! and so ejects nobody; but as who declines at once looks idle, it is no
//! invitation either ([`Ticket::declined`]).

use std::time::Duration;

use super::{Stage, answer::AnswerHead, ask::AttemptFault, watch::Interrupt};
use crate::{
    balance::{BackendId, Outturn, Ticket},
    llm::Trouble,
    retry::{Class, Failed},
    rt::World,
};

/// How a backend has failed that answers so to what asks a model. Who may use a
/// key for models may be denied other things with it, so that for those no
/// status but those of [`Class::of_status`] says anything.
pub fn class_of<W: World>(stage: &Stage<W>, backend: BackendId, status: u16) -> Option<Class> {
    let has_key = || {
        let settings = stage.settings.backends.get(backend.0);
        settings.is_some_and(|backend| backend.credential.is_some())
    };
    let refused = Class::of_status_to_own_key(status).filter(|_| has_key());
    Class::of_status(status).or(refused)
}

/// The backend has failed before it gave an answer that is told.
pub fn failure<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, failed: Failed) {
    let (backend, now) = (ticket.backend(), stage.now());
    let is_of_model = failed.class == Class::NoRoom && ticket.is_of_model();
    let pause = match failed.class {
        // It is left alone for a moment: whoever comes next asks another.
        Class::Connect | Class::Tls => ticket.unreachable(now),
        Class::NoRoom => ticket.no_room(failed.after, now),
        _ => ticket.failed(failed.after, now),
    };
    match pause {
        Some(pause) if is_of_model => say_of_model(stage, backend, pause),
        _ => say(stage, backend, pause),
    }
}

/// No answer has begun, for a reason that is not the backend's.
pub fn ended<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, fault: &AttemptFault) {
    match fault {
        // We have no room, or no time; that says nothing of the backend.
        AttemptFault::Refused(_) | AttemptFault::Interrupted(Interrupt::Drained) => drop(ticket),
        AttemptFault::Interrupted(Interrupt::ClientGone | Interrupt::Deadline(_)) => {
            ticket.left(stage.now());
        }
    }
}

/// The answer has come whole, and is no failure.
pub fn whole<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, head: &AnswerHead, outturn: Outturn) {
    match head.status {
        400..=499 => ticket.declined(stage.now()),
        // What nobody implements says nothing of the backend's speed.
        500.. => drop(ticket),
        _ => ticket.done(outturn, stage.now()),
    }
}

/// The answer was cut.
pub fn cut<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, reason: &Trouble) {
    match reason {
        Trouble::Draining => drop(ticket),
        // It was on its way, and longer than the operator allows.
        Trouble::TotalTimeout => ticket.left(stage.now()),
        _ => say(stage, ticket.backend(), ticket.failed(None, stage.now())),
    }
}

/// The operator hears of a backend that is left alone by a model.
fn say_of_model<W: World>(stage: &Stage<W>, backend: BackendId, pause: Duration) {
    let name = stage.settings.backends.get(backend.0).map(|backend| &*backend.name);
    tracing::warn!(
        backend = name,
        ?pause,
        "a backend has no room for a model, which leaves it alone for a while"
    );
}

/// The operator hears of a backend that is left alone from now on.
fn say<W: World>(stage: &Stage<W>, backend: BackendId, pause: Option<Duration>) {
    if let Some(pause) = pause {
        let name = stage.settings.backends.get(backend.0).map(|backend| &*backend.name);
        tracing::warn!(backend = name, ?pause, "a backend fails, and is left alone for a while");
    }
}
