//! A world whose connections may be secured.

use std::{future::Future, io, rc::Rc, sync::Arc};

use super::{Secured, Shared, Wire};
use crate::{
    base::Instant,
    rt::{Accepted, ConnectAddress, Listen, Peer, Transport, World},
    tls::BackendTls,
};

/// `W`, with TLS where it is asked for.
#[derive(Clone)]
pub struct SecureWorld<W> {
    inner: W,
    shared: Rc<Shared>,
}

/// A listener, and whether its clients speak TLS.
pub struct Listener<L> {
    inner: L,
    secured: bool,
}

/// An accepted socket, and whether it speaks TLS.
#[derive(Debug)]
pub struct Socket<K> {
    inner: K,
    secured: bool,
}

impl<W: World> SecureWorld<W> {
    /// Starts the gate's keeper; to be called inside the shard's event loop.
    #[must_use]
    pub fn new(inner: W, shared: Shared) -> Self {
        let world = Self { inner, shared: Rc::new(shared) };
        let (keeper, shared) = (world.inner.clone(), Rc::clone(&world.shared));
        world.inner.spawn_vital(async move { shared.gate.keep(&keeper).await });
        world
    }
}

impl<L> Listener<L> {
    #[must_use]
    pub fn new(inner: L, secured: bool) -> Self {
        Self { inner, secured }
    }
}

impl<L: Listen> Listen for Listener<L> {
    type Socket = Socket<L::Socket>;

    fn readable(&self) -> impl Future<Output = io::Result<()>> {
        self.inner.readable()
    }

    fn accept(&self) -> io::Result<Option<Self::Socket>> {
        let accepted = self.inner.accept()?;
        Ok(accepted.map(|inner| Socket { inner, secured: self.secured }))
    }
}

impl<K: Accepted> Accepted for Socket<K> {
    fn peer(&self) -> Peer {
        self.inner.peer()
    }

    /// A client that speaks TLS would not understand the answer, and a
    /// handshake for it would cost what there is no room for.
    fn refuse(self, answer: &[u8]) {
        if !self.secured {
            self.inner.refuse(answer);
        }
    }
}

impl<W> World for SecureWorld<W>
where
    W: World<Stream: Transport>,
{
    type Stream = Wire<W::Stream>;
    type Socket = Socket<W::Socket>;
    type Listener = Listener<W::Listener>;
    type Security = Option<Arc<BackendTls>>;

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn adopt(&self, socket: Self::Socket) -> io::Result<Self::Stream> {
        let stream = self.inner.adopt(socket.inner)?;
        Ok(if socket.secured {
            Wire::Secured(Box::new(Secured::of_client(stream, Rc::clone(&self.shared))))
        } else {
            Wire::Plain(stream)
        })
    }

    async fn connect(
        &self,
        to: &ConnectAddress,
        security: &Self::Security,
    ) -> io::Result<Self::Stream> {
        let stream = self.inner.connect(to, &Default::default()).await?;
        Ok(match security {
            Some(tls) => {
                let shared = Rc::clone(&self.shared);
                Wire::Secured(Box::new(Secured::to_backend(stream, Arc::clone(tls), shared)))
            }
            None => Wire::Plain(stream),
        })
    }

    fn next_turn(&self) -> impl Future<Output = ()> {
        self.inner.next_turn()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.inner.spawn(task);
    }

    fn spawn_vital(&self, task: impl Future<Output = ()> + 'static) {
        self.inner.spawn_vital(task);
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
        self.inner.sleep_until(at)
    }
}
