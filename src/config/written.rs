//! What was written, before it is checked: words where they still have to be
//! understood, values where they are understood already.

use std::path::PathBuf;
use std::time::Duration;

use super::MockScript;
use super::error::PlanError;
use super::given::Given;
use super::keys::KeySource;
pub use super::route_written::{
    ArmWritten, CandidateWritten, MirrorWritten, ModelWritten, NamedWritten, RouteWritten,
    WhenWritten,
};
use super::{
    Credentials, Deadlines, DriverChoice, HeaderPlan, Limits, PoolPlan, QueuePlan,
    plan::{BackendPlan, Plan, RingPlan},
    tls_plan::{ServerTlsPlan, TlsPlan},
};
use crate::balance::Balancing;
use crate::llm::Dialect;
use crate::probe::ProbePlan;
use crate::retry::{Class, RetryPlan};
use crate::tls::{ClientAuth, MinVersion, Verification};

/// Settings of `serve` as the operator gave them.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub listen: Vec<String>,
    pub admin: Option<String>,
    pub backends: Vec<BackendWritten>,
    /// More of them stand there, a line each.
    pub backends_file: Option<PathBuf>,
    pub models: Vec<ModelWritten>,
    pub routes: Vec<RouteWritten>,
    pub tls: TlsWritten,
    /// Start the built-in mock and use it as a backend.
    pub demo: bool,
    pub cores: String,
    pub pin: bool,
    pub driver: DriverChoice,
    pub rings: RingPlan,
    pub deadlines: Deadlines,
    /// Its `connections` are not looked at, `connections` here are.
    pub limits: Limits,
    /// `None` is what the open-file limit bears.
    pub connections: Option<usize>,
    pub pool: PoolPlan,
    pub queue: QueuePlan,
    pub balancing: Balancing,
    /// Headers that name a session, beside those that are known.
    pub session_headers: Vec<String>,
    /// Its `on` and `hedge_after` are not looked at, those here are.
    pub retry: RetryPlan,
    pub retry_on: Vec<String>,
    /// As written: a time, or a number of times.
    pub hedge_after: Option<String>,
    pub probes: ProbePlan,
    pub resolve_every: Duration,
    /// How often the file itself is looked at.
    pub watch_every: Duration,
    pub drain: Duration,
    pub proxy_path: String,
    pub headers: HeaderPlan,
    pub credentials: Credentials,
    /// Which settings the operator gave, and where: what was asked for never
    /// gives way, also when it is the default's value.
    pub given: Given,
    /// What was typed and cannot be carried out.
    pub faults: Vec<PlanError>,
}

impl Written {
    pub const LISTEN: &str = "127.0.0.1:8080";
    pub const CORES: &str = "auto";
}

/// Nothing was written: every default, and no backend.
impl Default for Written {
    fn default() -> Self {
        Self {
            listen: vec![Self::LISTEN.to_owned()],
            admin: None,
            backends: Vec::new(),
            backends_file: None,
            models: Vec::new(),
            routes: Vec::new(),
            tls: TlsWritten::default(),
            demo: false,
            cores: Self::CORES.to_owned(),
            pin: true,
            driver: DriverChoice::Auto,
            rings: RingPlan::DEFAULT,
            deadlines: Deadlines::DEFAULT,
            limits: Limits::DEFAULT,
            connections: None,
            pool: PoolPlan::DEFAULT,
            queue: QueuePlan::DEFAULT,
            balancing: Balancing::DEFAULT,
            retry: RetryPlan::DEFAULT,
            session_headers: Vec::new(),
            retry_on: Class::ALL.map(|class| class.name().to_owned()).into(),
            hedge_after: None,
            probes: ProbePlan::default(),
            resolve_every: Plan::RESOLVE_EVERY,
            watch_every: Plan::WATCH_EVERY,
            drain: Plan::DRAIN,
            proxy_path: Plan::PROXY_PATH.to_owned(),
            headers: HeaderPlan::DEFAULT,
            credentials: Credentials::Drop,
            given: Given::default(),
            faults: Vec::new(),
        }
    }
}

/// TLS settings of `serve` as the operator gave them.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsWritten {
    pub listen: Vec<String>,
    /// With the keys paired in order.
    pub certificates: Vec<PathBuf>,
    pub keys: Vec<PathBuf>,
    pub client_ca: Option<PathBuf>,
    /// `None` is required, when there is a client CA.
    pub client_auth: Option<ClientAuth>,
    pub min_version: MinVersion,
    pub handshake_timeout: Duration,
    pub handshakes_waiting: usize,
    pub watch_every: Duration,
    /// For every https backend; wins over what a backend has of its own.
    pub backend: BackendTlsWritten,
}

/// A backend as the operator gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendWritten {
    pub url: String,
    /// `None` is made of the URL.
    pub name: Option<String>,
    /// None is every name.
    pub models: Vec<String>,
    pub weight: u32,
    pub capacity: Option<u32>,
    pub dialect: Option<Dialect>,
    pub key: Option<KeySource>,
    pub tls: BackendTlsWritten,
}

impl Default for BackendWritten {
    fn default() -> Self {
        Self {
            url: String::new(),
            name: None,
            models: Vec::new(),
            weight: BackendPlan::WEIGHT,
            capacity: None,
            dialect: None,
            key: None,
            tls: BackendTlsWritten::default(),
        }
    }
}

impl<U: Into<String>> From<U> for BackendWritten {
    fn from(url: U) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

/// How we are a TLS client, as the operator gave it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendTlsWritten {
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub name: Option<String>,
    pub verification: Verification,
}

impl BackendTlsWritten {
    /// One's own, but for what is set for all.
    #[must_use]
    pub(super) fn or(&self, own: &Self) -> Self {
        let unverified = [self, own].iter().any(|one| one.verification == Verification::None);
        Self {
            ca: self.ca.clone().or_else(|| own.ca.clone()),
            certificate: self.certificate.clone().or_else(|| own.certificate.clone()),
            key: self.key.clone().or_else(|| own.key.clone()),
            name: self.name.clone().or_else(|| own.name.clone()),
            verification: if unverified { Verification::None } else { Verification::Full },
        }
    }
}

impl Default for TlsWritten {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            certificates: Vec::new(),
            keys: Vec::new(),
            client_ca: None,
            client_auth: None,
            min_version: MinVersion::default(),
            handshake_timeout: ServerTlsPlan::HANDSHAKE_TIMEOUT,
            handshakes_waiting: ServerTlsPlan::HANDSHAKES_WAITING,
            watch_every: TlsPlan::WATCH_EVERY,
            backend: BackendTlsWritten::default(),
        }
    }
}

/// Settings of `mock` as the operator gave them.
#[derive(Clone, Debug, PartialEq)]
pub struct MockWritten {
    pub listen: String,
    pub cores: String,
    pub pin: bool,
    pub driver: DriverChoice,
    pub script: MockScript,
}

impl MockWritten {
    pub const LISTEN: &str = "127.0.0.1:8000";
}

impl Default for MockWritten {
    fn default() -> Self {
        Self {
            listen: Self::LISTEN.to_owned(),
            cores: Written::CORES.to_owned(),
            pin: true,
            driver: DriverChoice::Auto,
            script: MockScript::new(),
        }
    }
}

/// What the machine allows this process; facts, not settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Core ids of `sched_getaffinity`; empty when the kernel did not answer.
    pub allowed_cores: Vec<usize>,
    /// The hard limit of RLIMIT_NOFILE, to which the soft one is raised;
    /// `None` when it is not known or has no end.
    pub open_files: Option<usize>,
}
