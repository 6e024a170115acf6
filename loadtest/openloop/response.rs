//! HTTP/1.1 answers, byte by byte. Pure and strict: what is not clearly a
//! well-formed answer to our request is a fault of the server.

use crate::tally::Fault;

const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
const CHUNK_LINE_BYTES_MAX: usize = 256;

#[derive(Default)]
pub struct Response {
    state: State,
    line: Vec<u8>,
    /// The server said that it will close the connection.
    pub closes: bool,
}

#[derive(Default, PartialEq, Clone, Copy)]
enum State {
    /// Collecting the head in `line`.
    #[default]
    Head,
    /// So many body bytes to come.
    Length(u64),
    /// The body ends with the connection.
    UntilClose,
    /// Collecting a chunk-size line in `line`.
    ChunkSize,
    ChunkData(u64),
    /// The CRLF after chunk data, collected in `line`.
    ChunkEnd,
    /// Trailer lines up to an empty one, collected in `line`.
    Trailer,
    Done,
}

impl Response {
    /// Takes received bytes and hands body bytes to `body`.
    pub fn feed(&mut self, mut bytes: &[u8], mut body: impl FnMut(&[u8])) -> Result<(), Fault> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head => self.head(bytes)?,
                State::Length(left) => {
                    let (part, rest) = split(bytes, left);
                    body(part);
                    self.state = State::Length(left - part.len() as u64).done_at_zero(State::Done);
                    rest
                }
                State::UntilClose => {
                    body(bytes);
                    &[]
                }
                State::ChunkData(left) => {
                    let (part, rest) = split(bytes, left);
                    body(part);
                    self.state =
                        State::ChunkData(left - part.len() as u64).done_at_zero(State::ChunkEnd);
                    rest
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.chunk_line(bytes)?,
                State::Done => return Err(Fault::Surplus),
            };
        }
        Ok(())
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The connection ended: whether the answer is whole.
    pub fn end_of_stream(&mut self) -> Result<(), Fault> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                self.closes = true;
                Ok(())
            }
            _ => Err(Fault::Cut),
        }
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let had = self.line.len();
        self.line.extend_from_slice(bytes);
        // The end may lie across two reads.
        let from = had.saturating_sub(3);
        let unsearched = self.line.get(from..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(unsearched, b"\r\n\r\n").map(|at| from + at + 4)
        else {
            let fits = self.line.len() <= HEAD_BYTES_MAX;
            return if fits { Ok(&[]) } else { Err(Fault::Malformed) };
        };
        let (state, closes) = understand(self.line.get(..end).unwrap_or_default())?;
        self.state = state;
        self.closes = closes;
        self.line.clear();
        Ok(bytes.get(end - had..).unwrap_or_default())
    }

    /// RFC 9112, section 7.1: size lines, the CRLF after data, trailers.
    fn chunk_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (part, rest) = match memchr::memchr(b'\n', bytes) {
            Some(at) => bytes.split_at(at + 1),
            None => (bytes, &[][..]),
        };
        self.line.extend_from_slice(part);
        if self.line.len() > CHUNK_LINE_BYTES_MAX {
            return Err(Fault::Malformed);
        }
        if self.line.ends_with(b"\n") {
            let line = self.line.strip_suffix(b"\r\n").ok_or(Fault::Malformed)?;
            self.state = match self.state {
                State::ChunkSize => {
                    State::ChunkData(chunk_size(line)?).done_at_zero(State::Trailer)
                }
                State::ChunkEnd if line.is_empty() => State::ChunkSize,
                State::Trailer if line.is_empty() => State::Done,
                State::Trailer => State::Trailer,
                _ => return Err(Fault::Malformed),
            };
            self.line.clear();
        }
        Ok(rest)
    }
}

impl State {
    fn done_at_zero(self, next: State) -> State {
        match self {
            State::Length(0) | State::ChunkData(0) => next,
            other => other,
        }
    }
}

fn split(bytes: &[u8], left: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()))
}

/// How the body is framed (RFC 9112, section 6.3), and whether the server closes.
fn understand(head: &[u8]) -> Result<(State, bool), Fault> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        _ => return Err(Fault::Malformed),
    }
    match parsed.code {
        Some(200) => {}
        Some(code) => return Err(Fault::Status(code)),
        None => return Err(Fault::Malformed),
    }
    let (mut length, mut chunked, mut closes) = (None, false, parsed.version == Some(0));
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let number = digits(header.value, 10).ok_or(Fault::Malformed)?;
            if length.replace(number).is_some() {
                return Err(Fault::Malformed);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::Malformed);
            }
            chunked = true;
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes |= header.value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(match (length, chunked) {
        (Some(_), true) => return Err(Fault::Malformed),
        (None, true) => (State::ChunkSize, closes),
        (Some(length), false) => (State::Length(length).done_at_zero(State::Done), closes),
        (None, false) => (State::UntilClose, true),
    })
}

/// Extensions are allowed and mean nothing (RFC 9112, section 7.1.1).
fn chunk_size(line: &[u8]) -> Result<u64, Fault> {
    let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
    digits(size, 16).ok_or(Fault::Malformed)
}

/// Plain digits only: no sign, no blank, no prefix, and at most 15 of them.
fn digits(bytes: &[u8], radix: u32) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 15 {
        return None;
    }
    bytes.iter().try_fold(0, |number: u64, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        Some(number * u64::from(radix) + u64::from(digit))
    })
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
