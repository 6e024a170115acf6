//! The checked Plan: what every room below may rely on.
//!
//! Only data and its defaults. A `Plan` that exists has passed every check of
//! `check.rs`; nobody tests its values a second time.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::MockPlan;
use super::given::Given;
use super::tls_plan::TlsPlan;
use crate::balance::Balancing;
use crate::exchange::{Credentials, Deadlines, HeaderPlan, Limits, PoolPlan};
use crate::probe::ProbePlan;
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
    /// How a backend is chosen.
    pub balancing: Balancing,
    /// How backends are asked how they are.
    pub probes: ProbePlan,
    /// How often the names of backends are resolved again.
    pub resolve_every: Duration,
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
    pub const PROXY_PATH: &str = "/v1/chat/completions";
}

/// Where we listen. Already an address: listening never resolves a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// One server that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendPlan {
    /// Unique in the plan: its URL without the scheme, `unix:` and the path of
    /// a socket.
    pub name: String,
    pub address: BackendAddress,
    /// The value of the `Host` header we send (RFC 9112, section 3.2): the
    /// authority as the operator wrote it, `localhost` for a Unix socket.
    pub host_header: String,
    /// Put before the request's path; empty, or starts with `/` and does not
    /// end with one.
    pub base_path: String,
    /// The name that we ask an https backend for (SNI) and verify; `None` is
    /// plain HTTP.
    pub tls_name: Option<ServerName<'static>>,
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
    /// A backend known by its socket address alone, such as the demo's mock
    /// once it is bound.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        let authority = address.to_string();
        Self {
            name: authority.clone(),
            address: BackendAddress::Tcp { host: Host::Ip(address.ip()), port: address.port() },
            host_header: authority,
            base_path: String::new(),
            tls_name: None,
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
