//! The shards' threads: started, watched, waited for.

use std::{
    os::fd::OwnedFd,
    rc::Rc,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use anyhow::{Context, anyhow, bail};

use super::{
    certificates::{Certificates, Reloader},
    drain::Stopper,
    listeners::{self, Bound, Purpose},
    names,
};
use crate::{
    admin::{self, CertificateFigures, Facts},
    balance::{BackendId, Figures, Fleet, Seat},
    config::{BackendPlan, Plan},
    exchange::{
        BackendSettings, Common, Counters, Credential, Deadlines, RuleCounts, Settings, Stage,
    },
    rt::{
        self, Clock, ConnectAddress, DriverInForce, KernelWorld, Letterbox, Listener, Lookup,
        Mailbox, Resolver, Unsent, build, mailbox, pin_to, seed, spawn_thread,
    },
    shard::{House, Letter, Shard},
    tls::{BackendTls, ServerTls},
    wire::{self, SecureWorld, Shared},
};

/// Letters that may wait for one shard: hand-overs of a burst of connections.
const MAILBOX_LETTERS: usize = 1024;

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
    common: Arc<Common>,
    clock: Clock,
    _resolver: Option<Resolver>,
    reloader: Option<Reloader>,
}

/// What a shard is told.
pub(super) type Mail = Letter<wire::Socket<rt::Socket>>;

/// A shard's last word: `None` for a clean end.
type ShardEnd = (usize, Option<String>);

/// All that one shard's thread is given.
struct Job {
    index: usize,
    core: usize,
    plan: Arc<Plan>,
    sockets: Vec<(OwnedFd, Purpose)>,
    server_tls: Option<Arc<ServerTls>>,
    backend_tls: Vec<Option<Arc<BackendTls>>>,
    letterbox: Letterbox<Mail>,
    mailboxes: Vec<Mailbox<Mail>>,
    addresses: Vec<Vec<ConnectAddress>>,
    counters: Arc<[Arc<Counters>]>,
    common: Arc<Common>,
    certificates: Option<Arc<CertificateFigures>>,
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
    let counters: Arc<[Arc<Counters>]> =
        (0..shards).map(|_| Arc::new(Counters::default())).collect();
    let per_address = plan.limits.connections_per_address.map(std::num::NonZero::get);
    let house = Arc::new(House::new(shards, per_address));
    let addresses = names::resolve_all(&plan.backends, &lookup);
    let seats = plan.backends.iter().map(seat).collect();
    let common = Arc::new(Common {
        rules: RuleCounts::new(&plan.routes),
        ..Common::of(Fleet::of(seats, plan.balancing))
    });
    let clock = Clock::start();
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
            backend_tls: certificates.backends.clone(),
            letterbox,
            mailboxes: mailboxes.clone(),
            addresses: addresses.clone(),
            counters: Arc::clone(&counters),
            common: Arc::clone(&common),
            certificates: certificates.figures(),
            house: Arc::clone(&house),
            clock,
        };
        let (ready, end) = (ready.clone(), end.clone());
        threads.push(spawn_thread(format!("tr-shard-{index}"), move || {
            run_to_the_end(job, &ready, &end);
        })?);
    }
    drop((ready, end));
    let drivers: Vec<DriverInForce> = (0..shards)
        .map(|_| readiness.recv().unwrap_or_else(|_| Err(anyhow!("a shard died at its start"))))
        .collect::<anyhow::Result<_>>()?;
    let news = stopper.clone();
    let news = move |backend, to: &[_]| tell_addresses(&news, backend, to);
    let resolver = names::watch(&plan.backends, &addresses, plan.resolve_every, lookup, news)?;
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
        common,
        clock,
        _resolver: resolver,
        reloader: certificates.watch().context("certificate files cannot be watched")?,
    })
}

/// False if a mailbox was full: that shard has to be told another time.
fn tell_addresses(to: &Stopper, backend: BackendId, addresses: &[ConnectAddress]) -> bool {
    let letter = || Letter::Addresses(backend, addresses.to_vec());
    // Every shard is told, also behind one that does not hear.
    let is_full = |mailbox: &&Mailbox<_>| matches!(mailbox.send(letter()), Err(Unsent::Full(_)));
    let deaf = to.mailboxes.iter().filter(is_full);
    deaf.count() == 0
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
        let facts = Facts {
            version: env!("CARGO_PKG_VERSION"),
            driver: driver.to_string(),
            panics: KernelWorld::panics,
            certificates: job.certificates,
            common: Arc::clone(&job.common),
            backends: plan.backends.iter().map(|backend| backend.name.clone()).collect(),
        };
        let mut stage = Stage::new(
            world,
            settings(plan),
            Arc::clone(&job.common),
            Arc::clone(&job.counters[job.index]),
            admin::pages(Arc::clone(&job.counters), facts),
            job.index,
            seed(),
        );
        *stage.addresses.borrow_mut() = job.addresses;
        stage.security = job.backend_tls;
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

fn seat(backend: &BackendPlan) -> Seat {
    Seat { weight: backend.weight, capacity: backend.capacity, ..Seat::of(&backend.name) }
}

fn settings(plan: &Plan) -> Settings {
    Settings {
        deadlines: Deadlines { handshake: plan.tls.handshake_timeout(), ..plan.deadlines },
        limits: plan.limits,
        pool: plan.pool,
        headers: plan.headers,
        credentials: plan.credentials,
        retry: plan.retry,
        proxy_path: plan.proxy_path.clone(),
        backends: plan
            .backends
            .iter()
            .map(|backend| BackendSettings {
                name: backend.name.clone(),
                host_header: backend.host_header.clone(),
                base_path: backend.base_path.clone(),
                credential: backend
                    .credential
                    .as_ref()
                    .map(|secret| Credential::new(secret.expose())),
            })
            .collect(),
        routes: plan.routes.clone(),
        panics_at: plan.panics_at.clone(),
    }
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
        (0..).map_while(|place| self.common.fleet.figures(BackendId(place), now)).collect()
    }

    /// What all shards share.
    #[must_use]
    pub fn common(&self) -> Arc<Common> {
        Arc::clone(&self.common)
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
