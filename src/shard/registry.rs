//! Who is connected: to this shard, and how many to the whole house.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    net::IpAddr,
    ops::Deref,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};

use slab::Slab;

use crate::{
    config::Limits,
    exchange::{Client, Counters},
    rt::{Peer, Stream},
};

/// What all shards know of each other: how many connections each has, those
/// on their way to it included.
#[derive(Debug)]
pub struct House {
    shards: Vec<Load>,
    /// Connections to the admin's pages, which take no client's place.
    admin: Load,
    per_address_max: Option<usize>,
    /// Only with a limit for each address, and only touched when a connection
    /// begins and ends.
    addresses: Mutex<HashMap<IpAddr, usize, ahash::RandomState>>,
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Load(AtomicUsize);

/// A connection's place in a shard; it gives itself back.
#[derive(Debug)]
pub struct Seat {
    house: Arc<House>,
    /// `None` is the admin's.
    shard: Option<usize>,
    address: Option<IpAddr>,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    House,
    Address,
}

impl House {
    #[must_use]
    pub fn new(shards: usize, per_address_max: Option<usize>) -> Self {
        Self {
            shards: (0..shards).map(|_| Load::default()).collect(),
            admin: Load::default(),
            per_address_max,
            addresses: Mutex::default(),
        }
    }

    fn load(&self, shard: usize) -> &AtomicUsize {
        &self.shards[shard].0
    }

    /// The better of two shards for one more connection: power of two choices
    /// (Mitzenmacher, 2001). The accepting shard keeps it unless the other has
    /// clearly fewer, as a hand-over costs a wake-up.
    #[must_use]
    pub fn better_of(&self, own: usize, other: usize) -> usize {
        let (mine, others) =
            (self.load(own).load(Ordering::Relaxed), self.load(other).load(Ordering::Relaxed));
        if others + 1 < mine + usize::from(mine > 0) { other } else { own }
    }

    /// A seat in `shard`, if the house and the address have room.
    pub fn take_seat(
        self: &Arc<Self>,
        shard: usize,
        peer: Peer,
        connections_max: usize,
    ) -> Result<Seat, Full> {
        self.load(shard).fetch_add(1, Ordering::Relaxed);
        // From here on the seat's drop gives back what was taken.
        let mut seat = Seat { house: Arc::clone(self), shard: Some(shard), address: None };
        let taken: usize = self.shards.iter().map(|load| load.0.load(Ordering::Relaxed)).sum();
        if taken > connections_max {
            return Err(Full::House);
        }
        if let (Some(max), Peer::Ip(address)) = (self.per_address_max, peer) {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let count = addresses.entry(address).or_default();
            if *count >= max {
                return Err(Full::Address);
            }
            *count += 1;
            seat.address = Some(address);
        }
        Ok(seat)
    }

    /// A seat at the admin's pages, however many clients there are.
    pub fn take_admin_seat(self: &Arc<Self>) -> Result<Seat, Full> {
        let taken = self.admin.0.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { house: Arc::clone(self), shard: None, address: None };
        if taken < Limits::ADMIN_CONNECTIONS { Ok(seat) } else { Err(Full::House) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let load = self.shard.map_or(&self.house.admin.0, |shard| self.house.load(shard));
        load.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut addresses = self.house.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = addresses.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    addresses.remove(&address);
                }
            }
        }
    }
}

/// The clients of one shard.
pub struct Registry<S> {
    clients: RefCell<Slab<Rc<Client<S>>>>,
    /// The shard's main task, when it waits for the last client to leave.
    waiting: Cell<Option<Waker>>,
    stopped: Cell<bool>,
    /// Tasks that still accept.
    accepting: Cell<usize>,
    acceptors: RefCell<Vec<Waker>>,
}

impl<S> Default for Registry<S> {
    fn default() -> Self {
        Self {
            clients: RefCell::default(),
            waiting: Cell::default(),
            stopped: Cell::default(),
            accepting: Cell::default(),
            acceptors: RefCell::default(),
        }
    }
}

impl<S> Registry<S> {
    fn tell_if_empty(&self) {
        if self.is_empty()
            && let Some(waiting) = self.waiting.take()
        {
            waiting.wake();
        }
    }

    fn is_empty(&self) -> bool {
        self.accepting.get() == 0 && self.clients.borrow().is_empty()
    }
}

impl<S: Stream> Registry<S> {
    /// Enters a client; it leaves when the entry is dropped.
    pub fn enter<'r>(
        &'r self,
        stream: S,
        peer: Peer,
        seat: Seat,
        counters: &'r Counters,
    ) -> Entry<'r, S> {
        let client = Rc::new(Client::new(stream, peer));
        let key = self.clients.borrow_mut().insert(Rc::clone(&client));
        counters.connections_open.increment();
        Entry { registry: self, key, client, counters, _seat: seat }
    }

    pub fn each(&self, tell: impl Fn(&Client<S>)) {
        for (_, client) in self.clients.borrow().iter() {
            tell(client);
        }
    }

    /// One more task accepts, until [`Registry::accepts_no_more`].
    pub fn accepts(&self) {
        self.accepting.set(self.accepting.get() + 1);
    }

    pub fn accepts_no_more(&self) {
        self.accepting.set(self.accepting.get() - 1);
        self.tell_if_empty();
    }

    /// Whether nobody is connected and nobody can come; otherwise `waker` is
    /// woken when that is so.
    pub fn is_empty_or_wakes(&self, waker: &Waker) -> bool {
        self.waiting.set(Some(waker.clone()));
        self.is_empty()
    }

    pub fn stop_accepting(&self) {
        self.stopped.set(true);
        for acceptor in self.acceptors.borrow_mut().drain(..) {
            acceptor.wake();
        }
    }

    /// Waits until the shard accepts no more. Each task that accepts calls it
    /// once, as it leaves a waker behind.
    pub async fn stopped(&self) {
        let mut told = false;
        poll_fn(|cx| {
            if self.stopped.get() {
                return Poll::Ready(());
            }
            if !told {
                told = true;
                let mut acceptors = self.acceptors.borrow_mut();
                acceptors.push(cx.waker().clone());
                debug_assert!(acceptors.len() <= self.accepting.get(), "a waker for each task");
            }
            Poll::Pending
        })
        .await;
    }
}

/// One client's stay.
pub struct Entry<'r, S> {
    registry: &'r Registry<S>,
    key: usize,
    client: Rc<Client<S>>,
    counters: &'r Counters,
    _seat: Seat,
}

impl<S> Deref for Entry<'_, S> {
    type Target = Client<S>;

    fn deref(&self) -> &Client<S> {
        &self.client
    }
}

impl<S> Drop for Entry<'_, S> {
    fn drop(&mut self) {
        self.counters.connections_open.subtract(1);
        self.registry.clients.borrow_mut().remove(self.key);
        self.registry.tell_if_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::Ip(IpAddr::from([127, 0, 0, last]))
    }

    #[test]
    fn a_refused_seat_takes_nothing() {
        let house = Arc::new(House::new(2, Some(1)));
        let first = house.take_seat(0, peer(1), 2).unwrap();
        assert_eq!(house.take_seat(1, peer(1), 2).unwrap_err(), Full::Address);
        let second = house.take_seat(1, peer(2), 2).unwrap();
        assert_eq!(house.take_seat(0, peer(3), 2).unwrap_err(), Full::House);
        drop(first);
        drop(house.take_seat(0, peer(1), 2).unwrap());
        drop(second);
        assert!(house.shards.iter().all(|load| load.0.load(Ordering::Relaxed) == 0));
        assert!(house.addresses.lock().unwrap().is_empty());
    }

    #[test]
    fn the_admin_has_seats_of_its_own() {
        let house = Arc::new(House::new(1, None));
        let _client = house.take_seat(0, peer(1), 1).unwrap();
        let seats: Vec<_> =
            (0..Limits::ADMIN_CONNECTIONS).map(|_| house.take_admin_seat().unwrap()).collect();
        assert_eq!(house.take_admin_seat().unwrap_err(), Full::House);
        assert_eq!(house.load(0).load(Ordering::Relaxed), 1);
        drop(seats);
        assert_eq!(house.admin.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_connection_goes_where_there_are_clearly_fewer() {
        let house = Arc::new(House::new(2, None));
        assert_eq!(house.better_of(0, 1), 0);
        let seats: Vec<_> = (0..3).map(|_| house.take_seat(0, peer(1), 9).unwrap()).collect();
        assert_eq!(house.better_of(0, 1), 1);
        assert_eq!(house.better_of(1, 0), 1);
        drop(seats);
        assert_eq!(house.better_of(0, 1), 0);
    }
}
