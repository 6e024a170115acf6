//! Reading HTTP/1.1 as a client or a backend of the simulator does: plainly,
//! and by none of the proxy's own code, which is what is being tried.

use std::{io, rc::Rc, time::Duration};

use super::{connection::Sending, faults::Odds, stream::SimStream, world::SimWorld};
use crate::{
    base::Chance,
    rt::{Stream, TAIL_ROOM},
};

/// Reads messages off a stream, at a pace.
pub struct Reader {
    world: SimWorld,
    stream: Rc<SimStream>,
    pub held: Vec<u8>,
    pub pace: Pace,
    /// How the stream ended, if it has.
    pub ended: Option<io::Result<()>>,
    /// Bytes that came in all.
    pub came: usize,
    /// After so many bytes it is read no further.
    pub leaves_after: Option<usize>,
}

/// How fast is read.
pub struct Pace {
    pub piece: usize,
    pub pause: Duration,
    pub chance: Chance,
}

impl Pace {
    pub fn drawn(slow: Odds, chance: &mut Chance) -> Self {
        let is_slow = chance.happens(slow);
        let (piece, pause) = if is_slow {
            (8 + chance.below(2000), chance.up_to(Duration::from_millis(100)))
        } else {
            (16 * 1024, Duration::ZERO)
        };
        Self { piece, pause, chance: Chance::seeded(chance.next_u64()) }
    }
}

/// The head of a message.
#[derive(Debug)]
pub struct Head {
    pub first_line: String,
    /// The sending that began it, of all in the world.
    pub sending: Sending,
    fields: Vec<(String, String)>,
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// A body, as far as it came.
#[derive(Debug)]
pub struct Body {
    pub bytes: Vec<u8>,
    /// Its framing says that it is all.
    pub is_whole: bool,
}

impl Head {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether any field's value has this in it.
    pub fn has(&self, word: &str) -> bool {
        self.fields.iter().any(|(_, value)| value.contains(word))
    }

    /// The status, of an answer.
    pub fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    pub fn framing(&self, of_none: Framing) -> Framing {
        let length = self.field("content-length").and_then(|value| value.parse().ok());
        match (self.field("transfer-encoding"), length) {
            (Some(_), _) => Framing::Chunked,
            (None, Some(length)) => Framing::Length(length),
            (None, None) => of_none,
        }
    }

    pub fn closes(&self) -> bool {
        let old = self.first_line.contains("HTTP/1.0");
        match self.field("connection") {
            Some(value) => value.contains("close"),
            None => old,
        }
    }

    fn read(text: &[u8], sending: Sending) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        let pairs = lines.filter_map(|line| line.split_once(':'));
        let fields =
            pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Self { first_line, sending, fields: fields.collect() }
    }
}

impl Reader {
    pub fn new(world: &SimWorld, stream: Rc<SimStream>, pace: Pace) -> Self {
        Self {
            world: world.clone(),
            stream,
            held: Vec::new(),
            pace,
            ended: None,
            came: 0,
            leaves_after: None,
        }
    }

    /// Whether its owner has had enough.
    pub fn leaves(&self) -> bool {
        self.leaves_after.is_some_and(|bytes| self.came >= bytes)
    }

    /// Receives more; false at the end, and for whoever leaves.
    pub async fn more(&mut self) -> bool {
        if self.ended.is_some() || self.leaves() {
            return false;
        }
        if !self.pace.pause.is_zero() {
            let pause = self.pace.chance.up_to(self.pace.pause);
            self.world.sleep(pause).await;
        }
        let buffer = Vec::with_capacity(self.pace.piece + TAIL_ROOM);
        let (result, buffer) = self.stream.recv(buffer).await;
        match result {
            Ok(0) => self.ended = Some(Ok(())),
            Ok(bytes) => {
                self.came += bytes;
                self.held.extend_from_slice(&buffer);
            }
            Err(error) => self.ended = Some(Err(error)),
        }
        self.ended.is_none()
    }

    /// The next head, as soon as it is whole.
    pub async fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(at) = find(&self.held, b"\r\n\r\n") {
                let begins_at = self.came - self.held.len();
                let head = Head::read(&self.held[..at], self.stream.sending_of(begins_at));
                self.held.drain(..at + 4);
                return Some(head);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// A body, or what came of it.
    pub async fn body(&mut self, framing: Framing) -> Body {
        let mut bytes = Vec::new();
        match framing {
            Framing::Length(length) => {
                while self.held.len() < length && self.more().await {}
                let end = length.min(self.held.len());
                bytes.extend(self.held.drain(..end));
                Body { is_whole: bytes.len() == length, bytes }
            }
            Framing::Chunked => {
                let is_whole = self.chunks(&mut bytes).await.is_some();
                Body { bytes, is_whole }
            }
            Framing::UntilClose => {
                while self.more().await {}
                bytes.append(&mut self.held);
                Body { bytes, is_whole: matches!(self.ended, Some(Ok(()))) }
            }
        }
    }

    /// `None` if the last one has not come whole.
    async fn chunks(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        loop {
            let line_end = loop {
                match find(&self.held, b"\r\n") {
                    Some(at) => break at,
                    None => self.more().await.then_some(())?,
                }
            };
            let line = std::str::from_utf8(&self.held[..line_end]).ok()?;
            let mut length = usize::from_str_radix(line, 16).ok()?;
            self.held.drain(..line_end + 2);
            let is_last = length == 0;
            while length > 0 {
                let now = length.min(self.held.len());
                bytes.extend(self.held.drain(..now));
                length -= now;
                if length > 0 {
                    self.more().await.then_some(())?;
                }
            }
            while self.held.len() < 2 {
                self.more().await.then_some(())?;
            }
            self.held.drain(..2);
            if is_last {
                return Some(());
            }
        }
    }
}

/// Sends all of it; false if the stream does not take it.
pub async fn send_all(stream: &SimStream, bytes: &[u8]) -> bool {
    let mut buffer = bytes.to_vec();
    let mut sent = 0;
    while sent < buffer.len() {
        let part = sent..buffer.len();
        let result;
        (result, buffer) = stream.send(buffer, part).await;
        match result {
            Ok(taken) => sent += taken,
            Err(_) => return false,
        }
    }
    true
}

pub fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}
