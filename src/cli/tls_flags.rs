//! The TLS flags of `serve`.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help, where brackets are brackets"
)]

use std::path::PathBuf;

use clap::{Args, builder::PossibleValue};

use crate::base::units::Time;
use crate::config::{ClientAuth, MinVersion, ServerTlsPlan, TlsPlan, TlsWritten, Verification};

use super::values::count;

#[derive(Debug, Args)]
pub(super) struct ServerTlsFlags {
    /// Address for clients that speak TLS, beside --listen or alone; repeatable
    #[arg(long, value_name = "ADDR")]
    tls_listen: Vec<String>,
    /// Certificate chain; repeatable, chosen by server name, the first for any other
    #[arg(long, value_name = "FILE")]
    tls_cert: Vec<PathBuf>,
    /// Private key of the --tls-cert at the same place
    #[arg(long, value_name = "FILE")]
    tls_key: Vec<PathBuf>,
    /// Ask clients for a certificate of one of these authorities [default: none]
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Whether a client may come without a certificate [default: required]
    #[arg(long, value_name = "MODE", value_enum)]
    tls_client_auth: Option<ClientAuthWord>,
    /// Oldest version that is spoken
    #[arg(long, value_name = "VERSION", value_enum, default_value_t = VersionWord(MinVersion::default()))]
    tls_min_version: VersionWord,
    /// For a client's whole handshake
    #[arg(long, value_name = "TIME", default_value_t = Time(ServerTlsPlan::HANDSHAKE_TIMEOUT))]
    tls_handshake_timeout: Time,
    /// Most handshakes of one shard that wait for their turn; more are shed
    #[arg(
        long, value_name = "COUNT", value_parser = count::<usize>,
        default_value_t = ServerTlsPlan::HANDSHAKES_WAITING
    )]
    tls_handshakes_waiting: usize,
    /// How often all certificate files are looked at; SIGHUP looks at once
    #[arg(long, value_name = "TIME", default_value_t = Time(TlsPlan::WATCH_EVERY))]
    tls_watch_every: Time,
}

#[derive(Debug, Args)]
pub(super) struct BackendTlsFlags {
    /// Authorities that backends' certificates must come from [default: the system's]
    #[arg(long, value_name = "FILE")]
    backend_ca: Option<PathBuf>,
    /// Certificate chain shown to backends that ask for one [default: none]
    #[arg(long, value_name = "FILE")]
    backend_cert: Option<PathBuf>,
    /// Private key of --backend-cert
    #[arg(long, value_name = "FILE")]
    backend_key: Option<PathBuf>,
    /// Name asked for and verified at every https backend [default: its URL's host]
    #[arg(long, value_name = "NAME")]
    backend_tls_name: Option<String>,
    /// Take any certificate from backends: whoever is on the way may be one
    #[arg(long)]
    danger_backend_no_verify: bool,
}

pub(super) fn written(server: ServerTlsFlags, backend: BackendTlsFlags) -> TlsWritten {
    TlsWritten {
        listen: server.tls_listen,
        certificates: server.tls_cert,
        keys: server.tls_key,
        client_ca: server.tls_client_ca,
        client_auth: server.tls_client_auth.map(|word| word.0),
        min_version: server.tls_min_version.0,
        handshake_timeout: server.tls_handshake_timeout.0,
        handshakes_waiting: server.tls_handshakes_waiting,
        watch_every: server.tls_watch_every.0,
        backend_ca: backend.backend_ca,
        backend_certificate: backend.backend_cert,
        backend_key: backend.backend_key,
        backend_name: backend.backend_tls_name,
        backend_verification: if backend.danger_backend_no_verify {
            Verification::None
        } else {
            Verification::Full
        },
    }
}

/// [`ClientAuth`] as a word; the room of TLS knows no command line.
#[derive(Clone, Copy, Debug)]
struct ClientAuthWord(ClientAuth);

impl clap::ValueEnum for ClientAuthWord {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(ClientAuth::Required), Self(ClientAuth::Optional)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self.0 {
            ClientAuth::Required => "required",
            ClientAuth::Optional => "optional",
        }))
    }
}

/// [`MinVersion`] as a word.
#[derive(Clone, Copy, Debug)]
struct VersionWord(MinVersion);

impl clap::ValueEnum for VersionWord {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(MinVersion::Tls12), Self(MinVersion::Tls13)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self.0 {
            MinVersion::Tls12 => "1.2",
            MinVersion::Tls13 => "1.3",
        }))
    }
}
