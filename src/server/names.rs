//! Backends' names: resolved at the start, and again while the process runs.

use std::{io, net::SocketAddr, time::Duration};

use crate::{
    balance::BackendId,
    config::{BackendAddress, BackendPlan, Host},
    rt::{ConnectAddress, Lookup, Resolver, Watched},
};

/// The addresses of each backend, as far as they are known now.
pub fn resolve_all(backends: &[BackendPlan], lookup: &Lookup) -> Vec<Vec<ConnectAddress>> {
    backends.iter().map(|backend| resolve(backend, lookup)).collect()
}

fn resolve(backend: &BackendPlan, lookup: &Lookup) -> Vec<ConnectAddress> {
    match &backend.address {
        BackendAddress::Unix(path) => vec![ConnectAddress::Unix(path.clone())],
        BackendAddress::Tcp { host: Host::Ip(ip), port } => {
            vec![ConnectAddress::Tcp(SocketAddr::new(*ip, *port))]
        }
        BackendAddress::Tcp { host: Host::Name(name), port } => match lookup(name, *port) {
            Ok(addresses) => addresses.into_iter().map(ConnectAddress::Tcp).collect(),
            Err(error) => {
                // It may come; until then its requests go elsewhere.
                tracing::warn!(backend = backend.name, error, "the name does not resolve");
                Vec::new()
            }
        },
    }
}

/// Resolves names for ever and tells `news` when one stands for something else
/// than the addresses that [`resolve_all`] has found. The first of `intervals` is
/// waited for before the first time.
pub fn watch(
    backends: &[BackendPlan],
    addresses: &[Vec<ConnectAddress>],
    intervals: (Duration, Duration),
    lookup: Lookup,
    news: impl Fn(BackendId, &[ConnectAddress]) -> bool + Send + 'static,
) -> io::Result<Option<Resolver>> {
    let (ids, names): (Vec<_>, Vec<_>) = backends
        .iter()
        .zip(addresses)
        .enumerate()
        .filter_map(|(index, (backend, addresses))| match &backend.address {
            BackendAddress::Tcp { host: Host::Name(host), port } => {
                let known = addresses.iter().filter_map(ConnectAddress::tcp).collect();
                Some((BackendId(index), Watched { host: host.clone(), port: *port, known }))
            }
            _ => None,
        })
        .unzip();
    if names.is_empty() {
        return Ok(None);
    }
    let shown: Vec<String> = ids.iter().map(|id: &BackendId| backends[id.0].name.clone()).collect();
    let resolver = Resolver::start(names, intervals, lookup, move |place, addresses| {
        tracing::info!(backend = shown[place], ?addresses, "the name stands for other addresses");
        let addresses: Vec<_> = addresses.iter().copied().map(ConnectAddress::Tcp).collect();
        news(ids[place], &addresses)
    })?;
    Ok(Some(resolver))
}
