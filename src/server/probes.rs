//! The thread that looks after backends. There is none unless somebody is to be
//! asked something.

use std::{cell::RefCell, io, panic::AssertUnwindSafe, sync::Arc};

use crate::{
    balance::{BackendId, EngineFigures, Probed},
    base::Instant,
    config::Plan,
    exchange::Common,
    probe::{Audience, Letter, ProbeFigures, Round, Target, keep},
    rt::{
        Clock, ConnectAddress, DriverChoice, KernelWorld, Letterbox, Mailbox, Unsent, build,
        mailbox, seed, spawn_thread,
    },
    tls::BackendTls,
    wire::{SecureWorld, Shared},
};

/// Few operations are under way at one time; a full queue costs a system call.
const RING_ENTRIES: u32 = 64;
/// Letters that may wait: news of addresses, of all backends at once.
const MAILBOX_LETTERS: usize = 1024;

pub type Security = Option<Arc<BackendTls>>;

/// The thread runs until this is dropped.
pub struct Probes(Mailbox<Letter<Security>>);

/// Looks after the backends of `plan` from now on.
pub fn start(
    plan: &Plan,
    addresses: &[Vec<ConnectAddress>],
    security: &[Security],
    figures: &[Arc<ProbeFigures>],
    common: Arc<Common>,
    clock: Clock,
) -> io::Result<Option<Probes>> {
    if !plan.probes.asks() {
        return Ok(None);
    }
    let round = round(plan, addresses, security, figures, common);
    let (letters, letterbox) = mailbox(MAILBOX_LETTERS);
    let driver = plan.driver;
    spawn_thread("tr-probes", move || {
        let run = AssertUnwindSafe(|| run(driver, clock, round, letterbox));
        match std::panic::catch_unwind(run) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "backends are not probed: no event loop can be set up");
            }
            Err(_) => tracing::error!("backends are probed no more: their thread panicked"),
        }
    })?;
    Ok(Some(Probes(letters)))
}

fn run(
    driver: DriverChoice,
    clock: Clock,
    round: Round<Security>,
    letterbox: Letterbox<Letter<Security>>,
) -> io::Result<()> {
    let (mut runtime, _) = build(driver, RING_ENTRIES)?;
    runtime.block_on(async {
        // It listens nowhere, so that no client waits for a handshake.
        let world = SecureWorld::new(KernelWorld::new(clock), Shared::new(None, 0));
        keep(world, round, seed(), letterbox).await;
    });
    Ok(())
}

fn round(
    plan: &Plan,
    addresses: &[Vec<ConnectAddress>],
    security: &[Security],
    figures: &[Arc<ProbeFigures>],
    common: Arc<Common>,
) -> Round<Security> {
    let target = |(place, figures): (usize, &Arc<ProbeFigures>)| {
        let backend = plan.backends.get(place)?;
        Some(Target {
            backend: BackendId(place),
            name: backend.name.clone(),
            host_header: backend.host_header.clone(),
            base_path: backend.base_path.clone(),
            security: security.get(place).cloned().flatten(),
            addresses: RefCell::new(addresses.get(place).cloned().unwrap_or_default()),
            figures: Arc::clone(figures),
        })
    };
    Round {
        plan: plan.probes.clone(),
        targets: figures.iter().enumerate().filter_map(target).collect(),
        audience: Box::new(OfFleet(common)),
    }
}

/// What is found out is the fleet's to judge.
struct OfFleet(Arc<Common>);

impl Audience for OfFleet {
    fn hears_of_health(&self, backend: BackendId, probed: Probed, now: Instant) {
        self.0.fleet.set_probed(backend, probed, now);
    }

    fn hears_of_engine(&self, backend: BackendId, figures: EngineFigures, now: Instant) {
        self.0.fleet.note_engine(backend, figures, now);
    }
}

impl Probes {
    /// The way to tell it where backends are reached now.
    pub fn mailbox(&self) -> Mailbox<Letter<Security>> {
        self.0.clone()
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        if let Err(Unsent::Full(_)) = self.0.send(Letter::End) {
            tracing::error!("the mailbox of the probes is full; they may not hear of the end");
        }
    }
}
