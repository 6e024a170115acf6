//! Verb five: a backend is chosen and asked, until one begins to answer.
//!
//! What may be tried again, and what not:
//!
//! - A backend that could not be connected to has seen nothing: another one
//!   is asked, at most [`ATTEMPTS_MAX`] in all.
//! - A reused connection that dies before any byte of an answer was most
//!   likely closed while it was idle: once, the request is sent again on a
//!   fresh one to the same backend (RFC 9112, section 9.3.1; the request is
//!   held). If the request was what killed it, it must not reach the others.
//! - Everything else may have had an effect, and is told to the client.

use smallvec::SmallVec;

use super::{
    Client, Stage,
    answer::{Answer, Arrival, arrive},
    client::{Interrupt, Wait},
    connect::{connect, fault_of},
    converse::converse,
    link::Link,
    queue,
    understand::Asked,
    verdict,
};
use crate::{
    balance::{Ask, BackendId, Ticket},
    http::HeadSearch,
    llm::Trouble,
    rt::{Stream, TAIL_ROOM, World},
};

/// Backends asked for one request.
pub const ATTEMPTS_MAX: usize = 3;
/// Interim answers (1xx) borne before the final one.
const INTERIM_MAX: usize = 8;

/// Why no backend has begun to answer.
#[derive(Debug)]
pub enum AttemptFault {
    Refused(Trouble),
    Interrupted(Interrupt),
}

impl From<Interrupt> for AttemptFault {
    fn from(interrupt: Interrupt) -> Self {
        Self::Interrupted(interrupt)
    }
}

impl From<Trouble> for AttemptFault {
    fn from(trouble: Trouble) -> Self {
        Self::Refused(trouble)
    }
}

/// Why one backend has not begun to answer.
enum Failure {
    /// It has seen nothing of the request.
    Unreached(Trouble),
    /// It may have, or the request must end.
    Final(AttemptFault),
}

impl<F: Into<AttemptFault>> From<F> for Failure {
    fn from(fault: F) -> Self {
        Self::Final(fault.into())
    }
}

/// Asks backends until one begins to answer. The request in `asked` is not
/// needed any more after that.
pub async fn attempt<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
) -> Result<(Answer<'s, W::Stream>, Ticket<'s>), AttemptFault> {
    let mut tried = SmallVec::<[BackendId; ATTEMPTS_MAX]>::new();
    let mut trouble = Trouble::NoBackend;
    let mut attempts = 0;
    while tried.len() < ATTEMPTS_MAX {
        let fleet = &stage.fleet;
        let ask = Ask::new(fleet.everyone(), fleet.policy(), asked.work);
        let (conversation, hashes) = (asked.conversation.key, &asked.conversation.hashes[..]);
        let ask = Ask { tried: &tried, conversation, hashes, ..ask };
        let Some(ticket) = queue::place(stage, client, &ask, asked.priority).await? else { break };
        tried.push(ticket.backend());
        match ask_backend(stage, client, asked, &ticket, &mut attempts).await {
            Ok(answer) => return Ok((answer, ticket)),
            Err(Failure::Unreached(reason)) => {
                verdict::unreached(stage, ticket, &reason);
                trouble = reason;
            }
            Err(Failure::Final(fault)) => {
                verdict::unanswered(stage, ticket, &fault);
                return Err(fault);
            }
        }
    }
    Err(trouble.into())
}

/// Asks one backend, twice if the connection had served before and dies.
async fn ask_backend<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
    ticket: &Ticket<'_>,
    attempts: &mut u32,
) -> Result<Answer<'s, W::Stream>, Failure> {
    let mut resent = false;
    loop {
        *attempts += 1;
        let link = match take_link(stage, client, ticket.backend(), resent).await {
            Ok(link) => link,
            // It may be what the request has done to it.
            Err(AttemptFault::Refused(_)) if resent => return Err(Trouble::BackendCut.into()),
            Err(AttemptFault::Refused(reason)) => return Err(Failure::Unreached(reason)),
            Err(interrupted) => return Err(interrupted.into()),
        };
        let reused = link.is_reused();
        if !reused {
            ticket.reached();
        }
        match ask(stage, client, asked, link, *attempts).await? {
            Some(answer) => return Ok(answer),
            None if reused => {
                stage.counters.backend_retries.increment();
                resent = true;
            }
            None => return Err(Trouble::BackendCut.into()),
        }
    }
}

/// A connection to the backend, from the pool or made now.
async fn take_link<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    backend: BackendId,
    fresh_only: bool,
) -> Result<Link<'s, W::Stream>, AttemptFault> {
    let moves = stage.pools.borrow().moves(backend);
    if !fresh_only {
        let taken = stage.pools.borrow_mut().take(backend, stage.now());
        stage.say_farewell(taken.old);
        if let Some((stream, armed)) = taken.usable {
            stage.counters.backend_reuses.increment();
            return Ok(Link::reused(stream, armed, backend, moves, &stage.counters));
        }
    }
    let stream = connect(stage, client, backend).await?;
    Ok(Link::fresh(stream, backend, moves, &stage.counters))
}

/// Sends the request on this connection and waits for the head of its answer.
/// `None`: the connection died before any byte of an answer came.
async fn ask<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
    mut link: Link<'s, W::Stream>,
    attempts: u32,
) -> Result<Option<Answer<'s, W::Stream>>, AttemptFault> {
    let is_fresh = !link.is_reused();
    let spoken = converse(stage, client, asked, &mut link).await;
    let mut received = spoken.received;
    if received.is_empty() {
        stage.return_buffer(received);
        let fault = || fault_of(stage, link.backend, spoken.error.as_ref()?);
        return match spoken.interrupt {
            Some(interrupt) => Err(interrupt.into()),
            // Where it has served before, it is an idle connection that died.
            None => match fault() {
                Some(trouble) if is_fresh => Err(trouble.into()),
                _ => Ok(None),
            },
        };
    }
    let mut search = HeadSearch::default();
    let mut interims = 0;
    loop {
        if let Some(head_bytes) = search.find(&received) {
            match arrive(stage, asked, &link, &received, head_bytes, attempts) {
                Ok(Arrival::Final(head, out)) => {
                    return Ok(Some(Answer {
                        head,
                        out,
                        received,
                        body_at: head_bytes,
                        reusable: spoken.sent_whole,
                        link,
                    }));
                }
                Ok(Arrival::Interim(forward)) if interims < INTERIM_MAX => {
                    interims += 1;
                    received.drain(..head_bytes);
                    search.reset();
                    if let Some(interim) = forward {
                        pass_interim(stage, client, interim).await?;
                    }
                    continue;
                }
                Ok(Arrival::Interim(_)) => {
                    let reason = "There were more than eight interim answers.";
                    return Err(Trouble::BackendProtocol { reason }.into());
                }
                Err(trouble) => {
                    stage.return_buffer(received);
                    return Err(trouble.into());
                }
            }
        }
        received = more_head(stage, client, &link, received).await?;
    }
}

/// Receives more of an answer's head.
async fn more_head<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    link: &Link<'_, W::Stream>,
    mut received: Vec<u8>,
) -> Result<Vec<u8>, AttemptFault> {
    if received.len() > stage.settings.limits.head_bytes {
        let reason = "The head of the answer is larger than allowed.";
        return Err(Trouble::BackendProtocol { reason }.into());
    }
    if received.capacity() - received.len() <= TAIL_ROOM {
        received.reserve(stage.settings.pool.buffer_bytes);
    }
    client.wait_for(stage, Wait::FirstByte);
    let ((result, received), interrupt) =
        client.guard(link.stream(), link.stream().recv(received)).await;
    match (result, interrupt) {
        (_, Some(interrupt)) => Err(interrupt.into()),
        (Ok(1..), None) => Ok(received),
        // Bytes have come, so this is no idle connection that died.
        (Ok(0), None) => Err(Trouble::BackendCut.into()),
        (Err(error), None) => {
            // For the log; to the client it is a cut like any other.
            let _ = fault_of(stage, link.backend, &error);
            Err(Trouble::BackendCut.into())
        }
    }
}

/// An interim answer other than 100 goes on to the client (RFC 9110, section
/// 15.2).
async fn pass_interim<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    interim: Vec<u8>,
) -> Result<(), AttemptFault> {
    let part = 0..interim.len();
    let (sent, buffer) =
        client.send_all(stage, &client.stream, interim, part, Wait::ClientWrite).await;
    stage.return_buffer(buffer);
    sent.map_err(|_| Interrupt::ClientGone.into())
}
