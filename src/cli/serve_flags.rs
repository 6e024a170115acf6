//! The flags of `serve`, each with its help and default, gathered into
//! [`Written`].
//!
//! The defaults are the plan's own constants; nothing is decided here.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help, where brackets are brackets"
)]

use std::collections::BTreeSet;

use clap::Args;

use crate::base::units::{Size, Time};
use crate::config::{
    Credentials, Deadlines, DriverChoice, HeaderPlan, Limits, Plan, PoolPlan, RingPlan, Written,
};

use super::balancing_flags::BalancingFlags;
use super::tls_flags::{BackendTlsFlags, ServerTlsFlags, written as tls_written};
use super::values::{CountOrAuto, DriverWord, count, limit, shown};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeFlags {
    #[command(flatten, next_help_heading = "Who talks to whom")]
    places: PlaceFlags,
    #[command(flatten, next_help_heading = "Which backend answers")]
    balancing: BalancingFlags,
    #[command(flatten, next_help_heading = "TLS to clients (FILE is PEM)")]
    server_tls: ServerTlsFlags,
    #[command(flatten, next_help_heading = "TLS to backends")]
    backend_tls: BackendTlsFlags,
    #[command(flatten, next_help_heading = "Cores and kernel")]
    machine: MachineFlags,
    #[command(flatten, next_help_heading = "Deadlines (TIME is like 250ms, 10s, 1h30m)")]
    deadlines: DeadlineFlags,
    #[command(flatten, next_help_heading = "Limits (SIZE is like 16KiB, 32MiB, 16kB)")]
    limits: LimitFlags,
    #[command(flatten, next_help_heading = "What each shard keeps")]
    pool: PoolFlags,
    #[command(flatten, next_help_heading = "Headers added (all are, unless turned off)")]
    headers: HeaderFlags,
}

const EXAMPLES: &str = "\
Examples:
  tokenring serve --demo
      Try it with the built-in mock; the log shows a curl line.
  tokenring serve --backend http://10.0.0.1:8000 --backend http://10.0.0.2:8000
      Balance over two model servers.
  tokenring serve --listen 0.0.0.0:80 --listen unix:/run/tokenring.sock \\
      --admin 127.0.0.1:9000 --backend unix:/run/vllm.sock --cores 2-7
      Listen twice, keep metrics local, leave cores 0 and 1 to the model.
  tokenring serve --backend http://vllm:8000 --first-byte-timeout 30m \\
      --total-timeout 2h --body-bytes 128MiB
      Long prompts on a slow model.
  tokenring serve --tls-listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem \\
      --backend https://models.example.com
      TLS on both sides.";

#[derive(Debug, Args)]
struct PlaceFlags {
    /// Address for clients: HOST:PORT, [::1]:PORT or unix:/PATH; repeatable. The
    /// default holds only when nothing is listened on by TLS
    #[arg(long, value_name = "ADDR", default_value = Written::LISTEN)]
    listen: Vec<String>,
    /// Address for health and metrics [default: none]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Model server: http://HOST:PORT[/BASE], https://… or unix:/PATH; repeatable
    #[arg(long, value_name = "URL")]
    backend: Vec<String>,
    /// How often the name of a backend is resolved again
    #[arg(long, value_name = "TIME", default_value_t = Time(Plan::RESOLVE_EVERY))]
    resolve_every: Time,
    /// Start the built-in mock on a free loopback port as a backend; no other is needed
    #[arg(long)]
    demo: bool,
    /// Where POST /proxy is sent: the path of any endpoint that takes JSON
    #[arg(long, value_name = "PATH", default_value = Plan::PROXY_PATH)]
    proxy_path: String,
    /// Send the client's own credentials on (Authorization, x-api-key, Cookie …)
    #[arg(long)]
    pass_credentials: bool,
}

#[derive(Debug, Args)]
struct MachineFlags {
    /// Cores that get a shard: auto (all that are allowed) or a list like 0-1,3
    #[arg(long, value_name = "CORES", default_value = Written::CORES)]
    cores: String,
    /// Do not bind each shard's thread to its core
    #[arg(long)]
    no_pin: bool,
    /// Way into the kernel; auto is io_uring where it is granted, else epoll
    #[arg(long, value_enum, default_value_t = DriverWord(DriverChoice::Auto))]
    driver: DriverWord,
    /// Submission entries of each ring, a power of two
    #[arg(
        long, value_name = "COUNT", value_parser = count::<u32>,
        default_value_t = RingPlan::DEFAULT.entries
    )]
    ring_entries: u32,
}

#[derive(Debug, Args)]
struct DeadlineFlags {
    /// To connect to one address of a backend
    #[arg(long, value_name = "TIME", default_value_t = Time(Deadlines::DEFAULT.connect))]
    connect_timeout: Time,
    /// For a request's whole head, from its first byte
    #[arg(long, value_name = "TIME", default_value_t = Time(Deadlines::DEFAULT.head))]
    head_timeout: Time,
    /// Slowest request body that is borne, in bytes a second
    #[arg(long, value_name = "SIZE", default_value_t = Size(Deadlines::DEFAULT.body_rate_min))]
    body_rate_min: Size,
    /// How long a body may run before its rate counts
    #[arg(long, value_name = "TIME", default_value_t = Time(Deadlines::DEFAULT.body_rate_grace))]
    body_rate_grace: Time,
    /// From the request sent to the first byte of the answer
    #[arg(long, value_name = "TIME", default_value_t = Time(Deadlines::DEFAULT.first_byte))]
    first_byte_timeout: Time,
    /// For a backend that falls silent in mid answer
    #[arg(long, value_name = "TIME", default_value_t = Time(Deadlines::DEFAULT.idle_between_reads))]
    silence_timeout: Time,
    /// For one request, from its first byte to the answer's last
    #[arg(long, value_name = "TIME", default_value_t = Time(Deadlines::DEFAULT.total))]
    total_timeout: Time,
    /// For a client that does not take its answer
    #[arg(long, value_name = "TIME", default_value_t = Time(Deadlines::DEFAULT.client_write))]
    client_write_timeout: Time,
    /// For a client connection without a request
    #[arg(long, value_name = "TIME", default_value_t = Time(Deadlines::DEFAULT.keep_alive))]
    keep_alive_timeout: Time,
    /// How long requests under way may go on after SIGTERM
    #[arg(long, value_name = "TIME", default_value_t = Time(Plan::DRAIN))]
    drain: Time,
}

#[derive(Debug, Args)]
struct LimitFlags {
    /// Largest head, of a request or an answer
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::DEFAULT.head_bytes))]
    head_bytes: Size,
    /// Most headers in a head
    #[arg(
        long, value_name = "COUNT", value_parser = count::<usize>,
        default_value_t = Limits::DEFAULT.headers
    )]
    header_count: usize,
    /// Longest target of a request
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::DEFAULT.target_bytes))]
    target_bytes: Size,
    /// Largest body of a request, below 4GiB
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::DEFAULT.body_bytes))]
    body_bytes: Size,
    /// Most memory for request bodies, and for large events under way, in all
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::DEFAULT.body_memory_total))]
    body_memory: Size,
    #[arg(
        long, value_name = "COUNT", default_value_t = CountOrAuto::Auto,
        help = format!(
            "Most client connections; auto is what open files bear, up to {}",
            Limits::DEFAULT.connections
        )
    )]
    connections: CountOrAuto,
    /// Most client connections from one IP address; 0 is no limit
    #[arg(
        long, value_name = "COUNT", value_parser = count::<usize>,
        default_value_t = shown(Limits::DEFAULT.connections_per_address)
    )]
    connections_per_address: usize,
    /// Most requests under way; 0 is no limit
    #[arg(
        long, value_name = "COUNT", value_parser = count::<usize>,
        default_value_t = shown(Limits::DEFAULT.requests_in_flight)
    )]
    requests_in_flight: usize,
    /// Largest server-sent event that is looked into; a larger one passes unread
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::DEFAULT.sse_event_bytes))]
    sse_event_bytes: Size,
}

#[derive(Debug, Args)]
struct PoolFlags {
    /// Most idle connections to each backend
    #[arg(
        long, value_name = "COUNT", value_parser = count::<usize>,
        default_value_t = PoolPlan::DEFAULT.idle_per_backend
    )]
    pool_idle_per_backend: usize,
    /// How long an idle backend connection is kept; below the backend's own
    #[arg(long, value_name = "TIME", default_value_t = Time(PoolPlan::DEFAULT.idle_timeout))]
    pool_idle_timeout: Time,
    /// Most free buffers kept for the next request
    #[arg(
        long, value_name = "COUNT", value_parser = count::<usize>,
        default_value_t = PoolPlan::DEFAULT.buffers
    )]
    pool_buffers: usize,
    /// Size of one buffer
    #[arg(long, value_name = "SIZE", default_value_t = Size(PoolPlan::DEFAULT.buffer_bytes))]
    pool_buffer_bytes: Size,
    /// How long an idle client connection keeps its buffer
    #[arg(long, value_name = "TIME", default_value_t = Time(PoolPlan::DEFAULT.rest_before_idle))]
    rest_before_idle: Time,
}

#[derive(Debug, Args)]
struct HeaderFlags {
    /// Leave out Via
    #[arg(long)]
    no_via: bool,
    /// Leave out X-Forwarded-For and X-Forwarded-Proto
    #[arg(long)]
    no_forwarded: bool,
    /// Leave out X-Request-Id
    #[arg(long)]
    no_request_id: bool,
    /// Leave out server-timing and x-tokenring-* in answers
    #[arg(long)]
    no_own_headers: bool,
}

impl ServeFlags {
    /// `given` are the flags that were typed, whatever their value.
    pub(super) fn into_written(self, given: BTreeSet<String>) -> Written {
        let Self { places, balancing, server_tls, backend_tls, machine, .. } = self;
        let Self { deadlines, limits, pool, headers, .. } = self;
        Written {
            listen: places.listen,
            tls: tls_written(server_tls, backend_tls),
            admin: places.admin,
            backends: places.backend,
            demo: places.demo,
            cores: machine.cores,
            pin: !machine.no_pin,
            driver: machine.driver.0,
            rings: RingPlan { entries: machine.ring_entries },
            resolve_every: places.resolve_every.0,
            drain: deadlines.drain.0,
            deadlines: deadlines.written(),
            connections: limits.connections.count(),
            limits: limits.written(),
            pool: pool.written(),
            balancing: balancing.written(),
            proxy_path: places.proxy_path,
            headers: headers.written(),
            credentials: if places.pass_credentials {
                Credentials::Pass
            } else {
                Credentials::Drop
            },
            given,
        }
    }
}

impl DeadlineFlags {
    fn written(&self) -> Deadlines {
        Deadlines {
            connect: self.connect_timeout.0,
            handshake: Deadlines::DEFAULT.handshake,
            head: self.head_timeout.0,
            body_rate_min: self.body_rate_min.0,
            body_rate_grace: self.body_rate_grace.0,
            first_byte: self.first_byte_timeout.0,
            idle_between_reads: self.silence_timeout.0,
            total: self.total_timeout.0,
            client_write: self.client_write_timeout.0,
            keep_alive: self.keep_alive_timeout.0,
        }
    }
}

impl LimitFlags {
    fn written(&self) -> Limits {
        Limits {
            head_bytes: self.head_bytes.0,
            headers: self.header_count,
            target_bytes: self.target_bytes.0,
            body_bytes: self.body_bytes.0,
            body_memory_total: self.body_memory.0,
            connections_per_address: limit(self.connections_per_address),
            requests_in_flight: limit(self.requests_in_flight),
            sse_event_bytes: self.sse_event_bytes.0,
            ..Limits::DEFAULT
        }
    }
}

impl PoolFlags {
    fn written(&self) -> PoolPlan {
        PoolPlan {
            idle_per_backend: self.pool_idle_per_backend,
            idle_timeout: self.pool_idle_timeout.0,
            buffers: self.pool_buffers,
            buffer_bytes: self.pool_buffer_bytes.0,
            rest_before_idle: self.rest_before_idle.0,
        }
    }
}

impl HeaderFlags {
    fn written(&self) -> HeaderPlan {
        HeaderPlan {
            via: !self.no_via,
            forwarded: !self.no_forwarded,
            request_id: !self.no_request_id,
            own: !self.no_own_headers,
        }
    }
}

#[cfg(test)]
#[path = "serve_flags_tests.rs"]
mod tests;
