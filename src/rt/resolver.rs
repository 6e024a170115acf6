//! Names to addresses, on a thread of its own: `getaddrinfo` blocks.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use super::spawn_thread;

/// What a name stands for, or why it stands for nothing.
pub type Resolved = Result<Vec<SocketAddr>, String>;

/// Re-resolves a fixed list of names; ends when it is dropped.
#[derive(Debug)]
pub struct Resolver {
    _ends_on_drop: mpsc::Sender<()>,
}

impl Resolver {
    /// Resolves each `(host, port)` every `interval` and calls `news` with
    /// its index whenever the answer differs from the last one. A name that
    /// no longer resolves keeps its last addresses: a resolver that is down
    /// must not take healthy backends with it.
    ///
    /// # Errors
    /// The kernel's refusal to start the thread.
    pub fn start(
        names: Vec<(String, u16)>,
        interval: Duration,
        news: impl Fn(usize, &[SocketAddr]) + Send + 'static,
    ) -> io::Result<Self> {
        let (alive, ended) = mpsc::channel::<()>();
        spawn_thread("tr-resolver", move || {
            let mut known: Vec<Vec<SocketAddr>> = vec![Vec::new(); names.len()];
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(interval) {
                for (index, (host, port)) in names.iter().enumerate() {
                    if let Ok(addresses) = Self::resolve(host, *port)
                        && known[index] != addresses
                    {
                        news(index, &addresses);
                        known[index] = addresses;
                    }
                }
            }
        })?;
        Ok(Self { _ends_on_drop: alive })
    }

    /// Resolves one name now; blocks. Sorted, so that two answers compare.
    ///
    /// # Errors
    /// The resolver's own words.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that may block")]
    pub fn resolve(host: &str, port: u16) -> Resolved {
        let mut addresses: Vec<SocketAddr> =
            (host, port).to_socket_addrs().map_err(|error| error.to_string())?.collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}
