//! Names whose every address is a backend: resolved at the start, and again
//! while the process runs. What they stand for makes the plan, so a change of it
//! is a reload's matter; who is told of it makes the next plan.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    config::{Addresses, Plan, names_to_spread, spread},
    rt::{Lookup, Resolver, Watched},
};

/// A name and its port.
pub type Name = (String, u16);

/// The names of the plan; what is known already of one is not asked again.
pub fn resolve(meant: &Plan, known: &Addresses, lookup: &Lookup) -> Addresses {
    let mut names = names_to_spread(meant);
    for (name, addresses) in &mut names {
        *addresses = known.get(name).cloned().unwrap_or_default();
        if !addresses.is_empty() {
            continue;
        }
        match lookup(&name.0, name.1) {
            Ok(found) => *addresses = found,
            // It may come; until then its requests go elsewhere.
            Err(error) => tracing::warn!(name = name.0, error, "the name does not resolve"),
        }
    }
    names
}

/// The plan with a backend for each address.
pub fn plan_of(meant: &Plan, addresses: &Addresses) -> Plan {
    let (plan, left_out) = spread(meant, addresses);
    if left_out > 0 {
        tracing::warn!(
            left_out,
            "names stand for more addresses than there may be backends; the last are left out"
        );
    }
    plan
}

/// Tells `news` of every change of what a name stands for. A resolver that fails
/// and an answer without any address are none.
pub fn watch(
    addresses: &Addresses,
    every: Duration,
    lookup: Lookup,
    news: impl Fn(Name, Vec<SocketAddr>) + Send + 'static,
) -> io::Result<Option<Resolver>> {
    if addresses.is_empty() {
        return Ok(None);
    }
    let watched = |((host, port), known): (&Name, &Vec<SocketAddr>)| Watched {
        host: host.clone(),
        port: *port,
        known: known.clone(),
    };
    let names: Vec<Name> = addresses.keys().cloned().collect();
    let lookup: Lookup = Arc::new(move |host, port| {
        let found = lookup(host, port)?;
        if found.is_empty() { Err("it has no address".to_owned()) } else { Ok(found) }
    });
    let resolver =
        Resolver::start(addresses.iter().map(watched).collect(), (every, every), lookup, {
            move |place, addresses| {
                news(names[place].clone(), addresses.to_vec());
                true
            }
        })?;
    Ok(Some(resolver))
}
