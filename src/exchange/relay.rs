//! Verb six: the answer goes to the client, every byte as it comes.
//!
//! One buffer, one receive, one send: while the client does not take bytes the
//! backend is not read, so memory stays bounded and the backend feels the
//! client's pace. Framing bytes end here; each piece is framed anew in place.
//!
//! ```text
//! received  [room for a size line][ what came: framing and data, mixed ]
//! decoded   [room ………………………………………………][ data ]
//! framed    [room … size CRLF][ data ][CRLF][0 CRLF CRLF, if proven whole]
//! ```

use std::ops::Range;

use super::{
    Client, Stage,
    answer::{Answer, AnswerHead, ClientFraming},
    client::{Interrupt, SendFault, Wait},
    tee::Tee,
    understand::Asked,
};
use crate::{
    http::{BodyDecoder, write},
    llm::{Trouble, Usage, write_cut_event},
    rt::{Stream, World},
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

/// Relays the whole answer.
pub async fn relay<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    asked: &Asked,
    answer: Answer<W::Stream>,
) -> Relayed {
    let Answer { head, out, received, body_at, link, reusable } = answer;
    let mut relay = Relay {
        stage,
        client,
        head,
        decoder: BodyDecoder::new(head.framing),
        tee: Tee::new(
            head.content,
            head.status,
            asked.endpoint,
            stage.settings.limits.sse_event_bytes,
        ),
        sent: 0,
        leftover: false,
    };
    let (received, ended) = relay.run(out, received, body_at, link.stream()).await;
    let outcome = match ended {
        Ok(()) => {
            if reusable && head.backend_lives && !relay.leftover {
                link.give_back(stage);
            }
            stage.return_buffer(received);
            Outcome::Whole
        }
        Err(Ended::ClientGone) => {
            stage.return_buffer(received);
            Outcome::ClientGone
        }
        Err(Ended::Cut(reason)) => {
            drop(link); // The backend need not work for an answer that is lost.
            relay.tell_cut(asked, received, reason).await
        }
    };
    let (usage, events) = relay.tee.finish();
    Relayed { outcome, usage, events, bytes_to_client: relay.sent }
}

/// Why relaying stopped early.
enum Ended {
    ClientGone,
    Cut(Trouble),
}

struct Relay<'a, W: World> {
    stage: &'a Stage<W>,
    client: &'a Client<W::Stream>,
    head: AnswerHead,
    decoder: BodyDecoder,
    tee: Tee,
    sent: u64,
    /// The backend sent bytes after its answer.
    leftover: bool,
}

impl<W: World> Relay<'_, W> {
    /// The whole cycle: what came with the head, then receive and send until
    /// the end. The receive buffer comes back.
    async fn run(
        &mut self,
        out: Vec<u8>,
        mut received: Vec<u8>,
        body_at: usize,
        backend: &W::Stream,
    ) -> (Vec<u8>, Result<(), Ended>) {
        let (first, mut done) = match self.frame(&mut received, body_at) {
            Ok(piece) => piece,
            Err(trouble) => {
                // The head alone goes out, so that the cut can be told.
                let ended = self.send_head(out, &mut received, 0..0).await;
                return (received, ended.and(Err(Ended::Cut(trouble))));
            }
        };
        if let Err(ended) = self.send_head(out, &mut received, first).await {
            return (received, Err(ended));
        }
        while !done {
            let result;
            (result, received) = self.receive(backend, received).await;
            match result {
                Ok(0) => return self.end_by_close(received).await,
                Ok(_) => {}
                Err(ended) => return (received, Err(ended)),
            }
            let part;
            (part, done) = match self.frame(&mut received, write::CHUNK_PREFIX_MAX) {
                Ok(piece) => piece,
                Err(trouble) => return (received, Err(Ended::Cut(trouble))),
            };
            let sent;
            (sent, received) = self.send(received, part).await;
            if let Err(ended) = sent {
                return (received, Err(ended));
            }
        }
        // The last chunk is only written when the stream's own mark has come.
        let whole = if self.tee.is_cut() { Err(Ended::Cut(Trouble::StreamCut)) } else { Ok(()) };
        (received, whole)
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
        self.leftover |= decoded.done && decoded.consumed < came.len();
        let data = from + decoded.data.start..from + decoded.data.end;
        if self.head.to_client == ClientFraming::Chunked {
            let last = decoded.done && !self.tee.is_cut();
            return Ok((write::frame_chunk(received, data, last), decoded.done));
        }
        Ok((data, decoded.done))
    }

    /// Sends the head, with the first piece of the body behind it when that
    /// fits: the usual answer leaves in one send.
    async fn send_head(
        &mut self,
        mut out: Vec<u8>,
        received: &mut Vec<u8>,
        first: Range<usize>,
    ) -> Result<(), Ended> {
        let piece = received.get(first.clone()).unwrap_or_default();
        let fits = out.capacity() - out.len() >= piece.len();
        if fits {
            out.extend_from_slice(piece);
        }
        let whole = 0..out.len();
        let (sent, out) = self.send(out, whole).await;
        self.stage.return_buffer(out);
        if fits {
            return sent;
        }
        sent?;
        let sent;
        (sent, *received) = self.send(std::mem::take(received), first).await;
        sent
    }

    async fn send(&mut self, buffer: Vec<u8>, part: Range<usize>) -> (Result<(), Ended>, Vec<u8>) {
        let bytes = part.len() as u64;
        let (sent, buffer) = self
            .client
            .send_all(self.stage, &self.client.stream, buffer, part, Wait::ClientWrite)
            .await;
        let ended = match sent {
            Ok(()) => {
                self.sent += bytes;
                Ok(())
            }
            Err(SendFault::Interrupted(Interrupt::Deadline(_))) => {
                self.stage.counters.deadlines_passed.increment();
                Err(Ended::ClientGone)
            }
            Err(SendFault::Interrupted(Interrupt::ClientGone | Interrupt::Drained))
            | Err(SendFault::Closed | SendFault::Io(_)) => Err(Ended::ClientGone),
        };
        (ended, buffer)
    }

    /// Receives the next piece, behind room for a chunk's size line.
    async fn receive(
        &self,
        backend: &W::Stream,
        mut buffer: Vec<u8>,
    ) -> (Result<usize, Ended>, Vec<u8>) {
        buffer.clear();
        buffer.resize(write::CHUNK_PREFIX_MAX, 0);
        self.client.wait_for(self.stage, Wait::MoreAnswer);
        let ((result, buffer), interrupt) = self.client.guard(backend, backend.recv(buffer)).await;
        let result = match (result, interrupt) {
            (_, Some(Interrupt::ClientGone)) => Err(Ended::ClientGone),
            (_, Some(Interrupt::Deadline(wait))) => {
                self.stage.counters.deadlines_passed.increment();
                Err(Ended::Cut(wait.trouble()))
            }
            (_, Some(Interrupt::Drained)) => Err(Ended::Cut(Trouble::Draining)),
            (Ok(n), None) => Ok(n),
            (Err(_), None) => Err(Ended::Cut(Trouble::StreamCut)),
        };
        (result, buffer)
    }

    /// The backend has ended its stream: that is the end of a body which is
    /// framed by it, and a cut of any other.
    async fn end_by_close(&mut self, mut buffer: Vec<u8>) -> (Vec<u8>, Result<(), Ended>) {
        if self.decoder.on_close().is_err() || self.tee.is_cut() {
            return (buffer, Err(Ended::Cut(Trouble::StreamCut)));
        }
        if self.head.to_client != ClientFraming::Chunked {
            return (buffer, Ok(()));
        }
        buffer.clear();
        buffer.extend_from_slice(write::LAST_CHUNK);
        let (sent, buffer) = self.send(buffer, 0..write::LAST_CHUNK.len()).await;
        (buffer, sent)
    }

    /// Makes the cut plain: in the stream's own words where it is a stream,
    /// and never by an end that looks like one.
    async fn tell_cut(&mut self, asked: &Asked, buffer: Vec<u8>, reason: Trouble) -> Outcome {
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
        asked: &Asked,
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
