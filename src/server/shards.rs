//! The shards' threads: started, watched, waited for.

use std::{
    os::fd::OwnedFd,
    rc::Rc,
    sync::{Arc, OnceLock, mpsc},
    thread::JoinHandle,
};

use anyhow::{Context, anyhow, bail};

use super::{
    certificates::{Certificates, Reloader},
    drain::Stopper,
    generation::{Backends, Security, Shown, generation, seats},
    listeners::{self, Bound, Purpose},
    names,
    probes::{self, Probes},
};
use crate::{
    balance::{BackendId, Figures, Fleet},
    config::Plan,
    exchange::{Common, Counters, Generation, Ground, Stage},
    probe,
    rt::{
        self, Clock, ConnectAddress, DriverInForce, KernelWorld, Letterbox, Listener, Lookup,
        Mailbox, Resolver, Unsent, build, mailbox, pin_to, seed, spawn_thread,
    },
    shard::{House, Letter, Shard},
    tls::ServerTls,
    wire::{self, SecureWorld, Shared},
};

/// Letters that may wait for one shard: hand-overs of a burst of connections.
const MAILBOX_LETTERS: usize = 1024;

/// The generation of the plan that a process starts with.
const FIRST: u64 = 1;

/// A process whose shards run.
pub struct Running {
    threads: Vec<JoinHandle<()>>,
    ends: mpsc::Receiver<ShardEnd>,
    bound: Vec<String>,
    secured: Vec<String>,
    admin: Option<String>,
    files: Vec<std::path::PathBuf>,
    driver: String,
    stopper: Stopper,
    counters: Arc<[Arc<Counters>]>,
    fleet: Arc<Fleet>,
    clock: Clock,
    _resolver: Option<Resolver>,
    _probes: Probes,
    reloader: Option<Reloader>,
}

/// What a shard is told.
pub(super) type Mail = Letter<wire::Socket<rt::Socket>, Security>;

/// A shard's last word: `None` for a clean end.
type ShardEnd = (usize, Option<String>);

/// All that one shard's thread is given.
struct Job {
    index: usize,
    core: usize,
    plan: Arc<Plan>,
    sockets: Vec<(OwnedFd, Purpose)>,
    server_tls: Option<Arc<ServerTls>>,
    letterbox: Letterbox<Mail>,
    mailboxes: Vec<Mailbox<Mail>>,
    generation: Arc<Generation<Security>>,
    driver: Arc<OnceLock<String>>,
    counters: Arc<[Arc<Counters>]>,
    common: Arc<Common>,
    house: Arc<House>,
    clock: Clock,
}

pub fn start(plan: Plan, lookup: Lookup) -> anyhow::Result<Running> {
    // A limit that cannot be raised shows when connections are counted.
    if let Err(error) = crate::rt::allowed_descriptors() {
        tracing::warn!(%error, "the limit on open files is not known");
    }
    // Before anything is bound: who cannot show a certificate does not listen.
    let certificates = Certificates::load(&plan)?;
    let plan = Arc::new(plan);
    let shards = plan.cores.len();
    let Bound { shards: sockets, clients, secured, admin, files } =
        listeners::bind((&plan.listeners, &plan.tls_listeners), plan.admin.as_ref(), shards)?;
    let (mailboxes, letterboxes): (Vec<_>, Vec<_>) =
        (0..shards).map(|_| mailbox(MAILBOX_LETTERS)).unzip();
    let stopper = Stopper { mailboxes: mailboxes.clone() };
    let counters: Arc<[Arc<Counters>]> = (0..shards).map(|_| Arc::default()).collect();
    let house = house_of(&plan);
    let addresses = names::resolve_all(&plan.backends, &lookup);
    let (common, clock) = (Arc::new(Common::default()), Clock::start());
    let fleet = Arc::new(Fleet::of(seats(&plan), plan.balancing));
    let backends = Backends {
        fleet: Arc::clone(&fleet),
        security: certificates.backends.clone(),
        addresses: addresses.clone(),
        kept: vec![None; plan.backends.len()],
        probes: plan.backends.iter().map(|_| Arc::default()).collect(),
    };
    let round = probes::round(&plan, &backends);
    let shown = Shown {
        counters: Arc::clone(&counters),
        driver: Arc::default(),
        certificates: certificates.figures(),
    };
    let first = Arc::new(generation(FIRST, &plan, backends, &shown));
    let (ready, readiness) = mpsc::channel();
    let (end, ends) = mpsc::channel();
    let mut threads = Vec::new();
    for (index, (sockets, letterbox)) in sockets.into_iter().zip(letterboxes).enumerate() {
        let job = Job {
            index,
            core: plan.cores[index],
            plan: Arc::clone(&plan),
            sockets,
            server_tls: certificates.server.clone(),
            letterbox,
            mailboxes: mailboxes.clone(),
            generation: Arc::clone(&first),
            driver: Arc::clone(&shown.driver),
            counters: Arc::clone(&counters),
            common: Arc::clone(&common),
            house: Arc::clone(&house),
            clock,
        };
        let (ready, end) = (ready.clone(), end.clone());
        threads.push(spawn_thread(format!("tr-shard-{index}"), move || {
            run_to_the_end(job, &ready, &end);
        })?);
    }
    drop((ready, end));
    let drivers = all_ready(&readiness, shards)?;
    let probes = Probes::start(plan.driver, clock, round)?;
    let hear = Hearers { shards: stopper.clone(), probes: probes.mailbox() };
    let hear = move |backend, to: &[_]| hear.addresses(FIRST, backend, to);
    let resolver = names::watch(&plan.backends, &addresses, plan.resolve_every, lookup, hear)?;
    Ok(Running {
        threads,
        ends,
        bound: clients,
        secured,
        admin,
        files,
        driver: driver_line(&drivers),
        stopper,
        counters,
        fleet,
        clock,
        _resolver: resolver,
        _probes: probes,
        reloader: certificates.watch().context("certificate files cannot be watched")?,
    })
}

/// Who has to know where backends are reached.
struct Hearers {
    shards: Stopper,
    probes: Option<Mailbox<probe::Letter<Security>>>,
}

impl Hearers {
    /// False if a mailbox was full: it has to be told another time.
    fn addresses(&self, generation: u64, backend: BackendId, to: &[ConnectAddress]) -> bool {
        let letter = || Letter::Addresses { generation, backend, addresses: to.to_vec() };
        // Everybody is told, also behind one that does not hear.
        let is_full =
            |mailbox: &&Mailbox<_>| matches!(mailbox.send(letter()), Err(Unsent::Full(_)));
        let deaf = self.shards.mailboxes.iter().filter(is_full).count();
        let letter = probe::Letter::Addresses(backend, to.to_vec());
        let probes = self.probes.as_ref().map(|probes| probes.send(letter));
        deaf == 0 && !matches!(probes, Some(Err(Unsent::Full(_))))
    }
}

fn house_of(plan: &Plan) -> Arc<House> {
    let per_address = plan.limits.connections_per_address.map(std::num::NonZero::get);
    Arc::new(House::new(plan.cores.len(), per_address))
}

/// Waits until every shard runs.
fn all_ready(
    readiness: &mpsc::Receiver<anyhow::Result<DriverInForce>>,
    shards: usize,
) -> anyhow::Result<Vec<DriverInForce>> {
    let ready = |_| readiness.recv().unwrap_or_else(|_| Err(anyhow!("a shard died at its start")));
    (0..shards).map(ready).collect()
}

fn driver_line(drivers: &[DriverInForce]) -> String {
    let mut words: Vec<String> = drivers.iter().map(ToString::to_string).collect();
    words.dedup();
    words.join(" and ")
}

/// A shard that dies takes the process with it: half a proxy answers half of
/// its clients.
fn run_to_the_end(
    job: Job,
    ready: &mpsc::Sender<anyhow::Result<DriverInForce>>,
    end: &mpsc::Sender<ShardEnd>,
) {
    let index = job.index;
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(job, ready)));
    let last_word = match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            let word = format!("{error:#}");
            // If it has not begun, this is told as the reason.
            let _ = ready.send(Err(error));
            Some(word)
        }
        Err(_) => Some("its event loop panicked".to_owned()),
    };
    // Nobody listens when the process did not start at all.
    let _ = end.send((index, last_word));
}

fn run(job: Job, ready: &mpsc::Sender<anyhow::Result<DriverInForce>>) -> anyhow::Result<()> {
    let plan = &job.plan;
    if plan.pin && !pin_to(job.core) {
        bail!(
            "the kernel does not let this process run on core {}: give --cores others, \
             or --no-pin",
            job.core
        );
    }
    let (mut runtime, driver) = build(plan.driver, plan.rings.entries).context(
        "no event loop can be set up: raise the limits on open files and locked memory \
         (ulimit -n, ulimit -l), or allow io_uring, or give --driver epoll",
    )?;
    runtime.block_on(async {
        let shared = Shared::new(job.server_tls, plan.tls.handshakes_waiting());
        let world = SecureWorld::new(KernelWorld::new(job.clock), shared);
        // All shards find the same driver, unless one lacks resources.
        let _ = job.driver.set(driver.to_string());
        let counters = Arc::clone(&job.counters[job.index]);
        let ground = Rc::new(Ground::new(world, plan.pool, job.common, counters, seed()));
        let stage = Stage::new(ground, &job.generation, job.index);
        let listeners = job
            .sockets
            .into_iter()
            .map(|(fd, purpose)| {
                let secured = purpose == Purpose::Secured;
                let listener = wire::Listener::new(Listener::adopt(fd)?, secured);
                Ok((listener, purpose == Purpose::Admin))
            })
            .collect::<std::io::Result<Vec<_>>>()
            .context("a listener cannot be registered")?;
        // Nobody waits for it when another shard could not start.
        let _ = ready.send(Ok(driver));
        let shard = Shard::new(job.index, stage, job.mailboxes, job.house, plan.limits.connections);
        Rc::new(shard).run(listeners, job.letterbox).await;
        Ok(())
    })
}

impl Running {
    /// Where clients connect, as text.
    #[must_use]
    pub fn bound(&self) -> &[String] {
        &self.bound
    }

    /// Where clients connect by TLS, as text.
    #[must_use]
    pub fn secured(&self) -> &[String] {
        &self.secured
    }

    #[must_use]
    pub fn admin(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    #[must_use]
    pub fn driver(&self) -> &str {
        &self.driver
    }

    #[must_use]
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// What is known of each backend now.
    #[must_use]
    pub fn backends(&self) -> Vec<Figures> {
        let now = self.clock.now();
        (0..).map_while(|place| self.fleet.figures(BackendId(place), now)).collect()
    }

    /// What is known of the backends, by all shards.
    #[must_use]
    pub fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet)
    }

    /// `None` when there is no TLS.
    #[must_use]
    pub fn reloader(&self) -> Option<&Reloader> {
        self.reloader.as_ref()
    }

    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits until all shards have ended.
    ///
    /// # Errors
    /// A shard that ended without being told to.
    pub fn wait(self) -> anyhow::Result<()> {
        for _ in 0..self.threads.len() {
            match self.ends.recv() {
                Ok((_, None)) => {}
                Ok((index, Some(word))) => bail!("shard {index} died: {word}"),
                Err(_) => bail!("a shard died without a word"),
            }
        }
        for file in &self.files {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(file);
        }
        Ok(())
    }
}
