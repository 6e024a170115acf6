//! How a TLS stream begins. It waits in polls, without a buffer: who is slow
//! costs a small object and no memory of records.

use std::io;

use super::{
    Secured, With,
    secured::Role,
    state::{TORN_MAX, TORN_MAX_OF_CLIENT, io_error},
};
use crate::{
    rt::{Established, Transport},
    tls::{RECORD_BYTES_MAX, Session, SessionFault, SessionFaultKind, client_name, record_bytes},
};

/// Told to who speaks HTTP where TLS is spoken. OpenAI's words: nothing is
/// known of the client yet.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
content-type: application/json\r\ncontent-length: 136\r\nconnection: close\r\n\r\n\
{\"error\":{\"message\":\"This port speaks TLS; use https:// in the URL.\",\
\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"tls_required\"}}";
/// What is thrown away of a client that speaks HTTP here, so that the close
/// does not overtake the answer.
const LINGER_BYTES: usize = 1 << 16;

impl<S: Transport> Secured<S> {
    /// The whole handshake. Owns polls only.
    pub(super) async fn shake_hands(&self) -> io::Result<Established> {
        if let Role::Client(_) = self.role {
            self.pass().await?;
            self.begin()?;
        }
        loop {
            self.flush().await?;
            if self.is_established() {
                if let Role::Server = self.role {
                    self.state.borrow_mut().torn_max = TORN_MAX_OF_CLIENT;
                }
                return Ok(self.known());
            }
            self.inner.readable().await?;
            match self.gather() {
                // Only what can be worked on takes a turn.
                Ok(true) => {
                    self.pass().await?;
                    self.step()?;
                }
                Ok(false) => {}
                Err(error) => {
                    if is_plain_http(&error) {
                        self.tell_plainly().await;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Waits for its turn to work.
    async fn pass(&self) -> io::Result<()> {
        let with = match self.role {
            Role::Server => With::Client,
            Role::Client(_) => With::Backend,
        };
        let passed = self.shared.gate.pass(with).await;
        passed.map_err(|_| fault(SessionFaultKind::Shed, "too many handshakes wait"))
    }

    fn begin(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.session = Some(match &self.role {
            Role::Server => {
                let server = self.shared.server.as_ref().ok_or(io::ErrorKind::NotConnected)?;
                Session::server(server.current()).map_err(io_error)?
            }
            Role::Client(tls) => {
                Session::client(tls.current(), tls.name().clone()).map_err(io_error)?
            }
        });
        // A client speaks first.
        self.open(&mut state, &mut []).map(drop)
    }

    /// Takes what has come. Says whether there is something to be worked on.
    fn gather(&self) -> io::Result<bool> {
        let mut scratch = self.shared.scratch.borrow_mut();
        let received = &mut scratch.received;
        received.clear();
        let Some(bytes) = self.inner.try_recv(received)? else { return Ok(false) };
        if bytes == 0 {
            return Err(fault(SessionFaultKind::Left, "the peer left in the handshake"));
        }
        let state = &mut *self.state.borrow_mut();
        let is_first = state.session.is_none() && state.torn.is_empty();
        if is_first && received.first().is_some_and(|&byte| begins_http(byte)) {
            return Err(fault(SessionFaultKind::PlainHttp, "plain HTTP, not TLS"));
        }
        let known = whole_records(&state.torn);
        state.torn.extend_from_slice(received);
        if state.torn.len() > TORN_MAX {
            return Err(fault(
                SessionFaultKind::Protocol,
                "a message of the handshake is too long",
            ));
        }
        Ok(whole_records(&state.torn) > known)
    }

    /// Works on what has come, and answers it.
    fn step(&self) -> io::Result<()> {
        if self.state.borrow().session.is_none() {
            self.begin()?;
        }
        let state = &mut *self.state.borrow_mut();
        let mut records = std::mem::take(&mut state.torn);
        let opened = self.open(state, &mut records)?;
        state.keep(records.get(opened.used..).unwrap_or_default(), &opened)?;
        // A peer may say more than its last word of the handshake.
        state.over.extend_from_slice(records.get(..opened.plain).unwrap_or_default());
        Ok(())
    }

    /// Sends what the handshake has to say.
    async fn flush(&self) -> io::Result<()> {
        loop {
            {
                let mut state = self.state.borrow_mut();
                if state.unsent.is_empty() {
                    return Ok(());
                }
                let sent = self.inner.try_send(&state.unsent)?;
                state.unsent.drain(..sent);
                if state.unsent.is_empty() {
                    state.unsent = Vec::new();
                    return Ok(());
                }
            }
            self.inner.writable().await?;
        }
    }

    fn is_established(&self) -> bool {
        self.state.borrow().session.as_ref().is_some_and(|session| !session.is_handshaking())
    }

    fn known(&self) -> Established {
        let state = self.state.borrow();
        let session = state.session.as_ref();
        Established {
            resumed: session.is_some_and(Session::is_resumed),
            name: match self.role {
                Role::Server => name_of(session),
                Role::Client(_) => None, // It is the one that was asked for.
            },
        }
    }

    /// Answers who speaks plain HTTP, and lets him read it.
    async fn tell_plainly(&self) {
        // Who does not take it at once is not waited for.
        let _ = self.inner.try_send(NOT_TLS);
        self.inner.finish();
        let mut thrown_away = 0;
        while thrown_away < LINGER_BYTES && self.inner.readable().await.is_ok() {
            let mut buffer = std::mem::take(&mut self.shared.scratch.borrow_mut().received);
            buffer.clear();
            let received = self.inner.try_recv(&mut buffer);
            self.shared.scratch.borrow_mut().received = buffer;
            match received {
                Ok(Some(0)) | Err(_) => return,
                Ok(received) => thrown_away += received.unwrap_or_default(),
            }
        }
    }
}

/// The name that a client has proven by a certificate.
fn name_of(session: Option<&Session>) -> Option<Box<str>> {
    client_name(session?.peer_certificate()?).map(Into::into)
}

fn fault(kind: SessionFaultKind, reason: &str) -> io::Error {
    io_error(SessionFault { kind, reason: reason.to_owned() })
}

/// A request line begins with a token (RFC 9112, section 3), and who sends a
/// line end in front of it speaks HTTP too. No record begins like that.
fn begins_http(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'\r' | b'\n')
}

/// How many of these bytes are whole records. What cannot be a record counts as
/// one, so that it is looked at and refused.
fn whole_records(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(rest) = bytes.get(end..).filter(|rest| !rest.is_empty()) {
        match record_bytes(rest) {
            Some(length) if length > RECORD_BYTES_MAX || !is_record_type(rest) => {
                return bytes.len();
            }
            Some(length) if length <= rest.len() => end += length,
            _ => break,
        }
    }
    end
}

/// RFC 8446, section 5.1: change_cipher_spec, alert, handshake,
/// application_data.
fn is_record_type(record: &[u8]) -> bool {
    matches!(record, [20..=23, ..])
}

fn is_plain_http(error: &io::Error) -> bool {
    SessionFault::of(error).is_some_and(|fault| fault.kind == SessionFaultKind::PlainHttp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_records_are_worked_on_and_what_is_none_at_once() {
        for (bytes, expected) in [
            (&[][..], 0),
            (&[22], 0),
            (&[22, 3, 1, 0, 2, 1], 0),
            (&[22, 3, 1, 0, 2, 1, 1], 7),
            (&[22, 3, 1, 0, 2, 1, 1, 22, 3], 7),
            (&[22, 3, 1, 0, 1, 1, 20, 3, 3, 0, 1, 1], 12),
            (&[99, 3, 1, 0, 2, 1], 6),
            (&[22, 3, 1, 255, 255], 5),
        ] {
            assert_eq!(whole_records(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn the_canned_answer_tells_its_own_length() {
        let text = std::str::from_utf8(NOT_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
