//! A simulated world as the proxy sees it ([`rt::World`]), and as its clients
//! and backends see it.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use super::{
    core::{Alarm, Core, Event},
    executor::{Owner, SharedTasks, Tasks, nanos},
    faults::Faults,
    network::{Reach, SimListener, SimSocket},
    stream::SimStream,
};
use crate::{
    base::Instant,
    rt::{ConnectAddress, World},
};

/// The errno of a process without descriptors.
const EMFILE: i32 = 24;

#[derive(Clone)]
pub struct SimWorld {
    pub core: Arc<Core>,
    pub tasks: SharedTasks,
    owner: Owner,
}

impl SimWorld {
    pub fn new(seed: u64, faults: Faults) -> Self {
        let tasks = Rc::new(Tasks::default());
        Self { core: Core::new(seed, faults), tasks, owner: Owner::Run }
    }

    /// The same world, as somebody else sees it.
    pub fn of(&self, owner: Owner) -> Self {
        Self { owner, ..self.clone() }
    }

    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().after(duration)).await;
    }

    /// Listens where others may listen as well; each has a queue of its own.
    pub fn listen(&self, address: SocketAddr) -> SimListener {
        SimListener::bind(Arc::clone(&self.core), self.owner, address)
    }

    /// A stream that leads to where somebody listens.
    pub async fn reach(&self, address: SocketAddr) -> io::Result<SimStream> {
        let (answer, after) = self.core.with(|state| state.try_reach(self.owner, address));
        self.sleep(Duration::from_nanos(after)).await;
        match answer {
            Reach::Hangs => std::future::pending().await,
            Reach::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            Reach::NoDescriptor => Err(io::Error::from_raw_os_error(EMFILE)),
            Reach::Goes => {
                let connection = self
                    .core
                    .with(|state| state.open(self.owner, address))
                    .ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                Ok(SimStream::new(Arc::clone(&self.core), connection, 0))
            }
        }
    }
}

impl World for SimWorld {
    type Stream = SimStream;
    type Socket = SimSocket;
    type Listener = SimListener;
    type Security = ();

    fn now(&self) -> Instant {
        self.core.now()
    }

    fn adopt(&self, socket: SimSocket) -> io::Result<SimStream> {
        Ok(socket.into_stream())
    }

    async fn connect(&self, to: &ConnectAddress, (): &()) -> io::Result<SimStream> {
        match to {
            ConnectAddress::Tcp(address) => self.reach(*address).await,
            ConnectAddress::Unix(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What is ready now goes first, as the alarm only rings when nobody is.
    async fn next_turn(&self) {
        Sleep::until(&self.core, self.now(), true).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(self.owner, task);
    }

    fn spawn_vital(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(self.owner, task);
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
        Sleep::until(&self.core, at, false)
    }
}

/// A sleep that is taken out of the agenda when it is dropped.
struct Sleep {
    core: Arc<Core>,
    at: Instant,
    /// It takes a turn, however late it is.
    takes_a_turn: bool,
    alarm: Option<Arc<Alarm>>,
}

impl Sleep {
    fn until(core: &Arc<Core>, at: Instant, takes_a_turn: bool) -> Self {
        Self { core: Arc::clone(core), at, takes_a_turn, alarm: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waits = match &self.alarm {
            None => self.takes_a_turn || self.core.now() < self.at,
            Some(alarm) => {
                let mut waker = alarm.waker.lock().unwrap_or_else(PoisonError::into_inner);
                // Taken when it rang.
                let rings = waker.is_some();
                if rings {
                    *waker = Some(cx.waker().clone());
                }
                rings
            }
        };
        if !waits {
            return Poll::Ready(());
        }
        if self.alarm.is_none() {
            let waker = Mutex::new(Some(cx.waker().clone()));
            let alarm = Arc::new(Alarm { waker, given_up: AtomicBool::new(false) });
            self.alarm = Some(Arc::clone(&alarm));
            let at = self.at.as_nanos();
            self.core.with(|state| state.later(at, Event::Wake(alarm)));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(alarm) = &self.alarm {
            alarm.given_up.store(true, Ordering::Relaxed);
        }
    }
}

/// Waits for `work` so long; `None` if it was not done then, and is dropped.
pub async fn within<T>(
    world: &SimWorld,
    patience: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let at = Instant::from_nanos(world.now().as_nanos() + nanos(patience));
    let mut sleep = std::pin::pin!(world.sleep_until(at));
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        sleep.as_mut().poll(cx).map(|()| None)
    })
    .await
}
