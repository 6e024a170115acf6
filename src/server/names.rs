//! Backends' names: resolved at the start, and again while the process runs.

use std::{net::SocketAddr, time::Duration};

use crate::{
    balance::BackendId,
    config::{BackendAddress, BackendPlan, Host},
    rt::{ConnectAddress, Resolver},
};

/// How often a name is resolved again. Short beside the life of a process,
/// long beside a resolver's cache.
const INTERVAL: Duration = Duration::from_secs(30);

/// The addresses of each backend, as far as they are known now.
pub fn resolve_all(backends: &[BackendPlan]) -> Vec<Vec<ConnectAddress>> {
    backends.iter().map(resolve).collect()
}

fn resolve(backend: &BackendPlan) -> Vec<ConnectAddress> {
    match &backend.address {
        BackendAddress::Unix(path) => vec![ConnectAddress::Unix(path.clone())],
        BackendAddress::Tcp { host: Host::Ip(ip), port } => {
            vec![ConnectAddress::Tcp(SocketAddr::new(*ip, *port))]
        }
        BackendAddress::Tcp { host: Host::Name(name), port } => {
            match Resolver::resolve(name, *port) {
                Ok(addresses) => addresses.into_iter().map(ConnectAddress::Tcp).collect(),
                Err(error) => {
                    // It may come; until then its requests go elsewhere.
                    tracing::warn!(backend = backend.name, error, "the name does not resolve");
                    Vec::new()
                }
            }
        }
    }
}

/// Resolves names for ever and tells `news` what has changed.
pub fn watch(
    backends: &[BackendPlan],
    news: impl Fn(BackendId, Vec<ConnectAddress>) + Send + 'static,
) -> std::io::Result<Option<Resolver>> {
    let (ids, names): (Vec<_>, Vec<_>) = backends
        .iter()
        .enumerate()
        .filter_map(|(index, backend)| match &backend.address {
            BackendAddress::Tcp { host: Host::Name(name), port } => {
                Some((BackendId(index), (name.clone(), *port)))
            }
            _ => None,
        })
        .unzip();
    if names.is_empty() {
        return Ok(None);
    }
    let resolver = Resolver::start(names, INTERVAL, move |place, addresses| {
        let addresses = addresses.iter().copied().map(ConnectAddress::Tcp).collect();
        news(ids[place], addresses);
    })?;
    Ok(Some(resolver))
}
