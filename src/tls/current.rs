//! The configurations in force: read when a handshake begins, replaced whole
//! when certificates change. Handshakes and connections under way keep the one
//! that they began with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};

/// How we are a TLS server to clients.
#[derive(Debug)]
pub struct ServerTls(ArcSwap<ServerConfig>);

impl ServerTls {
    #[must_use]
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(ArcSwap::new(config))
    }

    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }

    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }
}

/// How we are a TLS client to one backend.
#[derive(Debug)]
pub struct BackendTls {
    config: ArcSwap<ClientConfig>,
    name: ServerName<'static>,
}

impl BackendTls {
    /// `name` is asked for (SNI) and verified.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        Self { config: ArcSwap::new(config), name }
    }

    #[must_use]
    pub fn current(&self) -> Arc<ClientConfig> {
        self.config.load_full()
    }

    pub fn replace(&self, config: Arc<ClientConfig>) {
        self.config.store(config);
    }

    #[must_use]
    pub fn name(&self) -> &ServerName<'static> {
        &self.name
    }
}
