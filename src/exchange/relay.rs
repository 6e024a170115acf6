//! Verb six: the answer goes to the client, every byte as it comes.
//!
//! Two buffers: while one is sent the other is received into, and no more. A
//! client that does not take bytes is a backend that is not read, so memory
//! stays bounded and the backend feels the client's pace. Framing bytes end here; each piece is framed anew in place.
//!
//! ```text
//! received  [room for a size line][ what came: framing and data, mixed ]
//! decoded   [room ………………………………………………][ data ]
//! framed    [room … size CRLF][ data ][CRLF][0 CRLF CRLF, if proven whole]
//! ```

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    ops::Range,
    pin::pin,
    task::Poll,
};

use super::{
    Client, Stage,
    answer::{Answer, AnswerHead, ClientFraming},
    client::{Interrupt, Wait},
    link::Link,
    permit::Permit,
    send::{SendFault, send_now},
    tee::Tee,
    understand::Asked,
};
use crate::{
    http::{BodyDecoder, write},
    llm::{Trouble, Usage, write_cut_event},
    rt::{Stream, Transfer, World},
};

/// How relaying ended.
#[derive(Debug)]
pub enum Outcome {
    /// The client has the whole answer.
    Whole,
    /// The client left, or took no more bytes.
    ClientGone,
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
    answer: Answer<'_, W::Stream>,
    permit: &mut Option<Permit<'_>>,
) -> Relayed {
    let Answer { head, out, received, body_at, link, reusable } = answer;
    let mut relay = Relay {
        stage,
        client,
        head,
        link: Some(link),
        permit,
        decoder: BodyDecoder::new(head.framing),
        tee: Tee::new(
            head.content,
            head.status,
            asked.endpoint,
            stage.settings.limits.sse_event_bytes,
        ),
        sent: Cell::new(0),
        reusable: reusable && head.backend_lives,
    };
    let (buffers, ended) = relay.run(out, received, body_at).await;
    let [one, other] = buffers;
    stage.return_buffer(one);
    let cut = match ended {
        Ok(()) => Ok(Outcome::Whole),
        Err(Ended::ClientGone) => Ok(Outcome::ClientGone),
        Err(Ended::Cut(reason)) => Err(reason),
    };
    let outcome = match cut {
        Ok(outcome) => {
            stage.return_buffer(other);
            outcome
        }
        Err(reason) => {
            // The backend need not work for an answer that is lost.
            relay.link = None;
            relay.tell_cut(asked, other, reason).await
        }
    };
    let (usage, events) = relay.tee.finish();
    Relayed { outcome, usage, events, bytes_to_client: relay.sent.get() }
}

/// Sends the rest of a piece, which a slow client has not taken at once, while
/// the next one is received already.
async fn pass_slowly<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    backend: &W::Stream,
    (piece, part): (Vec<u8>, Range<usize>),
    spare: Vec<u8>,
) -> ((Result<(), SendFault>, Vec<u8>), (Transfer, Option<Interrupt>)) {
    let mut sending = pin!(client.send_rest(stage, &client.stream, piece, part, Wait::ClientWrite));
    let mut receiving = pin!(client.guard(backend, backend.recv(spare)));
    let (mut sent, mut received) = (None, None);
    poll_fn(|cx| {
        let mut sent_now = false;
        if sent.is_none()
            && let Poll::Ready(result) = sending.as_mut().poll(cx)
        {
            if result.0.is_err() {
                backend.shutdown();
            }
            sent_now = true;
            sent = Some(result);
        }
        if received.is_none() {
            match receiving.as_mut().poll(cx) {
                Poll::Ready(result) => received = Some(result),
                Poll::Pending if sent_now => client.wait_for(stage, Wait::MoreAnswer),
                Poll::Pending => {}
            }
        }
        match (sent.take(), received.take()) {
            (Some(sent), Some(received)) => Poll::Ready((sent, received)),
            waiting => {
                (sent, received) = waiting;
                Poll::Pending
            }
        }
    })
    .await
}

/// Why relaying stopped early.
enum Ended {
    ClientGone,
    Cut(Trouble),
}

struct Relay<'a, 'p, W: World> {
    stage: &'a Stage<W>,
    client: &'a Client<W::Stream>,
    head: AnswerHead,
    link: Option<Link<'a, W::Stream>>,
    permit: &'a mut Option<Permit<'p>>,
    decoder: BodyDecoder,
    tee: Tee,
    sent: Cell<u64>,
    /// The backend's connection may serve again after a whole answer.
    reusable: bool,
}

impl<W: World> Relay<'_, '_, W> {
    /// The whole cycle: what came with the head, then send and receive until
    /// the end. Both buffers come back.
    async fn run(
        &mut self,
        head: Vec<u8>,
        mut spare: Vec<u8>,
        body_at: usize,
    ) -> ([Vec<u8>; 2], Result<(), Ended>) {
        let framed = self.frame(&mut spare, body_at);
        let (first, mut done) = framed.as_ref().map_or((0..0, false), Clone::clone);
        let (mut piece, mut part);
        match self.put_together(head, spare, first).await {
            (Ok(()), together) => (piece, part, spare) = together,
            (Err(ended), (piece, _, spare)) => return ([piece, spare], Err(ended)),
        }
        if let Err(trouble) = framed {
            // The head goes out, so that the cut can be told.
            let sent;
            (sent, piece) = self.send(piece, part).await;
            return ([spare, piece], sent.and(Err(Ended::Cut(trouble))));
        }
        while !done {
            let (sent, received);
            (sent, received, piece, spare) = self.pass_and_fetch(piece, part, spare).await;
            match sent.and(received) {
                Ok(0) => return self.end_by_close(piece, spare).await,
                Ok(_) => std::mem::swap(&mut piece, &mut spare),
                Err(ended) => return ([piece, spare], Err(ended)),
            }
            (part, done) = match self.frame(&mut piece, write::CHUNK_PREFIX_MAX) {
                Ok(framed) => framed,
                Err(trouble) => return ([piece, spare], Err(Ended::Cut(trouble))),
            };
        }
        self.send_last(piece, part, spare).await
    }

    /// The last piece; the last chunk was only written when the stream's own
    /// mark has come.
    async fn send_last(
        &mut self,
        piece: Vec<u8>,
        part: Range<usize>,
        spare: Vec<u8>,
    ) -> ([Vec<u8>; 2], Result<(), Ended>) {
        if self.tee.is_cut() {
            let (sent, piece) = self.send(piece, part).await;
            return ([spare, piece], sent.and(Err(Ended::Cut(Trouble::StreamCut))));
        }
        if let Some(link) = self.link.take()
            && self.reusable
        {
            link.give_back(self.stage);
        }
        drop(self.permit.take());
        let (sent, piece) = self.send(piece, part).await;
        ([piece, spare], sent)
    }

    /// Sends the head, with the first piece of the body behind it when that
    /// fits: the usual answer leaves in one send. Returns what is to be sent
    /// next and the other buffer.
    async fn put_together(
        &mut self,
        mut head: Vec<u8>,
        received: Vec<u8>,
        first: Range<usize>,
    ) -> (Result<(), Ended>, (Vec<u8>, Range<usize>, Vec<u8>)) {
        let piece = received.get(first.clone()).unwrap_or_default();
        if head.capacity() - head.len() >= piece.len() {
            head.extend_from_slice(piece);
            let whole = 0..head.len();
            return (Ok(()), (head, whole, received));
        }
        let whole = 0..head.len();
        let (sent, head) = self.send(head, whole).await;
        (sent, (received, first, head))
    }

    /// Sends a piece and receives the next one. The piece after that is not
    /// asked for before this one is out.
    async fn pass_and_fetch(
        &mut self,
        piece: Vec<u8>,
        mut part: Range<usize>,
        mut spare: Vec<u8>,
    ) -> (Result<(), Ended>, Result<usize, Ended>, Vec<u8>, Vec<u8>) {
        let Some(link) = &self.link else {
            return (Err(Ended::ClientGone), Ok(0), piece, spare); // Not before the last piece.
        };
        let (backend, bytes) = (link.stream(), part.len());
        let (stage, client) = (self.stage, self.client);
        spare.clear();
        spare.resize(write::CHUNK_PREFIX_MAX, 0);
        let sent = send_now(&client.stream, &piece, &mut part);
        if sent.is_err() || part.is_empty() {
            let sent = self.count_sent(bytes, sent);
            if sent.is_err() {
                return (sent, Ok(0), piece, spare);
            }
            client.wait_for(stage, Wait::MoreAnswer);
            let ((result, spare), interrupt) = client.guard(backend, backend.recv(spare)).await;
            return (sent, self.what_came(result, interrupt), piece, spare);
        }
        let (sent, received) = pass_slowly(stage, client, backend, (piece, part), spare).await;
        let (sent, piece) = (self.count_sent(bytes, sent.0), sent.1);
        let ((result, spare), interrupt) = received;
        (sent, self.what_came(result, interrupt), piece, spare)
    }

    /// Decodes what came from `from` on and frames it for the client, in
    /// place. Returns what to send and whether the body is done.
    fn frame(
        &mut self,
        received: &mut Vec<u8>,
        from: usize,
    ) -> Result<(Range<usize>, bool), Trouble> {
        let came = received.get_mut(from..).unwrap_or_default();
        self.stage.counters.bytes_from_backends.add(came.len() as u64);
        let decoded = self
            .decoder
            .decode(came)
            .map_err(|fault| Trouble::BackendProtocol { reason: fault.reason() })?;
        let data = came.get(decoded.data.clone()).unwrap_or_default();
        self.tee.feed(data, decoded.done);
        // Bytes after the answer: whatever they are, nobody asked for them.
        self.reusable &= !decoded.done || decoded.consumed == came.len();
        let data = from + decoded.data.start..from + decoded.data.end;
        if self.head.to_client == ClientFraming::Chunked {
            if decoded.is_plain_chunk {
                return Ok((from..received.len(), false));
            }
            let last = decoded.done && !self.tee.is_cut();
            return Ok((write::frame_chunk(received, data, last), decoded.done));
        }
        Ok((data, decoded.done))
    }

    async fn send(&mut self, buffer: Vec<u8>, part: Range<usize>) -> (Result<(), Ended>, Vec<u8>) {
        let bytes = part.len();
        let stream = &self.client.stream;
        let (sent, buffer) =
            self.client.send_all(self.stage, stream, buffer, part, Wait::ClientWrite).await;
        (self.count_sent(bytes, sent), buffer)
    }

    fn count_sent(&self, bytes: usize, sent: Result<(), SendFault>) -> Result<(), Ended> {
        match sent {
            Ok(()) => {
                self.sent.set(self.sent.get() + bytes as u64);
                return Ok(());
            }
            Err(SendFault::Interrupted(Interrupt::Deadline(_))) => {
                self.stage.counters.deadlines_passed.increment();
            }
            Err(SendFault::Interrupted(Interrupt::ClientGone | Interrupt::Drained))
            | Err(SendFault::Closed | SendFault::Io(_)) => {}
        }
        Err(Ended::ClientGone)
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
            (Err(_), None) => Err(Ended::Cut(Trouble::StreamCut)),
        }
    }

    /// The backend has ended its stream: that is the end of a body which is
    /// framed by it, and a cut of any other.
    async fn end_by_close(
        &mut self,
        mut piece: Vec<u8>,
        spare: Vec<u8>,
    ) -> ([Vec<u8>; 2], Result<(), Ended>) {
        if self.decoder.on_close().is_err() || self.tee.is_cut() {
            return ([piece, spare], Err(Ended::Cut(Trouble::StreamCut)));
        }
        self.reusable = false;
        piece.clear();
        if self.head.to_client == ClientFraming::Chunked {
            piece.extend_from_slice(write::LAST_CHUNK);
        }
        let whole = 0..piece.len();
        self.send_last(piece, whole, spare).await
    }

    /// Makes the cut plain: in the stream's own words where it is a stream,
    /// and never by an end that looks like one.
    async fn tell_cut(&mut self, asked: &Asked<'_>, buffer: Vec<u8>, reason: Trouble) -> Outcome {
        // A client of HTTP/1.0 takes the end of the connection for the end of
        // the body; only a reset tells it otherwise.
        let reset = self.head.to_client == ClientFraming::UntilClose;
        let in_band = self.tee.stream().is_some() && self.head.to_client != ClientFraming::Plain;
        if !in_band {
            self.stage.return_buffer(buffer);
            return Outcome::Cut { reason, reset };
        }
        self.client.last_words();
        let (event, part) = self.cut_event(asked, buffer, &reason);
        // Whether the client still takes it changes nothing any more.
        let (_, event) = self.send(event, part).await;
        self.stage.return_buffer(event);
        Outcome::Cut { reason, reset }
    }

    fn cut_event(
        &self,
        asked: &Asked<'_>,
        mut event: Vec<u8>,
        reason: &Trouble,
    ) -> (Vec<u8>, Range<usize>) {
        event.clear();
        event.resize(write::CHUNK_PREFIX_MAX, 0);
        if let Some(tee) = self.tee.stream() {
            event.extend_from_slice(tee.boundary_fill());
            let id = asked.request_id.as_str();
            write_cut_event(&mut event, asked.endpoint, reason, id, tee.events());
        }
        let data = write::CHUNK_PREFIX_MAX..event.len();
        let part = match self.head.to_client {
            ClientFraming::Chunked => write::frame_chunk(&mut event, data, false),
            ClientFraming::Plain | ClientFraming::UntilClose => data,
        };
        (event, part)
    }
}
