//! One core's loop: it accepts, serves and drains.
//!
//! ```text
//! listener ─► accept ─┬─► a task for each connection (connection.rs)
//!                     └─► the mailbox of a less loaded shard
//! mailbox ─► sockets handed over, a new plan, news of addresses, drain, cut
//! wheel, sweep, bell: one task each
//! ```

mod accept;
mod connection;
mod greet;
mod registry;

use std::{
    cell::RefCell, future::poll_fn, pin::pin, rc::Rc, sync::Arc, task::Poll, time::Duration,
};

pub use registry::{House, Seat};

use crate::{
    balance::BackendId,
    exchange::{Generation, Ground, Stage, look_again},
    rt::{Accepted, ConnectAddress, Letterbox, Mailbox, World},
};
use registry::Registry;

/// News for a shard.
pub enum Letter<K, T> {
    /// A socket that another shard has accepted, and the seat it keeps here.
    Socket { socket: K, seat: Seat },
    /// The plan that requests are told by from now on; those under way end on
    /// theirs.
    Plan(Arc<Generation<T>>),
    /// Where a backend of this generation of the plan is reached now.
    Addresses { generation: u64, backend: BackendId, addresses: Vec<ConnectAddress> },
    /// Accept no more, close what is idle, let what is under way end.
    Drain,
    /// The time for that is over: end what is under way with an error.
    Cut,
}

/// News for a shard of this world.
pub type Mail<W> = Letter<<W as World>::Socket, <W as World>::Security>;

/// How often idle things are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// What belongs to one shard and is not the requests' business.
pub struct Shard<W: World> {
    pub index: usize,
    pub ground: Rc<Ground<W>>,
    /// The generation of the plan that requests are told by which begin now.
    stage: RefCell<Rc<Stage<W>>>,
    /// The mailboxes of all shards, its own included.
    pub mailboxes: Vec<Mailbox<Mail<W>>>,
    pub house: Arc<House>,
    pub connections_max: usize,
    registry: Registry<W::Stream>,
}

impl<W: World> Shard<W> {
    pub fn new(
        index: usize,
        stage: Stage<W>,
        mailboxes: Vec<Mailbox<Mail<W>>>,
        house: Arc<House>,
        connections_max: usize,
    ) -> Self {
        let (ground, registry) = (Rc::clone(&stage.ground), Registry::default());
        let stage = RefCell::new(Rc::new(stage));
        Self { index, ground, stage, mailboxes, house, connections_max, registry }
    }

    /// The stage for what begins now.
    #[must_use]
    pub fn stage(&self) -> Rc<Stage<W>> {
        Rc::clone(&self.stage.borrow())
    }

    /// Puts the current stage in the place of one that may be of a plan before.
    fn renew(&self, stage: &mut Rc<Stage<W>>) {
        let current = self.stage.borrow();
        if !Rc::ptr_eq(stage, &current) {
            stage.clone_from(&current);
        }
    }

    /// Runs until the shard has been told to drain and nothing is under way.
    /// `listeners` come with whether they are the admin's.
    pub async fn run(
        self: Rc<Self>,
        listeners: Vec<(W::Listener, bool)>,
        letterbox: Letterbox<Mail<W>>,
    ) {
        let world = &self.ground.world;
        let (wheel, sweep) = (Rc::clone(&self.ground), Rc::clone(&self));
        world.spawn_vital(async move { wheel.turn_wheel().await });
        world.spawn_vital(async move { sweep.sweep().await });
        if let Some(ear) = self.ground.common.bells.listen(self.index) {
            let shard = Rc::clone(&self);
            world.spawn_vital(async move { shard.heed(&ear).await });
        }
        for (listener, admin) in listeners {
            let shard = Rc::clone(&self);
            self.registry.accepts();
            world.spawn_vital(async move {
                Rc::clone(&shard).accept_all(listener, admin).await;
                shard.registry.accepts_no_more();
            });
        }
        while let Some(letter) = self.next_letter(&letterbox).await {
            self.read(letter);
        }
    }

    /// The next letter; `None` when the shard's work is done.
    async fn next_letter(&self, letterbox: &Letterbox<Mail<W>>) -> Option<Mail<W>> {
        let mut letter = pin!(letterbox.recv());
        poll_fn(|cx| {
            if let Poll::Ready(letter) = letter.as_mut().poll(cx) {
                return Poll::Ready(Some(letter));
            }
            // A letter that came since is read first; its sender has woken us.
            // None can come after: a socket that is not taken stays where it is.
            if self.ground.draining.get()
                && self.registry.is_empty_or_wakes(cx.waker())
                && letterbox.close_if_empty()
            {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    fn read(self: &Rc<Self>, letter: Mail<W>) {
        match letter {
            Letter::Socket { socket, seat } => self.serve(socket, seat, false),
            Letter::Plan(plan) => {
                let next = self.stage().followed_by(&plan, self.index);
                *self.stage.borrow_mut() = Rc::new(next);
            }
            Letter::Addresses { generation, backend, addresses } => {
                let stage = self.stage();
                // Another generation's backends are others.
                if stage.number == generation {
                    stage.move_backend(backend, &addresses);
                }
            }
            Letter::Drain => {
                self.ground.draining.set(true);
                self.registry.stop_accepting();
                self.ground.look_at_clock();
                let stage = self.stage();
                self.registry.each(|client| client.waits_no_more(&stage));
            }
            Letter::Cut => self.registry.each(|client| client.drain()),
        }
    }

    /// Gives a connection a task of its own.
    fn serve(self: &Rc<Self>, socket: W::Socket, seat: Seat, admin: bool) {
        let peer = socket.peer();
        let stream = match self.ground.world.adopt(socket) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken over");
                return;
            }
        };
        let shard = Rc::clone(self);
        self.ground.world.spawn(async move {
            let client = shard.registry.enter(stream, peer, seat, &shard.ground.counters);
            connection::serve(&shard, &client, admin).await;
        });
    }

    /// Has those in front of the queue look when another shard has left them a
    /// place. Those that wait by a plan before find it at their next tick.
    async fn heed(&self, ear: &Letterbox<()>) {
        loop {
            ear.recv().await;
            look_again(&self.stage());
        }
    }

    /// Closes what lies idle, again and again.
    async fn sweep(&self) {
        loop {
            let world = &self.ground.world;
            world.sleep_until(world.now().after(SWEEP_INTERVAL)).await;
            self.ground.look_at_clock();
            self.stage().sweep();
        }
    }
}
