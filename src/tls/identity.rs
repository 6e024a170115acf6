//! Who we are: a certificate chain and its private key, from PEM, checked.

use std::{sync::Arc, time::Duration};

use rustls::{
    Error, InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer, UnixTime,
        pem::{PemObject, SectionKind},
    },
    server::ParsedCertificate,
    sign::{CertifiedKey, SigningKey},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use super::{
    date::Date,
    fault::{Fault, file_reason, pem_reason},
    names::server_names,
};

/// A chain whose key we hold.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    chain: Chain,
}

/// Certificates from one file, the one of the key first.
#[derive(Clone, Debug)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    /// In lower case; a leading `*.` stands for one label.
    dns_names: Vec<String>,
    has_address: bool,
    not_before: UnixTime,
    not_after: UnixTime,
    /// When the first of the others ends.
    others_end: Option<UnixTime>,
}

/// A private key that the cryptography takes.
#[derive(Clone, Debug)]
pub struct Key(Arc<dyn SigningKey>);

impl Chain {
    /// # Errors
    /// No PEM, no certificate in it, or one that cannot be read or used.
    pub fn read(pem: &[u8]) -> Result<Self, Fault> {
        let certificates = certificates(pem)?;
        let mut first = None;
        let mut others_end: Option<UnixTime> = None;
        for (index, der) in certificates.iter().enumerate() {
            let read = X509Certificate::from_der(der);
            let malformed =
                |reason: String| Fault::CertificateMalformed { place: index + 1, reason };
            let (_, certificate) = read.map_err(|error| malformed(error.to_string()))?;
            if index > 0 {
                let end = moment(certificate.validity().not_after);
                others_end = others_end.into_iter().chain([end]).min_by_key(|end| end.as_secs());
            }
            first.get_or_insert(certificate);
        }
        let (first, der) = first.zip(certificates.first()).ok_or(Fault::NoCertificate)?;
        // TLS takes less than X.509: of the first version none, for example.
        ParsedCertificate::try_from(der).map_err(|error| Fault::CertificateMalformed {
            place: 1,
            reason: file_reason(&error),
        })?;
        let (dns_names, has_address) = server_names(&first);
        let (not_before, not_after) =
            (moment(first.validity().not_before), moment(first.validity().not_after));
        Ok(Self { certificates, dns_names, has_address, not_before, not_after, others_end })
    }

    /// # Errors
    /// The certificate has expired, or is not yet valid.
    pub fn check_validity(&self, now: UnixTime) -> Result<(), Fault> {
        let (not_before, not_after) = (Date(self.not_before), Date(self.not_after));
        if now > self.not_after {
            Err(Fault::Expired { not_before, not_after })
        } else if now < self.not_before {
            Err(Fault::NotYetValid { not_before, not_after })
        } else {
            Ok(())
        }
    }

    /// # Errors
    /// No host's name, so that no client could verify it.
    pub fn check_names(&self) -> Result<(), Fault> {
        if self.dns_names.is_empty() && !self.has_address { Err(Fault::NoNames) } else { Ok(()) }
    }

    /// The names by which clients can ask for it.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// When the first of the authorities' certificates behind ours ends;
    /// clients that know another way to a root do not need it.
    #[must_use]
    pub fn others_end(&self) -> Option<UnixTime> {
        self.others_end
    }
}

impl Key {
    /// # Errors
    /// No PEM, no key in it, or one that is not taken.
    pub fn read(pem: &[u8], provider: &CryptoProvider) -> Result<Self, Fault> {
        if is_encrypted(pem) {
            return Err(Fault::KeyEncrypted);
        }
        let key = match PrivateKeyDer::pem_slice_iter(pem).next() {
            Some(Ok(key)) => key,
            Some(Err(error)) => return Err(Fault::NotPem(pem_reason(&error))),
            None => return Err(Fault::NoKey),
        };
        let key = provider.key_provider.load_private_key(key);
        key.map(Self).map_err(|error| Fault::KeyNotTaken(file_reason(&error)))
    }
}

impl Identity {
    /// `chain_name` is how the operator calls the chain.
    ///
    /// # Errors
    /// The key is not the one of the chain's first certificate.
    pub fn of(chain: Chain, key: Key, chain_name: &str) -> Result<Self, Fault> {
        let certified = CertifiedKey::new(chain.certificates.clone(), key.0);
        match certified.keys_match() {
            // The key does not tell: the peers will.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Self { key: Arc::new(certified), chain })
            }
            Err(Error::InconsistentKeys(_)) => Err(Fault::KeyMismatch(chain_name.to_owned())),
            Err(error) => {
                Err(Fault::CertificateMalformed { place: 1, reason: file_reason(&error) })
            }
        }
    }

    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// Every certificate of a PEM file; other sections, such as a key, are passed
/// over.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let mut certificates = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|error| Fault::NotPem(pem_reason(&error)))?;
        if kind == SectionKind::Certificate {
            certificates.push(CertificateDer::from(der));
        }
    }
    Ok(certificates)
}

/// PKCS #8 says so in its label, OpenSSL's older form in a header of the
/// section (RFC 1421, section 4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    const LABELS: [&[u8]; 2] =
        [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
    LABELS.iter().any(|label| pem.windows(label.len()).any(|window| window == *label))
}

/// What lies before 1970 is as long ago as 1970.
fn moment(time: ASN1Time) -> UnixTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
