//! Binding: one listener for each shard at each address.

use std::{net::SocketAddr, os::fd::OwnedFd, path::PathBuf};

use anyhow::Context;

use crate::{config::Address, rt};

/// The listening sockets of a process.
pub struct Bound {
    /// For each shard: its sockets, and what each is for.
    pub shards: Vec<Vec<(OwnedFd, Purpose)>>,
    /// Where clients connect, as text: plain …
    pub clients: Vec<String>,
    /// … and TLS.
    pub secured: Vec<String>,
    pub admin: Option<String>,
    /// Socket files to be removed at the end.
    pub files: Vec<PathBuf>,
}

/// Who connects to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Clients,
    /// Clients that speak TLS.
    Secured,
    Admin,
}

/// Binds everything before anything runs, so that a port in use is told at
/// the start and by nobody but us.
pub fn bind(
    (plain, secured): (&[Address], &[Address]),
    admin: Option<&Address>,
    shards: usize,
) -> anyhow::Result<Bound> {
    let mut bound = Bound {
        shards: (0..shards).map(|_| Vec::new()).collect(),
        clients: Vec::new(),
        secured: Vec::new(),
        admin: None,
        files: Vec::new(),
    };
    for address in plain {
        let name = bound.add(address, shards, Purpose::Clients)?;
        bound.clients.push(name);
    }
    for address in secured {
        let name = bound.add(address, shards, Purpose::Secured)?;
        bound.secured.push(name);
    }
    if let Some(address) = admin {
        // One shard is enough for an operator.
        bound.admin = Some(bound.add(address, 1, Purpose::Admin)?);
    }
    Ok(bound)
}

impl Bound {
    fn add(
        &mut self,
        address: &Address,
        shards: usize,
        purpose: Purpose,
    ) -> anyhow::Result<String> {
        match address {
            Address::Tcp(address) => self.add_tcp(*address, shards, purpose),
            Address::Unix(path) => {
                let fd = rt::Listener::bind_unix(path)
                    .with_context(|| refusal(&format!("unix:{}", path.display())))?;
                self.files.push(path.clone());
                for shard in self.shards.iter_mut().take(shards) {
                    // A Unix socket has one queue; the shards share it.
                    shard.push((fd.try_clone()?, purpose));
                }
                Ok(format!("unix:{}", path.display()))
            }
        }
    }

    fn add_tcp(
        &mut self,
        wanted: SocketAddr,
        shards: usize,
        purpose: Purpose,
    ) -> anyhow::Result<String> {
        // SO_REUSEPORT would let us share a port with another process of the
        // same user; a first bind without it finds out whether there is one.
        rt::probe(wanted).with_context(|| refusal(&wanted.to_string()))?;
        let mut address = wanted;
        for shard in self.shards.iter_mut().take(shards) {
            let fd = rt::bind(address).with_context(|| refusal(&address.to_string()))?;
            // Port 0 was a request; the other shards listen where the first does.
            address = rt::Listener::local_address(&fd)?.unwrap_or(address);
            shard.push((fd, purpose));
        }
        Ok(address.to_string())
    }
}

fn refusal(address: &str) -> String {
    format!(
        "cannot listen on {address}: stop who listens there, or give another --listen \
         (ports below 1024 need CAP_NET_BIND_SERVICE)"
    )
}
