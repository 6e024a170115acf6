//! Settings that a sentence names: beside it as data, so that nobody looks for
//! them in its words.

use std::fmt;

/// A setting that a sentence names, and what the sentence shows to be written
/// for it; nothing where it only speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub(super) id: &'static str,
    pub(super) value: &'static str,
}

pub(super) const ATTEMPTS: Named = Named::only("--retry-attempts");
pub(super) const BACKEND: Named = Named::with("--backend", "http://HOST:PORT");
pub(super) const BACKEND_CA: Named = Named::with("--backend-ca", "FILE");
pub(super) const BACKEND_DIALECT: Named = Named::only("backend.dialect");
pub(super) const BACKEND_HTTPS: Named = Named::with("--backend", "https://…");
pub(super) const BACKEND_MODELS: Named = Named::only("backend.models");
pub(super) const BACKEND_NAME: Named = Named::only("backend.name");
pub(super) const BACKEND_WEIGHT: Named = Named::only("backend.weight");
pub(super) const CONNECTIONS: Named = Named::only("--connections");
pub(super) const CORES: Named = Named::only("--cores");
pub(super) const DEMO: Named = Named::only("--demo");
pub(super) const MODEL_ALIASES: Named = Named::only("model.aliases");
pub(super) const MODEL_NAME: Named = Named::only("model.name");
pub(super) const NO_PIN: Named = Named::only("--no-pin");
pub(super) const NO_VERIFY: Named = Named::only("--danger-backend-no-verify");
pub(super) const POOL_IDLE: Named = Named::only("--pool-idle-per-backend");
pub(super) const SHADOW: Named = Named::only("route.shadow");
pub(super) const TLS_CERT: Named = Named::only("--tls-cert");
pub(super) const TLS_CERT_FILE: Named = Named::with("--tls-cert", "FILE");
pub(super) const TLS_CLIENT_CA: Named = Named::with("--tls-client-ca", "FILE");
pub(super) const TLS_KEY: Named = Named::only("--tls-key");
pub(super) const TLS_KEY_FILE: Named = Named::with("--tls-key", "FILE");
pub(super) const TLS_LISTEN: Named = Named::with("--tls-listen", "ADDR");

impl Named {
    pub(super) const fn only(id: &'static str) -> Self {
        Self { id, value: "" }
    }

    pub(super) const fn with(id: &'static str, value: &'static str) -> Self {
        Self { id, value }
    }

    /// The first place where it stands in a sentence, and not only a longer
    /// name that begins or ends with it.
    pub(super) fn find_in(&self, sentence: &str) -> Option<usize> {
        let text = self.to_string();
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let stands_alone = |at: &usize| {
            let (before, from) = sentence.as_bytes().split_at(*at);
            let after = from.get(text.len()..).unwrap_or_default();
            !before.last().is_some_and(is_of_name) && !after.first().is_some_and(is_of_name)
        };
        sentence.match_indices(&text).map(|(at, _)| at).find(stands_alone)
    }
}

/// As if it were given by its flag.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.value.is_empty() { "" } else { " " };
        write!(f, "{}{space}{}", self.id, self.value)
    }
}
