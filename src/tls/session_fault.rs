//! Why a TLS connection ends early, and whose fault it is.

use std::fmt;

use rustls::InvalidMessage;

use super::HandshakeFault;

/// Why a connection is over. The reason is rustls' own, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFault {
    pub kind: SessionFaultKind,
    pub reason: String,
}

/// Who is to blame, and how it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFaultKind {
    /// The peer's certificate, or the want of one.
    Verification,
    /// What came is not TLS …
    NotTls,
    /// … but HTTP.
    PlainHttp,
    /// The peer has left in mid-handshake.
    Left,
    /// There are too many handshakes already.
    Shed,
    /// The peer has ended the handshake or the connection with an alert.
    PeerAlert,
    /// Everything else that the peer did, or could not agree on.
    Protocol,
}

impl fmt::Display for SessionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for SessionFault {}

impl SessionFault {
    /// The fault that an I/O error stands for.
    #[must_use]
    pub fn of(error: &std::io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<rustls::Error> for SessionFault {
    fn from(error: rustls::Error) -> Self {
        use rustls::Error;
        let kind = match &error {
            Error::InvalidCertificate(_)
            | Error::NoCertificatesPresented
            | Error::InvalidCertRevocationList(_) => SessionFaultKind::Verification,
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => SessionFaultKind::NotTls,
            Error::AlertReceived(_) => SessionFaultKind::PeerAlert,
            _ => SessionFaultKind::Protocol,
        };
        Self { kind, reason: HandshakeFault::of(&error).to_string() }
    }
}
