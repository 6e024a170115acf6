//! The checked Plan: what every room below may rely on.
//!
//! Only data and its defaults. A `Plan` that exists has passed every check of
//! `check.rs`; nobody tests its values a second time.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::MockPlan;
use super::given::Given;
use super::tls_plan::TlsPlan;
use crate::balance::{Balancing, Policy};
use crate::base::Secret;
use crate::exchange::{Credentials, Deadlines, HeaderPlan, Limits, PoolPlan, QueuePlan};
use crate::llm::Dialect;
use crate::probe::ProbePlan;
use crate::retry::RetryPlan;
use crate::route::RoutePlan;
use crate::rt::DriverChoice;
use crate::tls::ServerName;

/// One process, wholly described.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where clients connect in plain HTTP; every shard listens on each of
    /// them. Empty only when there are TLS listeners.
    pub listeners: Vec<Address>,
    /// Where clients connect by TLS; the same shards listen there too.
    pub tls_listeners: Vec<Address>,
    pub tls: TlsPlan,
    /// Where health and metrics are served; `None` is nowhere.
    pub admin: Option<Address>,
    /// Who answers. Empty only when `demo` is set, until the demo is bound.
    pub backends: Vec<BackendPlan>,
    /// Where more of them were found, which may change while we run.
    pub backends_file: Option<PathBuf>,
    /// The built-in mock to start first and to use as a backend
    /// ([`BackendPlan::at`] its bound address).
    pub demo: Option<MockPlan>,
    /// Core ids in ascending order, one shard each; never empty.
    pub cores: Vec<usize>,
    /// Whether each shard's thread is bound to its core.
    pub pin: bool,
    pub driver: DriverChoice,
    pub rings: RingPlan,
    pub deadlines: Deadlines,
    pub limits: Limits,
    pub pool: PoolPlan,
    pub queue: QueuePlan,
    /// How a backend is chosen.
    pub balancing: Balancing,
    /// How backends are asked how they are.
    pub probes: ProbePlan,
    /// Which models answer, and where. Its backends are those above in their
    /// order, and with `demo` the demo's mock behind them.
    pub routes: RoutePlan,
    /// In the order of the models of `routes`.
    pub models: Vec<ModelSettings>,
    /// What follows when a backend fails.
    pub retry: RetryPlan,
    /// How often the names of backends are resolved again.
    pub resolve_every: Duration,
    /// How often the configuration file is looked at.
    pub watch_every: Duration,
    /// How long requests under way may go on after SIGTERM.
    pub drain: Duration,
    /// Where `POST /proxy` is sent.
    pub proxy_path: String,
    pub headers: HeaderPlan,
    pub credentials: Credentials,
    /// Where the settings were given, for the words of later errors.
    pub given: Given,
    /// Tests only, and no flag sets it: a request for this path panics, and the
    /// shard's sweep does at the word `sweep`.
    pub panics_at: Option<String>,
}

impl Plan {
    /// As long as the longest ordinary answer, so that a deployment cuts none.
    pub const DRAIN: Duration = Duration::from_secs(10 * 60);
    /// Short beside the life of a process, long beside a resolver's cache.
    pub const RESOLVE_EVERY: Duration = Duration::from_secs(30);
    /// Reading a small file costs microseconds; a second is soon enough.
    pub const WATCH_EVERY: Duration = Duration::from_secs(1);
    pub const PROXY_PATH: &str = "/v1/chat/completions";
}

/// Where we listen. Already an address: listening never resolves a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What the operator says of a model beside where it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelSettings {
    /// How a backend is chosen for it; `None` is as for all.
    pub policy: Option<Policy>,
}

/// One server that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendPlan {
    /// Unique in the plan: as the operator calls it, else its URL without the
    /// scheme, `unix:` and the path of a socket.
    pub name: String,
    pub address: BackendAddress,
    /// Whether each address that its name stands for is a backend of its own;
    /// `spread.rs` makes them.
    pub each_address: bool,
    /// The value of the `Host` header we send (RFC 9112, section 3.2): the
    /// authority as the operator wrote it, `localhost` for a Unix socket.
    pub host_header: String,
    /// Put before the request's path; empty, or starts with `/` and does not
    /// end with one.
    pub base_path: String,
    /// The name that we ask an https backend for (SNI) and verify; `None` is
    /// plain HTTP.
    pub tls_name: Option<ServerName<'static>>,
    /// Its share beside the others; zero is none while others are there.
    pub weight: u32,
    /// Most requests under way that it bears; `None` is no such bound.
    pub capacity: Option<NonZeroU32>,
    /// The API it speaks; `None` is all of them.
    pub dialect: Option<Dialect>,
    /// What we show to it, and to nobody else.
    pub credential: Option<Secret>,
}

/// Where a backend is reached. A name is resolved again and again while we
/// run, so it stays a name here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendAddress {
    Tcp { host: Host, port: u16 },
    Unix(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    Name(String),
    Ip(IpAddr),
}

impl BackendPlan {
    pub const WEIGHT: u32 = 1;

    /// A backend known by its socket address alone, such as the demo's mock
    /// once it is bound.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        let authority = address.to_string();
        let host = Host::Ip(address.ip());
        let address = BackendAddress::Tcp { host, port: address.port() };
        Self::new((authority.clone(), authority), address)
    }

    /// One in plain HTTP that has every default.
    pub(super) fn new((name, host_header): (String, String), address: BackendAddress) -> Self {
        Self {
            name,
            address,
            each_address: false,
            host_header,
            base_path: String::new(),
            tls_name: None,
            weight: Self::WEIGHT,
            capacity: None,
            dialect: None,
            credential: None,
        }
    }
}

/// The size of each shard's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingPlan {
    /// Submission entries; a power of two.
    pub entries: u32,
}

impl RingPlan {
    /// A full submission queue costs one more `io_uring_enter`, not a failure,
    /// so this is the number of operations worth one system call.
    pub const DEFAULT: Self = Self { entries: 1024 };
    /// The kernel's own maximum (`IORING_MAX_ENTRIES`).
    pub const ENTRIES_MAX: u32 = 32_768;
    pub const ENTRIES_MIN: u32 = 8;
}

// What the defaults promise each other; the same relations are checked for
// the operator's values in `check.rs`.
const _: () = {
    assert!(RingPlan::DEFAULT.entries.is_power_of_two());
    assert!(Plan::DRAIN.as_secs() <= Deadlines::LONGEST.as_secs());
};
