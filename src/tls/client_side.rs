//! How we are a TLS client to a backend.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::SingleCertAndKey,
    time_provider::TimeProvider,
};

use super::{authorities::Authorities, fault::Fault, identity::Identity, server_side::ALPN};

/// How far a backend's certificate is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// Its chain, its dates and its name.
    #[default]
    Full,
    /// Not at all: whoever sits on the way may be the backend.
    None,
}

/// All that makes a client's configuration.
#[derive(Debug)]
pub struct BackendSide<'a> {
    /// `None` verifies nothing.
    pub authorities: Option<&'a Authorities>,
    /// Shown to backends that ask for a certificate.
    pub identity: Option<&'a Identity>,
    pub clock: Arc<dyn TimeProvider>,
    pub provider: Arc<CryptoProvider>,
}

/// A configuration without sessions to resume; see [`for_one_backend`].
///
/// # Errors
/// [`Fault::Setup`] alone: what files hold has been checked before.
pub fn client_config(side: BackendSide<'_>) -> Result<ClientConfig, Fault> {
    let provider = Arc::clone(&side.provider);
    let builder = ClientConfig::builder_with_details(side.provider, side.clock)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| Fault::Setup(error.to_string()))?;
    let builder = match side.authorities {
        Some(authorities) => builder.with_root_certificates(Arc::clone(&authorities.store)),
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
    };
    let mut config = match side.identity {
        Some(identity) => {
            let shown = SingleCertAndKey::from(Arc::clone(&identity.key));
            builder.with_client_cert_resolver(Arc::new(shown))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// The configuration with a store of sessions of its own. rustls finds them by
/// name alone, and backends with one name (ports of one host, or a name for
/// all) would be offered each other's.
#[must_use]
pub fn for_one_backend(config: &ClientConfig) -> Arc<ClientConfig> {
    /// One name, and its tickets beside it.
    const SESSIONS: usize = 4;
    let mut config = config.clone();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Arc::new(config)
}

/// Takes every certificate. That the peer holds its key is verified still.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "client_side_tests.rs"]
mod tests;
