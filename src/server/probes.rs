//! The thread that looks after backends. There is none until somebody is to be
//! asked something.

use std::{
    cell::RefCell,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, anyhow};

use super::generation::{Backends, Security};
use crate::{
    balance::BackendId,
    config::{BackendPlan, Plan},
    probe::{Letter, ProbeFigures, Round, Target, keep},
    rt::{
        Clock, ConnectAddress, DriverChoice, KernelWorld, Letterbox, Mailbox, Unsent, build,
        mailbox, seed, spawn_thread,
    },
    wire::{SecureWorld, Shared},
};

/// Few operations are under way at one time; a full queue costs a system call.
const RING_ENTRIES: u32 = 64;
/// Letters that may wait: news of addresses, of all backends at once.
const MAILBOX_LETTERS: usize = 1024;

/// The thread, if there is one, runs until this is dropped.
pub struct Probes {
    driver: DriverChoice,
    clock: Clock,
    /// `None` as long as nobody was to be asked.
    letters: Mutex<Option<Mailbox<Letter<Security>>>>,
}

/// What the backends of a plan are to be asked.
pub fn round(number: u64, plan: &Plan, backends: &Backends) -> Round<Security> {
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
        number,
        plan: plan.probes.clone(),
        targets: plan.backends.iter().enumerate().map(target).collect(),
        audience: Box::new(Arc::clone(&backends.fleet)),
    }
}

impl Probes {
    /// # Errors
    /// As [`Probes::follow`].
    pub fn start(
        driver: DriverChoice,
        clock: Clock,
        round: Round<Security>,
    ) -> anyhow::Result<Arc<Self>> {
        let probes = Self { driver, clock, letters: Mutex::default() };
        probes.follow(round)?;
        Ok(Arc::new(probes))
    }

    /// This is to be asked from now on.
    ///
    /// # Errors
    /// The kernel's refusal to start the thread.
    pub fn follow(&self, round: Round<Security>) -> anyhow::Result<()> {
        let mut letters = self.letters();
        let Some(known) = &*letters else {
            if round.plan.asks() {
                *letters = Some(start(self.driver, self.clock, round)?);
            }
            return Ok(());
        };
        match known.send(Letter::Round(Box::new(round))) {
            Ok(()) => Ok(()),
            Err(Unsent::Full(_)) => Err(anyhow!("the thread that probes does not keep up")),
            // It has died, and has said why.
            Err(Unsent::Ended(Letter::Round(round))) => {
                *letters = Some(start(self.driver, self.clock, *round)?);
                Ok(())
            }
            Err(Unsent::Ended(_)) => Ok(()),
        }
    }

    /// Where a backend of this round is reached now. False if it has to be told
    /// another time.
    pub fn hear(&self, round: u64, backend: BackendId, to: &[ConnectAddress]) -> bool {
        let letter = || Letter::Addresses { round, backend, addresses: to.to_vec() };
        let is_full = |letters: &Mailbox<_>| matches!(letters.send(letter()), Err(Unsent::Full(_)));
        !self.letters().as_ref().is_some_and(is_full)
    }

    /// A panic while the lock was held cannot leave a mailbox half there.
    fn letters(&self) -> MutexGuard<'_, Option<Mailbox<Letter<Security>>>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(
    driver: DriverChoice,
    clock: Clock,
    round: Round<Security>,
) -> anyhow::Result<Mailbox<Letter<Security>>> {
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
    Ok(letters)
}

/// What was found out goes with each backend into the next plan, as long as the
/// same is asked.
pub fn probed(
    before: (&Plan, &[Arc<ProbeFigures>]),
    next: &Plan,
    known: &[Option<BackendId>],
) -> Arc<[Arc<ProbeFigures>]> {
    let (before, figures) = before;
    let is_asked_alike = before.probes == next.probes;
    let of_before = |known: &Option<BackendId>| {
        let known = known.filter(|_| is_asked_alike);
        known.and_then(|known| figures.get(known.0)).map(Arc::clone).unwrap_or_default()
    };
    known.iter().map(of_before).collect()
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
        let is_full =
            |letters: &Mailbox<_>| matches!(letters.send(Letter::End), Err(Unsent::Full(_)));
        if self.letters().as_ref().is_some_and(is_full) {
            tracing::error!("the mailbox of the probes is full; they may not hear of the end");
        }
    }
}
