//! Verb five, one backend: a connection is taken, the request goes out, and
//! the beginning of an answer comes in. A reused connection that dies before
//! any byte of an answer was most likely closed while it was idle: once, the
//! request is sent again on a fresh one to the same backend (RFC 9112, section
//! 9.3.1; the request is held). One that may have had an effect is not: the
//! backend may have read it and done its work (RFC 9110, section 9.2.2). It goes
//! out on a fresh connection to begin with.

use super::{
    Stage,
    answer::{Answer, Arrival, arrive},
    connect::{connect, fault_of},
    converse::converse,
    errand::{Errand, Interims},
    hold::{Shown, first_event},
    link::Link,
    watch::{Interrupt, Wait, Watch},
};
use crate::{
    balance::{BackendId, Ticket},
    http::HeadSearch,
    llm::{Complaint, First, Trouble},
    retry::{Class, Failed},
    rt::{Stream, TAIL_ROOM, World},
};

/// Interim answers (1xx) borne before the final one.
const INTERIM_MAX: usize = 8;

/// What asking one backend has come to.
pub enum Asking<'s, S> {
    /// An answer, with what it complains of where its first event is an error
    /// that is not the backend's.
    Begun(Box<Answer<'s, S>>, Option<Complaint>),
    Failed(Failed, Word<'s, S>),
    /// Nobody else is to be asked: we have no room, or the request must end.
    Ended(AttemptFault),
}

impl<'s, S> Asking<'s, S> {
    /// The answer, whatever it says.
    pub fn answer(&mut self) -> Option<&mut Answer<'s, S>> {
        match self {
            Self::Begun(answer, _) | Self::Failed(_, Word::Answer(answer)) => Some(answer),
            Self::Failed(_, Word::Trouble(_)) | Self::Ended(_) => None,
        }
    }
}

/// What a failure can be told by.
pub enum Word<'s, S> {
    Answer(Box<Answer<'s, S>>),
    Trouble(Trouble),
}

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

/// Whose failure it is that no answer has begun.
fn unanswered<'s, W: World>(stage: &Stage<W>, fault: AttemptFault) -> Asking<'s, W::Stream> {
    let trouble = match &fault {
        AttemptFault::Refused(trouble) => trouble.clone(),
        AttemptFault::Interrupted(Interrupt::Deadline(Wait::FirstByte)) => {
            stage.counters.deadlines_passed.increment();
            Trouble::BackendFirstByteTimeout
        }
        AttemptFault::Interrupted(_) => return Asking::Ended(fault),
    };
    match class_of(&trouble) {
        Some(class) => Asking::Failed(Failed { class, after: None }, Word::Trouble(trouble)),
        None => Asking::Ended(fault),
    }
}

/// What of our own troubles is a backend's failure.
pub fn class_of(trouble: &Trouble) -> Option<Class> {
    Some(match trouble {
        Trouble::BackendUnreachable | Trouble::BackendConnectTimeout => Class::Connect,
        Trouble::BackendUnverified | Trouble::BackendHandshake => Class::Tls,
        Trouble::BackendCut => Class::Cut,
        Trouble::BackendFirstByteTimeout => Class::Timeout,
        Trouble::BackendProtocol { .. } => Class::Protocol,
        Trouble::BackendRefusesKey => Class::Credential,
        _ => return None,
    })
}

/// Asks one backend, twice if the connection had served before and dies, and
/// the request may be sent again.
pub async fn ask_backend<'s, W: World>(
    stage: &'s Stage<W>,
    errand: &Errand<'_, W::Stream>,
    ticket: &Ticket<'_>,
) -> Asking<'s, W::Stream> {
    match begin(stage, errand, ticket).await {
        Ok(answer) => judge(stage, errand, answer).await,
        Err(fault) => unanswered(stage, fault),
    }
}

/// Looks at an answer that has begun: by its status, and a stream by its first
/// event.
async fn judge<'s, W: World>(
    stage: &'s Stage<W>,
    errand: &Errand<'_, W::Stream>,
    mut answer: Box<Answer<'s, W::Stream>>,
) -> Asking<'s, W::Stream> {
    if answer.head.class == Some(Class::Credential) {
        // What it says is about a key that is no business of the client's.
        answer.lost(stage);
        return unanswered(stage, Trouble::BackendRefusesKey.into());
    }
    if let Some(class) = answer.head.class {
        let failed = Failed { class, after: answer.head.retry_after };
        return Asking::Failed(failed, Word::Answer(answer));
    }
    let Some(mark) = errand.asked.endpoint.stream_end().filter(|_| answer.head.is_stream()) else {
        return Asking::Begun(answer, None);
    };
    if errand.asked.to_head {
        return Asking::Begun(answer, None);
    }
    match first_event(stage, errand.watch, &mut answer, mark).await {
        Ok(Shown::First(First::Error(Complaint::OfBackend))) => {
            let failed = Failed { class: Class::ErrorEvent, after: None };
            Asking::Failed(failed, Word::Answer(answer))
        }
        Ok(Shown::First(First::Error(complaint))) => Asking::Begun(answer, Some(complaint)),
        Ok(Shown::First(First::Answer) | Shown::Unknown) => Asking::Begun(answer, None),
        Err(fault) => {
            answer.lost(stage);
            unanswered(stage, fault)
        }
    }
}

/// Sends the request until an answer begins.
async fn begin<'s, W: World>(
    stage: &'s Stage<W>,
    errand: &Errand<'_, W::Stream>,
    ticket: &Ticket<'_>,
) -> Result<Box<Answer<'s, W::Stream>>, AttemptFault> {
    // One that may not be sent again must not meet a connection that its backend
    // is about to close as idle.
    let fresh_only = !errand.asked.repeatable.after(Class::Cut);
    let mut resent = false;
    loop {
        let asks = &errand.shared.asks;
        asks.set(asks.get() + 1);
        let fresh_only = fresh_only || resent;
        let link = match take_link(stage, errand.watch, ticket.backend(), fresh_only).await {
            Ok(link) => link,
            // It may be what the request has done to it.
            Err(AttemptFault::Refused(_)) if resent => return Err(Trouble::BackendCut.into()),
            Err(fault) => return Err(fault),
        };
        let reused = link.is_reused();
        if !reused {
            ticket.reached();
        }
        match ask(stage, errand, link).await? {
            Some(answer) => return Ok(answer),
            None if reused && errand.asked.repeatable.after(Class::Cut) => {
                if let Some(interrupt) = errand.watch.interrupt() {
                    return Err(interrupt.into());
                }
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
    watch: &Watch,
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
    // Large, and most requests find a connection.
    let stream = Box::pin(connect(stage, watch, backend)).await?;
    Ok(Link::fresh(stream, backend, moves, &stage.counters))
}

/// Sends the request on this connection and waits for the head of its answer.
/// `None`: the connection died before any byte of an answer came.
async fn ask<'s, W: World>(
    stage: &'s Stage<W>,
    errand: &Errand<'_, W::Stream>,
    mut link: Link<'s, W::Stream>,
) -> Result<Option<Box<Answer<'s, W::Stream>>>, AttemptFault> {
    let is_fresh = !link.is_reused();
    let spoken = converse(stage, errand, &mut link).await;
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
            let asks = errand.shared.asks.get();
            match arrive(stage, errand.asked, &link, &received, head_bytes, asks) {
                Ok(Arrival::Final(head, out)) => {
                    return Ok(Some(Box::new(Answer {
                        head,
                        out,
                        received,
                        body_at: head_bytes,
                        reusable: spoken.sent_whole,
                        link: Some(link),
                    })));
                }
                Ok(Arrival::Interim(forward)) if interims < INTERIM_MAX => {
                    interims += 1;
                    received.drain(..head_bytes);
                    search.reset();
                    if let Some(interim) = forward {
                        pass_interim(stage, errand, interim).await?;
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
        received = more_head(stage, errand.watch, &link, received).await?;
    }
}

/// Receives more of an answer's head.
async fn more_head<W: World>(
    stage: &Stage<W>,
    watch: &Watch,
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
    watch.wait_for(stage, Wait::FirstByte);
    let ((result, received), interrupt) =
        watch.guard(link.stream(), link.stream().recv(received)).await;
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
/// 15.2), but not while two backends are asked: a client hears of one.
async fn pass_interim<W: World>(
    stage: &Stage<W>,
    errand: &Errand<'_, W::Stream>,
    interim: Vec<u8>,
) -> Result<(), AttemptFault> {
    let (client, interims) = (errand.client, &errand.shared.interims);
    if interims.get() == Interims::EndHere {
        stage.return_buffer(interim);
        return Ok(());
    }
    interims.set(Interims::Passed);
    let part = 0..interim.len();
    let (sent, buffer) =
        client.send_all(stage, &client.stream, interim, part, Wait::ClientWrite).await;
    stage.return_buffer(buffer);
    sent.map_err(|_| Interrupt::ClientGone.into())
}
