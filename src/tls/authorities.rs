//! Whom we trust to issue certificates.

use std::sync::Arc;

use rustls::{RootCertStore, pki_types::CertificateDer};

use super::{
    fault::{Fault, file_reason},
    identity::certificates,
};

/// Authorities, each of them usable; never none.
#[derive(Clone, Debug)]
pub struct Authorities {
    pub(super) store: Arc<RootCertStore>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// A bundle that the operator chose: every certificate in it must count.
    ///
    /// # Errors
    /// No PEM, no certificate in it, or the ones that cannot be used.
    pub fn read(pem: &[u8]) -> Result<Self, Vec<Fault>> {
        let certificates = certificates(pem).map_err(|fault| vec![fault])?;
        if certificates.is_empty() {
            return Err(vec![Fault::NoAuthority]);
        }
        let mut store = RootCertStore::empty();
        let unusable: Vec<_> = certificates
            .iter()
            .enumerate()
            .filter_map(|(index, der)| {
                let error = store.add(der.clone()).err()?;
                Some(Fault::AuthorityUnusable { place: index + 1, reason: file_reason(&error) })
            })
            .collect();
        if unusable.is_empty() {
            Ok(Self { store: Arc::new(store), certificates })
        } else {
            Err(unusable)
        }
    }

    /// The system's bundle, of which old and odd certificates are left out;
    /// `None` if nothing is left.
    #[must_use]
    pub fn of_system(certificates: &[CertificateDer<'static>]) -> Option<Self> {
        let mut store = RootCertStore::empty();
        let (usable, _) = store.add_parsable_certificates(certificates.iter().cloned());
        let certificates = certificates.to_vec();
        (usable > 0).then(|| Self { store: Arc::new(store), certificates })
    }
}

/// The same certificates in the same order.
impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for Authorities {}

#[cfg(test)]
#[path = "authorities_tests.rs"]
mod tests;
