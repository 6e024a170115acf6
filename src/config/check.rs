//! Written -> Plan: every setting and every relation between two of them is
//! looked at, and all faults are reported at once.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::base::units::{Size, Time};
use crate::probe::UNDER_WAY_MAX;

use super::address::{is_path, read_listen};
use super::check_backends::{check_backends, names};
use super::check_balancing::{check_balancing, check_queue};
use super::check_probes::check_probes;
use super::check_retry::check_retry;
use super::check_routes::check_routes;
use super::check_tls;
use super::cores;
use super::error::{Fault, PlanError};
use super::faults::Faults;
use super::plan::{Address, Plan, RingPlan};
use super::written::{Machine, Written};
use super::{Deadlines, Limits, MockPlan, MockScript, PoolPlan};

/// Descriptors of the process itself: standard streams, signals, the log, the
/// resolver, and room for whoever looks into it.
const OPEN_FILES_OF_PROCESS: usize = 64;
/// Descriptors of a shard: ring or epoll, wake-up, listeners, the reserve that
/// lets it refuse a client when descriptors run out.
const OPEN_FILES_OF_SHARD: usize = 16;
/// A thread of its own, and the connections of probes under way.
const OPEN_FILES_OF_PROBES: usize = OPEN_FILES_OF_SHARD + UNDER_WAY_MAX;
/// Less would refuse ordinary requests of the official SDKs.
const HEAD_BYTES_MIN: usize = 1024;
const SSE_EVENT_BYTES_MIN: usize = 1024;

/// The plan for `serve`, or everything that is wrong with what was written.
pub fn check(written: &Written, machine: &Machine) -> Result<Plan, Vec<PlanError>> {
    let mut faults = Faults::of(&written.given, &written.faults);
    let listeners = check_listeners(written, &mut faults);
    let tls_listeners = check_tls::listeners(&written.tls, &listeners, &mut faults);
    let admin = check_admin(written.admin.as_deref(), [&listeners, &tls_listeners], &mut faults);
    let all_listeners = [listeners.as_slice(), &tls_listeners].concat();
    let backends = check_backends(written, &all_listeners, &mut faults);
    let (routes, models) = check_routes(written, &names(written, &backends), &mut faults);
    let backends: Vec<_> = backends.into_iter().flatten().collect();
    let tls = check_tls::check(written, &mut faults);
    let cores = cores::resolve(&written.cores, &machine.allowed_cores);
    let cores = faults.take("--cores", &written.cores, cores);
    check_rings(written.rings, &mut faults);
    let deadlines = check_deadlines(&written.deadlines, &mut faults);
    check_time("--resolve-every", written.resolve_every, &mut faults);
    check_time("--config-watch-every", written.watch_every, &mut faults);
    // Zero is allowed here: stop at once.
    faults.at_most("--drain", Time(written.drain), Time(Deadlines::LONGEST), LONGER_IS_NO_END);
    let limits = check_limits(&written.limits, &written.pool, &mut faults);
    let pool = check_pool(&written.pool, deadlines.keep_alive, &mut faults);
    let balancing =
        check_balancing(&written.balancing, &written.models, backends.len(), &mut faults);
    let queue = check_queue(&written.queue, &mut faults);
    let retry = check_retry(written, &mut faults);
    check_probes(&written.probes, &mut faults);
    if !written.proxy_path.starts_with('/') || !is_path(&written.proxy_path) {
        faults.add("--proxy-path", &written.proxy_path, Fault::ProxyPath(Plan::PROXY_PATH));
    }
    let plan = cores.map(|cores| {
        let need = OpenFiles::of(cores.len(), backends.len(), written);
        let connections = connections(written.connections, &need, machine, &mut faults);
        check_shares(&limits, connections, &mut faults);
        Plan {
            demo: written.demo.then(|| demo(&cores, written)),
            limits: Limits { connections, ..limits },
            listeners,
            tls_listeners,
            tls,
            admin,
            backends,
            backends_file: written.backends_file.clone(),
            cores,
            pin: written.pin,
            driver: written.driver,
            rings: written.rings,
            deadlines,
            pool,
            balancing,
            queue,
            retry,
            routes,
            models,
            probes: written.probes.clone(),
            resolve_every: written.resolve_every,
            watch_every: written.watch_every,
            drain: written.drain,
            proxy_path: written.proxy_path.clone(),
            credentials: written.credentials,
            panics_at: None,
            headers: written.headers,
            given: written.given.clone(),
        }
    });
    faults.none_or(plan)
}

fn check_listeners(written: &Written, faults: &mut Faults) -> Vec<Address> {
    let mut listeners = Vec::new();
    let is_default = written.listen == [Written::LISTEN] && !faults.is_given("--listen");
    if is_default && !written.tls.listen.is_empty() {
        // Who asks for TLS does not ask for a plain listener beside it.
        return listeners;
    }
    for (place, text) in written.listen.iter().enumerate() {
        let spot = ("--listen", place);
        let Some(address) = faults.take(spot, text, read_listen(text)) else { continue };
        if address.is_fixed() && listeners.contains(&address) {
            faults.add(spot, text, Fault::ListenTwice("--listen"));
        }
        listeners.push(address);
    }
    if written.listen.is_empty() && written.tls.listen.is_empty() {
        faults.add("--listen", "", Fault::NoListener);
    }
    listeners
}

fn check_admin(
    written: Option<&str>,
    [listeners, tls_listeners]: [&[Address]; 2],
    faults: &mut Faults,
) -> Option<Address> {
    let text = written?;
    let address = faults.take("--admin", text, read_listen(text))?;
    for (flag, taken) in [("--listen", listeners), ("--tls-listen", tls_listeners)] {
        if address.is_fixed() && taken.contains(&address) {
            faults.add("--admin", text, Fault::ListenTwice(flag));
        }
    }
    Some(address)
}

fn check_rings(rings: RingPlan, faults: &mut Faults) {
    const FLAG: &str = "--ring-entries";
    let entries = rings.entries;
    faults.at_least(FLAG, entries, RingPlan::ENTRIES_MIN);
    faults.at_most(FLAG, entries, RingPlan::ENTRIES_MAX, "the kernel takes no larger ring");
    if entries > RingPlan::ENTRIES_MIN
        && entries < RingPlan::ENTRIES_MAX
        && !entries.is_power_of_two()
    {
        faults.add(FLAG, entries, Fault::NotPowerOfTwo(entries.next_power_of_two()));
    }
}

fn check_deadlines(written: &Deadlines, faults: &mut Faults) -> Deadlines {
    const TOTAL: &str = "--total-timeout";
    const DEFAULT: Deadlines = Deadlines::DEFAULT;
    check_time(TOTAL, written.total, faults);
    check_time("--keep-alive-timeout", written.keep_alive, faults);
    faults.at_least("--body-rate-min", Size(written.body_rate_min), Size(1));
    let total = Time(written.total);
    let mut part = |flag, time, default| {
        check_time(flag, time, faults);
        faults.within(flag, (Time(time), Time(default)), TOTAL, total).0
    };
    Deadlines {
        connect: part("--connect-timeout", written.connect, DEFAULT.connect),
        head: part("--head-timeout", written.head, DEFAULT.head),
        body_rate_grace: part(
            "--body-rate-grace",
            written.body_rate_grace,
            DEFAULT.body_rate_grace,
        ),
        first_byte: part("--first-byte-timeout", written.first_byte, DEFAULT.first_byte),
        idle_between_reads: part(
            "--silence-timeout",
            written.idle_between_reads,
            DEFAULT.idle_between_reads,
        ),
        client_write: part("--client-write-timeout", written.client_write, DEFAULT.client_write),
        ..*written
    }
}

pub(super) const LONGER_IS_NO_END: &str = "longer is as good as no end";

pub(super) fn check_time(flag: &'static str, time: Duration, faults: &mut Faults) {
    faults.at_least(flag, Time(time), Time(Deadlines::SHORTEST));
    faults.at_most(flag, Time(time), Time(Deadlines::LONGEST), LONGER_IS_NO_END);
}

fn check_limits(written: &Limits, pool: &PoolPlan, faults: &mut Faults) -> Limits {
    const DEFAULT: Limits = Limits::DEFAULT;
    const COUNTED_IN_32_BITS: &str = "places in it are counted in 32 bits";
    let size = |value, default| (Size(value), Size(default));

    faults.at_least("--head-bytes", Size(written.head_bytes), Size(HEAD_BYTES_MIN));
    let head_max = Size(pool.buffer_bytes.saturating_mul(Limits::HEAD_BUFFERS_MAX));
    let head = size(written.head_bytes, DEFAULT.head_bytes);
    let head = faults.within("--head-bytes", head, "--pool-buffer-bytes", head_max);

    let rows = "the table of a head's headers has no more rows";
    faults.at_least("--header-count", written.headers, 1);
    faults.at_most("--header-count", written.headers, Limits::HEADERS_MAX, rows);

    faults.at_least("--target-bytes", Size(written.target_bytes), Size(1));
    let target = size(written.target_bytes, DEFAULT.target_bytes);
    let target = faults.within("--target-bytes", target, "--head-bytes", head);

    let most = Size(Limits::BODY_BYTES_MAX);
    faults.at_least("--body-memory", Size(written.body_memory_total), Size(1));
    faults.at_least("--body-bytes", Size(written.body_bytes), Size(1));
    faults.at_most("--body-bytes", Size(written.body_bytes), most, COUNTED_IN_32_BITS);
    let body = size(written.body_bytes, DEFAULT.body_bytes);
    let memory = Size(written.body_memory_total);
    let body = faults.within("--body-bytes", body, "--body-memory", memory);

    let event = Size(written.sse_event_bytes);
    faults.at_least("--sse-event-bytes", event, Size(SSE_EVENT_BYTES_MIN));
    faults.at_most("--sse-event-bytes", event, most, COUNTED_IN_32_BITS);
    Limits { head_bytes: head.0, target_bytes: target.0, body_bytes: body.0, ..*written }
}

fn check_pool(written: &PoolPlan, keep_alive: Duration, faults: &mut Faults) -> PoolPlan {
    check_time("--pool-idle-timeout", written.idle_timeout, faults);
    check_time("--rest-before-idle", written.rest_before_idle, faults);
    let rest = (Time(written.rest_before_idle), Time(PoolPlan::DEFAULT.rest_before_idle));
    let rest = faults.within("--rest-before-idle", rest, "--keep-alive-timeout", Time(keep_alive));
    let buffer = Size(written.buffer_bytes);
    let no_use = "a larger buffer is memory without use";
    faults.at_least("--pool-buffer-bytes", buffer, Size(PoolPlan::BUFFER_BYTES_MIN));
    faults.at_most("--pool-buffer-bytes", buffer, Size(PoolPlan::BUFFER_BYTES_MAX), no_use);
    PoolPlan { rest_before_idle: rest.0, ..*written }
}

/// Parts of all connections; their defaults are no limit, so none gives way.
fn check_shares(limits: &Limits, connections: usize, faults: &mut Faults) {
    if let Some(of_one) = limits.connections_per_address.map(NonZeroUsize::get) {
        let unset = 0;
        faults.within("--connections-per-address", (of_one, unset), "--connections", connections);
    }
}

/// How many descriptors the process needs.
///
/// ```text
/// held            = process + shards + idle connections to backends
/// each connection = the client's, one to a backend, and with the demo the
///                   mock's end of that one
/// ```
struct OpenFiles {
    /// What the process and its shards hold before anybody connects.
    own: usize,
    held: usize,
    each_connection: usize,
}

impl OpenFiles {
    fn of(shards: usize, backends: usize, written: &Written) -> Self {
        let demo = usize::from(written.demo);
        let idle =
            shards.saturating_mul(backends + demo).saturating_mul(written.pool.idle_per_backend);
        let admin = if written.admin.is_some() { Limits::ADMIN_CONNECTIONS } else { 0 };
        let probes = if written.probes.asks() { OPEN_FILES_OF_PROBES } else { 0 };
        let own = OPEN_FILES_OF_PROCESS + OPEN_FILES_OF_SHARD * (shards + demo) + admin + probes;
        Self { own, held: own.saturating_add(idle), each_connection: 2 + demo }
    }
}

/// How many clients may be connected: by default so many that every one of
/// them can also be answered by a backend at the same time. An operator who
/// knows that most of them rest may ask for as many as there are descriptors.
fn connections(
    written: Option<usize>,
    need: &OpenFiles,
    machine: &Machine,
    faults: &mut Faults,
) -> usize {
    const FLAG: &str = "--connections";
    let wanted = written.unwrap_or(Limits::DEFAULT.connections);
    faults.at_least(FLAG, wanted, 1);
    let Some(allowed) = machine.open_files else { return wanted };
    let fitting = allowed.saturating_sub(need.held) / need.each_connection;
    if fitting == 0 {
        faults.add(FLAG, "", Fault::OpenFiles { needed: need.held, allowed });
    }
    let bearable = allowed.saturating_sub(need.own);
    if written.is_some() && wanted > bearable {
        let needed = need.own.saturating_add(wanted);
        let fault = Fault::OpenFilesForConnections { wanted, needed, allowed, fitting: bearable };
        faults.add(FLAG, wanted, fault);
    }
    if written.is_some() { wanted } else { wanted.min(fitting) }
}

/// A model to try the proxy with: one thread that shares the last core, on a
/// port of the kernel's choice.
fn demo(cores: &[usize], written: &Written) -> MockPlan {
    MockPlan {
        listen: Address::Tcp((std::net::Ipv4Addr::LOCALHOST, 0).into()),
        cores: cores.last().copied().into_iter().collect(),
        pin: false,
        driver: written.driver,
        script: MockScript::new(),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
