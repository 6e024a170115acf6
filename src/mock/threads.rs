//! The mock's threads: one on each core, each with its own driver and its own
//! listening socket.

use std::{
    future::{Future, poll_fn},
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    task::Poll,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, bail};

use super::{
    connection,
    desk::Desk,
    lists::Lists,
    stats::{Stats, Totals},
};
use crate::{
    config::{Address, MockPlan, MockScript},
    rt::{
        self, Clock, DriverInForce, KernelWorld, Letterbox, Listen, Listener, Mailbox, World, bind,
        mailbox, on_signals, pin_to, spawn_thread,
    },
};

/// As in the proxy: a longer queue saves system calls, not failures.
const RING_ENTRIES: u32 = 1024;

/// Connections accepted before the other tasks have their turn.
const ACCEPTS_MAX: usize = 64;

/// How long accepting rests when the kernel refuses (`EMFILE` and its like),
/// in which connections may have closed.
const ACCEPT_REST: Duration = Duration::from_millis(20);

/// How long the connections have to end when the mock is stopped, and how
/// often we look.
const HANG_UP: Duration = Duration::from_millis(200);
const HANG_UP_GRAIN: Duration = Duration::from_millis(1);

/// A mock that runs. Dropping it stops it.
pub struct MockHandle {
    /// As it was asked for, with the port that the kernel chose.
    bound: Address,
    drivers: Vec<DriverInForce>,
    stats: Arc<Stats>,
    threads: Vec<(Mailbox<Stop>, JoinHandle<()>)>,
}

struct Stop;

/// Starts the mock on threads of its own and returns when all of them listen.
///
/// # Errors
/// When the address is not to be had, or a thread has no driver.
pub fn start(plan: MockPlan) -> anyhow::Result<MockHandle> {
    if !(200..=599).contains(&plan.script.status) {
        bail!("the mock's status is one from 200 to 599, not {}", plan.script.status);
    }
    if !(200..=599).contains(&plan.script.health_status) {
        bail!("the mock's health is a status from 200 to 599, not {}", plan.script.health_status);
    }
    if plan.script.token_bytes > MockScript::TOKEN_BYTES_MAX {
        bail!("a token of the mock has at most {} bytes", MockScript::TOKEN_BYTES_MAX);
    }
    if !plan.script.prefill.per_token.is_zero() && plan.cores.len() > 1 {
        bail!("the mock's prompts wait for one engine, so it has one thread");
    }
    let (listeners, bound) = listen(&plan.listen, plan.cores.len())
        .with_context(|| format!("cannot listen on {}", plan.listen))?;
    let lists = Lists::open(&plan.script)?;
    let stats = Arc::new(Stats::new(listeners.len(), plan.script.health_status, lists));
    let mut handle = MockHandle { bound, drivers: Vec::new(), stats, threads: Vec::new() };
    let (ready, reports) = mpsc::channel();
    let clock = Clock::start();
    for (index, (fd, core)) in listeners.into_iter().zip(&plan.cores).enumerate() {
        let (stop, stopped) = mailbox(1);
        let thread = Thread {
            fd,
            index,
            core: plan.pin.then_some(*core),
            plan: plan.clone(),
            stats: Arc::clone(&handle.stats),
            clock,
            stopped,
        };
        let ready = ready.clone();
        let thread = spawn_thread(format!("tr-mock-{index}"), move || thread.run(&ready))?;
        handle.threads.push((stop, thread));
    }
    drop(ready);
    handle.drivers = gather(&reports, handle.threads.len())?;
    Ok(handle)
}

/// Runs the mock until SIGTERM or SIGINT, which end it at once. The log says
/// where it listens.
///
/// # Errors
/// As [`start`].
pub fn serve(plan: MockPlan) -> anyhow::Result<()> {
    let (signal, signals) = mpsc::channel();
    on_signals(move |received| {
        // Nobody listens only when `serve` has returned already.
        let _ = signal.send(received);
    })?;
    let handle = start(plan)?;
    for driver in handle.drivers() {
        tracing::info!(%driver, "a thread of the mock runs");
    }
    match handle.bound() {
        Address::Tcp(address) => tracing::info!("listening on http://{address}"),
        unix @ Address::Unix(_) => tracing::info!("listening on {unix}"),
    }
    for received in signals {
        if received == rt::Signal::Stop {
            break;
        }
    }
    handle.stop();
    Ok(())
}

impl MockHandle {
    /// Where clients connect.
    #[must_use]
    pub fn bound(&self) -> &Address {
        &self.bound
    }

    /// The same for TCP. A mock on a Unix socket has no such address and says
    /// `0.0.0.0:0`, where nobody answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self.bound {
            Address::Tcp(address) => address,
            Address::Unix(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }

    /// What runs each thread.
    #[must_use]
    pub fn drivers(&self) -> &[DriverInForce] {
        &self.drivers
    }

    #[must_use]
    pub fn stats(&self) -> Totals {
        self.stats.totals()
    }

    /// What `/health` is answered with from now on: a status from 200 to 599.
    ///
    /// # Panics
    /// For any other.
    pub fn set_health(&self, status: u16) {
        assert!((200..=599).contains(&status), "{status} is no status of a final answer");
        self.stats.set_health(status);
    }

    /// Ends all connections and threads at once, whatever they were doing, and
    /// returns when they have.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for MockHandle {
    fn drop(&mut self) {
        for (stop, _) in &self.threads {
            // Full means that it was told already.
            let _ = stop.send(Stop);
        }
        for (_, thread) in self.threads.drain(..) {
            // A thread that panicked has printed why.
            let _ = thread.join();
        }
        if let Address::Unix(path) = &self.bound {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A listening socket for each thread, and where they listen.
fn listen(wanted: &Address, threads: usize) -> io::Result<(Vec<OwnedFd>, Address)> {
    match wanted {
        Address::Tcp(wanted) => {
            let (listeners, address) = listen_tcp(*wanted, threads)?;
            Ok((listeners, Address::Tcp(address)))
        }
        Address::Unix(path) => {
            // A Unix socket has one queue; the threads share it.
            let first = Listener::bind_unix(path)?;
            let shared = (1..threads).map(|_| first.try_clone()).collect::<io::Result<Vec<_>>>()?;
            Ok((std::iter::once(first).chain(shared).collect(), wanted.clone()))
        }
    }
}

/// Binds one socket for each thread, all to the port of the first: port 0
/// lets the kernel choose it.
fn listen_tcp(wanted: SocketAddr, threads: usize) -> io::Result<(Vec<OwnedFd>, SocketAddr)> {
    let first = bind(wanted)?;
    let address = Listener::local_address(&first)?.unwrap_or(wanted);
    let mut listeners = vec![first];
    while listeners.len() < threads {
        listeners.push(bind(address)?);
    }
    Ok((listeners, address))
}

/// Waits until every thread has said that it runs.
fn gather(
    reports: &Receiver<io::Result<DriverInForce>>,
    threads: usize,
) -> anyhow::Result<Vec<DriverInForce>> {
    let mut drivers = Vec::new();
    while drivers.len() < threads {
        let report = reports.recv().context("a thread of the mock ended before it ran")?;
        drivers.push(report.context("a thread of the mock cannot run")?);
    }
    Ok(drivers)
}

/// What one thread needs to begin.
struct Thread {
    fd: OwnedFd,
    index: usize,
    core: Option<usize>,
    plan: MockPlan,
    stats: Arc<Stats>,
    clock: Clock,
    stopped: Letterbox<Stop>,
}

impl Thread {
    fn run(self, ready: &Sender<io::Result<DriverInForce>>) {
        if let Some(core) = self.core
            && !pin_to(core)
        {
            tracing::warn!(core, "the mock's thread could not be bound to its core");
        }
        // Whoever starts us waits for the report, unless another thread has
        // failed and all is being ended.
        let (mut runtime, in_force) = match rt::build(self.plan.driver, RING_ENTRIES) {
            Ok(built) => built,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let world = KernelWorld::new(self.clock);
        let desk = Rc::new(Desk::new(world, self.plan.script, self.stats, self.index));
        runtime.block_on(async {
            match Listener::adopt(self.fd) {
                Ok(listener) => {
                    drop(ready.send(Ok(in_force)));
                    until_stopped(&self.stopped, run(Rc::clone(&desk), listener)).await;
                    hang_up(&desk).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    }
}

/// Polls `work`, which never ends, until the letter comes. It is made of
/// polls and timers, which may be dropped.
async fn until_stopped(stopped: &Letterbox<Stop>, work: impl Future<Output = ()>) {
    let mut stopped = pin!(stopped.recv());
    let mut work = pin!(work);
    poll_fn(|cx| {
        if work.as_mut().poll(cx).is_ready() || stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

/// Ends all connections and waits until they are closed: a runtime that is
/// dropped with operations under way leaks their sockets, and the listening
/// one's poll must have been cancelled as well.
async fn hang_up(desk: &Desk<KernelWorld>) {
    let deadline = desk.world.now().after(HANG_UP);
    loop {
        // Again and again: one that was accepted last may not be listed yet.
        desk.hang_up();
        desk.world.sleep_until(desk.world.now().after(HANG_UP_GRAIN)).await;
        if desk.is_quiet() || desk.world.now() >= deadline {
            return;
        }
    }
}

/// Accepts connections, each of which becomes a task, for ever.
async fn run(desk: Rc<Desk<KernelWorld>>, listener: Listener) {
    let world = desk.world;
    let keeper = Rc::clone(&desk);
    world.spawn(async move { keeper.pace.keep(&keeper.world).await });
    loop {
        for _ in 0..ACCEPTS_MAX {
            match listener.accept() {
                Ok(None) => break,
                Ok(Some(socket)) => match world.adopt(socket) {
                    Ok(stream) => world.spawn(connection::serve(Rc::clone(&desk), stream)),
                    Err(error) => tracing::warn!(%error, "a connection could not be taken on"),
                },
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    world.sleep_until(world.now().after(ACCEPT_REST)).await;
                }
            }
        }
        if let Err(error) = listener.readable().await {
            tracing::warn!(%error, "the listening socket cannot be waited for");
            world.sleep_until(world.now().after(ACCEPT_REST)).await;
        }
    }
}
