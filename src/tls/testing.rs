//! Certificates made for tests, and two sessions that shake hands in memory.

use std::{sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, ServerName, UnixTime},
    time_provider::TimeProvider,
};

use super::{Authorities, BackendSide, Chain, Identity, Key, ServerSide, new_tickets, provider};

/// 2026-11-21; what is issued here is valid from 2026-01-01 to 2027-06-01.
pub(crate) const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_795_219_200));

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Still(pub(crate) UnixTime);

impl TimeProvider for Still {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// Who issues certificates.
pub(crate) struct Issuing {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub(crate) pem: String,
}

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Issuing {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let mut params = params(names, "somebody");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
        }
    }

    pub(crate) fn authorities(&self) -> Authorities {
        Authorities::read(self.pem.as_bytes()).unwrap()
    }
}

fn params(names: &[&str], common_name: &str) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 6, 1);
    params
}

impl Issued {
    pub(crate) fn identity(&self) -> Identity {
        let chain = Chain::read(self.certificate.as_bytes()).unwrap();
        let key = Key::read(self.key.as_bytes(), &provider()).unwrap();
        Identity::of(chain, key, "test").unwrap()
    }
}

/// A server with these identities that asks clients for nothing.
pub(crate) fn server_of(identities: &[Identity]) -> ServerSide<'_> {
    ServerSide {
        identities,
        clients: None,
        min_version: super::MinVersion::Tls12,
        tickets: new_tickets().unwrap(),
        clock: Arc::new(Still(NOW)),
        provider: provider(),
    }
}

/// A client that shows nothing.
pub(crate) fn client_of(authorities: Option<&Authorities>) -> BackendSide<'_> {
    let (clock, provider) = (Arc::new(Still(NOW)), provider());
    BackendSide { authorities, identity: None, clock, provider }
}

/// The client's and the server's end of a connection, after their handshake
/// and what follows it at once, or the error of the end that found one.
pub(crate) fn shake_hands(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<(Connection, Connection), Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name)?.into();
    let mut server = ServerConnection::new(Arc::clone(server))?.into();
    while carry(&mut client, &mut server)? | carry(&mut server, &mut client)? {}
    Ok((client, server))
}

/// False if there was nothing to be carried.
fn carry(from: &mut Connection, to: &mut Connection) -> Result<bool, Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(!bytes.is_empty())
}
