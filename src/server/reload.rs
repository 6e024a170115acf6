//! The thread that looks at files while the process runs: the configuration,
//! and certificates. A change is taken whole or not at all.
//!
//! ```text
//! configuration ──changed, or SIGHUP──► plan ──► certificates, names, fleet
//!                                                   │ a letter to each shard
//!                                                   ▼
//!                                  requests that begin now are told by it
//! ```

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{
    certificates::Keeper,
    drain::Stopper,
    generation::{Backends, Security, Shown, connected, generation, known, seats},
    names,
    probes::{self, Probes},
    shards::hearing,
};
use crate::{
    balance::Fleet,
    config::{BackendPlan, FileInForce, Look, Plan, Taken},
    exchange::Generation,
    probe::ProbeFigures,
    rt::{Clock, ConnectAddress, Lookup, Resolver, Unsent, spawn_thread, unix_time},
    shard::Letter,
    tls::UnixTime,
};

/// Has the files looked at. They are watched as long as one of these is held.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<()>);

/// How long a shard is given whose mailbox is full before it is told again.
const DEAF: Duration = Duration::from_millis(10);

/// What the process runs by, and who makes the next plan of it.
pub(super) struct Planner {
    pub file: FileInForce,
    pub plan: Plan,
    /// The demo's mock, which no file names.
    pub demo: Option<BackendPlan>,
    pub number: u64,
    pub fleet: Arc<ArcSwap<Fleet>>,
    pub to: Stopper,
    pub probes: Arc<Probes>,
    /// What probes have found out of the backends of `plan`.
    pub probed: Arc<[Arc<ProbeFigures>]>,
    pub shown: Shown,
    pub lookup: Lookup,
    pub resolver: Option<Resolver>,
    pub clock: Clock,
    /// How long requests under way may go on at the end of the process.
    pub patience: Arc<ArcSwap<Duration>>,
}

impl Reloader {
    /// Takes what the files hold now, though they may not have changed: a
    /// certificate may have become valid, or the system trust others.
    pub fn look_now(&self) {
        // The thread ends after the last of us only, or by a panic, which is
        // told where it happens.
        let _ = self.0.send(());
    }
}

/// Looks at the files from now on, on a thread of its own.
pub(super) fn watch(mut keeper: Keeper, mut planner: Option<Planner>) -> io::Result<Reloader> {
    let (ask, asked) = mpsc::channel();
    spawn_thread("tr-reload", move || {
        let clock = Clock::start();
        let (mut keeper_at, mut planner_at) = (clock.now(), clock.now());
        loop {
            let now = clock.now();
            if now >= keeper_at {
                keeper_at = now.after(keeper.watch_every());
            }
            if now >= planner_at {
                let every = planner.as_ref().map(|planner| planner.plan.watch_every);
                planner_at = now.after(every.unwrap_or(keeper.watch_every()));
            }
            match asked.recv_timeout(keeper_at.min(planner_at).since(now)) {
                Ok(()) => {
                    if let Some(planner) = &mut planner {
                        planner.look_now(&mut keeper);
                    }
                    keeper.look_now();
                }
                Err(RecvTimeoutError::Timeout) => {
                    if clock.now() >= planner_at
                        && let Some(planner) = &mut planner
                    {
                        planner.look(&mut keeper);
                    }
                    if clock.now() >= keeper_at {
                        keeper.look();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    })?;
    Ok(Reloader(ask))
}

fn today() -> UnixTime {
    UnixTime::since_unix_epoch(unix_time())
}

impl Planner {
    fn look(&mut self, keeper: &mut Keeper) {
        let look = self.file.look(today());
        self.judge(look, keeper);
    }

    fn look_now(&mut self, keeper: &mut Keeper) {
        let look = self.file.look_now(today());
        if matches!(look, Look::Unchanged) {
            self.shown.reloads.unchanged.increment();
            tracing::info!("{} has not changed", self.file.name());
        }
        self.judge(look, keeper);
    }

    fn judge(&mut self, look: Look, keeper: &mut Keeper) {
        let refused = match look {
            Look::Unchanged => return,
            Look::Refused(faults) => faults,
            Look::Taken(taken) => match self.take(*taken, keeper) {
                Ok(()) => return,
                Err(fault) => vec![fault],
            },
        };
        tracing::error!(
            "{} has changed and is not taken, what runs stays as it is: {}",
            self.file.name(),
            refused.join("; and ")
        );
        self.shown.reloads.refuse(refused);
    }

    fn take(&mut self, taken: Taken, keeper: &mut Keeper) -> Result<(), String> {
        let Taken { mut plan, needs_restart } = taken;
        plan.backends.extend(self.demo.clone());
        let kept = connected(&self.plan, &plan);
        let side = keeper.prepare(&plan, &kept).map_err(|refusal| refusal.to_string())?;
        let addresses = self.addresses(&plan);
        let known = known(&self.plan, &plan);
        let now = self.clock.now();
        let before = self.fleet.load();
        let fleet = before.followed_by(&known, seats(&plan), plan.balancing, now);
        let fleet = Arc::new(fleet);
        // From here on nothing fails.
        self.resolver = None;
        self.number += 1;
        let security = keeper.adopt(side);
        let backends = Backends {
            fleet: Arc::clone(&fleet),
            security,
            addresses: addresses.clone(),
            kept,
            probes: probes::probed((&self.plan, &self.probed), &plan, &known),
        };
        let round = probes::round(self.number, &plan, &backends);
        self.probed = Arc::clone(&backends.probes);
        let next = Arc::new(generation(self.number, &plan, backends, &self.shown));
        tell_plan(&self.to, &next);
        if let Err(error) = self.probes.follow(round) {
            tracing::error!(%error, "backends are probed as they were before");
        }
        self.fleet.store(fleet);
        self.patience.store(Arc::new(plan.drain));
        self.plan = plan;
        self.watch_names(&addresses);
        self.say(&needs_restart);
        self.shown.reloads.take(self.number, &needs_restart, today());
        Ok(())
    }

    fn say(&self, needs_restart: &[&str]) {
        let (file, number) = (self.file.name(), self.number);
        tracing::info!("{file} has changed and is taken: generation {number} of the plan");
        for danger in crate::config::danger_lines(&self.plan) {
            tracing::warn!("{danger}");
        }
        if !needs_restart.is_empty() {
            tracing::warn!(
                "{file} has changed, and these settings need a restart: {}",
                needs_restart.join(", ")
            );
        }
    }

    /// Names that were resolved before are not waited for.
    fn addresses(&self, plan: &Plan) -> Vec<Vec<ConnectAddress>> {
        let known = self.resolver.as_ref().map(Resolver::known).unwrap_or_default();
        let lookup: Lookup = {
            let lookup = Arc::clone(&self.lookup);
            Arc::new(move |host, port| {
                let of_before = known.iter().find(|name| name.host == host && name.port == port);
                match of_before {
                    Some(name) if !name.known.is_empty() => Ok(name.known.clone()),
                    _ => lookup(host, port),
                }
            })
        };
        names::resolve_all(&plan.backends, &lookup)
    }

    fn watch_names(&mut self, addresses: &[Vec<ConnectAddress>]) {
        let news = hearing(&self.to, &self.probes, self.number);
        // At once, as some may not have been resolved for a while.
        let every = (Duration::ZERO, self.plan.resolve_every);
        let lookup = Arc::clone(&self.lookup);
        match names::watch(&self.plan.backends, addresses, every, lookup, news) {
            Ok(resolver) => self.resolver = resolver,
            Err(error) => {
                tracing::error!(%error, "no thread to resolve names; they stay as they are");
            }
        }
    }
}

/// Every shard is told. One whose mailbox is full is told again: its requests
/// would be told by the plan before for ever.
fn tell_plan(to: &Stopper, plan: &Arc<Generation<Security>>) {
    for mailbox in &to.mailboxes {
        // Who has ended tells no more requests.
        while let Err(Unsent::Full(_)) = mailbox.send(Letter::Plan(Arc::clone(plan))) {
            // Nobody sends: the wait is the point.
            let (_alive, never) = mpsc::channel::<()>();
            let _ = never.recv_timeout(DEAF); // It can only time out.
        }
    }
}
