//! A name that stands for addresses as a test says, and backends at two of them.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokenring::rt::{Lookup, Resolved};

use super::{Client, PATIENCE, Proxy, chat, eventually, plan};

/// Reserved for tests (RFC 2606), and as long as it is written here.
pub const NAME: &str = "backend.test";
pub const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
pub const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OFTEN: Duration = Duration::from_millis(10);

/// Listeners at both addresses with the same port, as a name has one.
pub fn both() -> ([TcpListener; 2], u16) {
    loop {
        let here = TcpListener::bind((HERE, 0)).unwrap();
        let port = here.local_addr().unwrap().port();
        // Somebody may have this port at the other address.
        if let Ok(there) = TcpListener::bind((THERE, port)) {
            return ([here, there], port);
        }
    }
}

/// What is answered.
#[track_caller]
pub fn ask(client: &mut Client) -> String {
    let answer = client.post("/v1/chat/completions", "", chat(1));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// A resolver whose answers a test sets, and which counts what it was asked.
#[derive(Clone, Default)]
pub struct Names {
    answer: Arc<Mutex<Option<Vec<Ipv4Addr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    pub fn standing_for(addresses: &[Ipv4Addr]) -> Self {
        let names = Self::default();
        names.now_stand_for(addresses);
        names
    }

    pub fn now_stand_for(&self, addresses: &[Ipv4Addr]) {
        *self.answer.lock().unwrap() = Some(addresses.to_vec());
    }

    pub fn now_fail(&self) {
        *self.answer.lock().unwrap() = None;
    }

    /// What is answered now has been told at least twice.
    #[track_caller]
    pub fn are_resolved_again(&self) {
        let asked = self.asked.load(Ordering::SeqCst);
        eventually("it is resolved again", || self.asked.load(Ordering::SeqCst) >= asked + 3);
    }

    fn resolve(&self, name: &str, port: u16) -> Resolved {
        assert_eq!(name, NAME);
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answer.lock().unwrap().clone().ok_or("the resolver is down")?;
        Ok(answer.into_iter().map(|ip| SocketAddr::from((ip, port))).collect())
    }

    /// A proxy whose backends are told by the name, behind this scheme.
    pub fn proxy(&self, scheme: &str, port: u16) -> Proxy {
        let names = self.clone();
        let lookup: Lookup = Arc::new(move |name, port| names.resolve(name, port));
        let plan = plan(&[format!("{scheme}://{NAME}:{port}")], |written| {
            written.admin = Some("127.0.0.1:0".to_owned());
            written.resolve_every = OFTEN;
            // A connection that ends did not end of idleness.
            written.pool.idle_timeout = 2 * PATIENCE;
        });
        Proxy::resolving(plan, lookup)
    }
}
