//! Who listens where, and how connections come about.

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use super::{
    connection::Connection,
    core::{Core, Event, State},
    executor::{Owner, nanos},
    stream::SimStream,
};
use crate::rt::{Accepted, Listen, Peer};

/// The errno of a process without descriptors.
const EMFILE: i32 = 24;
/// A tear or a hiccup comes within so much of a connection's beginning.
const TROUBLE_WITHIN: Duration = Duration::from_secs(2);

#[derive(Default)]
pub struct Network {
    pub connections: BTreeMap<u64, Connection>,
    pub next_connection: u64,
    pub operations: u64,
    listeners: BTreeMap<u64, Listening>,
    next_listener: u64,
}

struct Listening {
    owner: Owner,
    address: SocketAddr,
    waiting: VecDeque<u64>,
    waker: Option<Waker>,
}

/// What an attempt to connect comes to.
pub enum Reach {
    Goes,
    Refused,
    /// Nobody answers, ever.
    Hangs,
    NoDescriptor,
}

impl State {
    /// What becomes of an attempt to connect, and after how many nanoseconds.
    /// Only the proxy's own are kept from succeeding.
    pub fn try_reach(&mut self, owner: Owner, to: SocketAddr) -> (Reach, u64) {
        let (faults, chance) = (&self.faults, &mut self.chance);
        let after = nanos(chance.up_to(faults.delay) + chance.up_to(faults.jitter));
        let reach = if owner != Owner::House {
            Reach::Goes
        } else if chance.happens(faults.no_descriptors) {
            Reach::NoDescriptor
        } else if chance.happens(faults.hanging_connects) {
            Reach::Hangs
        } else if chance.happens(faults.refusals) {
            Reach::Refused
        } else {
            Reach::Goes
        };
        self.note("reach", u64::from(to.port()), after);
        (reach, after)
    }

    /// Opens a connection to somebody who listens there, if anybody does. Its
    /// side 0 is the caller's.
    pub fn open(&mut self, owner: Owner, to: SocketAddr) -> Option<u64> {
        let there = |listening: &&mut Listening| listening.address == to;
        let many = self.network.listeners.values().filter(|listening| listening.address == to);
        let place = match many.count() {
            0 => return None,
            many => self.chance.below(many),
        };
        let listening = self.network.listeners.values_mut().filter(there).nth(place)?;
        let id = self.network.next_connection;
        self.network.next_connection += 1;
        listening.waiting.push_back(id);
        if let Some(waker) = listening.waker.take() {
            waker.wake();
        }
        let owners = [owner, listening.owner];
        let (faults, chance) = (&self.faults, &mut self.chance);
        let delay = nanos(chance.up_to(faults.delay));
        let capacity = if faults.pipe_bytes == 0 { 1 << 18 } else { faults.pipe_bytes };
        let mut connection = Connection::new(owners, delay, capacity);
        if chance.happens(faults.hiccups) {
            let from = self.now + nanos(chance.up_to(TROUBLE_WITHIN));
            let to = from + nanos(chance.up_to(TROUBLE_WITHIN));
            connection.pipes[chance.below(2)].hiccup = from..to;
        }
        if chance.happens(faults.tears) {
            let at = self.now + nanos(chance.up_to(TROUBLE_WITHIN));
            self.later(at, Event::Break { connection: id });
        }
        self.network.connections.insert(id, connection);
        self.note("open", id, place as u64);
        Some(id)
    }

    /// Somebody dies: every connection of theirs is reset, or falls silent.
    pub fn kill(&mut self, owner: Owner, silently: bool) {
        let network = &self.network;
        let theirs: Vec<u64> = network
            .connections
            .iter()
            .filter(|(_, connection)| connection.ends[1].owner == owner)
            .map(|(&id, _)| id)
            .collect();
        for id in theirs {
            if silently {
                self.fall_silent(id, 1);
            } else {
                self.tear(id);
            }
        }
    }

    /// Nobody comes to them any more.
    pub fn stop_listening(&mut self, owner: Owner) {
        let listeners = std::mem::take(&mut self.network.listeners);
        for (id, listening) in listeners {
            if listening.owner == owner {
                if let Some(waker) = listening.waker {
                    waker.wake();
                }
                for connection in listening.waiting {
                    self.abandon(connection, 1);
                }
            } else {
                self.network.listeners.insert(id, listening);
            }
        }
    }

    /// Streams that somebody holds.
    pub fn streams_of(&self, owner: Owner) -> usize {
        let ends = self.network.connections.values().flat_map(|connection| &connection.ends);
        ends.filter(|end| end.owner == owner && !end.closed).count()
    }
}

/// One queue of connections that wait to be accepted.
pub struct SimListener {
    core: Arc<Core>,
    id: u64,
}

impl SimListener {
    pub fn bind(core: Arc<Core>, owner: Owner, address: SocketAddr) -> Self {
        let id = core.with(|state| {
            let id = state.network.next_listener;
            state.network.next_listener += 1;
            let listening = Listening { owner, address, waiting: VecDeque::new(), waker: None };
            state.network.listeners.insert(id, listening);
            id
        });
        Self { core, id }
    }
}

impl SimListener {
    /// Whether anybody can still come.
    pub fn is_open(&self) -> bool {
        self.core.with(|state| state.network.listeners.contains_key(&self.id))
    }
}

impl Listen for SimListener {
    type Socket = SimSocket;

    async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| {
            self.core.with(|state| match state.network.listeners.get_mut(&self.id) {
                Some(listening) if listening.waiting.is_empty() => {
                    listening.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(Ok(())),
            })
        })
        .await
    }

    fn accept(&self) -> io::Result<Option<SimSocket>> {
        let connection = self.core.with(|state| {
            let odds = state.faults.accept_fails;
            let Some(listening) = state.network.listeners.get_mut(&self.id) else {
                return Ok(None);
            };
            let fails = listening.owner == Owner::House && !listening.waiting.is_empty();
            if fails && state.chance.happens(odds) {
                return Err(io::Error::from_raw_os_error(EMFILE));
            }
            let connection = listening.waiting.pop_front();
            if let Some(connection) = connection {
                state.note("accept", connection, self.id);
            }
            Ok(connection)
        })?;
        let stream = |connection| SimStream::new(Arc::clone(&self.core), connection, 1);
        Ok(connection.map(|connection| SimSocket { stream: stream(connection) }))
    }
}

/// Those who still wait are reset.
impl Drop for SimListener {
    fn drop(&mut self) {
        self.core.with(|state| {
            let listening = state.network.listeners.remove(&self.id);
            for connection in listening.into_iter().flat_map(|listening| listening.waiting) {
                state.abandon(connection, 1);
            }
        });
    }
}

/// An accepted connection that is nobody's yet.
pub struct SimSocket {
    stream: SimStream,
}

impl SimSocket {
    pub fn into_stream(self) -> SimStream {
        self.stream
    }
}

impl Accepted for SimSocket {
    fn peer(&self) -> Peer {
        Peer::Ip(IpAddr::from([10, 0, 0, 1]))
    }

    fn refuse(self, answer: &[u8]) {
        use crate::rt::Stream;
        // Whatever it takes of it; the close follows.
        let _ = self.stream.try_send(answer);
        self.stream.finish();
    }
}
