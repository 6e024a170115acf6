//! How we are a TLS server: identities, and what we ask of clients, to one
//! configuration for all shards.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::CryptoProvider,
    server::{
        ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert,
        WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
    time_provider::TimeProvider,
};

use super::{authorities::Authorities, fault::Fault, identity::Identity};

/// The only protocol that we speak inside (RFC 7301, section 6).
pub(super) const ALPN: &[u8] = b"http/1.1";
/// What a client of HTTP/1.0 may ask for.
const ALPN_10: &[u8] = b"http/1.0";

/// Whether a client may come without a certificate. One that does not verify
/// is refused in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    Required,
    Optional,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}

/// All that makes a server's configuration.
#[derive(Debug)]
pub struct ServerSide<'a> {
    /// The first answers every name that none carries. Never empty.
    pub identities: &'a [Identity],
    /// `None` asks no client for a certificate.
    pub clients: Option<(&'a Authorities, ClientAuth)>,
    pub min_version: MinVersion,
    /// Kept while certificates change, so that clients can resume. It must be
    /// another one when `clients` changes: a ticket carries the identity that
    /// was verified then, past the authorities of now.
    pub tickets: Arc<dyn ProducesTickets>,
    pub clock: Arc<dyn TimeProvider>,
    pub provider: Arc<CryptoProvider>,
}

/// # Errors
/// [`Fault::Setup`] alone: what files hold has been checked before.
pub fn server_config(side: ServerSide<'_>) -> Result<Arc<ServerConfig>, Fault> {
    let verifier = client_verifier(&side)?;
    let builder = ServerConfig::builder_with_details(side.provider, side.clock)
        .with_protocol_versions(side.min_version.versions())
        .map_err(|error| Fault::Setup(error.to_string()))?;
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(ByName::of(side.identities)));
    config.alpn_protocols = vec![ALPN.to_vec(), ALPN_10.to_vec()];
    // Ours, cheapest first: see `SUITES`.
    config.ignore_client_order = true;
    // Tickets are all there is to resume by: state on our side would have to
    // be shared between shards, behind a lock.
    config.ticketer = side.tickets;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Early data can be replayed, and a request costs money (RFC 8446,
    // section 8).
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Tickets with keys made now, which change every six hours and are taken for
/// twelve.
///
/// # Errors
/// [`Fault::Setup`] when there is no randomness.
pub fn new_tickets() -> Result<Arc<dyn ProducesTickets>, Fault> {
    let tickets = rustls::crypto::aws_lc_rs::Ticketer::new();
    tickets.map_err(|error| Fault::Setup(error.to_string()))
}

fn client_verifier(side: &ServerSide<'_>) -> Result<Arc<dyn ClientCertVerifier>, Fault> {
    let Some((authorities, mode)) = side.clients else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let (roots, provider) = (Arc::clone(&authorities.store), Arc::clone(&side.provider));
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let builder = match mode {
        ClientAuth::Required => builder,
        ClientAuth::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| Fault::Setup(error.to_string()))
}

impl MinVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        const FROM_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
        match self {
            Self::Tls12 => rustls::ALL_VERSIONS,
            Self::Tls13 => FROM_13,
        }
    }
}

/// Identities by server name: exactly, then by a wildcard of one label (RFC
/// 6125, section 6.4.3), else the first.
#[derive(Debug)]
struct ByName {
    named: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    fn of(identities: &[Identity]) -> Self {
        let mut named = HashMap::new();
        for identity in identities {
            for name in identity.chain().dns_names() {
                // A name that two carry has been refused before.
                named.entry(name.clone()).or_insert_with(|| Arc::clone(&identity.key));
            }
        }
        Self { named, first: identities.first().map(|identity| Arc::clone(&identity.key)) }
    }

    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let exact = self.named.get(&name);
            exact.or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.named.get(&format!("*.{parent}"))
            })
        });
        named.or(self.first.as_ref()).cloned()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

#[cfg(test)]
#[path = "server_side_tests.rs"]
mod tests;
