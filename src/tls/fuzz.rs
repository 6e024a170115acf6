//! The door a fuzzer comes in by: a conversation of two sessions in memory,
//! told by the input what to say and what becomes of the bytes on their way.
//!
//! Whatever happens on the way, each side gets the other's words, in order and
//! from the first, or an error. Nothing is panicked over.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};

use super::{RECORD_BYTES_MAX, Session, sealed_bytes_max};

/// What is not whole yet: a record, behind fragments of a handshake message
/// (64 KiB at most).
const TORN_MAX: usize = 64 * 1024 + 2 * RECORD_BYTES_MAX;

const SERVER: usize = 0;
const CLIENT: usize = 1;

/// One side, the bytes on their way to it, and what it has said and heard.
struct End {
    session: Session,
    /// Sent to it, and not delivered.
    on_the_way: Vec<u8>,
    torn: Vec<u8>,
    is_fragmented: bool,
    said: Vec<u8>,
    heard: Vec<u8>,
    is_over: bool,
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            on_the_way: Vec::new(),
            torn: Vec::new(),
            is_fragmented: false,
            said: Vec::new(),
            heard: Vec::new(),
            is_over: false,
        }
    }

    /// Takes the next bytes, so many at most; returns what it answers.
    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let mut replies = Vec::new();
        let bytes = bytes.min(self.on_the_way.len());
        self.torn.extend(self.on_the_way.drain(..bytes));
        if self.is_over {
            self.torn.clear();
            return replies;
        }
        let mut scratch = Vec::new();
        match self.session.open(&mut self.torn, &mut scratch, &mut replies) {
            Ok(opened) => {
                assert!(opened.plain <= opened.used && opened.used <= self.torn.len());
                self.heard.extend_from_slice(self.torn.get(..opened.plain).unwrap_or_default());
                self.torn.drain(..opened.used);
                self.is_fragmented = opened.is_fragmented;
                self.is_over = opened.closed || opened.fault.is_some();
                // What stands behind the end is for nobody.
                let kept = if self.is_over { 0 } else { self.torn.len() };
                assert!(kept <= TORN_MAX, "{kept} bytes are kept");
            }
            Err(_) => self.is_over = true,
        }
        assert!(scratch.is_empty(), "the scratch is left empty");
        replies
    }

    /// Seals some words of its own.
    fn say(&mut self, length: usize) -> Vec<u8> {
        if self.session.is_handshaking() || self.is_over {
            return Vec::new();
        }
        let words: Vec<u8> = (0..length).map(|n| ((self.said.len() + n) % 251) as u8).collect();
        let mut out = vec![0; sealed_bytes_max(length)];
        let torn: &mut [u8] = if self.is_fragmented { &mut self.torn } else { &mut [] };
        if let Ok(sealed) = self.session.seal(torn, &words, &mut out) {
            out.truncate(sealed);
            self.said.extend_from_slice(&words);
            return out;
        }
        self.is_over = true;
        Vec::new()
    }

    fn close(&mut self) -> Vec<u8> {
        let mut out = vec![0; sealed_bytes_max(0)];
        let torn: &mut [u8] = if self.is_fragmented { &mut self.torn } else { &mut [] };
        let closed = self.session.close(torn, &mut out).unwrap_or_default();
        out.truncate(closed);
        out
    }
}

/// Three bytes are one step: what to do, and with how much. Returns what both
/// have heard.
pub fn fuzz_session(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: ServerName<'static>,
    data: &[u8],
) -> (usize, usize) {
    let (Ok(server), Ok(client)) =
        (Session::server(Arc::clone(server)), Session::client(Arc::clone(client), name))
    else {
        unreachable!("both configurations can be used");
    };
    let mut ends = [End::new(server), End::new(client)];
    // The client begins.
    let hello = ends[CLIENT].take(0);
    ends[SERVER].on_the_way.extend(hello);
    for step in data.chunks_exact(3) {
        let &[what, high, low] = step else { break };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let to = usize::from(what & 1);
        act(&mut ends, to, what >> 1, length);
        for (from, to) in [(0, 1), (1, 0)] {
            let (said, heard) = (&ends[from].said, &ends[to].heard);
            assert!(said.starts_with(heard), "what was heard was never said");
        }
    }
    (ends[0].heard.len(), ends[1].heard.len())
}

fn act(ends: &mut [End; 2], to: usize, what: u8, length: usize) {
    let from = 1 - to;
    match what % 10 {
        // Bytes arrive: most steps, or there would be no handshake.
        0..=3 => {
            let replies = ends[to].take(if what & 8 == 0 { usize::MAX } else { length });
            ends[from].on_the_way.extend(replies);
        }
        4 | 5 => {
            let sealed = ends[from].say(length);
            ends[to].on_the_way.extend(sealed);
        }
        6 => {
            let sealed = ends[from].close();
            ends[to].on_the_way.extend(sealed);
        }
        // Somebody on the way changes a byte,
        7 => {
            let way = &mut ends[to].on_the_way;
            let at = length.checked_rem(way.len()).unwrap_or_default();
            if let Some(byte) = way.get_mut(at) {
                *byte ^= 1 << (what & 7);
            }
        }
        // leaves some out,
        8 => {
            let way = &mut ends[to].on_the_way;
            way.drain(..length.min(way.len()));
        }
        // or puts a record of his own before them.
        _ => {
            let kind = 20 + (length & 3) as u8;
            let record = [kind, 3, 3, 0, 2, (length >> 8) as u8, (length >> 2) as u8];
            ends[to].on_the_way.splice(0..0, record);
        }
    }
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod tests;
