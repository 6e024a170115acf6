//! The checked Plan: what every room below may rely on.
//!
//! Only data and its defaults. A `Plan` that exists has passed every check of
//! `check.rs`; nobody tests its values a second time.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::MockPlan;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;

/// One process, wholly described.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where clients connect; every shard listens on each of them. Never empty.
    pub listeners: Vec<Address>,
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
    /// How long requests under way may go on after SIGTERM.
    pub drain: Duration,
    /// The path that is proxied, compared byte for byte before the `?`.
    pub proxy_path: String,
    pub headers: HeaderPlan,
}

impl Plan {
    /// As long as the longest ordinary answer, so that a deployment cuts none.
    pub const DRAIN: Duration = Duration::from_secs(10 * 60);
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
        }
    }
}

/// Which way into the kernel a shard takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring with the best flags the kernel grants, else epoll.
    #[default]
    Auto,
    /// io_uring, or the process does not start.
    Uring,
    Epoll,
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

/// How long each step may take. Every deadline ends the step, none is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To one address of a backend, from SYN to established.
    pub connect: Duration,
    /// The whole request head, from its first byte. One absolute deadline: a
    /// dripping client does not move it.
    pub head: Duration,
    /// The slowest request body that is borne, in bytes a second, averaged
    /// from the start of the body.
    pub body_rate_min: usize,
    /// How long a body may run before its rate is looked at.
    pub body_rate_grace: Duration,
    /// From the last request byte sent to the first answer byte: queue and
    /// prefill of the model.
    pub first_byte: Duration,
    /// A backend's silence in mid answer.
    pub idle_between_reads: Duration,
    /// One request from its first byte to the last byte of its answer.
    pub total: Duration,
    /// A client that takes no bytes while we have some for it.
    pub client_write: Duration,
    /// A client connection with no request under way.
    pub keep_alive: Duration,
}

impl Deadlines {
    pub const DEFAULT: Self = Self {
        connect: Duration::from_secs(5),
        head: Duration::from_secs(10),
        body_rate_min: KIB,
        body_rate_grace: Duration::from_secs(10),
        first_byte: Duration::from_secs(10 * 60),
        idle_between_reads: Duration::from_secs(2 * 60),
        total: Duration::from_secs(60 * 60),
        client_write: Duration::from_secs(60),
        keep_alive: Duration::from_secs(75),
    };
    /// One tick of the shard's deadline wheel; a shorter time cannot be kept.
    pub const SHORTEST: Duration = Duration::from_millis(10);
    /// Longer is no deadline, it is a leak.
    pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
}

/// How much of everything. Full is an answer (503, 429, 413, 414, 431).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A head, request's or answer's, with its final blank line (431, 502).
    pub head_bytes: usize,
    /// Header lines in a head (431, 502).
    pub headers: usize,
    /// The request target (414).
    pub target_bytes: usize,
    /// A request body after its framing is removed (413).
    pub body_bytes: usize,
    /// All request bodies held at one time, in all shards (503).
    pub body_memory_total: usize,
    /// Client connections in all shards.
    pub connections: usize,
    /// Client connections from one IP address; `None` is no limit.
    pub connections_per_address: Option<NonZeroUsize>,
    /// Requests under way in all shards (503); `None` is no limit.
    pub requests_in_flight: Option<NonZeroUsize>,
    /// One server-sent event that we have to look into.
    pub sse_event_bytes: usize,
}

impl Limits {
    /// `connections` here is the most that `auto` chooses; the open-file limit
    /// of the process may make it fewer.
    pub const DEFAULT: Self = Self {
        head_bytes: 32 * KIB,
        headers: 100,
        target_bytes: 8 * KIB,
        body_bytes: 32 * MIB,
        body_memory_total: GIB,
        connections: 100_000,
        connections_per_address: None,
        requests_in_flight: None,
        sse_event_bytes: MIB,
    };
    /// Heads are parsed into a table on the stack, so it has an end.
    pub const HEADERS_MAX: usize = 256;
    /// Spans into a body are `u32` (`base::Span`).
    pub const BODY_BYTES_MAX: usize = u32::MAX as usize;
    /// A head is gathered in at most this many buffers' worth of memory.
    pub const HEAD_BUFFERS_MAX: usize = 8;
}

/// What each shard keeps for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPlan {
    /// Idle connections to each backend, in each shard.
    pub idle_per_backend: usize,
    /// How long an idle backend connection is kept. Below the 5 s after which
    /// uvicorn (vLLM, SGLang) closes, so that we close first and no request
    /// meets a dying connection.
    pub idle_timeout: Duration,
    /// Free buffers kept for the next request, in each shard.
    pub buffers: usize,
    /// The size of one buffer.
    pub buffer_bytes: usize,
    /// How long an idle client connection keeps its armed receive, and with it
    /// a buffer, before it waits without one.
    pub rest_before_idle: Duration,
}

impl PoolPlan {
    pub const DEFAULT: Self = Self {
        idle_per_backend: 64,
        idle_timeout: Duration::from_secs(4),
        buffers: 256,
        buffer_bytes: 16 * KIB,
        rest_before_idle: Duration::from_secs(1),
    };
    pub const BUFFER_BYTES_MIN: usize = 4 * KIB;
    pub const BUFFER_BYTES_MAX: usize = MIB;
}

/// Which headers we add of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderPlan {
    /// `Via`, to the backend and to the client (RFC 9110, section 7.6.3).
    pub via: bool,
    /// `X-Forwarded-For` and `X-Forwarded-Proto` to the backend.
    pub forwarded: bool,
    /// `X-Request-Id` both ways: the client's if it sent one, else ours.
    pub request_id: bool,
    /// `server-timing` and `x-tokenring-*` to the client.
    pub own: bool,
}

impl HeaderPlan {
    pub const DEFAULT: Self = Self { via: true, forwarded: true, request_id: true, own: true };
}

// What the defaults promise each other; the same relations are checked for
// the operator's values in `check.rs`.
const _: () = {
    let limits = Limits::DEFAULT;
    let pool = PoolPlan::DEFAULT;
    assert!(limits.head_bytes <= Limits::HEAD_BUFFERS_MAX * pool.buffer_bytes);
    assert!(limits.target_bytes < limits.head_bytes);
    assert!(limits.headers <= Limits::HEADERS_MAX);
    assert!(limits.body_bytes <= Limits::BODY_BYTES_MAX);
    assert!(limits.body_bytes <= limits.body_memory_total);
    assert!(pool.buffer_bytes >= PoolPlan::BUFFER_BYTES_MIN);
    assert!(pool.buffer_bytes <= PoolPlan::BUFFER_BYTES_MAX);
    assert!(RingPlan::DEFAULT.entries.is_power_of_two());
    assert!(Plan::DRAIN.as_secs() <= Deadlines::LONGEST.as_secs());
};
