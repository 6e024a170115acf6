//! One core's loop: it accepts, serves and drains.
//!
//! ```text
//! listener ─► accept ─┬─► a task for each connection (connection.rs)
//!                     └─► the mailbox of a less loaded shard
//! mailbox ─► sockets handed over, news of addresses, drain, cut
//! wheel, sweep: one task each
//! ```

mod accept;
mod connection;
mod greet;
mod registry;

use std::{future::poll_fn, pin::pin, rc::Rc, sync::Arc, task::Poll};

pub use registry::{House, Seat};

use crate::{
    balance::BackendId,
    exchange::Stage,
    rt::{Accepted, ConnectAddress, Letterbox, Mailbox, World},
};
use registry::Registry;

/// News for a shard.
pub enum Letter<K> {
    /// A socket that another shard has accepted, and the seat it keeps here.
    Socket { socket: K, seat: Seat },
    /// Where a backend is reached now.
    Addresses(BackendId, Vec<ConnectAddress>),
    /// Accept no more, close what is idle, let what is under way end.
    Drain,
    /// The time for that is over: end what is under way with an error.
    Cut,
}

/// What belongs to one shard and is not the requests' business.
pub struct Shard<W: World> {
    pub index: usize,
    pub stage: Rc<Stage<W>>,
    /// The mailboxes of all shards, its own included.
    pub mailboxes: Vec<Mailbox<Letter<W::Socket>>>,
    pub house: Arc<House>,
    pub connections_max: usize,
    registry: Registry<W::Stream>,
}

impl<W: World> Shard<W> {
    pub fn new(
        index: usize,
        stage: Stage<W>,
        mailboxes: Vec<Mailbox<Letter<W::Socket>>>,
        house: Arc<House>,
        connections_max: usize,
    ) -> Self {
        let stage = Rc::new(stage);
        Self { index, stage, mailboxes, house, connections_max, registry: Registry::default() }
    }

    /// Runs until the shard has been told to drain and nothing is under way.
    /// `listeners` come with whether they are the admin's.
    pub async fn run(
        self: Rc<Self>,
        listeners: Vec<(W::Listener, bool)>,
        letterbox: Letterbox<Letter<W::Socket>>,
    ) {
        let stage = &self.stage;
        let (wheel, sweep) = (Rc::clone(stage), Rc::clone(stage));
        stage.world.spawn_vital(async move { wheel.turn_wheel().await });
        stage.world.spawn_vital(async move { sweep.sweep().await });
        for (listener, admin) in listeners {
            let shard = Rc::clone(&self);
            self.registry.accepts();
            stage.world.spawn_vital(async move {
                Rc::clone(&shard).accept_all(listener, admin).await;
                shard.registry.accepts_no_more();
            });
        }
        while let Some(letter) = self.next_letter(&letterbox).await {
            self.read(letter);
        }
    }

    /// The next letter; `None` when the shard's work is done.
    async fn next_letter(
        &self,
        letterbox: &Letterbox<Letter<W::Socket>>,
    ) -> Option<Letter<W::Socket>> {
        let mut letter = pin!(letterbox.recv());
        poll_fn(|cx| {
            if let Poll::Ready(letter) = letter.as_mut().poll(cx) {
                return Poll::Ready(Some(letter));
            }
            // A letter that came since is read first; its sender has woken us.
            // None can come after: a socket that is not taken stays where it is.
            if self.stage.draining.get()
                && self.registry.is_empty_or_wakes(cx.waker())
                && letterbox.close_if_empty()
            {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    fn read(self: &Rc<Self>, letter: Letter<W::Socket>) {
        let stage = &self.stage;
        match letter {
            Letter::Socket { socket, seat } => self.serve(socket, seat, false),
            Letter::Addresses(backend, addresses) => {
                let gone = stage.pools.borrow_mut().moved(backend);
                stage.say_farewell(gone);
                if let Some(known) = stage.addresses.borrow_mut().get_mut(backend.0) {
                    *known = addresses;
                }
            }
            Letter::Drain => {
                stage.draining.set(true);
                self.registry.stop_accepting();
                stage.look_at_clock();
                self.registry.each(|client| client.waits_no_more(stage));
            }
            Letter::Cut => self.registry.each(|client| client.drain()),
        }
    }

    /// Gives a connection a task of its own.
    fn serve(self: &Rc<Self>, socket: W::Socket, seat: Seat, admin: bool) {
        let peer = socket.peer();
        let stream = match self.stage.world.adopt(socket) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken over");
                return;
            }
        };
        let shard = Rc::clone(self);
        self.stage.world.spawn(async move {
            let client = shard.registry.enter(stream, peer, seat, &shard.stage.counters);
            connection::serve(&shard.stage, &client, admin).await;
        });
    }
}
