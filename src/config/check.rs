//! Written -> Plan: every setting and every relation between two of them is
//! looked at, and all faults are reported at once.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::base::units::{Size, Time};

use super::address::{is_path, is_same_place, read_backend, read_listen};
use super::cores;
use super::error::{Fault, PlanError};
use super::plan::{Address, BackendPlan, Deadlines, Limits, Plan, PoolPlan, RingPlan};
use super::written::{Machine, MockWritten, Written};
use super::{MockPlan, MockScript};

/// Descriptors of the process itself: standard streams, signals, the log, the
/// resolver, and room for whoever looks into it.
const OPEN_FILES_OF_PROCESS: usize = 64;
/// Descriptors of a shard: ring or epoll, wake-up, listeners, the reserve that
/// lets it refuse a client when descriptors run out.
const OPEN_FILES_OF_SHARD: usize = 16;
/// A client's connection, and one to the backend that answers it.
const OPEN_FILES_OF_CONNECTION: usize = 2;
/// Less would refuse ordinary requests of the official SDKs.
const HEAD_BYTES_MIN: usize = 1024;
const SSE_EVENT_BYTES_MIN: usize = 1024;

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<PlanError>);

impl Faults {
    pub(super) fn add(&mut self, flag: &'static str, value: impl ToString, fault: Fault) {
        self.0.push(PlanError { flag, value: value.to_string(), fault });
    }

    /// The value, or the fault is noted.
    pub(super) fn take<T>(
        &mut self,
        flag: &'static str,
        written: &str,
        read: Result<T, Fault>,
    ) -> Option<T> {
        read.map_err(|fault| self.add(flag, written, fault)).ok()
    }

    /// `plan` if nothing was found.
    pub(super) fn none_or<T>(self, plan: Option<T>) -> Result<T, Vec<PlanError>> {
        match plan {
            Some(plan) if self.0.is_empty() => Ok(plan),
            _ => Err(self.0),
        }
    }

    fn at_least<T: PartialOrd + ToString>(&mut self, flag: &'static str, value: T, least: T) {
        if value < least {
            self.add(flag, value, Fault::TooSmall(least.to_string()));
        }
    }

    fn at_most<T: PartialOrd + ToString>(
        &mut self,
        flag: &'static str,
        value: T,
        most: T,
        reason: &'static str,
    ) {
        if value > most {
            self.add(flag, value, Fault::TooLarge { most: most.to_string(), reason });
        }
    }

    /// `value` stays within what the setting `other` allows.
    fn within<T: PartialOrd + ToString>(
        &mut self,
        flag: &'static str,
        value: T,
        other: &'static str,
        most: T,
    ) {
        if value > most {
            self.add(flag, value, Fault::Above { other, most: most.to_string() });
        }
    }
}

/// The plan for `serve`, or everything that is wrong with what was written.
pub fn check(written: &Written, machine: &Machine) -> Result<Plan, Vec<PlanError>> {
    let mut faults = Faults::default();
    let listeners = check_listeners(&written.listen, &mut faults);
    let admin = check_admin(written.admin.as_deref(), &listeners, &mut faults);
    let backends = check_backends(written, &listeners, &mut faults);
    let cores = cores::resolve(&written.cores, &machine.allowed_cores);
    let cores = faults.take("--cores", &written.cores, cores);
    check_rings(written.rings, &mut faults);
    check_deadlines(&written.deadlines, written.drain, &mut faults);
    check_limits(&written.limits, &written.pool, &mut faults);
    check_pool(&written.pool, written.deadlines.keep_alive, &mut faults);
    if !written.proxy_path.starts_with('/') || !is_path(&written.proxy_path) {
        faults.add("--proxy-path", &written.proxy_path, Fault::ProxyPath(Plan::PROXY_PATH));
    }
    let plan = cores.map(|cores| {
        let held = cores.len() * backends.len() * written.pool.idle_per_backend;
        let own = OPEN_FILES_OF_PROCESS + OPEN_FILES_OF_SHARD * cores.len();
        let connections = connections(written.connections, own + held, machine, &mut faults);
        check_shares(&written.limits, connections, &mut faults);
        Plan {
            demo: written.demo.then(|| demo(&cores, written)),
            limits: Limits { connections, ..written.limits },
            listeners,
            admin,
            backends,
            cores,
            pin: written.pin,
            driver: written.driver,
            rings: written.rings,
            deadlines: written.deadlines,
            pool: written.pool,
            drain: written.drain,
            proxy_path: written.proxy_path.clone(),
            headers: written.headers,
        }
    });
    faults.none_or(plan)
}

fn check_listeners(written: &[String], faults: &mut Faults) -> Vec<Address> {
    let mut listeners = Vec::new();
    for text in written {
        let Some(address) = faults.take("--listen", text, read_listen(text)) else { continue };
        if address.is_fixed() && listeners.contains(&address) {
            faults.add("--listen", text, Fault::ListenTwice("--listen"));
        }
        listeners.push(address);
    }
    if written.is_empty() {
        faults.add("--listen", "", Fault::NoListener);
    }
    listeners
}

fn check_admin(
    written: Option<&str>,
    listeners: &[Address],
    faults: &mut Faults,
) -> Option<Address> {
    let text = written?;
    let address = faults.take("--admin", text, read_listen(text))?;
    if address.is_fixed() && listeners.contains(&address) {
        faults.add("--admin", text, Fault::ListenTwice("--listen"));
    }
    Some(address)
}

fn check_backends(
    written: &Written,
    listeners: &[Address],
    faults: &mut Faults,
) -> Vec<BackendPlan> {
    const FLAG: &str = "--backend";
    let mut backends: Vec<BackendPlan> = Vec::new();
    for text in &written.backends {
        let Some(backend) = faults.take(FLAG, text, read_backend(text)) else { continue };
        if backends.iter().any(|known| known.name == backend.name) {
            faults.add(FLAG, text, Fault::BackendTwice);
        }
        if listeners.iter().any(|listener| is_same_place(&backend.address, listener)) {
            faults.add(FLAG, text, Fault::BackendIsListener);
        }
        backends.push(backend);
    }
    if written.backends.is_empty() && !written.demo {
        faults.add(FLAG, "", Fault::NoBackend);
    }
    backends
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

fn check_deadlines(deadlines: &Deadlines, drain: Duration, faults: &mut Faults) {
    let total = ("--total-timeout", deadlines.total);
    let parts = [
        ("--connect-timeout", deadlines.connect),
        ("--head-timeout", deadlines.head),
        ("--body-rate-grace", deadlines.body_rate_grace),
        ("--first-byte-timeout", deadlines.first_byte),
        ("--silence-timeout", deadlines.idle_between_reads),
        ("--client-write-timeout", deadlines.client_write),
    ];
    for (flag, time) in parts {
        check_time(flag, time, faults);
        faults.within(flag, Time(time), total.0, Time(total.1));
    }
    check_time(total.0, total.1, faults);
    check_time("--keep-alive-timeout", deadlines.keep_alive, faults);
    // Zero is allowed here: stop at once.
    faults.at_most("--drain", Time(drain), Time(Deadlines::LONGEST), LONGER_IS_NO_END);
    faults.at_least("--body-rate-min", Size(deadlines.body_rate_min), Size(1));
}

const LONGER_IS_NO_END: &str = "longer is as good as no end";

fn check_time(flag: &'static str, time: Duration, faults: &mut Faults) {
    faults.at_least(flag, Time(time), Time(Deadlines::SHORTEST));
    faults.at_most(flag, Time(time), Time(Deadlines::LONGEST), LONGER_IS_NO_END);
}

fn check_limits(limits: &Limits, pool: &PoolPlan, faults: &mut Faults) {
    let head = Size(limits.head_bytes);
    let head_max = Size(pool.buffer_bytes.saturating_mul(Limits::HEAD_BUFFERS_MAX));
    faults.at_least("--head-bytes", head, Size(HEAD_BYTES_MIN));
    faults.within("--head-bytes", head, "--pool-buffer-bytes", head_max);
    faults.at_least("--header-count", limits.headers, 1);
    faults.at_most(
        "--header-count",
        limits.headers,
        Limits::HEADERS_MAX,
        "the table of a head's headers has no more rows",
    );
    faults.at_least("--target-bytes", Size(limits.target_bytes), Size(1));
    faults.within("--target-bytes", Size(limits.target_bytes), "--head-bytes", head);
    faults.at_least("--body-bytes", Size(limits.body_bytes), Size(1));
    faults.at_most(
        "--body-bytes",
        Size(limits.body_bytes),
        Size(Limits::BODY_BYTES_MAX),
        "places in a body are counted in 32 bits",
    );
    let memory = Size(limits.body_memory_total);
    faults.within("--body-bytes", Size(limits.body_bytes), "--body-memory", memory);
    faults.at_least("--sse-event-bytes", Size(limits.sse_event_bytes), Size(SSE_EVENT_BYTES_MIN));
    faults.at_most(
        "--sse-event-bytes",
        Size(limits.sse_event_bytes),
        Size(Limits::BODY_BYTES_MAX),
        "places in an event are counted in 32 bits",
    );
}

fn check_pool(pool: &PoolPlan, keep_alive: Duration, faults: &mut Faults) {
    check_time("--pool-idle-timeout", pool.idle_timeout, faults);
    check_time("--rest-before-idle", pool.rest_before_idle, faults);
    let rest = Time(pool.rest_before_idle);
    faults.within("--rest-before-idle", rest, "--keep-alive-timeout", Time(keep_alive));
    let buffer = Size(pool.buffer_bytes);
    faults.at_least("--pool-buffer-bytes", buffer, Size(PoolPlan::BUFFER_BYTES_MIN));
    faults.at_most(
        "--pool-buffer-bytes",
        buffer,
        Size(PoolPlan::BUFFER_BYTES_MAX),
        "a larger buffer is memory without use",
    );
}

/// Parts of all connections.
fn check_shares(limits: &Limits, connections: usize, faults: &mut Faults) {
    if let Some(of_one) = limits.connections_per_address.map(NonZeroUsize::get) {
        faults.within("--connections-per-address", of_one, "--connections", connections);
    }
}

/// How many clients may be connected, so that every one of them can also be
/// answered by a backend.
///
/// ```text
/// open files = process + shards + idle backend connections   (`held`)
///            + 2 for each client: its own, and a busy one to a backend
/// ```
fn connections(
    written: Option<usize>,
    held: usize,
    machine: &Machine,
    faults: &mut Faults,
) -> usize {
    const FLAG: &str = "--connections";
    let wanted = written.unwrap_or(Limits::DEFAULT.connections);
    faults.at_least(FLAG, wanted, 1);
    let Some(allowed) = machine.open_files else { return wanted };
    let fitting = allowed.saturating_sub(held) / OPEN_FILES_OF_CONNECTION;
    if fitting == 0 {
        faults.add(FLAG, "", Fault::OpenFiles { needed: held, allowed });
    } else if written.is_some() && wanted > fitting {
        let needed = held.saturating_add(wanted.saturating_mul(OPEN_FILES_OF_CONNECTION));
        let fault = Fault::OpenFilesForConnections { wanted, needed, allowed, fitting };
        faults.add(FLAG, wanted, fault);
    }
    wanted.min(fitting)
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

/// The plan for `mock`, or everything that is wrong with what was written.
pub fn check_mock(written: &MockWritten, machine: &Machine) -> Result<MockPlan, Vec<PlanError>> {
    let mut faults = Faults::default();
    let listen = faults.take("--listen", &written.listen, read_listen(&written.listen));
    let cores = cores::resolve(&written.cores, &machine.allowed_cores);
    let cores = faults.take("--cores", &written.cores, cores);
    check_script(&written.script, &mut faults);
    let plan = listen.zip(cores).map(|(listen, cores)| MockPlan {
        listen,
        cores,
        pin: written.pin,
        driver: written.driver,
        script: written.script.clone(),
    });
    faults.none_or(plan)
}

fn check_script(script: &MockScript, faults: &mut Faults) {
    if !(200..=599).contains(&script.status) {
        faults.add("--status", script.status, Fault::MockStatus);
    }
    let moments = [
        ("--stall-at", script.stall_at),
        ("--cut-at", script.cut_at),
        ("--error-at", script.error_at),
    ];
    for (flag, token) in moments {
        if let Some(token) = token.filter(|token| *token >= script.tokens) {
            faults.add(flag, token, Fault::MockTokenNever(script.tokens));
        }
    }
    if script.models.iter().any(String::is_empty) {
        faults.add("--models", script.models.join(","), Fault::MockModelEmpty);
    }
    let longest = Time(Deadlines::LONGEST);
    faults.at_most("--first-token", Time(script.first_token), longest, LONGER_IS_NO_END);
    faults.at_most("--token-gap", Time(script.token_gap), longest, LONGER_IS_NO_END);
    faults.at_least("--fault-every", script.fault_every, 1);
    faults.at_least("--close-after", script.close_after.unwrap_or(1), 1);
    faults.at_least("--token-bytes", Size(script.token_bytes), Size(1));
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
