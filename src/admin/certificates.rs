//! What is told about certificates: one set of figures for the process, which
//! shards know nothing of.

use crate::exchange::{Counter, Kind};

/// Written by whoever loads certificates, read by the pages.
#[derive(Debug, Default)]
pub struct CertificateFigures {
    pub reloads_taken: Counter,
    pub reloads_refused: Counter,
    /// Seconds since 1970; 0 while we hold no certificate of our own.
    pub not_after: Counter,
}

impl CertificateFigures {
    /// Every figure: name, kind, help and value.
    pub(super) fn each(&self, mut show: impl FnMut(&'static str, Kind, &'static str, u64)) {
        let (taken, refused) = (self.reloads_taken.read(), self.reloads_refused.read());
        show("certificate_reloads", Kind::Counter, "Changed certificates that were taken.", taken);
        show(
            "certificate_reloads_refused",
            Kind::Counter,
            "Changed certificates that were refused; the ones before stayed in force.",
            refused,
        );
        let not_after = self.not_after.read();
        if not_after > 0 {
            let help = "When the first of the certificates in force ends, since 1970.";
            show("certificate_not_after_seconds", Kind::Gauge, help, not_after);
        }
    }
}
