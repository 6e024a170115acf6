//! What the operator may set about a request. Only data and its defaults;
//! `config/` fills it from what was written.

use std::{fmt, num::NonZeroUsize, time::Duration};

use crate::{balance::Policy, http, llm::Dialect, retry::RetryPlan};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;

/// Everything the story of a request may ask about its operator's wishes.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub deadlines: Deadlines,
    pub limits: Limits,
    pub pool: PoolPlan,
    pub queue: QueuePlan,
    pub headers: HeaderPlan,
    pub credentials: Credentials,
    pub retry: RetryPlan,
    /// Where `POST /proxy` is sent: an absolute path without a query.
    pub proxy_path: String,
    pub backends: Vec<BackendSettings>,
    /// Which models answer; its backends are those above.
    /// How a backend is chosen for each model of the routes; `None` is as for
    /// all.
    pub policies: Vec<Option<Policy>>,
    /// Tests only: a request for this path panics, or where it is `sweep` the
    /// shard's sweep.
    pub panics_at: Option<String>,
}

/// One backend, as far as a request's bytes are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendSettings {
    /// Shown in `x-tokenring-backend`.
    pub name: String,
    /// How it is told that it is meant.
    pub host: Host,
    /// Put before the request's path.
    pub base_path: String,
    /// Shown to this backend and to no other.
    pub credential: Option<Credential>,
}

impl BackendSettings {
    /// The most that stands in a request for this backend's sake.
    pub fn prefix_bytes(&self) -> usize {
        let credential = self.credential.as_ref().map_or(0, |credential| {
            credential.line(Dialect::OpenAi).len().max(credential.line(Dialect::Anthropic).len())
        });
        self.host.lines.len() + self.base_path.len() + credential
    }
}

/// What stands behind the target of every request to a backend: the version
/// and the `Host` field, and the name of the field that follows where the request
/// has a length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    lines: Box<[u8]>,
}

impl Host {
    const LENGTH: &[u8] = b"content-length: ";

    /// Of the field's value.
    #[must_use]
    pub fn new(value: &str) -> Self {
        let before: &[u8] = b" HTTP/1.1\r\nhost: ";
        Self { lines: [before, value.as_bytes(), b"\r\n", Self::LENGTH].concat().into() }
    }

    /// With the name of the length's field, or without.
    #[must_use]
    pub fn lines(&self, has_length: bool) -> &[u8] {
        let without = self.lines.len() - Self::LENGTH.len();
        if has_length { &self.lines } else { self.lines.get(..without).unwrap_or_default() }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new("")
    }
}

/// A backend's key, as the whole line of a field in either dialect. It is
/// never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    bearer: Box<[u8]>,
    x_api_key: Box<[u8]>,
}

impl Credential {
    /// Of a key, which has been checked to fit into a field's value.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let line = |name: &[u8]| [name, key, b"\r\n"].concat().into();
        Self { bearer: line(b"authorization: Bearer "), x_api_key: line(b"x-api-key: ") }
    }

    /// As a backend expects it that speaks this dialect.
    #[must_use]
    pub fn line(&self, dialect: Dialect) -> &[u8] {
        match dialect {
            Dialect::OpenAi => &self.bearer,
            Dialect::Anthropic => &self.x_api_key,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a credential)")
    }
}

/// How long each step may take. Every deadline ends the step, none is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To one address of a backend, from SYN to established.
    pub connect: Duration,
    /// A client's TLS handshake, from the accepted connection on.
    pub handshake: Duration,
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
        handshake: Duration::from_secs(10),
        head: Duration::from_secs(10),
        body_rate_min: KIB,
        body_rate_grace: Duration::from_secs(10),
        first_byte: Duration::from_secs(10 * 60),
        idle_between_reads: Duration::from_secs(2 * 60),
        total: Duration::from_secs(60 * 60),
        client_write: Duration::from_secs(60),
        keep_alive: Duration::from_secs(75),
    };
    /// How long a connection that is being closed waits for its client's end,
    /// so that the last answer is not lost to a reset (RFC 9112, section 9.6).
    pub const LINGER: Duration = Duration::from_secs(2);
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
    /// All request bodies held at one time, in all shards (503), and with them
    /// the large events that have not come whole yet (they go unread).
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
    /// Connections to the admin's pages: a few scrapers, probes and operators.
    /// The house may be full of clients, and must still tell that it is.
    pub const ADMIN_CONNECTIONS: usize = 32;
    /// Heads are parsed into a table on the stack, so it has an end.
    pub const HEADERS_MAX: usize = http::HEADERS_MAX;
    /// Spans into a body are `u32` (`base::Span`).
    pub const BODY_BYTES_MAX: usize = u32::MAX as usize;
    /// A head is gathered in at most this many buffers' worth of memory.
    pub const HEAD_BUFFERS_MAX: usize = 8;
}

/// Requests that wait because each backend that could answer them bears no
/// more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlan {
    /// In all shards; zero is that none waits (429).
    pub length: usize,
    /// How long one waits (503).
    pub timeout: Duration,
    /// Whether clients may say how urgent a request is.
    pub priorities: bool,
}

impl QueuePlan {
    /// Without a hard capacity nothing ever waits. The timeout is what SDKs
    /// bear for a first byte, several times over.
    pub const DEFAULT: Self =
        Self { length: 1000, timeout: Duration::from_secs(30), priorities: false };
    /// Each that waits is gone past when one comes or goes.
    pub const LENGTH_MAX: usize = 100_000;
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
        idle_per_backend: 256,
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

/// What becomes of the client's own credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// They end here: `Authorization`, `x-api-key` and their like are not
    /// sent on.
    #[default]
    Drop,
    /// They are sent on as they came, for backends that check them.
    Pass,
}

// What the defaults promise each other; `config/` checks the same relations for
// the operator's values.
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
};
