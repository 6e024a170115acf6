//! Verb two, second half: the body is read to its limit and put behind the
//! outgoing head, so that the request can be sent, and sent again.

use std::{pin::Pin, task::Context};

use super::{
    Client, Stage,
    inbound::Inbound,
    permit::Permit,
    understand::Asked,
    watch::{Interrupt, Wait},
};
use crate::{
    base::Instant,
    http::{BodyDecoder, BodyFraming, ChunkFault},
    llm::Trouble,
    rt::{Stream, TAIL_ROOM, World},
};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How large an announced body is believed to be before any of it has come.
/// Beyond it an announcement would be memory for nothing: with huge pages the
/// first byte written to 32 MiB takes two.
const BELIEVED_BYTES: usize = 256 * 1024;

/// Why there is no body.
pub enum BodyFault {
    /// To be told to the client; the connection closes after it.
    Refused(Trouble),
    /// Nobody is there to tell.
    ClientGone,
}

/// Reads the body that follows a head of `head_bytes` bytes. Afterwards what
/// is held inbound begins with the next request.
pub async fn read<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    mut inbound: Pin<&mut dyn Inbound>,
    asked: &mut Asked<'s>,
    head_bytes: usize,
) -> Result<(), BodyFault> {
    match asked.framing {
        BodyFraming::None => {
            asked.outgoing.get_mut().end_without_body();
            consume(inbound.held(), head_bytes);
            Ok(())
        }
        BodyFraming::Length(length) => {
            let max = stage.settings.limits.body_bytes;
            let length = usize::try_from(length).ok().filter(|&length| length <= max);
            let length = length.ok_or(BodyFault::Refused(Trouble::BodyTooLarge))?;
            let come = inbound.as_mut().held().len().saturating_sub(head_bytes);
            if come < length {
                // Room is taken for what has come, not for what is announced: an
                // announcement costs its sender nothing. (A body that came with
                // its head lives in a buffer that is there anyway.)
                take_more_room(stage, asked, come)?;
                invite(stage, client, asked, inbound.as_mut(), head_bytes).await?;
                return read_length(stage, client, inbound, asked, head_bytes, length).await;
            }
            let held = inbound.held();
            finish(asked, held.get(head_bytes..head_bytes + length).unwrap_or_default());
            consume(held, head_bytes + length);
            Ok(())
        }
        BodyFraming::Chunked | BodyFraming::UntilClose => {
            take_more_room(stage, asked, 0)?;
            invite(stage, client, asked, inbound.as_mut(), head_bytes).await?;
            consume(inbound.as_mut().held(), head_bytes);
            read_chunked(stage, client, inbound, asked).await
        }
    }
}

fn finish(asked: &mut Asked<'_>, body: &[u8]) {
    if !asked.outgoing.get_mut().end_with_body(body) {
        asked.outgoing.get_mut().end_with_body_apart(body.to_vec());
    }
}

/// A body of known length that has not all come yet.
async fn read_length<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    mut inbound: Pin<&mut dyn Inbound>,
    asked: &mut Asked<'s>,
    head_bytes: usize,
    length: usize,
) -> Result<(), BodyFault> {
    let rate = Rate::starts(stage);
    let held = inbound.as_mut().held();
    if head_bytes + length + TAIL_ROOM <= held.capacity() {
        // It fits where the head is; this is what most clients' two small
        // writes come to.
        while inbound.as_mut().held().len() < head_bytes + length {
            let got = inbound.as_mut().held().len() - head_bytes;
            more(stage, client, inbound.as_mut(), rate, got, usize::MAX).await?;
            let come = inbound.as_mut().held().len() - head_bytes;
            take_more_room(stage, asked, come.min(length) - got)?;
        }
        let held = inbound.held();
        finish(asked, held.get(head_bytes..head_bytes + length).unwrap_or_default());
        consume(held, head_bytes + length);
        return Ok(());
    }
    // It is received straight to where it will be sent from, in memory that
    // doubles with what has come.
    let room = length.min(BELIEVED_BYTES.max(held.len()));
    let mut body = Vec::with_capacity(room + TAIL_ROOM);
    body.extend_from_slice(held.get(head_bytes..).unwrap_or_default());
    let mut small = std::mem::replace(held, body);
    while inbound.as_mut().held().len() < length {
        let held = inbound.as_mut().held();
        let got = held.len();
        if held.capacity() - got <= TAIL_ROOM {
            held.reserve_exact(got.min(length - got) + TAIL_ROOM);
        }
        let come = more(stage, client, inbound.as_mut(), rate, got, usize::MAX).await;
        let come = come.map(|()| inbound.as_mut().held().len().min(length) - got);
        if let Err(fault) = come.and_then(|come| take_more_room(stage, asked, come)) {
            stage.return_buffer(small);
            return Err(fault);
        }
    }
    small.clear();
    let held = inbound.held();
    let mut body = std::mem::replace(held, small);
    if body.len() > length {
        held.extend_from_slice(body.get(length..).unwrap_or_default());
        body.truncate(length);
    }
    asked.outgoing.get_mut().end_with_body_apart(body);
    Ok(())
}

/// A chunked body: decoded in place, piece by piece, and sent on with its
/// length (canonical, and every backend takes it).
async fn read_chunked<'s, W: World>(
    stage: &'s Stage<W>,
    client: &Client<W::Stream>,
    mut inbound: Pin<&mut dyn Inbound>,
    asked: &mut Asked<'s>,
) -> Result<(), BodyFault> {
    let rate = Rate::starts(stage);
    let mut decoder = BodyDecoder::new(asked.framing);
    let mut body = Vec::new();
    loop {
        let held = inbound.as_mut().held();
        let decoded = decoder.decode(held);
        let decoded = decoded.map_err(|fault| BodyFault::Refused(trouble_of_chunks(fault)))?;
        let data = held.get(decoded.data.clone()).unwrap_or_default();
        if body.len() + data.len() > stage.settings.limits.body_bytes {
            return Err(BodyFault::Refused(Trouble::BodyTooLarge));
        }
        take_more_room(stage, asked, data.len())?;
        if body.capacity() - body.len() < data.len() {
            // Doubling, but not beyond what a body may be.
            let room = stage.settings.limits.body_bytes - body.len();
            body.reserve_exact(body.len().max(data.len()).min(room));
        }
        body.extend_from_slice(data);
        consume(held, decoded.consumed);
        if decoded.done {
            break;
        }
        more(stage, client, inbound.as_mut(), rate, body.len(), usize::MAX).await?;
    }
    if !asked.outgoing.get_mut().end_with_body(&body) {
        asked.outgoing.get_mut().end_with_body_apart(body);
    }
    Ok(())
}

fn trouble_of_chunks(fault: ChunkFault) -> Trouble {
    let reason = fault.reason();
    match fault.status() {
        431 => Trouble::HeadTooLarge { reason },
        _ => Trouble::InvalidRequest { reason, param: None, offset: None },
    }
}

/// Tells a client that waits for it that its body is wanted.
async fn invite<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    asked: &Asked<'_>,
    mut inbound: Pin<&mut dyn Inbound>,
    head_bytes: usize,
) -> Result<(), BodyFault> {
    if !asked.expects_continue || inbound.as_mut().held().len() > head_bytes {
        return Ok(());
    }
    let mut buffer = stage.lend_buffer();
    buffer.extend_from_slice(CONTINUE);
    let part = 0..buffer.len();
    let (sent, buffer) =
        client.send_all(stage, &client.stream, buffer, part, Wait::ClientWrite).await;
    stage.return_buffer(buffer);
    sent.map_err(|_| BodyFault::ClientGone)
}

/// Receives more of a body, not slower than the slowest rate that is borne.
async fn more<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    inbound: Pin<&mut dyn Inbound>,
    rate: Rate,
    got: usize,
    bytes_max: usize,
) -> Result<(), BodyFault> {
    client.wait_until(stage, Wait::Body, rate.deadline(got));
    match receive(client, inbound, bytes_max).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(BodyFault::ClientGone),
        Err(Interrupt::Deadline(_)) => Err(BodyFault::Refused(Trouble::RequestTimeout)),
        Err(Interrupt::Drained) => Err(BodyFault::Refused(Trouble::Draining)),
        Err(Interrupt::ClientGone) => Err(BodyFault::ClientGone),
    }
}

/// Receives more inbound; false at the end of the stream. At an interrupt the
/// receive is cancelled, so that the client can still be told why.
pub async fn receive<S: Stream>(
    client: &Client<S>,
    mut inbound: Pin<&mut dyn Inbound>,
    bytes_max: usize,
) -> Result<bool, Interrupt> {
    let fill = |cx: &mut Context<'_>| inbound.as_mut().poll_fill(cx, bytes_max);
    let (received, interrupt) = client.guard_receive(fill).await;
    match (received, interrupt) {
        (Ok(1..), _) => Ok(true),
        (_, Some(interrupt)) => Err(interrupt),
        (Ok(0) | Err(_), None) => Ok(false),
    }
}

/// The slowest body that is borne.
#[derive(Clone, Copy)]
struct Rate {
    from: Instant,
    bytes_a_second: usize,
}

impl Rate {
    fn starts<W: World>(stage: &Stage<W>) -> Self {
        let deadlines = &stage.settings.deadlines;
        Self {
            from: stage.now().after(deadlines.body_rate_grace),
            bytes_a_second: deadlines.body_rate_min.max(1),
        }
    }

    /// When a body that has brought `got` bytes is too slow.
    fn deadline(self, got: usize) -> Instant {
        let millis = got.saturating_mul(1000) / self.bytes_a_second;
        self.from.after(std::time::Duration::from_millis(millis as u64))
    }
}

/// Takes room for `bytes` more of the body, or gives all of it back.
fn take_more_room<'s, W: World>(
    stage: &'s Stage<W>,
    asked: &mut Asked<'s>,
    bytes: usize,
) -> Result<(), BodyFault> {
    let permit = match asked.body_permit.take() {
        Some(permit) => permit.extended(bytes),
        None => {
            let gauge = &stage.counters.request_body_bytes_held;
            let max = stage.settings.limits.body_memory_total;
            Permit::take(&stage.common.body_bytes, gauge, bytes, Some(max))
        }
    };
    asked.body_permit = Some(permit.ok_or(BodyFault::Refused(Trouble::Overloaded))?);
    Ok(())
}

/// Drops the first `bytes` of what is held. Mostly that is all of it.
pub fn consume(held: &mut Vec<u8>, bytes: usize) {
    if bytes >= held.len() {
        held.clear();
    } else {
        held.drain(..bytes);
    }
}
