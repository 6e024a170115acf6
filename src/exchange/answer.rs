//! The head of a backend's answer, read once and written anew for the client.
//! Nothing here waits.

use std::time::Duration;

use super::{
    Stage,
    link::Link,
    own_fields::{ROUTE, id_field},
    understand::Asked,
    verdict,
};
use crate::{
    http::{BodyFraming, HeaderTable, Name, Response, forward, parse_response, write},
    llm::Trouble,
    retry::{self, Class, read_after},
    rt::{Stream, World},
};

/// An answer whose head has come. It goes through many hands, so it lives in a
/// box from the beginning to the end.
pub struct Answer<'s, S> {
    pub head: AnswerHead,
    /// The head as the client gets it, in a lent buffer.
    pub out: Vec<u8>,
    /// What the backend has sent so far, in a lent buffer …
    pub received: Vec<u8>,
    /// … and where the body begins in it.
    pub body_at: usize,
    /// None once the answer is held as a whole.
    pub link: Option<Link<'s, S>>,
    /// The request was sent whole, so the connection may serve again.
    pub reusable: bool,
}

/// What must be known of an answer to relay it.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead {
    pub status: u16,
    pub framing: BodyFraming,
    pub to_client: ClientFraming,
    /// The client's connection can carry another request after this answer.
    pub client_lives: bool,
    /// The backend's connection can.
    pub backend_lives: bool,
    pub content: Content,
    /// How a backend has failed that answers so.
    pub class: Option<Class>,
    /// How long a backend that does not answer now asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Where the head for the client says how often backends were asked, and
    /// where it ends.
    attempts_at: Option<usize>,
    end_at: usize,
    /// It tells the client whether to try again.
    advises: bool,
}

impl AnswerHead {
    /// A stream of the API's, and no error in its place.
    pub fn is_stream(&self) -> bool {
        self.content == Content::Events && self.status == 200
    }
}

impl<S: Stream> Answer<'_, S> {
    /// It will not be told.
    pub fn lost<W: World<Stream = S>>(self, stage: &Stage<W>) {
        stage.return_buffer(self.out);
        stage.return_buffer(self.received);
    }

    /// Says in its head where it was decided to go, and by which step it came.
    pub fn tell_route(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.head.end_at - LINE_END.len();
        let before = self.out.len();
        self.out.extend_from_slice(ROUTE);
        self.out.extend_from_slice(b": ");
        write(&mut self.out);
        self.out.extend_from_slice(LINE_END);
        let line = self.out.len() - before;
        self.out.get_mut(at..).unwrap_or_default().rotate_right(line);
        self.head.end_at += line;
    }

    /// Says in its head how often backends were asked in all, and if that is
    /// so that the client need not try either. The head was written when less
    /// was known.
    pub fn amend(&mut self, attempts: u32, is_final: bool) {
        if is_final && !self.head.advises {
            let at = self.head.end_at - LINE_END.len();
            let line = *b"x-should-retry: false\r\n";
            self.head.end_at += line.len();
            self.out.splice(at..at, line);
        }
        if let Some(at) = self.head.attempts_at {
            let digits = self.out.get(at..).unwrap_or_default();
            let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let digits = itoa::Buffer::new().format(attempts).to_owned();
            self.head.end_at = self.head.end_at - length + digits.len();
            self.out.splice(at..at + length, digits.into_bytes());
        }
    }
}

const LINE_END: &[u8] = b"\r\n";

/// How the body is framed towards the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFraming {
    /// No body, or one whose length the head tells.
    Plain,
    Chunked,
    /// For a client of HTTP/1.0, which knows no chunks.
    UntilClose,
}

impl ClientFraming {
    /// Of a body that the backend frames so.
    fn of(framing: BodyFraming, client_speaks_11: bool) -> Self {
        match framing {
            BodyFraming::None | BodyFraming::Length(_) => Self::Plain,
            BodyFraming::Chunked | BodyFraming::UntilClose if client_speaks_11 => Self::Chunked,
            BodyFraming::Chunked | BodyFraming::UntilClose => Self::UntilClose,
        }
    }
}

/// What the body is, as far as we look into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Events,
    Json,
    /// Not looked into: another type, or in a content coding.
    Opaque,
}

/// One head that has arrived.
pub enum Arrival {
    /// The final answer, and its head for the client.
    Final(AnswerHead, Vec<u8>),
    /// An interim one; perhaps to be passed on.
    Interim(Option<Vec<u8>>),
}

/// Reads the head and writes the client's.
pub fn arrive<W: World>(
    stage: &Stage<W>,
    asked: &Asked<'_>,
    link: &Link<'_, W::Stream>,
    received: &[u8],
    head_bytes: usize,
    attempts: u32,
) -> Result<Arrival, Trouble> {
    let mut table = HeaderTable::new();
    let bytes = received.get(..head_bytes).unwrap_or_default();
    let parsed = parse_response(bytes, asked.to_head, &stage.http_limits, &mut table);
    let response = match &parsed {
        Ok(response) => response,
        Err(fault) => return Err(Trouble::BackendProtocol { reason: fault.reason() }),
    };
    if response.status < 200 {
        // 100 was asked for by nobody: `Expect` ends with us.
        let passes = response.status != 100 && asked.client_speaks_11;
        return Ok(Arrival::Interim(passes.then(|| interim(stage, response))));
    }
    let media = media_of(response);
    if asked.is_proxy && response.status >= 400 && media != Media::Json {
        let reason = "The backend answered with an error that is not JSON.";
        return Err(Trouble::BackendProtocol { reason });
    }
    let content = content_of(response, media);
    let hides_its_end = media == Media::Events && content == Content::Opaque;
    if hides_its_end && response.status == 200 && asked.endpoint.stream_end().is_some() {
        // Nobody could tell its end from a cut.
        let reason = "The backend sent a stream in a content coding that was not asked for.";
        return Err(Trouble::BackendProtocol { reason });
    }
    let to_client = ClientFraming::of(response.framing, asked.client_speaks_11);
    let class = match asked.asks_model() {
        true => verdict::class_of(stage, link.backend, response.status),
        false => Class::of_status(response.status),
    };
    let field = |name| response.fields.get(name);
    let mut head = AnswerHead {
        status: response.status,
        framing: response.framing,
        to_client,
        client_lives: asked.keep_alive
            && to_client != ClientFraming::UntilClose
            && !stage.draining.get(),
        // A backend that sends the body of an answer to HEAD all the same may
        // do so late, and it would be the next client's answer.
        backend_lives: response.keep_alive && !asked.to_head,
        content,
        class,
        retry_after: class.and_then(|_| {
            read_after(retry::Asked {
                retry_after: field(b"retry-after"),
                retry_after_ms: field(b"retry-after-ms"),
                date: field(b"date"),
            })
        }),
        attempts_at: None,
        end_at: 0,
        advises: class.is_some() && field(b"x-should-retry").is_some(),
    };
    let mut out = stage.lend_buffer();
    head.attempts_at = write_head(stage, asked, link, response, &head, attempts, &mut out);
    head.end_at = out.len();
    Ok(Arrival::Final(head, out))
}

fn interim<W: World>(stage: &Stage<W>, response: &Response<'_, '_>) -> Vec<u8> {
    let mut out = stage.lend_buffer();
    write::status_line(&mut out, response.status);
    forward(&mut out, &response.fields, |_, _| true);
    write::end_of_head(&mut out);
    out
}

/// Says where the number of attempts stands, if it does.
fn write_head<W: World>(
    stage: &Stage<W>,
    asked: &Asked<'_>,
    link: &Link<'_, W::Stream>,
    response: &Response<'_, '_>,
    head: &AnswerHead,
    attempts: u32,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let ours = &stage.settings.headers;
    write::status_line(out, response.status);
    let mut has_id = false;
    forward(out, &response.fields, |name, _| {
        has_id |= matches!(name, Name::RequestId | Name::BareRequestId);
        // Who reads ours must not read a backend's in front of them.
        !(ours.own && name == Name::Own)
    });
    if ours.request_id && !has_id {
        write::field(out, id_field(asked.dialect), asked.request_id.as_bytes());
    }
    let lines = stage.own_fields.answers.get(link.backend.0);
    out.extend_from_slice(lines.map_or(&[], Vec::as_slice));
    let attempts_at = ours.own.then_some(out.len());
    if ours.own {
        write_small(out, attempts);
        write_timing(out, asked.ours.get() + stage.since_poll());
    }
    if head.content == Content::Events {
        // Proxies between us and the client must not gather events.
        write_if_missing(response, out, b"cache-control", b"no-cache");
        write_if_missing(response, out, b"x-accel-buffering", b"no");
    }
    match (head.to_client, response.content_length) {
        (ClientFraming::Chunked, _) => write::field(out, b"transfer-encoding", b"chunked"),
        // RFC 9110, section 8.6: not on 204.
        (ClientFraming::Plain, Some(length)) if response.status != 204 => {
            write::field_number(out, b"content-length", length);
        }
        _ => {}
    }
    write_connection(asked.client_speaks_11, head.client_lives, out);
    write::end_of_head(out);
    attempts_at
}

/// A number that mostly has one digit.
fn write_small(out: &mut Vec<u8>, number: u32) {
    match number {
        0..=9 => out.push(b'0' + number as u8),
        10.. => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// Ends the line before, and tells the time that the request spent in us and
/// not with its backend or its client, in milliseconds (W3C Server Timing).
fn write_timing(out: &mut Vec<u8>, ours: Duration) {
    let micros = ours.as_micros().min(u128::from(u32::MAX)) as u32;
    out.extend_from_slice(b"\r\nserver-timing: tokenring;dur=");
    write_small(out, micros / 1000);
    let digit = |unit| b'0' + (micros / unit % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'\r', b'\n']);
}

/// Says what is not the version's default (RFC 9112, section 9.3).
pub fn write_connection(client_speaks_11: bool, lives: bool, out: &mut Vec<u8>) {
    match (client_speaks_11, lives) {
        (true, true) | (false, false) => {}
        (true, false) => write::field(out, b"connection", b"close"),
        (false, true) => write::field(out, b"connection", b"keep-alive"),
    }
}

fn write_if_missing(response: &Response<'_, '_>, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if response.fields.get(name).is_none() {
        write::field(out, name, value);
    }
}

/// What a body is, whatever coding it comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Events,
    Json,
    Other,
}

fn media_of(response: &Response<'_, '_>) -> Media {
    let media_type = response.content_type.unwrap_or_default();
    if starts_with(media_type, b"text/event-stream") {
        Media::Events
    } else if starts_with(media_type, b"application/json") || is_json_by_suffix(media_type) {
        Media::Json
    } else {
        Media::Other
    }
}

/// `application/problem+json` and its like (RFC 6839, section 3.1).
#[cold]
fn is_json_by_suffix(media_type: &[u8]) -> bool {
    let end = media_type.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
    let essence = media_type.get(..end.unwrap_or(media_type.len())).unwrap_or_default();
    let Some((before, suffix)) = essence.split_last_chunk::<5>() else { return false };
    suffix.eq_ignore_ascii_case(b"+json") && before.contains(&b'/')
}

fn content_of(response: &Response<'_, '_>, media: Media) -> Content {
    let coded =
        response.content_encoding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    match media {
        Media::Events if !coded => Content::Events,
        Media::Json if !coded => Content::Json,
        _ => Content::Opaque,
    }
}

fn starts_with(value: &[u8], media_type: &[u8]) -> bool {
    value.get(..media_type.len()).is_some_and(|start| start.eq_ignore_ascii_case(media_type))
        && matches!(value.get(media_type.len()), None | Some(b';' | b' ' | b'\t'))
}
