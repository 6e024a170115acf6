//! Names to addresses, on a thread of its own: `getaddrinfo` blocks.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use super::spawn_thread;

/// What a name stands for, or why it stands for nothing.
pub type Resolved = Result<Vec<SocketAddr>, String>;

/// Resolves `(host, port)`, and may block. [`Resolver::resolve`] outside the
/// tests.
pub type Lookup = Arc<dyn Fn(&str, u16) -> Resolved + Send + Sync>;

/// A name to be resolved again and again.
#[derive(Clone, Debug)]
pub struct Watched {
    pub host: String,
    pub port: u16,
    /// What it stands for as far as others have been told.
    pub known: Vec<SocketAddr>,
}

/// Re-resolves a fixed list of names; ends when it is dropped.
#[derive(Debug)]
pub struct Resolver {
    _ends_on_drop: mpsc::Sender<()>,
    known: Arc<Mutex<Vec<Watched>>>,
}

impl Resolver {
    /// Resolves each name after `first`, then every `interval`, and calls `news` with its index
    /// whenever the answer is not what is known; as long as `news` says that
    /// it was not heard by all, it is told again. A name that no longer
    /// resolves keeps its last addresses: a resolver that is down must not
    /// take healthy backends with it.
    ///
    /// # Errors
    /// The kernel's refusal to start the thread.
    pub fn start(
        names: Vec<Watched>,
        (first, interval): (Duration, Duration),
        lookup: Lookup,
        news: impl Fn(usize, &[SocketAddr]) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let (alive, ended) = mpsc::channel::<()>();
        let known = Arc::new(Mutex::new(names.clone()));
        let shown = Arc::clone(&known);
        let mut names = names;
        spawn_thread("tr-resolver", move || {
            let mut wait = first;
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(wait) {
                wait = interval;
                for (index, name) in names.iter_mut().enumerate() {
                    if let Ok(addresses) = lookup(&name.host, name.port)
                        && name.known != addresses
                        && news(index, &addresses)
                    {
                        name.known = addresses;
                        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                        shown[index].clone_from(name);
                    }
                }
            }
        })?;
        Ok(Self { _ends_on_drop: alive, known })
    }

    /// What each name stands for, as far as it was told.
    #[must_use]
    pub fn known(&self) -> Vec<Watched> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(last: &[u8]) -> Vec<SocketAddr> {
        last.iter().map(|&last| SocketAddr::from(([10, 0, 0, last], 80))).collect()
    }

    /// A name that stands for 10.0.0.1 and then is answered by each row of
    /// `answers` in turn (`None` is a failure): what is told, until the last.
    #[track_caller]
    fn check(answers: &[Option<&[u8]>], expected: &[&[u8]]) {
        let mut answers: Vec<Resolved> = answers
            .iter()
            .map(|answer| answer.map(addresses).ok_or_else(|| "no answer".to_owned()))
            .collect();
        answers.push(Ok(addresses(&[255])));
        answers.reverse();
        let answers = Mutex::new(answers);
        let lookup: Lookup = Arc::new(move |host, port| {
            assert_eq!((host, port), ("name", 80));
            answers.lock().unwrap().pop().unwrap_or_else(|| Err("no more".to_owned()))
        });
        let watched = Watched { host: "name".to_owned(), port: 80, known: addresses(&[1]) };
        let (tell, told) = mpsc::channel();
        let news = move |index, addresses: &[SocketAddr]| {
            assert_eq!(index, 0);
            // Nobody listens behind the last answer.
            let _ = tell.send(addresses.to_vec());
            addresses.iter().all(|address| !address.ip().to_string().ends_with(".13"))
        };
        let _resolver = Resolver::start(
            vec![watched],
            (Duration::ZERO, Duration::from_millis(1)),
            lookup,
            news,
        )
        .unwrap();
        let last = addresses(&[255]);
        let told: Vec<_> = told.iter().take_while(|told| *told != last).collect();
        let expected: Vec<_> = expected.iter().map(|last| addresses(last)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_change_is_told_once() {
        check(&[Some(&[1]), Some(&[2]), Some(&[2]), Some(&[1])], &[&[2], &[1]]);
        check(&[Some(&[1, 2]), Some(&[1, 2])], &[&[1, 2]]);
    }

    #[test]
    fn what_is_known_is_not_told() {
        check(&[Some(&[1]), Some(&[1])], &[]);
    }

    #[test]
    fn a_failure_changes_nothing() {
        check(&[None, Some(&[1]), None, Some(&[2]), None, Some(&[2])], &[&[2]]);
    }

    /// The shard's mailbox was full (13 stands for that here).
    #[test]
    fn what_was_not_heard_is_told_again() {
        check(&[Some(&[13]), Some(&[13]), Some(&[1])], &[&[13], &[13]]);
    }

    #[test]
    fn an_address_resolves_to_itself() {
        let own = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(Resolver::resolve("127.0.0.1", 80), Ok(vec![own]));
    }
}
