//! Written -> the plan's backends.

use std::num::NonZeroU32;

use super::address::{is_same_place, read_backend};
use super::check_models::{WEIGHT_MAX, WEIGHTS_SUM};
use super::check_tls;
use super::error::Fault;
use super::faults::Faults;
use super::plan::{Address, BackendAddress, BackendPlan};
use super::route_fault::RouteFault;
use super::written::{BackendWritten, Written};

/// Each of them has a pool, a block of figures and rows in the metrics of every
/// core.
pub(super) const BACKENDS_MAX: usize = 1024;
/// Names stand in headers and metrics; DNS names are no longer.
pub(super) const PLAIN_BYTES_MAX: usize = 253;

const NAME: &str = "backend.name";

/// In the order of what was written; `None` where a URL is not understood.
pub(super) fn check_backends(
    written: &Written,
    listeners: &[Address],
    faults: &mut Faults,
) -> Vec<Option<BackendPlan>> {
    const FLAG: &str = "--backend";
    let count = written.backends.len();
    if count > BACKENDS_MAX {
        let reason = "each has figures of its own on every core";
        let what = "backends";
        faults.add(FLAG, "", RouteFault::TooMany { what, count, most: BACKENDS_MAX, reason });
        return vec![None; count];
    }
    let mut backends: Vec<Option<BackendPlan>> = Vec::new();
    let mut names = Vec::new();
    for (place, one) in written.backends.iter().enumerate() {
        let mut backend = faults.take((FLAG, place), &one.url, read_backend(&one.url));
        // Also of one whose URL is not understood: all faults are told at once.
        let capacity = own(place, one, faults);
        let called = called(one, backend.as_ref());
        let twin = names.iter().position(|name| called.is_some() && *name == called);
        if let Some(twin) = twin {
            let address = |plan: Option<&BackendPlan>| plan.map(|plan| plan.address.clone());
            let addresses = (address(backend.as_ref()), address(backends[twin].as_ref()));
            named_alike(place, one, addresses, faults);
        }
        if let (Some(backend), Some(called)) = (&mut backend, &called) {
            backend.name.clone_from(called);
            if listeners.iter().any(|listener| is_same_place(&backend.address, listener)) {
                faults.add((FLAG, place), &one.url, Fault::BackendIsListener);
            }
            check_tls::name_backend(&written.tls.backend.or(&one.tls), backend);
        }
        names.push(called);
        backends.push(backend.map(|backend| BackendPlan {
            weight: one.weight,
            capacity,
            dialect: one.dialect,
            ..backend
        }));
    }
    if written.backends.is_empty() && !written.demo {
        faults.add(FLAG, "", Fault::NoBackend);
    }
    if count > 0 && !written.demo && written.backends.iter().all(|one| one.weight == 0) {
        faults.add("backend.weight", 0, RouteFault::NoWeight);
    }
    backends
}

/// What candidates may call them: also one whose URL is not understood, by the
/// name that is written for it.
pub(super) fn names(written: &Written, backends: &[Option<BackendPlan>]) -> Vec<Option<String>> {
    let pairs = written.backends.iter().zip(backends);
    pairs.map(|(one, backend)| called(one, backend.as_ref())).collect()
}

fn called(written: &BackendWritten, backend: Option<&BackendPlan>) -> Option<String> {
    written.name.clone().or_else(|| backend.map(|backend| backend.name.clone()))
}

/// One before it has the same name; these are the addresses of both.
fn named_alike(
    place: usize,
    written: &BackendWritten,
    (address, twin): (Option<BackendAddress>, Option<BackendAddress>),
    faults: &mut Faults,
) {
    let url = &written.url;
    match &written.name {
        Some(name) => {
            let taken = RouteFault::NameTaken("a backend".to_owned());
            faults.add((NAME, place), name, taken);
        }
        None if twin == address => faults.add(("--backend", place), url, Fault::BackendTwice),
        None => faults.add(("--backend", place), url, Fault::BackendSchemes),
    }
}

/// What a backend has beside its place; its capacity, if it has any.
fn own(place: usize, written: &BackendWritten, faults: &mut Faults) -> Option<NonZeroU32> {
    const WEIGHT: &str = "backend.weight";
    if let Some(name) = written.name.as_ref().filter(|name| !is_plain(name)) {
        faults.add((NAME, place), name, RouteFault::NotPlain(PLAIN_BYTES_MAX));
    }
    if written.weight > WEIGHT_MAX {
        let most = WEIGHT_MAX.to_string();
        faults.add((WEIGHT, place), written.weight, Fault::TooLarge { most, reason: WEIGHTS_SUM });
    }
    let capacity = written.capacity.and_then(NonZeroU32::new);
    if written.capacity.is_some() && capacity.is_none() {
        faults.add(("backend.capacity", place), 0, Fault::BackendCapacityZero);
    }
    capacity
}

/// Whether the name can stand in a header, a log line and a metric as it is.
pub(super) fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'"' | b'\\');
    (1..=PLAIN_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

#[cfg(test)]
#[path = "check_backends_tests.rs"]
mod tests;
