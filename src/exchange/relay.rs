//! Verb six: the answer goes to the client, every byte as it comes.
//!
//! One buffer: what came is sent out of it, and what comes next is received
//! into it. Only while a slow client has not taken a piece there is a second
//! one, for the next piece, and no more: a client that does not take bytes is
//! a backend that is not read, so memory stays bounded and the backend feels
//! the client's pace. Framing bytes end here; each piece is framed anew in
//! place.
//!
//! ```text
//! incoming  [room for a size line][ what came: framing and data, mixed ]
//! decoded   [room ………………………………………………][ data ]
//! framed    [room … size CRLF][ data ][CRLF][0 CRLF CRLF, if proven whole]
//!           └─ becomes outgoing; once that is out, it is received into again
//! ```

use std::{io, ops::Range};

use super::{
    Client, Stage,
    answer::{Answer, ClientFraming},
    attempt::Begun,
    connect::fault_of,
    pass::pass_slowly,
    permit::Permit,
    send::{SendFault, send_now},
    tee::Tee,
    understand::Asked,
    verdict,
    watch::{Interrupt, Wait},
};
use crate::{
    balance::{Outturn, Ticket},
    http::{BodyDecoder, write},
    llm::{Trouble, Usage, write_cut_event},
    rt::{Stream, World},
};

/// How relaying ended.
#[derive(Debug)]
pub enum Outcome {
    /// The client has the whole answer.
    Whole,
    /// The client left, or took no more bytes. If the end of the connection
    /// would pass for the answer's, it is to be a reset.
    ClientGone { reset: bool },
    /// The client has been told that the answer is incomplete, as far as its
    /// framing allows; its connection closes.
    Cut { reason: Trouble, reset: bool },
}

/// What an answer came to.
#[derive(Debug)]
pub struct Relayed {
    pub outcome: Outcome,
    pub usage: Option<Usage>,
    pub events: u64,
    pub bytes_to_client: u64,
}

/// Relays the whole answer. `permit` is given back when the last piece goes
/// out, as the backend's connection is: what the client does with it then
/// concerns neither.
pub async fn relay<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    asked: &Asked<'_>,
    (mut answer, ticket): Begun<'_, W::Stream>,
    permit: &mut Option<Permit<'_>>,
) -> Relayed {
    let head = answer.head;
    let mut relay = Relay {
        stage,
        client,
        ticket,
        at_backends_pace: true,
        permit,
        decoder: BodyDecoder::new(head.framing),
        tee: Tee::new(stage, &head, asked.endpoint),
        sent: 0,
        reusable: answer.reusable && head.backend_lives,
        outgoing: std::mem::take(&mut answer.out),
        incoming: std::mem::take(&mut answer.received),
        answer,
    };
    let result = relay.run().await;
    let ticket = relay.ticket.take();
    let outcome = match result {
        Ok(()) => Outcome::Whole,
        Err(Ended::ClientGone) => {
            if let Some(ticket) = ticket {
                ticket.left(stage.now());
            }
            Outcome::ClientGone { reset: head.to_client == ClientFraming::UntilClose }
        }
        Err(Ended::Cut(reason)) => {
            if let Some(ticket) = ticket {
                verdict::cut(stage, ticket, &reason);
            }
            // The backend need not work for an answer that is lost.
            relay.answer.link = None;
            relay.tell_cut(asked, reason).await
        }
    };
    stage.return_buffer(relay.outgoing);
    stage.return_buffer(relay.incoming);
    let (usage, events) = relay.tee.finish();
    Relayed { outcome, usage, events, bytes_to_client: relay.sent }
}

/// Why relaying stopped early.
enum Ended {
    ClientGone,
    Cut(Trouble),
}

/// One answer on its way.
struct Relay<'a, 'p, W: World> {
    stage: &'a Stage<W>,
    client: &'a Client<W::Stream>,
    answer: Box<Answer<'a, W::Stream>>,
    /// Until the backend's part is over.
    ticket: Option<Ticket<'a>>,
    /// The client has taken every piece at once so far.
    at_backends_pace: bool,
    permit: &'a mut Option<Permit<'p>>,
    decoder: BodyDecoder,
    tee: Tee<'a>,
    /// Bytes that the client's connection has taken.
    sent: u64,
    /// The backend's connection may serve again after a whole answer.
    reusable: bool,
    /// What is being sent …
    outgoing: Vec<u8>,
    /// … and what is received into: lent by the shard's pool, and most of the
    /// time the same buffer, so that one of the two is empty.
    incoming: Vec<u8>,
}

impl<W: World> Relay<'_, '_, W> {
    /// The whole cycle: what came with the head, then send and receive until
    /// the end.
    async fn run(&mut self) -> Result<(), Ended> {
        let (mut part, mut done) = match self.frame(self.answer.body_at) {
            Ok((first, done)) => (self.put_together(first).await?, done),
            Err(trouble) => {
                // The head goes out, so that the cut can be told.
                self.send(0..self.outgoing.len()).await?;
                return Err(Ended::Cut(trouble));
            }
        };
        self.stage.return_buffer(std::mem::take(&mut self.incoming));
        while !done {
            if self.pass_and_fetch(part).await? == 0 {
                return self.end_by_close().await;
            }
            (part, done) = self.frame(write::CHUNK_PREFIX_MAX).map_err(Ended::Cut)?;
            std::mem::swap(&mut self.outgoing, &mut self.incoming);
        }
        self.send_last(part).await
    }

    /// The last piece; the last chunk was only written when the stream's own
    /// mark has come.
    async fn send_last(&mut self, part: Range<usize>) -> Result<(), Ended> {
        if self.tee.is_cut() {
            self.send(part).await?;
            return Err(Ended::Cut(Trouble::StreamCut));
        }
        if let Some(link) = self.answer.link.take()
            && self.reusable
        {
            link.give_back(self.stage);
        }
        if let Some(ticket) = self.ticket.take() {
            verdict::whole(self.stage, ticket, &self.answer.head, self.outturn());
        }
        drop(self.permit.take());
        self.send(part).await
    }

    /// What the backend's answer has come to.
    fn outturn(&self) -> Outturn {
        let (usage, events) = self.tee.so_far();
        Outturn {
            prompt_tokens: usage.map(|usage| usage.prompt_tokens),
            completion_tokens: usage.map_or(events, |usage| usage.completion_tokens),
            at_backends_pace: self.at_backends_pace,
        }
    }

    /// Notes when the backend is seen to be at work. Many begin a stream before
    /// they have read the prompt: its first event tells.
    fn note_beginning(&mut self) {
        if let Some(ticket) = &mut self.ticket
            && ticket.is_waiting()
            && self.answer.head.status < 400
            && self.tee.stream().is_none_or(|tee| tee.events() > 0)
        {
            ticket.first_byte(self.stage.now());
        }
    }

    /// Puts the first piece of the body behind the head when that fits: the
    /// usual answer leaves in one send. Otherwise the head is sent. Returns
    /// what is to be sent next.
    async fn put_together(&mut self, first: Range<usize>) -> Result<Range<usize>, Ended> {
        let piece = self.incoming.get(first.clone()).unwrap_or_default();
        let whole = 0..self.outgoing.len();
        if self.outgoing.capacity() - whole.end >= piece.len() {
            self.outgoing.extend_from_slice(piece);
            return Ok(0..self.outgoing.len());
        }
        self.send(whole).await?;
        std::mem::swap(&mut self.outgoing, &mut self.incoming);
        Ok(first)
    }

    /// Sends a piece and receives the next one: how many bytes of it, or none
    /// at the backend's end. The piece after that is not asked for before this
    /// one is out.
    async fn pass_and_fetch(&mut self, mut part: Range<usize>) -> Result<usize, Ended> {
        let Some(link) = &self.answer.link else {
            return Err(Ended::ClientGone); // Not before the last piece.
        };
        let (backend, bytes) = (link.stream(), part.len());
        let (stage, client) = (self.stage, self.client);
        let sent = send_now(&client.stream, &self.outgoing, &mut part);
        let ((result, incoming), interrupt) = if sent.is_ok() && !part.is_empty() {
            self.at_backends_pace = false;
            let outgoing = std::mem::take(&mut self.outgoing);
            let incoming = with_room_for_a_size(stage.lend_buffer());
            let ((sent, outgoing), received) =
                Box::pin(pass_slowly(stage, client, backend, (outgoing, part), incoming)).await;
            stage.return_buffer(outgoing);
            count_sent(stage, &mut self.sent, bytes, sent)?;
            received
        } else {
            count_sent(stage, &mut self.sent, bytes, sent)?;
            client.wait_for(stage, Wait::MoreAnswer);
            let incoming = with_room_for_a_size(std::mem::take(&mut self.outgoing));
            client.guard(backend, backend.recv(incoming)).await
        };
        self.incoming = incoming;
        self.what_came(result, interrupt)
    }

    /// Decodes what came from `from` on and frames it for the client, in
    /// place. Returns what to send and whether the body is done.
    fn frame(&mut self, from: usize) -> Result<(Range<usize>, bool), Trouble> {
        let came = self.incoming.get_mut(from..).unwrap_or_default();
        self.stage.counters.bytes_from_backends.add(came.len() as u64);
        let decoded = self
            .decoder
            .decode(came)
            .map_err(|fault| Trouble::BackendProtocol { reason: fault.reason() })?;
        let data = came.get(decoded.data.clone()).unwrap_or_default();
        self.tee.feed(data, decoded.done);
        // Bytes after the answer: whatever they are, nobody asked for them.
        self.reusable &= !decoded.done || decoded.consumed == came.len();
        self.note_beginning();
        let data = from + decoded.data.start..from + decoded.data.end;
        if self.answer.head.to_client == ClientFraming::Chunked {
            if decoded.is_plain_chunk {
                return Ok((from..self.incoming.len(), false));
            }
            let last = decoded.done && !self.tee.is_cut();
            return Ok((write::frame_chunk(&mut self.incoming, data, last), decoded.done));
        }
        Ok((data, decoded.done))
    }

    /// Sends a part of what is outgoing.
    async fn send(&mut self, mut part: Range<usize>) -> Result<(), Ended> {
        let bytes = part.len();
        let (stage, client) = (self.stage, self.client);
        let mut sent = send_now(&client.stream, &self.outgoing, &mut part);
        if sent.is_ok() && !part.is_empty() {
            let outgoing = std::mem::take(&mut self.outgoing);
            // Large, and only for a client that is slow.
            let rest = client.send_rest(stage, &client.stream, outgoing, part, Wait::ClientWrite);
            (sent, self.outgoing) = Box::pin(rest).await;
        }
        count_sent(stage, &mut self.sent, bytes, sent)
    }

    /// What a receive from the backend means.
    fn what_came(
        &self,
        result: io::Result<usize>,
        interrupt: Option<Interrupt>,
    ) -> Result<usize, Ended> {
        match (result, interrupt) {
            (_, Some(Interrupt::ClientGone)) => Err(Ended::ClientGone),
            (_, Some(Interrupt::Deadline(wait))) => {
                self.stage.counters.deadlines_passed.increment();
                Err(Ended::Cut(wait.trouble()))
            }
            (_, Some(Interrupt::Drained)) => Err(Ended::Cut(Trouble::Draining)),
            (Ok(bytes), None) => Ok(bytes),
            (Err(error), None) => {
                if let Some(link) = &self.answer.link {
                    // For the log; to the client it is a cut like any other.
                    let _ = fault_of(self.stage, link.backend, &error);
                }
                Err(Ended::Cut(Trouble::StreamCut))
            }
        }
    }

    /// The backend has ended its stream: that is the end of a body which is
    /// framed by it, and a cut of any other.
    async fn end_by_close(&mut self) -> Result<(), Ended> {
        if self.decoder.on_close().is_err() || self.tee.is_cut() {
            return Err(Ended::Cut(Trouble::StreamCut));
        }
        self.reusable = false;
        std::mem::swap(&mut self.outgoing, &mut self.incoming);
        self.outgoing.clear();
        if self.answer.head.to_client == ClientFraming::Chunked {
            self.outgoing.extend_from_slice(write::LAST_CHUNK);
        }
        self.send_last(0..self.outgoing.len()).await
    }

    /// Makes the cut plain: in the stream's own words where it is a stream,
    /// and never by an end that looks like one.
    async fn tell_cut(&mut self, asked: &Asked<'_>, reason: Trouble) -> Outcome {
        // A client of HTTP/1.0 takes the end of the connection for the end of
        // the body; only a reset tells it otherwise.
        let reset = self.answer.head.to_client == ClientFraming::UntilClose;
        if self.tee.stream().is_some() && self.answer.head.to_client != ClientFraming::Plain {
            self.client.last_words();
            if self.outgoing.capacity() == 0 {
                self.outgoing = self.stage.lend_buffer();
            }
            let event = self.put_cut_event(asked, &reason);
            // Whether the client still takes it changes nothing any more.
            let _ = if reset {
                // A send that waits can only be ended by an orderly end, and
                // the reset throws away what has not gone out.
                let event = self.outgoing.get(event).unwrap_or_default();
                self.client.stream.try_send(event).map(drop).map_err(|_| Ended::ClientGone)
            } else {
                self.send(event).await
            };
        }
        Outcome::Cut { reason, reset }
    }

    /// Writes the event that tells of the cut, and says where it stands.
    fn put_cut_event(&mut self, asked: &Asked<'_>, reason: &Trouble) -> Range<usize> {
        let event = &mut self.outgoing;
        event.clear();
        event.resize(write::CHUNK_PREFIX_MAX, 0);
        if let Some(tee) = self.tee.stream() {
            event.extend_from_slice(tee.boundary_fill());
            let id = asked.request_id.as_str();
            write_cut_event(event, asked.endpoint, reason, id, tee.events());
        }
        let data = write::CHUNK_PREFIX_MAX..event.len();
        match self.answer.head.to_client {
            ClientFraming::Chunked => write::frame_chunk(event, data, false),
            ClientFraming::Plain | ClientFraming::UntilClose => data,
        }
    }
}

/// Empty but for the room that a size line may take, in front of what comes.
fn with_room_for_a_size(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.resize(write::CHUNK_PREFIX_MAX, 0);
    buffer
}

/// Adds what the client's connection has taken to `total`, or says why it has
/// not taken all.
fn count_sent<W: World>(
    stage: &Stage<W>,
    total: &mut u64,
    bytes: usize,
    sent: Result<(), SendFault>,
) -> Result<(), Ended> {
    match sent {
        Ok(()) => {
            *total += bytes as u64;
            return Ok(());
        }
        Err(SendFault::Interrupted(Interrupt::Deadline(_))) => {
            stage.counters.deadlines_passed.increment();
        }
        Err(SendFault::Interrupted(Interrupt::ClientGone | Interrupt::Drained))
        | Err(SendFault::Closed | SendFault::Io(_)) => {}
    }
    Err(Ended::ClientGone)
}
