//! The start of the shards: what all of them share is made once, and each gets
//! its share.

use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;

use super::{
    certificates::Certificates,
    drain::Stopper,
    each,
    generation::{Backends, Security, Shown, generation, seats},
    listeners, names,
    probes::{self, Probes},
    reload::Planner,
    running::Running,
    threads::{Share, start_threads},
};
use crate::{
    admin::Reloads,
    balance::{BackendId, Fleet},
    config::{Addresses, BackendPlan, FileInForce, Plan},
    exchange::{Common, Counters, Generation, RuleCounts, peers},
    probe,
    rt::{
        self, Clock, ConnectAddress, DriverInForce, Letterbox, Lookup, Mailbox, Resolver, Unsent,
        mailbox, seed,
    },
    shard::{House, Letter},
    tls::UnixTime,
    wire,
};

/// Letters that may wait for one shard: hand-overs of a burst of connections.
const MAILBOX_LETTERS: usize = 1024;

/// The generation of the plan that a process starts with.
const FIRST: u64 = 1;

/// What a shard is told.
pub(super) type Mail = Letter<wire::Socket<rt::Socket>, Security>;

/// The files that a plan was made by.
pub type Source = Option<FileInForce>;

/// `demo` is the backend of the plan that no file names.
pub fn start(
    meant: Plan,
    lookup: Lookup,
    (file, demo): (Source, Option<BackendPlan>),
) -> anyhow::Result<Running> {
    let Before { names, plan, certificates, addresses } = before(&meant, &lookup)?;
    let shards = plan.cores.len();
    let bound =
        listeners::bind((&plan.listeners, &plan.tls_listeners), plan.admin.as_ref(), shards)?;
    let (mailboxes, letterboxes) = mailboxes(shards);
    let stopper = Stopper { mailboxes: mailboxes.clone() };
    let counters: Arc<[Arc<Counters>]> = (0..shards).map(|_| Arc::default()).collect();
    let clock = Clock::start();
    let shown = shown(&counters, &certificates, file.as_ref());
    let Beginning { first, fleet, probed, round, rules } =
        begin(&plan, at_start(&plan, &certificates, &addresses), &shown);
    let share = Share {
        plan: Arc::clone(&plan),
        server_tls: certificates.server.clone(),
        mailboxes,
        generation: first,
        driver: Arc::clone(&shown.driver),
        counters: Arc::clone(&counters),
        common: Arc::new(Common::of(shards, seed())),
        house: house_of(&plan),
        clock,
    };
    let (threads, ends, drivers) = start_threads(&share, bound.shards, letterboxes)?;
    let probes = Probes::start(plan.driver, clock, round)?;
    let patience = Arc::new(ArcSwap::from_pointee(plan.drain));
    let mut resolver = watch_names(&plan, (&addresses, FIRST), &lookup, &stopper, &probes)?;
    let planner = (file.is_some() || !names.is_empty()).then(|| Planner {
        file,
        meant,
        names,
        plan: Plan::clone(&plan),
        failed: None,
        needs_restart: Vec::new(),
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
        each: None,
        clock,
        patience: Arc::clone(&patience),
    });
    Ok(Running {
        threads,
        ends,
        bound: bound.clients,
        secured: bound.secured,
        admin: bound.admin,
        files: bound.files,
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

/// What there is before anything is bound.
struct Before {
    names: Addresses,
    plan: Arc<Plan>,
    certificates: Certificates,
    addresses: Vec<Vec<ConnectAddress>>,
}

/// Who cannot show a certificate does not listen.
fn before(meant: &Plan, lookup: &Lookup) -> anyhow::Result<Before> {
    raise_descriptors();
    let names = each::resolve(meant, &Addresses::new(), lookup);
    let plan = Arc::new(each::plan_of(meant, &names));
    let certificates = Certificates::load(&plan)?;
    let addresses = names::resolve_all(&plan.backends, lookup);
    Ok(Before { names, plan, certificates, addresses })
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
    (addresses, number): (&[Vec<ConnectAddress>], u64),
    lookup: &Lookup,
    stopper: &Stopper,
    probes: &Arc<Probes>,
) -> std::io::Result<Option<Resolver>> {
    let every = (plan.resolve_every, plan.resolve_every);
    names::watch(
        &plan.backends,
        addresses,
        every,
        Arc::clone(lookup),
        hearing(stopper, probes, number),
    )
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
        fleet: Arc::new(Fleet::of(seats(plan), plan.balancing).with_peers(peers(&plan.routes))),
        security: certificates.backends.clone(),
        addresses: addresses.to_vec(),
        kept: vec![None; plan.backends.len()],
        probes: plan.backends.iter().map(|_| Arc::default()).collect(),
    }
}

fn shown(
    counters: &Arc<[Arc<Counters>]>,
    certificates: &Certificates,
    file: Option<&FileInForce>,
) -> Shown {
    let now = UnixTime::since_unix_epoch(rt::unix_time());
    Shown {
        counters: Arc::clone(counters),
        driver: Arc::default(),
        certificates: certificates.figures(),
        reloads: Arc::new(Reloads::begin(file.and_then(FileInForce::config), FIRST, now)),
    }
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
