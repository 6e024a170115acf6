//! TLS in the plan: which files, and how strict.
//!
//! Paths only. What the files hold is checked in `material.rs`, at the start
//! and again whenever they change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::tls::{ClientAuth, MinVersion, Verification};

/// Both sides of TLS. The default is neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPlan {
    /// `Some` exactly when there are TLS listeners.
    pub server: Option<ServerTlsPlan>,
    /// By backend, in the operator's order; `None` is plain HTTP.
    pub backends: Vec<Option<BackendTlsPlan>>,
    /// How often the files are looked at.
    pub watch_every: Duration,
}

/// How we are a TLS server to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTlsPlan {
    /// In the operator's order; the first answers every name that none carries.
    /// Never empty in a checked plan.
    pub pairs: Vec<PairFiles>,
    /// `None` asks no client for a certificate.
    pub clients: Option<ClientAuthPlan>,
    pub min_version: MinVersion,
    /// From the accepted connection to the end of its handshake.
    pub handshake_timeout: Duration,
    /// Most handshakes of one shard that wait for their turn.
    pub handshakes_waiting: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthPlan {
    pub authorities: PathBuf,
    pub mode: ClientAuth,
}

/// How we are a TLS client to one backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTlsPlan {
    /// `None` is the system's own bundle.
    pub authorities: Option<PathBuf>,
    /// Who we are to backends; `None` shows no certificate.
    pub pair: Option<PairFiles>,
    pub verification: Verification,
}

/// A certificate chain and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    pub certificates: PathBuf,
    pub key: PathBuf,
}

impl TlsPlan {
    /// Reading a few small files costs microseconds; a second is soon enough.
    pub const WATCH_EVERY: Duration = Duration::from_secs(1);

    /// Every file that is read, each once.
    #[must_use]
    pub fn files(&self) -> BTreeSet<&Path> {
        let server = self.server.iter();
        let clients = server.clone().filter_map(|server| server.clients.as_ref());
        let authorities = clients.map(|clients| clients.authorities.as_path());
        let pairs = server.flat_map(|server| &server.pairs).flat_map(PairFiles::both);
        authorities.chain(pairs).chain(self.backend_files()).collect()
    }

    fn backend_files(&self) -> impl Iterator<Item = &Path> {
        self.backends.iter().flatten().flat_map(BackendTlsPlan::files)
    }
}

impl BackendTlsPlan {
    /// Those that say who it is, and who we are to it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pair = self.pair.iter().flat_map(PairFiles::both);
        self.authorities.as_deref().into_iter().chain(pair)
    }
}

impl PairFiles {
    fn both(&self) -> [&Path; 2] {
        [&self.certificates, &self.key]
    }
}

impl TlsPlan {
    /// Also without TLS listeners, where nobody is held to it.
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        let server = self.server.as_ref();
        server.map_or(ServerTlsPlan::HANDSHAKE_TIMEOUT, |server| server.handshake_timeout)
    }

    /// The same. Backends' handshakes wait in a line that needs no bound of its
    /// own: there is a request for each.
    #[must_use]
    pub fn handshakes_waiting(&self) -> usize {
        let server = self.server.as_ref();
        server.map_or(ServerTlsPlan::HANDSHAKES_WAITING, |server| server.handshakes_waiting)
    }
}

impl Default for TlsPlan {
    fn default() -> Self {
        Self { server: None, backends: Vec::new(), watch_every: Self::WATCH_EVERY }
    }
}

impl ServerTlsPlan {
    /// Two round trips of the slowest link, and room for a lost packet.
    pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
    /// About a second of one core's work, so who waits is served in time.
    pub const HANDSHAKES_WAITING: usize = 1024;
    /// Each of them holds a connection and a buffer.
    pub const HANDSHAKES_WAITING_MAX: usize = 1 << 20;
}
