//! What the end of a request says of its backend, and who is to blame for it.
//! A client's fault and a client that leaves never count against a backend.

use std::time::Duration;

use super::{Stage, answer::AnswerHead, ask::AttemptFault, watch::Interrupt};
use crate::{
    balance::{BackendId, Outturn, Ticket},
    llm::Trouble,
    retry::{Class, Failed},
    rt::World,
};

/// The backend has failed before it gave an answer that is told.
pub fn failure<W: World>(stage: &Stage<W>, ticket: Ticket<'_>, failed: Failed) {
    let (backend, now) = (ticket.backend(), stage.now());
    let pause = match failed.class {
        // It is left alone for a moment: whoever comes next asks another.
        Class::Connect | Class::Tls => ticket.unreachable(now),
        _ => ticket.failed(failed.after, now),
    };
    say(stage, backend, pause);
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
        // It is about the request, and says nothing of the backend's speed.
        400.. => drop(ticket),
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

/// The operator hears of a backend that is left alone from now on.
fn say<W: World>(stage: &Stage<W>, backend: BackendId, pause: Option<Duration>) {
    if let Some(pause) = pause {
        let name = stage.settings.backends.get(backend.0).map(|backend| &*backend.name);
        tracing::warn!(backend = name, ?pause, "a backend fails, and is left alone for a while");
    }
}
