//! The thread that looks after backends. There is none until somebody is to be
//! asked something.

use std::{cell::RefCell, panic::AssertUnwindSafe, sync::Arc};

use anyhow::Context;

use super::generation::{Backends, Security};
use crate::{
    balance::{BackendId, EngineFigures, Fleet, Probed},
    base::Instant,
    config::{BackendPlan, Plan},
    probe::{Audience, Letter, Round, Target, keep},
    rt::{
        Clock, DriverChoice, KernelWorld, Letterbox, Mailbox, Unsent, build, mailbox, seed,
        spawn_thread,
    },
    wire::{SecureWorld, Shared},
};

/// Few operations are under way at one time; a full queue costs a system call.
const RING_ENTRIES: u32 = 64;
/// Letters that may wait: news of addresses, of all backends at once.
const MAILBOX_LETTERS: usize = 1024;

/// The thread, if there is one, runs until this is dropped.
pub struct Probes(Option<Mailbox<Letter<Security>>>);

/// What the backends of a plan are to be asked.
pub fn round(plan: &Plan, backends: &Backends) -> Round<Security> {
    let target = |(place, backend): (usize, &BackendPlan)| Target {
        backend: BackendId(place),
        name: backend.name.clone(),
        host_header: backend.host_header.clone(),
        base_path: backend.base_path.clone(),
        security: backends.security.get(place).cloned().flatten(),
        addresses: RefCell::new(backends.addresses.get(place).cloned().unwrap_or_default()),
        figures: backends.probes.get(place).map(Arc::clone).unwrap_or_default(),
    };
    Round {
        plan: plan.probes.clone(),
        targets: plan.backends.iter().enumerate().map(target).collect(),
        audience: Box::new(OfFleet(Arc::clone(&backends.fleet))),
    }
}

/// What is found out is the fleet's to judge.
struct OfFleet(Arc<Fleet>);

impl Audience for OfFleet {
    fn hears_of_health(&self, backend: BackendId, probed: Probed, now: Instant) {
        self.0.set_probed(backend, probed, now);
    }

    fn hears_of_engine(&self, backend: BackendId, figures: EngineFigures, now: Instant) {
        self.0.note_engine(backend, figures, now);
    }
}

impl Probes {
    /// # Errors
    /// The kernel's refusal to start the thread.
    pub fn start(
        driver: DriverChoice,
        clock: Clock,
        round: Round<Security>,
    ) -> anyhow::Result<Self> {
        if !round.plan.asks() {
            return Ok(Self(None));
        }
        let (letters, letterbox) = mailbox(MAILBOX_LETTERS);
        spawn_thread("tr-probes", move || {
            let run = AssertUnwindSafe(|| run(driver, clock, round, letterbox));
            match std::panic::catch_unwind(run) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "backends are not probed: no event loop can be set up");
                }
                Err(_) => tracing::error!("backends are probed no more: their thread panicked"),
            }
        })
        .context("there is no thread to look after backends")?;
        Ok(Self(Some(letters)))
    }

    /// The way to tell the thread where backends are reached now.
    pub fn mailbox(&self) -> Option<Mailbox<Letter<Security>>> {
        self.0.clone()
    }
}

fn run(
    driver: DriverChoice,
    clock: Clock,
    round: Round<Security>,
    letterbox: Letterbox<Letter<Security>>,
) -> std::io::Result<()> {
    let (mut runtime, _) = build(driver, RING_ENTRIES)?;
    runtime.block_on(async {
        // It listens nowhere, so that no client waits for a handshake.
        let world = SecureWorld::new(KernelWorld::new(clock), Shared::new(None, 0));
        keep(world, round, seed(), letterbox).await;
    });
    Ok(())
}

impl Drop for Probes {
    fn drop(&mut self) {
        let told = self.0.as_ref().map(|letters| letters.send(Letter::End));
        if let Some(Err(Unsent::Full(_))) = told {
            tracing::error!("the mailbox of the probes is full; they may not hear of the end");
        }
    }
}
