//! Verb five, its talk with one connection: the request goes out, and the
//! beginning of an answer comes in.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    ops::Range,
    pin::pin,
    task::Poll,
};

use super::{
    Stage,
    errand::Errand,
    link::Link,
    pool::Receive,
    send::{SendFault, send_now},
    watch::{Interrupt, Wait, Watch},
};
use crate::{
    balance::BackendId,
    http::HeadSearch,
    rt::{Stream, TAIL_ROOM, Transfer, World},
};

/// What sending and the first receive came to.
pub struct Spoken {
    pub received: Vec<u8>,
    /// The whole request went out before the answer began.
    pub sent_whole: bool,
    pub interrupt: Option<Interrupt>,
    /// What ended the receive, if it brought nothing.
    pub error: Option<io::Error>,
}

/// Sends the request and receives the beginning of its answer.
pub async fn converse<W: World>(
    stage: &Stage<W>,
    errand: &Errand<'_, W::Stream>,
    link: &mut Link<'_, W::Stream>,
) -> Spoken {
    let mut first = link.first_receive(|| stage.lend_buffer());
    let stream = link.stream();
    let rest = match begin_request(stage, errand, stream, link.backend) {
        Ok(rest) if rest.is_empty() && !errand.outgoing.borrow().has_body_apart() => {
            errand.watch.wait_for(stage, Wait::FirstByte);
            let ((result, received), interrupt) = errand.watch.guard(stream, first.as_mut()).await;
            link.keep(first);
            return Spoken { received, sent_whole: true, interrupt, error: result.err() };
        }
        rest => rest,
    };
    // Large, and not for what the kernel takes at once.
    Box::pin(converse_at_length(stage, errand, link, first, rest)).await
}

/// Sends the rest of the request while the first receive is armed already: a
/// backend may answer before it has read everything (a refusal of a large
/// body), and may stop reading then. An early answer ends the sending; an
/// interim one does not (RFC 9110, section 15.2).
async fn converse_at_length<W: World>(
    stage: &Stage<W>,
    errand: &Errand<'_, W::Stream>,
    link: &Link<'_, W::Stream>,
    first: Receive,
    rest: Result<Range<usize>, SendFault>,
) -> Spoken {
    let stream = link.stream();
    let is_sending = Cell::new(true);
    let mut sending = pin!(send_request(stage, errand, stream, rest));
    let mut receiving = pin!(first_bytes(errand.watch, link, first, &is_sending));
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
            errand.watch.wait_for(stage, Wait::FirstByte);
        }
        if received.is_none()
            && let Poll::Ready(result) = receiving.as_mut().poll(cx)
        {
            if sent.is_none() {
                stream.stop_sending();
            }
            received = Some(result);
        }
        match (&sent, received.take()) {
            (Some(_), Some(((result, received), interrupt))) => {
                Poll::Ready(Spoken { received, sent_whole, interrupt, error: result.err() })
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
    watch: &Watch,
    link: &Link<'_, S>,
    mut receive: Receive,
    is_sending: &Cell<bool>,
) -> (Transfer, Option<Interrupt>) {
    loop {
        let ((result, received), interrupt) = watch.guard(link.stream(), receive).await;
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
    errand: &Errand<'_, W::Stream>,
    stream: &W::Stream,
    backend: BackendId,
) -> Result<Range<usize>, SendFault> {
    let settings = stage.settings.backends.get(backend.0).ok_or(SendFault::Closed)?;
    let mut outgoing = errand.outgoing.borrow_mut();
    let mut part = outgoing.address_to(settings, errand.asked.dialect);
    let ours = &errand.asked.ours;
    ours.set(ours.get() + stage.since_poll());
    send_now(stream, outgoing.bytes(), &mut part)?;
    Ok(part)
}

/// Sends the rest of the head and a body apart; both buffers come back to
/// where they were.
async fn send_request<W: World>(
    stage: &Stage<W>,
    errand: &Errand<'_, W::Stream>,
    stream: &W::Stream,
    rest: Result<Range<usize>, SendFault>,
) -> Result<(), SendFault> {
    let rest = rest?;
    let Errand { watch, outgoing, .. } = *errand;
    let bytes = outgoing.borrow_mut().lend();
    let (sent, bytes) = watch.send_rest(stage, stream, bytes, rest, Wait::FirstByte).await;
    outgoing.borrow_mut().restore(bytes);
    sent?;
    let Some(body) = outgoing.borrow_mut().lend_apart() else { return Ok(()) };
    let (part, more) = {
        let outgoing = outgoing.borrow();
        let (part, more) = outgoing.parts_apart(body.len());
        let more = more.map(|(name, rest)| {
            let mut between = stage.lend_buffer();
            between.extend_from_slice(name);
            (between, rest)
        });
        (part, more)
    };
    let (mut sent, mut body) = watch.send_all(stage, stream, body, part, Wait::FirstByte).await;
    if let Some((between, rest)) = more {
        let name = 0..between.len();
        let buffer;
        if sent.is_ok() {
            (sent, buffer) = watch.send_all(stage, stream, between, name, Wait::FirstByte).await;
            stage.return_buffer(buffer);
        }
        if sent.is_ok() {
            (sent, body) = watch.send_all(stage, stream, body, rest, Wait::FirstByte).await;
        }
    }
    outgoing.borrow_mut().restore_apart(body);
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
