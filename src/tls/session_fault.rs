//! Why a TLS connection ends early, and whose fault it is.

use std::fmt;

use rustls::{CertificateError, Error, InvalidMessage};

use super::Date;

/// Why a connection is over. The reason is for the log; a peer is told the kind
/// at most.
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

impl From<Error> for SessionFault {
    fn from(error: Error) -> Self {
        use SessionFaultKind::{NotTls, PeerAlert, Protocol, Verification};
        let (kind, reason) = match &error {
            Error::InvalidCertificate(certificate) => {
                let reason = verification_reason(certificate);
                (Verification, format!("the certificate does not verify: {reason}"))
            }
            Error::NoCertificatesPresented => {
                (Verification, "the certificate does not verify: none was shown".to_owned())
            }
            Error::AlertReceived(alert) => {
                let reason = format!("the peer ended the connection with the alert {alert:?}");
                (PeerAlert, reason)
            }
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                let reason = "what it says is not TLS; a backend that speaks plain HTTP has a URL \
                              with http://";
                (NotTls, reason.to_owned())
            }
            other => (Protocol, other.to_string()),
        };
        Self { kind, reason }
    }
}

fn verification_reason(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("it expired on {}", Date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}", Date(*not_before))
        }
        CertificateError::UnknownIssuer => "no trusted authority has issued it".to_owned(),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is an authority's own, not one that an authority has issued to a server".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            let presented = match presented.as_slice() {
                [] => "no name at all".to_owned(),
                names => names.join(", "),
            };
            format!("it is not for {}, but for {presented}", expected.to_str())
        }
        other => other.to_string(),
    }
}

/// A name without the kind that rustls writes around it.
fn bare(name: &str) -> &str {
    let inner = name.strip_prefix("DnsName(\"").and_then(|rest| rest.strip_suffix("\")"));
    inner.unwrap_or(name)
}

#[cfg(test)]
#[path = "session_fault_tests.rs"]
mod tests;
