//! SIGHUP: certificates are looked at, and what else has changed is told.

use super::certificates::Reloader;
use crate::config::{Changes, FileInForce};

pub(super) fn reload(certificates: Option<&Reloader>, file: Option<&FileInForce>) {
    if let Some(certificates) = certificates {
        certificates.look_now();
    }
    match (certificates, file) {
        (_, Some(file)) => tell(file.name(), &file.look()),
        (None, None) => tracing::info!("nothing to reload: the settings are flags"),
        (Some(_), None) => {}
    }
}

/// Settings of the file are read at the start only.
fn tell(file: &str, changes: &Changes) {
    match changes {
        Changes::None => tracing::info!("{file} has not changed"),
        Changes::WordsOnly => {
            tracing::info!("{file} has changed, and says the same as when we started");
        }
        Changes::Keys(keys) => tracing::warn!(
            "{file} has changed, and these settings need a restart: {}",
            keys.join(", ")
        ),
        Changes::Faults(faults) => tracing::error!(
            "{file} has changed, and could not be started with: {}; what runs stays as it is",
            faults.join("; and ")
        ),
    }
}
