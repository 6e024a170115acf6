//! A backend whose every address is a backend of its own: the plan as it was
//! written becomes the plan of what the names stand for now.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::check_backends::BACKENDS_MAX;
use super::plan::{BackendAddress, BackendPlan, Host, Plan};
use crate::base::BackendId;

/// What each name stands for, with its port; nothing as long as it is not known.
pub type Addresses = BTreeMap<(String, u16), Vec<SocketAddr>>;

/// More stand behind no name that is answered in one piece; a resolver that is
/// not ours must not fill every core with backends.
const ADDRESSES_MAX: usize = 256;

/// The names of the plan whose every address is meant.
#[must_use]
pub fn names_to_spread(meant: &Plan) -> Addresses {
    meant.backends.iter().filter_map(name_of).map(|name| (name, Vec::new())).collect()
}

/// The plan where each address is a backend, and how many there was no room
/// for. A name that stands for nothing stays one backend, which cannot be
/// reached.
#[must_use]
pub fn spread(meant: &Plan, addresses: &Addresses) -> (Plan, usize) {
    let mut room = BACKENDS_MAX.saturating_sub(meant.backends.len());
    let mut left_out = 0;
    // As which backends each one goes on.
    let mut becomes: Vec<Vec<BackendId>> = Vec::new();
    let mut backends: Vec<BackendPlan> = Vec::new();
    for backend in &meant.backends {
        let mut found: Vec<SocketAddr> =
            name_of(backend).and_then(|name| addresses.get(&name).cloned()).unwrap_or_default();
        found.sort_unstable();
        found.dedup_by_key(|address| address.ip());
        let most = ADDRESSES_MAX.min(1 + room);
        left_out += found.len().saturating_sub(most);
        found.truncate(most);
        room -= found.len().saturating_sub(1);
        let from = backends.len();
        if found.is_empty() {
            backends.push(backend.clone());
        }
        backends.extend(found.into_iter().map(|address| at(backend, address)));
        becomes.push((from..backends.len()).map(BackendId).collect());
    }
    let mut plan = Plan { backends, ..meant.clone() };
    let counts = becomes.iter().map(Vec::len);
    let origins = counts.enumerate().flat_map(|(place, count)| std::iter::repeat_n(place, count));
    let origins: Vec<usize> = origins.collect();
    plan.tls.backends = per_origin(&meant.tls.backends, &origins);
    plan.routes.backends = per_origin(&meant.routes.backends, &origins);
    for candidate in plan.routes.models.iter_mut().flat_map(|model| &mut model.candidates) {
        let those = candidate.backends.iter().flat_map(|id| becomes.get(id.0)).flatten();
        candidate.backends = those.copied().collect();
    }
    plan.given.spread(origins);
    (plan, left_out)
}

/// The demo's mock stands behind those that have something there.
fn per_origin<T: Clone>(of: &[T], origins: &[usize]) -> Vec<T> {
    origins.iter().filter_map(|origin| of.get(*origin).cloned()).collect()
}

fn name_of(backend: &BackendPlan) -> Option<(String, u16)> {
    match &backend.address {
        BackendAddress::Tcp { host: Host::Name(name), port } if backend.each_address => {
            Some((name.clone(), *port))
        }
        _ => None,
    }
}

/// What is told to it (`Host`, SNI) stays the name.
fn at(backend: &BackendPlan, address: SocketAddr) -> BackendPlan {
    let (host, port) = (Host::Ip(address.ip()), address.port());
    BackendPlan {
        name: format!("{}@{}", backend.name, address.ip()),
        address: BackendAddress::Tcp { host, port },
        ..backend.clone()
    }
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
