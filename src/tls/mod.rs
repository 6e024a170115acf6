//! TLS without I/O: certificates to configurations, and a session that turns
//! bytes into bytes. Sockets, files and clocks are elsewhere.

mod authorities;
mod client_side;
mod current;
mod date;
mod fault;
pub mod fuzz;
mod identity;
mod names;
mod server_side;
mod session;
mod session_fault;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use rustls::{
    SupportedCipherSuite,
    crypto::aws_lc_rs::{self, cipher_suite as suites},
};

pub use authorities::Authorities;
pub use client_side::{BackendSide, Verification, client_config, for_one_backend};
pub use current::{BackendTls, ServerTls};
pub use date::Date;
pub use fault::Fault;
pub use identity::{Chain, Identity, Key};
pub use names::client_name;
pub use server_side::{ClientAuth, MinVersion, ServerSide, new_tickets, server_config};
pub use session::{
    Opened, RECORD_BYTES_MAX, RECORD_PLAIN_MAX, Session, record_bytes, sealed_bytes_max,
};
pub use session_fault::{SessionFault, SessionFaultKind};

pub use rustls::crypto::CryptoProvider;
pub use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
pub use rustls::server::ProducesTickets;
pub use rustls::time_provider::TimeProvider;

/// The cryptography of this process: aws-lc-rs, given to each configuration by
/// hand, so that no other crate can have installed another one before.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    let ours = aws_lc_rs::default_provider();
    Arc::new(CryptoProvider { cipher_suites: SUITES.to_vec(), ..ours })
}

/// All that rustls has, each version's cheapest first: servers have hardware
/// for AES, and a longer key makes a connection no safer in practice (RFC 8446,
/// section 9.1, asks for the first).
const SUITES: [SupportedCipherSuite; 9] = [
    suites::TLS13_AES_128_GCM_SHA256,
    suites::TLS13_AES_256_GCM_SHA384,
    suites::TLS13_CHACHA20_POLY1305_SHA256,
    suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];
