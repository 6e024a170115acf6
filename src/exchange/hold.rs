//! Verb five, what is held back: a stream's head until its first event shows
//! that it is no error, and an error until it is known whether another backend
//! answers. The bytes stay as they came; what they mean is read in a copy of a
//! small piece at a time.

use std::time::Duration;

use super::{
    Stage,
    answer::{Answer, ClientFraming, Content},
    ask::AttemptFault,
    connect::fault_of,
    link::Link,
    watch::{Interrupt, Wait, Watch},
};
use crate::{
    http::{BodyDecoder, BodyFraming, write},
    llm::{Complaint, First, FirstEvent, StreamEnd, Trouble, read_complaint},
    rt::{Stream, TAIL_ROOM, World},
};

/// How much of a body is held. An error fits well, and so do the pings in
/// front of a first event; whatever is longer goes to the client.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// How much of it is looked at in one go: a first event, most often.
const PIECE_BYTES: usize = 1024;
/// How long a backend that sends pings holds its client off: they are meant to
/// keep connections alive, also those in front of us.
const PINGS_HELD: Duration = Duration::from_secs(10);
/// How long the rest of an error may take. It is small, and others wait to be
/// asked meanwhile.
const REST_OF_ERROR: Duration = Duration::from_secs(1);

/// What a stream has shown.
pub enum Shown {
    First(First),
    /// Nothing yet, and it is not held any longer.
    Unknown,
}

/// Waits for the first event of a stream, pings and comments not counted,
/// within what is left of the deadline for the first byte.
pub async fn first_event<W: World>(
    stage: &Stage<W>,
    watch: &Watch,
    answer: &mut Answer<'_, W::Stream>,
    mark: StreamEnd,
) -> Result<Shown, AttemptFault> {
    let began = stage.now();
    let mut first = FirstEvent::new(mark, HELD_BYTES_MAX);
    let mut reading = Reading::of(answer);
    loop {
        let mut found = None;
        let mut scratch = stage.lend_buffer();
        let read = reading.pieces(&answer.received, &mut scratch, |data| {
            found = first.feed(data);
            found.is_some()
        });
        stage.return_buffer(scratch);
        match (found, read?) {
            (Some(first), _) => return Ok(Shown::First(first)),
            // It has ended without a word.
            (None, true) => return Err(Trouble::BackendCut.into()),
            (None, false) => {}
        }
        let held = answer.received.len() - answer.body_at;
        let has_spoken = held > 0 && stage.now().since(began) > PINGS_HELD;
        if held > HELD_BYTES_MAX || has_spoken {
            return Ok(Shown::Unknown);
        }
        if !more(stage, watch, answer).await? {
            return Err(Trouble::BackendCut.into());
        }
    }
}

/// Why an answer is not held.
pub enum Unheld<'s, S> {
    /// It is too large, and intact.
    Passes(Box<Answer<'s, S>>),
    /// It is on its way for too long, and intact.
    Slow(Box<Answer<'s, S>>),
    /// The backend did not get to its end.
    Lost,
    Interrupted(Interrupt),
}

/// How many bytes are whole events: up to the last blank line, whichever line
/// ends it is written with.
fn whole_events(bytes: &[u8]) -> usize {
    let ends: [&[u8]; 3] = [b"\n\n", b"\n\r\n", b"\r\r"];
    let behind = |end: &&[u8]| Some(memchr::memmem::rfind(bytes, end)? + end.len());
    ends.iter().filter_map(behind).max().unwrap_or(bytes.len())
}

/// Takes the whole of an error into memory, freed of its framing, and gives
/// its connection back. An error in a stream ends with what has come: nobody
/// reads on behind it.
pub async fn hold<'s, W: World>(
    stage: &'s Stage<W>,
    watch: &Watch,
    mut answer: Box<Answer<'s, W::Stream>>,
) -> Result<Box<Answer<'s, W::Stream>>, Unheld<'s, W::Stream>> {
    let is_event = answer.head.content == Content::Events && answer.head.status == 200;
    // As for every piece there must be room for the size line of a chunk.
    let mut body = stage.lend_buffer();
    body.resize(write::CHUNK_PREFIX_MAX, 0);
    let mut reading = Reading::of(&answer);
    watch.wait_until(stage, Wait::MoreAnswer, stage.now().after(REST_OF_ERROR));
    let mut is_whole;
    loop {
        let mut scratch = stage.lend_buffer();
        let read = reading.pieces(&answer.received, &mut scratch, |data| {
            body.extend_from_slice(data);
            false
        });
        stage.return_buffer(scratch);
        is_whole = match read {
            Ok(is_whole) => is_whole,
            Err(_) => {
                stage.return_buffer(body);
                answer.lost(stage);
                return Err(Unheld::Lost);
            }
        };
        let ends_here = is_event && answer.head.to_client != ClientFraming::Plain;
        if ends_here && !is_whole {
            let events = body.get(write::CHUNK_PREFIX_MAX..).unwrap_or_default();
            body.truncate(write::CHUNK_PREFIX_MAX + whole_events(events));
        }
        if is_whole || ends_here {
            break;
        }
        if is_event || answer.received.len() - answer.body_at > HELD_BYTES_MAX {
            stage.return_buffer(body);
            return Err(Unheld::Passes(answer));
        }
        match more_in_time(stage, watch, &mut answer).await {
            Ok(true) => continue,
            Err(AttemptFault::Interrupted(Interrupt::Deadline(Wait::MoreAnswer))) => {
                stage.return_buffer(body);
                return Err(Unheld::Slow(answer));
            }
            Ok(false) if answer.head.framing == BodyFraming::UntilClose => break,
            result => {
                stage.return_buffer(body);
                answer.lost(stage);
                return Err(match result {
                    Err(AttemptFault::Interrupted(interrupt)) => Unheld::Interrupted(interrupt),
                    _ => Unheld::Lost,
                });
            }
        }
    }
    let took_all = reading.taken == answer.received.len();
    let reusable = is_whole && took_all && answer.reusable && answer.head.backend_lives;
    if let Some(link) = answer.link.take()
        && reusable
    {
        link.give_back(stage);
    }
    stage.return_buffer(std::mem::replace(&mut answer.received, body));
    answer.body_at = write::CHUNK_PREFIX_MAX;
    let length = answer.received.len() - answer.body_at;
    answer.head.framing = BodyFraming::Length(length as u64);
    Ok(answer)
}

/// What a held error is about.
pub fn complaint<S>(held: &Answer<'_, S>) -> Complaint {
    read_complaint(held.received.get(held.body_at..).unwrap_or_default())
}

/// Reads a body along in copies, as its bytes must stay as they came.
struct Reading {
    decoder: BodyDecoder,
    /// What has been read of what was received, and …
    read: usize,
    /// … what of it is the body's.
    taken: usize,
    is_done: bool,
}

impl Reading {
    fn of<S>(answer: &Answer<'_, S>) -> Self {
        let framing = answer.head.framing;
        let (read, is_done) = (answer.body_at, !framing.has_body());
        Self { decoder: BodyDecoder::new(framing), read, taken: read, is_done }
    }

    /// Gives what has come since to `take`, a piece at a time, until that has
    /// enough. Says whether the body is done.
    fn pieces(
        &mut self,
        received: &[u8],
        scratch: &mut Vec<u8>,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, Trouble> {
        while self.read < received.len() && !self.is_done {
            let end = received.len().min(self.read + PIECE_BYTES);
            scratch.clear();
            scratch.extend_from_slice(received.get(self.read..end).unwrap_or_default());
            let decoded = self
                .decoder
                .decode(scratch)
                .map_err(|fault| Trouble::BackendProtocol { reason: fault.reason() })?;
            self.is_done = decoded.done;
            self.taken = self.read + decoded.consumed;
            self.read = end;
            if take(scratch.get(decoded.data).unwrap_or_default()) {
                break;
            }
        }
        Ok(self.is_done)
    }
}

/// The same as `more`, but the passing of the deadline does not cost the
/// connection: it is waited without a receive under way, which would have to
/// be ended with it. Only an error is waited for so, as it costs a poll.
async fn more_in_time<W: World>(
    stage: &Stage<W>,
    watch: &Watch,
    answer: &mut Answer<'_, W::Stream>,
) -> Result<bool, AttemptFault> {
    if let Some(link) = &answer.link {
        // What is wrong with the connection is told by the receive.
        let _ = watch.unless_interrupted(link.stream().readable()).await?;
    }
    more(stage, watch, answer).await
}

/// Receives more behind what has come, within the deadline that is set. False
/// at the backend's end.
async fn more<W: World>(
    stage: &Stage<W>,
    watch: &Watch,
    answer: &mut Answer<'_, W::Stream>,
) -> Result<bool, AttemptFault> {
    let Some(link) = &answer.link else { return Ok(false) };
    let mut received = std::mem::take(&mut answer.received);
    if received.capacity() - received.len() <= TAIL_ROOM {
        received.reserve(stage.settings.pool.buffer_bytes);
    }
    let ((result, received), interrupt) =
        watch.guard(link.stream(), link.stream().recv(received)).await;
    answer.received = received;
    match (result, interrupt) {
        (_, Some(interrupt)) => Err(interrupt.into()),
        (Ok(bytes), None) => Ok(bytes > 0),
        (Err(error), None) => {
            note(stage, link, &error);
            Err(Trouble::BackendCut.into())
        }
    }
}

fn note<W: World>(stage: &Stage<W>, link: &Link<'_, W::Stream>, error: &std::io::Error) {
    // For the log; it is a cut like any other.
    let _ = fault_of(stage, link.backend, error);
}

#[cfg(test)]
mod tests {
    use super::whole_events;

    #[test]
    fn what_is_told_of_a_stream_ends_with_a_whole_event() {
        for (bytes, expected) in [
            ("data: x\n\n", 9),
            ("data: x\n\ndata: {\"par", 9),
            ("data: x\r\n\r\ndata: y\r\n", 11),
            ("data: x\r\rdata: y\r", 9),
            ("data: x\n\ndata: y\n\n: z", 18),
            ("data", 4),
        ] {
            assert_eq!(whole_events(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}
