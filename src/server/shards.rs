//! The shards' threads: started, watched, waited for.

use std::{
    os::fd::OwnedFd,
    rc::Rc,
    sync::{Arc, OnceLock, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};

use super::{
    certificates::Certificates,
    drain::Stopper,
    generation::{Backends, Security, Shown, generation, seats},
    listeners::{self, Bound, Purpose},
    names,
    probes::{self, Probes},
    reload::{Planner, Reloader},
};
use arc_swap::ArcSwap;

use crate::{
    admin::Reloads,
    balance::{BackendId, Figures, Fleet},
    config::{BackendPlan, FileInForce, Plan},
    exchange::{Common, Counters, Generation, Ground, RuleCounts, Stage},
    probe,
    rt::{
        self, Clock, ConnectAddress, DriverInForce, KernelWorld, Letterbox, Listener, Lookup,
        Mailbox, Resolver, Unsent, build, mailbox, pin_to, seed, spawn_thread,
    },
    shard::{House, Letter, Shard},
    tls::{ServerTls, UnixTime},
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
    fleet: Arc<ArcSwap<Fleet>>,
    clock: Clock,
    patience: Arc<ArcSwap<Duration>>,
    _resolver: Option<Resolver>,
    _probes: Arc<Probes>,
    reloader: Option<Reloader>,
}

/// What a shard is told.
pub(super) type Mail = Letter<wire::Socket<rt::Socket>, Security>;

/// A shard's last word: `None` for a clean end.
type ShardEnd = (usize, Option<String>);

/// All that one shard's thread is given.
struct Job {
    index: usize,
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

/// The file that a plan was made by, with the backend that it does not name.
pub type Source = (FileInForce, Option<BackendPlan>);

pub fn start(plan: Plan, lookup: Lookup, file: Option<Source>) -> anyhow::Result<Running> {
    raise_descriptors();
    // Before anything is bound: who cannot show a certificate does not listen.
    let certificates = Certificates::load(&plan)?;
    let plan = Arc::new(plan);
    let shards = plan.cores.len();
    let Bound { shards: sockets, clients, secured, admin, files } =
        listeners::bind((&plan.listeners, &plan.tls_listeners), plan.admin.as_ref(), shards)?;
    let (mailboxes, letterboxes) = mailboxes(shards);
    let stopper = Stopper { mailboxes: mailboxes.clone() };
    let counters: Arc<[Arc<Counters>]> = (0..shards).map(|_| Arc::default()).collect();
    let house = house_of(&plan);
    let addresses = names::resolve_all(&plan.backends, &lookup);
    let common = Arc::new(Common { hash_seed: seed(), ..Common::default() });
    let clock = Clock::start();
    let shown = shown(&counters, &certificates, file.as_ref());
    let backends = at_start(&plan, &certificates, &addresses);
    let Beginning { first, fleet, probed, round, rules } = begin(&plan, backends, &shown);
    let job = |(index, (sockets, letterbox))| Job {
        index,
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
    let jobs = sockets.into_iter().zip(letterboxes).enumerate().map(job).collect();
    let (threads, ends, drivers) = start_threads(jobs)?;
    let probes = Probes::start(plan.driver, clock, round)?;
    let patience = Arc::new(ArcSwap::from_pointee(plan.drain));
    let hear = hearing(&stopper, &probes, FIRST);
    let mut resolver = watch_names(&plan, &addresses, &lookup, hear)?;
    let planner = file.map(|(file, demo)| Planner {
        file,
        plan: Plan::clone(&plan),
        demo,
        number: FIRST,
        fleet: Arc::clone(&fleet),
        to: stopper.clone(),
        probes: Arc::clone(&probes),
        probed,
        rules,
        shown,
        lookup,
        resolver: resolver.take(),
        clock,
        patience: Arc::clone(&patience),
    });
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
        patience,
        _resolver: resolver,
        _probes: probes,
        reloader: certificates.watch(planner).context("files cannot be watched")?,
    })
}

/// What the first plan comes to.
struct Beginning {
    first: Arc<Generation<Security>>,
    fleet: Arc<ArcSwap<Fleet>>,
    probed: Arc<[Arc<probe::ProbeFigures>]>,
    round: probe::Round<Security>,
    rules: Arc<RuleCounts>,
}

fn begin(plan: &Plan, backends: Backends, shown: &Shown) -> Beginning {
    let fleet = Arc::new(ArcSwap::new(Arc::clone(&backends.fleet)));
    let (probed, round) = (Arc::clone(&backends.probes), probes::round(FIRST, plan, &backends));
    let rules = Arc::new(RuleCounts::new(&plan.routes, plan.cores.len()));
    let first = Arc::new(generation(FIRST, plan, backends, &rules, shown));
    Beginning { first, fleet, probed, round, rules }
}

fn mailboxes(shards: usize) -> (Vec<Mailbox<Mail>>, Vec<Letterbox<Mail>>) {
    (0..shards).map(|_| mailbox(MAILBOX_LETTERS)).unzip()
}

fn watch_names(
    plan: &Plan,
    addresses: &[Vec<ConnectAddress>],
    lookup: &Lookup,
    hear: impl Fn(BackendId, &[ConnectAddress]) -> bool + Send + 'static,
) -> std::io::Result<Option<Resolver>> {
    let every = (plan.resolve_every, plan.resolve_every);
    names::watch(&plan.backends, addresses, every, Arc::clone(lookup), hear)
}

fn raise_descriptors() {
    // A limit that cannot be raised shows when connections are counted.
    if let Err(error) = rt::allowed_descriptors() {
        tracing::warn!(%error, "the limit on open files is not known");
    }
}

fn house_of(plan: &Plan) -> Arc<House> {
    let per_address = plan.limits.connections_per_address.map(std::num::NonZero::get);
    Arc::new(House::new(plan.cores.len(), per_address))
}

fn at_start(
    plan: &Plan,
    certificates: &Certificates,
    addresses: &[Vec<ConnectAddress>],
) -> Backends {
    Backends {
        fleet: Arc::new(Fleet::of(seats(plan), plan.balancing)),
        security: certificates.backends.clone(),
        addresses: addresses.to_vec(),
        kept: vec![None; plan.backends.len()],
        probes: plan.backends.iter().map(|_| Arc::default()).collect(),
    }
}

fn shown(
    counters: &Arc<[Arc<Counters>]>,
    certificates: &Certificates,
    file: Option<&Source>,
) -> Shown {
    let now = UnixTime::since_unix_epoch(rt::unix_time());
    Shown {
        counters: Arc::clone(counters),
        driver: Arc::default(),
        certificates: certificates.figures(),
        reloads: Arc::new(Reloads::begin(file.map(|(file, _)| file.name()), FIRST, now)),
    }
}

/// The shards' threads, their last words, and the drivers that they found.
type Started = (Vec<JoinHandle<()>>, mpsc::Receiver<ShardEnd>, Vec<DriverInForce>);

/// Returns when every shard runs.
fn start_threads(jobs: Vec<Job>) -> anyhow::Result<Started> {
    let (ready, readiness) = mpsc::channel();
    let (end, ends) = mpsc::channel();
    let mut threads = Vec::new();
    for job in jobs {
        let (ready, end) = (ready.clone(), end.clone());
        threads.push(spawn_thread(format!("tr-shard-{}", job.index), move || {
            run_to_the_end(job, &ready, &end);
        })?);
    }
    drop((ready, end));
    let is_ready =
        |_| readiness.recv().unwrap_or_else(|_| Err(anyhow!("a shard died at its start")));
    let drivers = (0..threads.len()).map(is_ready).collect::<anyhow::Result<_>>()?;
    Ok((threads, ends, drivers))
}

/// Who has to know where backends are reached. False if a mailbox was full: it
/// has to be told another time.
pub(super) fn hearing(
    shards: &Stopper,
    probes: &Arc<Probes>,
    generation: u64,
) -> impl Fn(BackendId, &[ConnectAddress]) -> bool + Send + use<> {
    let (shards, probes) = (shards.clone(), Arc::clone(probes));
    move |backend, to| {
        let letter = || Letter::Addresses { generation, backend, addresses: to.to_vec() };
        // Everybody is told, also behind one that does not hear.
        let is_full =
            |mailbox: &&Mailbox<_>| matches!(mailbox.send(letter()), Err(Unsent::Full(_)));
        let deaf = shards.mailboxes.iter().filter(is_full).count();
        probes.hear(generation, backend, to) && deaf == 0
    }
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
    if plan.pin && !pin_to(plan.cores[job.index]) {
        bail!(
            "the kernel does not let this process run on core {}: give --cores others, \
             or --no-pin",
            plan.cores[job.index]
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
        let (now, fleet) = (self.clock.now(), self.fleet());
        (0..).map_while(|place| fleet.figures(BackendId(place), now)).collect()
    }

    /// What is known of the backends, by all shards.
    #[must_use]
    pub fn fleet(&self) -> Arc<Fleet> {
        self.fleet.load_full()
    }

    /// `None` when there is no file to look at.
    #[must_use]
    pub fn reloader(&self) -> Option<&Reloader> {
        self.reloader.as_ref()
    }

    /// How long requests under way may go on at the end, by the plan in force
    /// when it is asked.
    pub fn patience(&self) -> impl Fn() -> Duration + Send + use<> {
        let patience = Arc::clone(&self.patience);
        move || **patience.load()
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
