//! What can be wrong with certificates and keys: one variant a fault, with its
//! reason.

use rustls::{CertificateError, Error, pki_types::pem};

use super::date::Date;

/// What is wrong with the contents of a file; the operator is to blame. Each
/// sentence ends with the mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the file is no whole PEM ({0}); write it anew")]
    NotPem(String),

    // Certificates of our own.
    #[error("the file holds no certificate; give a PEM file with BEGIN CERTIFICATE")]
    NoCertificate,
    #[error("certificate {place} in the file cannot be read ({reason}); have it issued anew")]
    CertificateMalformed { place: usize, reason: String },
    #[error("the certificate expired on {not_after} (it is valid from {not_before}); renew it")]
    Expired { not_before: Date, not_after: Date },
    #[error(
        "the certificate is not valid before {not_before} (until {not_after}); \
         wait, or set this machine's clock"
    )]
    NotYetValid { not_before: Date, not_after: Date },
    #[error(
        "the certificate names no host (no DNS name or IP address in its subjectAltName), \
         so every client would refuse it; have it issued with its names"
    )]
    NoNames,
    #[error("the name {name} is already carried by {other}; keep one certificate for each name")]
    NameTwice { name: String, other: String },

    // Private keys.
    #[error("the file holds no private key; give a PEM file with BEGIN PRIVATE KEY")]
    NoKey,
    #[error("the private key is encrypted, and nobody is asked for a passphrase; decrypt it")]
    KeyEncrypted,
    #[error("the private key is not taken ({0}); take ECDSA P-256, or RSA of 2048 bits or more")]
    KeyNotTaken(String),
    #[error(
        "the private key does not match the first certificate of {0}; \
         give the key it was issued for, and put the server's certificate first"
    )]
    KeyMismatch(String),

    // Authorities.
    #[error("the file holds no certificate of an authority; give a PEM bundle")]
    NoAuthority,
    #[error("certificate {place} of the bundle is no authority to be used ({reason}); remove it")]
    AuthorityUnusable { place: usize, reason: String },

    /// The configuration itself cannot be made. No file leads here: it takes a
    /// set of cryptography that lacks what TLS needs.
    #[error("no TLS can be set up ({0}); this is a fault of the build")]
    Setup(String),
}

/// What rustls finds wrong with a file, without the kinds that it writes around
/// its words: nobody is a peer here.
pub(super) fn file_reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "it is not encoded as one".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Other(other)) => other.to_string(),
        Error::InvalidCertificate(certificate) => certificate.to_string(),
        Error::General(words) => words.clone(),
        other => other.to_string(),
    }
}

/// Why a file is no PEM (RFC 7468).
pub(super) fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no -----END line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is broken".to_owned(),
        pem::Error::Base64Decode(_) => "a section holds what is no base64".to_owned(),
        other => other.to_string(),
    }
}
