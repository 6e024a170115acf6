//! Reads one answer from the bytes that arrive, wherever they are cut. Knows no
//! stream.

use super::ProbeFault;
use crate::http::{BodyDecoder, BodyFraming, HeadSearch, HeaderTable, Limits, parse_response};

/// The longest head, and all that is held of an answer at one time.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The longest body. A page of vLLM's metrics has some hundred kilobytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Interim answers in front of the final one.
const INTERIMS_MAX: u32 = 8;

/// How much of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Status,
    /// Where the status is 2xx.
    Body,
}

/// One answer on its way.
#[derive(Debug)]
pub struct Reading {
    wanted: Wanted,
    search: HeadSearch,
    interims: u32,
    status: u16,
    /// Once the final head has come.
    body: Option<BodyDecoder>,
    body_bytes: usize,
}

struct Head {
    status: u16,
    framing: BodyFraming,
    is_encoded: bool,
}

impl Reading {
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        let search = HeadSearch::default();
        Self { wanted, search, interims: 0, status: 0, body: None, body_bytes: 0 }
    }

    /// The final status, once [`Reading::take`] or [`Reading::close`] has said
    /// that the answer is complete.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Takes what has been received and leaves what is to be looked at again
    /// with the bytes that follow; the body goes to `sink`. True when all that
    /// is wanted has come.
    pub fn take(
        &mut self,
        received: &mut Vec<u8>,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<bool, ProbeFault> {
        loop {
            if let Some(body) = &mut self.body {
                let decoded = body.decode(received);
                let decoded = decoded.map_err(|fault| ProbeFault::Malformed(fault.reason()))?;
                // Not the data alone: framing could go on for ever.
                self.body_bytes += decoded.consumed;
                if self.body_bytes > BODY_BYTES_MAX {
                    return Err(ProbeFault::TooLarge);
                }
                sink(received.get(decoded.data).unwrap_or_default());
                received.drain(..decoded.consumed);
                return Ok(decoded.done);
            }
            let Some(length) = self.search.find(received) else {
                let is_too_long = received.len() >= HEAD_BYTES_MAX;
                return if is_too_long { Err(ProbeFault::TooLarge) } else { Ok(false) };
            };
            let head = read_head(received.get(..length).unwrap_or_default())?;
            received.drain(..length);
            self.search.reset();
            if head.status < 200 {
                self.interims += 1;
                if self.interims > INTERIMS_MAX {
                    return Err(ProbeFault::TooLarge);
                }
                continue;
            }
            self.status = head.status;
            if self.wanted == Wanted::Status || head.status > 299 {
                return Ok(true);
            }
            if head.is_encoded {
                return Err(ProbeFault::Encoded);
            }
            self.body = Some(BodyDecoder::new(head.framing));
        }
    }

    /// The backend has closed.
    pub fn close(&mut self) -> Result<(), ProbeFault> {
        let body = self.body.as_mut().ok_or(ProbeFault::Cut)?;
        body.on_close().map_err(|_| ProbeFault::Cut)
    }
}

fn read_head(bytes: &[u8]) -> Result<Head, ProbeFault> {
    let limits = Limits { head_bytes_max: HEAD_BYTES_MAX, ..Limits::default() };
    let mut table = HeaderTable::new();
    let response = parse_response(bytes, false, &limits, &mut table)
        .map_err(|fault| ProbeFault::Malformed(fault.reason()))?;
    let coding = response.content_encoding.unwrap_or(b"identity");
    Ok(Head {
        status: response.status,
        framing: response.framing,
        is_encoded: !coding.eq_ignore_ascii_case(b"identity"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of these bytes and then the end of the connection, in pieces
    /// of this size.
    fn read(wanted: Wanted, bytes: &[u8], piece: usize) -> Result<(u16, Vec<u8>), ProbeFault> {
        let mut reading = Reading::new(wanted);
        let (mut received, mut body) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            received.extend_from_slice(piece);
            if reading.take(&mut received, |data| body.extend_from_slice(data))? {
                return Ok((reading.status(), body));
            }
            assert!(received.len() < HEAD_BYTES_MAX, "what is held is bounded");
        }
        reading.close()?;
        Ok((reading.status(), body))
    }

    #[track_caller]
    fn check(wanted: Wanted, bytes: &str, expected: Result<(u16, &str), ProbeFault>) {
        let expected = expected.map(|(status, body)| (status, body.as_bytes().to_vec()));
        for piece in [1, 2, 3, 7, bytes.len().max(1)] {
            assert_eq!(read(wanted, bytes.as_bytes(), piece), expected, "by {piece}: {bytes:?}");
        }
    }

    const OK: &str = "HTTP/1.1 200 OK\r\n";

    #[test]
    fn a_status_is_known_with_the_head() {
        check(Wanted::Status, &format!("{OK}content-length: 999\r\n\r\n"), Ok((200, "")));
        check(Wanted::Status, "HTTP/1.1 503 No\r\n\r\n", Ok((503, "")));
        check(Wanted::Status, "HTTP/1.0 204 Ok\r\n\r\n", Ok((204, "")));
        check(Wanted::Body, "HTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\n", Ok((404, "")));
    }

    #[test]
    fn a_body_may_be_framed_in_any_way() {
        check(Wanted::Body, &format!("{OK}content-length: 3\r\n\r\nabcrest"), Ok((200, "abc")));
        check(Wanted::Body, &format!("{OK}content-length: 0\r\n\r\n"), Ok((200, "")));
        check(Wanted::Body, &format!("{OK}\r\nabc"), Ok((200, "abc")));
        let chunks = "transfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n";
        check(Wanted::Body, &format!("{OK}{chunks}"), Ok((200, "abc")));
    }

    #[test]
    fn interim_answers_are_passed_over_but_not_for_ever() {
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
        check(Wanted::Status, &format!("{}{OK}\r\n", interim.repeat(8)), Ok((200, "")));
        check(Wanted::Status, &interim.repeat(9), Err(ProbeFault::TooLarge));
    }

    #[test]
    fn a_cut_answer_is_none() {
        check(Wanted::Status, "", Err(ProbeFault::Cut));
        check(Wanted::Status, "HTTP/1.1 200 OK\r\n", Err(ProbeFault::Cut));
        check(Wanted::Body, &format!("{OK}content-length: 4\r\n\r\nabc"), Err(ProbeFault::Cut));
    }

    #[test]
    fn what_is_no_http_is_refused() {
        for bytes in ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP/1.1 200 OK\n\n", "\r\n\r\n"] {
            let found = read(Wanted::Status, bytes.as_bytes(), 1);
            assert!(matches!(found, Err(ProbeFault::Malformed(_))), "{bytes:?}: {found:?}");
        }
        let coded = format!("{OK}content-encoding: gzip\r\n\r\n");
        check(Wanted::Body, &coded, Err(ProbeFault::Encoded));
        check(Wanted::Status, &coded, Ok((200, "")));
    }

    #[test]
    fn an_endless_answer_is_given_up() {
        let mut reading = Reading::new(Wanted::Status);
        let mut received = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
        received.resize(HEAD_BYTES_MAX, b'x');
        assert_eq!(reading.take(&mut received, |_| ()), Err(ProbeFault::TooLarge));

        let mut reading = Reading::new(Wanted::Body);
        let mut received = format!("{OK}\r\n").into_bytes();
        let mut taken = 0;
        let fault = loop {
            match reading.take(&mut received, |data| taken += data.len()) {
                Ok(done) => assert!(!done),
                Err(fault) => break fault,
            }
            assert!(received.is_empty());
            received.resize(16 * 1024, b'x');
        };
        assert_eq!((fault, taken), (ProbeFault::TooLarge, BODY_BYTES_MAX));
    }
}
