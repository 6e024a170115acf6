//! Two TLS sessions, and what may happen to the records between them.
#![no_main]

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{PrivatePkcs8KeyDer, ServerName},
    version::{TLS12, TLS13},
};

const NAME: &str = "proxy.test";

struct Ends {
    server: Arc<ServerConfig>,
    clients: [Arc<ClientConfig>; 2],
}

/// A certificate of its own authority, made once.
fn ends() -> &'static Ends {
    static ENDS: OnceLock<Ends> = OnceLock::new();
    ENDS.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");
        let server = ServerConfig::builder_with_provider(tokenring::tls::provider())
            .with_protocol_versions(&[&TLS12, &TLS13])
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .expect("a pair");
        let client = |version: &'static SupportedProtocolVersion| {
            let config = ClientConfig::builder_with_provider(tokenring::tls::provider())
                .with_protocol_versions(&[version])
                .expect("a version");
            Arc::new(config.with_root_certificates(roots.clone()).with_no_client_auth())
        };
        Ends { server: Arc::new(server), clients: [client(&TLS12), client(&TLS13)] }
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((version, steps)) = data.split_first() else { return };
    let Ends { server, clients } = ends();
    let name = ServerName::try_from(NAME).expect("a name");
    tokenring::tls::fuzz::fuzz_session(server, &clients[usize::from(version & 1)], name, steps);
});
