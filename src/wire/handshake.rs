//! How a TLS stream begins. It waits in polls, without a buffer: who is slow
//! costs a small object and no memory of records.

use std::io;

use super::{
    Gate, Secured,
    secured::{Role, io_error},
};
use crate::{
    rt::{Established, Transport},
    tls::{Session, SessionFault, SessionFaultKind, client_name},
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
                return Ok(self.known());
            }
            self.inner.readable().await?;
            self.pass().await?;
            match self.step() {
                Err(error) if is_plain_http(&error) => {
                    self.tell_plainly().await;
                    return Err(error);
                }
                result => result?,
            }
        }
    }

    /// Waits for its turn to work.
    async fn pass(&self) -> io::Result<()> {
        let gate: &Gate = &self.shared.gate;
        gate.pass().await.map_err(|_| fault(SessionFaultKind::Shed, "too many handshakes wait"))
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

    /// Takes what has come and answers it.
    fn step(&self) -> io::Result<()> {
        let mut received = std::mem::take(&mut self.shared.scratch.borrow_mut().received);
        received.clear();
        let result = self.step_with(&mut received);
        self.shared.scratch.borrow_mut().received = received;
        result
    }

    fn step_with(&self, received: &mut Vec<u8>) -> io::Result<()> {
        received.append(&mut self.state.borrow_mut().torn);
        received.reserve(crate::tls::RECORD_BYTES_MAX);
        match self.inner.try_recv(received)? {
            None => {}
            Some(0) => {
                return Err(fault(SessionFaultKind::Left, "the peer left in the handshake"));
            }
            Some(_) => {
                if self.state.borrow().session.is_none() {
                    if received.first().is_some_and(u8::is_ascii_uppercase) {
                        return Err(fault(SessionFaultKind::PlainHttp, "plain HTTP, not TLS"));
                    }
                    self.begin()?;
                }
                let mut state = self.state.borrow_mut();
                let opened = self.open(&mut state, received)?;
                state.keep(received.get(opened.used..).unwrap_or_default(), &opened)?;
                // A peer may say more than its last word of the handshake.
                state.over.extend_from_slice(received.get(..opened.plain).unwrap_or_default());
                return Ok(());
            }
        }
        self.state.borrow_mut().torn.append(received);
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

fn is_plain_http(error: &io::Error) -> bool {
    SessionFault::of(error).is_some_and(|fault| fault.kind == SessionFaultKind::PlainHttp)
}

#[cfg(test)]
mod tests {
    use super::NOT_TLS;

    #[test]
    fn the_canned_answer_tells_its_own_length() {
        let text = std::str::from_utf8(NOT_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
