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

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    ops::Range,
    pin::pin,
    task::Poll,
};

use smallvec::SmallVec;

use super::{
    Client, Stage,
    answer::{Answer, Arrival, arrive},
    client::{Interrupt, Wait},
    link::Link,
    pool::Receive,
    send::{SendFault, send_now},
    understand::Asked,
};
use crate::{
    balance::BackendId,
    http::HeadSearch,
    llm::Trouble,
    rt::{Stream, TAIL_ROOM, Transfer, World, is_exhaustion},
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

/// Asks backends until one begins to answer. The request in `asked` is not
/// needed any more after that.
pub async fn attempt<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
) -> Result<Answer<'s, W::Stream>, AttemptFault> {
    let mut tried = SmallVec::<[BackendId; ATTEMPTS_MAX]>::new();
    let mut trouble = Trouble::NoBackend;
    let mut attempts = 0;
    let mut resent = false;
    while tried.len() < ATTEMPTS_MAX {
        let picked = stage.balance.borrow_mut().pick(stage.now(), &tried);
        let Some(backend) = picked else { break };
        tried.push(backend);
        attempts += 1;
        loop {
            let link = match take_link(stage, client, backend, resent).await {
                Ok(link) => link,
                // It may be what the request has done to it.
                Err(AttemptFault::Refused(_)) if resent => return Err(Trouble::BackendCut.into()),
                Err(AttemptFault::Refused(reason)) => {
                    trouble = reason;
                    break;
                }
                Err(interrupted) => return Err(interrupted),
            };
            let reused = link.is_reused();
            match ask(stage, client, asked, link, attempts).await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) if reused => {
                    stage.counters.backend_retries.increment();
                    attempts += 1;
                    resent = true;
                }
                Ok(None) => return Err(Trouble::BackendCut.into()),
                Err(fault) => return Err(fault),
            }
        }
    }
    Err(trouble.into())
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

/// Tries each address of the backend in turn, within one connect deadline
/// each.
async fn connect<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    backend: BackendId,
) -> Result<W::Stream, AttemptFault> {
    let mut trouble = Trouble::BackendUnreachable;
    let addresses = stage.addresses.borrow().get(backend.0).cloned().unwrap_or_default();
    for address in addresses.iter().take(ADDRESSES_MAX) {
        client.wait_for(stage, Wait::Connect);
        match client.unless_interrupted(stage.world.connect(address)).await {
            Ok(Ok(stream)) => {
                stage.counters.backend_connects.increment();
                stage.balance.borrow_mut().reached(backend);
                return Ok(stream);
            }
            Ok(Err(error)) if is_exhaustion(&error) => {
                // Not the backend's fault, which is not to rest for it.
                tracing::debug!(?address, %error, "no connection could be begun");
                stage.counters.backend_connect_failures.increment();
                return Err(Trouble::Overloaded.into());
            }
            Ok(Err(error)) => {
                tracing::debug!(?address, %error, "a backend refused a connection");
                trouble = Trouble::BackendUnreachable;
            }
            Err(Interrupt::Deadline(Wait::Connect)) => trouble = Trouble::BackendConnectTimeout,
            Err(interrupt) => return Err(interrupt.into()),
        }
        stage.counters.backend_connect_failures.increment();
    }
    stage.balance.borrow_mut().failed(backend, stage.now());
    Err(trouble.into())
}

/// Addresses of one name that are tried for one request.
const ADDRESSES_MAX: usize = 4;

/// Sends the request on this connection and waits for the head of its answer.
/// `None`: the connection died before any byte of an answer came.
async fn ask<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
    mut link: Link<'s, W::Stream>,
    attempts: u32,
) -> Result<Option<Answer<'s, W::Stream>>, AttemptFault> {
    let spoken = converse(stage, client, asked, &mut link).await;
    let mut received = spoken.received;
    if received.is_empty() {
        stage.return_buffer(received);
        return match spoken.interrupt {
            Some(interrupt) => Err(interrupt.into()),
            None => Ok(None),
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
        (Ok(0) | Err(_), None) => Err(Trouble::BackendCut.into()),
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

/// What sending and the first receive came to.
struct Spoken {
    received: Vec<u8>,
    /// The whole request went out before the answer began.
    sent_whole: bool,
    interrupt: Option<Interrupt>,
}

/// Sends the request and receives the beginning of its answer.
async fn converse<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
    link: &mut Link<'_, W::Stream>,
) -> Spoken {
    let first = link.first_receive(|| stage.lend_buffer());
    let stream = link.stream();
    let rest = match begin_request(stage, asked, stream, link.backend) {
        Ok(rest) if rest.is_empty() && !asked.outgoing.has_body_apart() => {
            client.wait_for(stage, Wait::FirstByte);
            let ((_, received), interrupt) = client.guard(stream, first).await;
            return Spoken { received, sent_whole: true, interrupt };
        }
        rest => rest,
    };
    converse_at_length(stage, client, asked, link, first, rest).await
}

/// Sends the rest of the request while the first receive is armed already: a
/// backend may answer before it has read everything (a refusal of a large
/// body), and may stop reading then. An early answer ends the sending; an
/// interim one does not (RFC 9110, section 15.2).
async fn converse_at_length<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
    link: &Link<'_, W::Stream>,
    first: Receive,
    rest: Result<Range<usize>, SendFault>,
) -> Spoken {
    let stream = link.stream();
    let is_sending = Cell::new(true);
    let mut sending = pin!(send_request(stage, client, asked, stream, rest));
    let mut receiving = pin!(first_bytes(client, link, first, &is_sending));
    let mut sent: Option<Result<(), SendFault>> = None;
    let mut received: Option<(Transfer, Option<Interrupt>)> = None;
    let mut sent_whole = false;
    poll_fn(|cx| {
        if sent.is_none()
            && let Poll::Ready(result) = sending.as_mut().poll(cx)
        {
            sent_whole = result.is_ok() && received.is_none();
            sent = Some(result);
            is_sending.set(false);
            client.wait_for(stage, Wait::FirstByte);
        }
        if received.is_none()
            && let Poll::Ready(result) = receiving.as_mut().poll(cx)
        {
            if sent.is_none() {
                stream.finish();
            }
            received = Some(result);
        }
        match (&sent, received.take()) {
            (Some(_), Some(((_, received), interrupt))) => {
                Poll::Ready(Spoken { received, sent_whole, interrupt })
            }
            (_, waiting) => {
                received = waiting;
                Poll::Pending
            }
        }
    })
    .await
}

/// Receives the beginning of an answer. While the request is being sent, that
/// is the beginning of the final one, as far as a buffer goes.
async fn first_bytes<S: Stream>(
    client: &Client<S>,
    link: &Link<'_, S>,
    mut receive: Receive,
    is_sending: &Cell<bool>,
) -> (Transfer, Option<Interrupt>) {
    loop {
        let ((result, received), interrupt) = client.guard(link.stream(), receive).await;
        let is_full = received.capacity() - received.len() <= TAIL_ROOM;
        let goes_on = matches!(result, Ok(1..)) && interrupt.is_none() && is_sending.get();
        if !goes_on || is_full || final_answer_begins(&received) {
            return ((result, received), interrupt);
        }
        receive = link.receive(received);
    }
}

/// Whether more has come than interim answers, which have a head and no body.
fn final_answer_begins(mut received: &[u8]) -> bool {
    /// `HTTP/1.1 `, behind which the status stands.
    const STATUS_AT: usize = 9;
    loop {
        match received.get(STATUS_AT) {
            None => return false,
            Some(b'1') => {}
            Some(_) => return true,
        }
        let Some(head_bytes) = HeadSearch::default().find(received) else { return false };
        received = received.get(head_bytes..).unwrap_or_default();
    }
}

/// Addresses the request and sends what the kernel takes of it at once. Says
/// what is left, a body apart not counted.
fn begin_request<W: World>(
    stage: &Stage<W>,
    asked: &mut Asked<'_>,
    stream: &W::Stream,
    backend: BackendId,
) -> Result<Range<usize>, SendFault> {
    let settings = stage.settings.backends.get(backend.0).ok_or(SendFault::Closed)?;
    let mut part = asked.outgoing.address_to(settings);
    asked.ours += stage.since_poll();
    send_now(stream, asked.outgoing.bytes(), &mut part)?;
    Ok(part)
}

/// Sends the rest of the head and a body apart; both buffers come back into
/// `asked`.
async fn send_request<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    asked: &mut Asked<'_>,
    stream: &W::Stream,
    rest: Result<Range<usize>, SendFault>,
) -> Result<(), SendFault> {
    let rest = rest?;
    let bytes = asked.outgoing.lend();
    let (sent, bytes) = client.send_rest(stage, stream, bytes, rest, Wait::FirstByte).await;
    asked.outgoing.restore(bytes);
    sent?;
    let Some(body) = asked.outgoing.lend_apart() else { return Ok(()) };
    let whole = 0..body.len();
    let (sent, body) = client.send_all(stage, stream, body, whole, Wait::FirstByte).await;
    asked.outgoing.restore_apart(body);
    sent
}

#[cfg(test)]
mod tests {
    use super::final_answer_begins;

    #[test]
    fn an_interim_answer_is_no_beginning_of_the_final_one() {
        let interim = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
        let whole = [&interim[..], interim, b"HTTP/1.1 200 OK\r\n"].concat();
        let final_status = 2 * interim.len() + 9;
        for end in 0..=whole.len() {
            assert_eq!(final_answer_begins(&whole[..end]), end > final_status, "{end}");
        }
        assert!(final_answer_begins(b"what is this"));
    }
}
