//! The thread that looks at files while the process runs: the configuration and
//! what it names, and certificates. A change is taken whole or not at all.
//!
//! ```text
//! configuration, list of ──changed, or SIGHUP──► plan ──► certificates, names, fleet
//! backends, keys;   what a name stands for ───────┘
//!                                                   │ a letter to each shard
//!                                                   ▼
//!                                  requests that begin now are told by it
//! ```

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{
    certificates::Keeper,
    drain::Stopper,
    each::{self, Name},
    generation::{Backends, Security, Shown, connected, generation, known, seats},
    names,
    probes::{self, Probes},
    shards::hearing,
};
use crate::{
    balance::Fleet,
    config::{Addresses, BackendPlan, FileInForce, Look, Plan, Taken},
    exchange::{Generation, RuleCounts, peers},
    probe::ProbeFigures,
    rt::{Clock, ConnectAddress, Lookup, Resolver, Unsent, spawn_thread, unix_time},
    shard::Letter,
    tls::UnixTime,
};

/// Has the files looked at. They are watched as long as one of these is held.
#[derive(Clone, Debug)]
pub struct Reloader(Arc<mpsc::Sender<Word>>);

/// What the thread is told.
enum Word {
    LookNow,
    /// The name stands for these now.
    Addresses(Name, Vec<SocketAddr>),
}

/// The way to the thread itself, as long as somebody can have it look.
type ToUs = Weak<mpsc::Sender<Word>>;

/// How long a shard is given whose mailbox is full before it is told again.
const DEAF: Duration = Duration::from_millis(10);

/// What the process runs by, and who makes the next plan of it.
pub(super) struct Planner {
    /// `None` where nothing but names can change.
    pub file: Option<FileInForce>,
    /// As it was written, with the demo's mock.
    pub meant: Plan,
    /// What each name stands for whose every address is a backend.
    pub names: Addresses,
    /// What they make together: what is in force.
    pub plan: Plan,
    /// What was to be in force and failed, and why.
    pub failed: Option<(Taken, String)>,
    pub needs_restart: Vec<&'static str>,
    /// The demo's mock, which no file names.
    pub demo: Option<BackendPlan>,
    pub number: u64,
    pub fleet: Arc<ArcSwap<Fleet>>,
    pub to: Stopper,
    pub probes: Arc<Probes>,
    /// What probes have found out of the backends of `plan`.
    pub probed: Arc<[Arc<ProbeFigures>]>,
    pub rules: Arc<RuleCounts>,
    pub shown: Shown,
    pub lookup: Lookup,
    pub resolver: Option<Resolver>,
    /// Of `names`.
    pub each: Option<Resolver>,
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
        let _ = self.0.send(Word::LookNow);
    }
}

/// Looks at the files from now on, on a thread of its own.
pub(super) fn watch(mut keeper: Keeper, mut planner: Option<Planner>) -> io::Result<Reloader> {
    let (ask, asked) = mpsc::channel();
    let ask = Arc::new(ask);
    // The resolver's thread does not keep this one going.
    let to_us = Arc::downgrade(&ask);
    if let Some(planner) = &mut planner {
        planner.watch_each(&to_us);
    }
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
                Ok(Word::LookNow) => {
                    if let Some(planner) = &mut planner {
                        planner.look_now(&mut keeper, &to_us);
                    }
                    keeper.look_now();
                }
                Ok(Word::Addresses(name, addresses)) => {
                    if let Some(planner) = &mut planner {
                        planner.hear(&name, addresses, &mut keeper, &to_us);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if clock.now() >= planner_at
                        && let Some(planner) = &mut planner
                    {
                        planner.look(&mut keeper, &to_us);
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
    fn look(&mut self, keeper: &mut Keeper, to_us: &ToUs) {
        let look = self.file.as_mut().map_or(Look::Unchanged, |file| file.look(today()));
        match (look, self.failed.take()) {
            // What it failed for may be mended by now.
            (Look::Unchanged, Some((taken, told))) => {
                self.try_again(taken, told, keeper, to_us);
            }
            (look, _) => self.judge(look, keeper, to_us),
        }
    }

    fn look_now(&mut self, keeper: &mut Keeper, to_us: &ToUs) {
        let Some(file) = &mut self.file else {
            tracing::info!("nothing to reload: the settings are flags");
            return;
        };
        let look = file.look_now(today());
        if matches!(look, Look::Unchanged) {
            self.shown.reloads.unchanged.increment();
            tracing::info!("{} has not changed", file.config().unwrap_or("the list of backends"));
        }
        self.judge(look, keeper, to_us);
    }

    /// The name stands for these now.
    fn hear(&mut self, name: &Name, addresses: Vec<SocketAddr>, keeper: &mut Keeper, to_us: &ToUs) {
        // It may be a name of the plan before.
        let Some(known) = self.names.get_mut(name).filter(|known| **known != addresses) else {
            return;
        };
        tracing::info!(name = name.0, ?addresses, "the name stands for other backends");
        *known = addresses;
        let failed = self.failed.take().map(|(taken, _)| taken);
        let is_of_files = failed.is_some();
        let next = failed.unwrap_or_else(|| Taken {
            plan: self.meant.clone(),
            needs_restart: self.needs_restart.clone(),
        });
        let what = format!("what {} stands for", name.0);
        match self.take(next, &what, keeper, to_us) {
            Ok(()) if is_of_files => self.tell_taken(),
            // What the files hold may have been refused, and still is.
            Ok(()) => self.shown.reloads.go_on(self.number, today()),
            Err(fault) => self.refuse(&what, vec![fault]),
        }
    }

    fn judge(&mut self, look: Look, keeper: &mut Keeper, to_us: &ToUs) {
        let what = self.file.as_ref().map(|file| file.changed().to_owned()).unwrap_or_default();
        let refused = match look {
            Look::Unchanged => return,
            Look::Refused(faults) => faults,
            Look::Taken(mut taken) => {
                taken.plan.backends.extend(self.demo.clone());
                match self.take(*taken, &what, keeper, to_us) {
                    Ok(()) => return self.tell_taken(),
                    Err(fault) => vec![fault],
                }
            }
        };
        self.refuse(&what, refused);
    }

    fn refuse(&self, what: &str, faults: Vec<String>) {
        tracing::error!(
            "{what} has changed and is not taken, what runs stays as it is: {}",
            faults.join("; and ")
        );
        self.shown.reloads.refuse(faults);
    }

    /// The same fault is not told again.
    fn try_again(&mut self, taken: Taken, told: String, keeper: &mut Keeper, to_us: &ToUs) {
        let what = "what was not taken before";
        match self.take(taken, what, keeper, to_us) {
            Err(fault) if fault != told => self.refuse(what, vec![fault]),
            Ok(()) => self.tell_taken(),
            Err(_) => {}
        }
    }

    fn tell_taken(&self) {
        self.shown.reloads.take(self.number, &self.needs_restart, today());
    }

    fn take(
        &mut self,
        taken: Taken,
        what: &str,
        keeper: &mut Keeper,
        to_us: &ToUs,
    ) -> Result<(), String> {
        let names = each::resolve(&taken.plan, &self.names, &self.lookup);
        let plan = each::plan_of(&taken.plan, &names);
        let kept = connected(&self.plan, &plan);
        let side = match keeper.prepare(&plan, &kept) {
            Ok(side) => side,
            Err(refusal) => {
                let fault = refusal.to_string();
                self.failed = Some((taken, fault.clone()));
                return Err(fault);
            }
        };
        let addresses = self.addresses(&plan);
        let known = known(&self.plan, &plan);
        let now = self.clock.now();
        let before = self.fleet.load();
        let fleet = before.followed_by(&known, seats(&plan), plan.balancing, now);
        let fleet = Arc::new(fleet.with_peers(peers(&plan.routes)));
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
        self.rules = Arc::new(self.rules.followed_by(&plan.routes));
        let next = generation(self.number, &plan, backends, &self.rules, &self.shown);
        let next = Arc::new(next);
        tell_plan(&self.to, &next);
        if let Err(error) = self.probes.follow(round) {
            tracing::error!(%error, "backends are probed as they were before");
        }
        self.fleet.store(fleet);
        self.patience.store(Arc::new(plan.drain));
        self.plan = plan;
        self.watch_names(&addresses);
        let Taken { plan: meant, needs_restart } = taken;
        let is_watched =
            self.names.keys().eq(names.keys()) && self.meant.resolve_every == meant.resolve_every;
        (self.meant, self.names, self.needs_restart) = (meant, names, needs_restart);
        if !is_watched {
            self.watch_each(to_us);
        }
        self.say(what);
        Ok(())
    }

    fn say(&self, what: &str) {
        let (number, needs_restart) = (self.number, &self.needs_restart);
        tracing::info!("{what} has changed and is taken: generation {number} of the plan");
        for danger in crate::config::danger_lines(&self.plan) {
            tracing::warn!("{danger}");
        }
        if !needs_restart.is_empty() {
            tracing::warn!(
                "{what} has changed, and these settings need a restart: {}",
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

    /// Who is watched already is told of no sooner than it changes again.
    fn watch_each(&mut self, to_us: &ToUs) {
        let to_us = Weak::clone(to_us);
        let news = move |name, addresses| {
            if let Some(to_us) = to_us.upgrade() {
                // It has ended; then nobody asks any more.
                let _ = to_us.send(Word::Addresses(name, addresses));
            }
        };
        let every = self.plan.resolve_every;
        self.each = None;
        match each::watch(&self.names, every, Arc::clone(&self.lookup), news) {
            Ok(resolver) => self.each = resolver,
            Err(error) => {
                tracing::error!(%error, "no thread to resolve names; they stay as they are");
            }
        }
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
