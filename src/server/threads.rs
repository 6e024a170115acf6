//! The shards' threads: each is started, says that it runs, and says its last
//! word.

use std::{
    os::fd::OwnedFd,
    rc::Rc,
    sync::{Arc, OnceLock, mpsc},
    thread::JoinHandle,
};

use anyhow::{Context, anyhow, bail};

use super::{generation::Security, listeners::Purpose, shards::Mail};
use crate::{
    config::Plan,
    exchange::{Common, Counters, Generation, Ground, Stage},
    rt::{
        Clock, DriverInForce, KernelWorld, Letterbox, Listener, Mailbox, build, pin_to, seed,
        spawn_thread,
    },
    shard::{House, Shard},
    tls::ServerTls,
    wire::{self, SecureWorld, Shared},
};

/// A shard's last word: `None` for a clean end.
pub(super) type ShardEnd = (usize, Option<String>);

/// What all shards are given alike.
#[derive(Clone)]
pub(super) struct Share {
    pub plan: Arc<Plan>,
    pub server_tls: Option<Arc<ServerTls>>,
    pub mailboxes: Vec<Mailbox<Mail>>,
    pub generation: Arc<Generation<Security>>,
    pub driver: Arc<OnceLock<String>>,
    pub counters: Arc<[Arc<Counters>]>,
    pub common: Arc<Common>,
    pub house: Arc<House>,
    pub clock: Clock,
}

/// Descriptors to listen by, and what each is for.
type Sockets = Vec<(OwnedFd, Purpose)>;

/// All that one shard's thread is given.
struct Job {
    index: usize,
    sockets: Sockets,
    letterbox: Letterbox<Mail>,
    share: Share,
}

/// The shards' threads, their last words, and the drivers that they found.
pub(super) type Started = (Vec<JoinHandle<()>>, mpsc::Receiver<ShardEnd>, Vec<DriverInForce>);

/// Returns when every shard runs.
pub(super) fn start_threads(
    share: &Share,
    sockets: Vec<Sockets>,
    letterboxes: Vec<Letterbox<Mail>>,
) -> anyhow::Result<Started> {
    let (ready, readiness) = mpsc::channel();
    let (end, ends) = mpsc::channel();
    let mut threads = Vec::new();
    for (index, (sockets, letterbox)) in sockets.into_iter().zip(letterboxes).enumerate() {
        let job = Job { index, sockets, letterbox, share: share.clone() };
        let (ready, end) = (ready.clone(), end.clone());
        threads.push(spawn_thread(format!("tr-shard-{index}"), move || {
            run_to_the_end(job, &ready, &end);
        })?);
    }
    drop((ready, end));
    let is_ready =
        |_| readiness.recv().unwrap_or_else(|_| Err(anyhow!("a shard died at its start")));
    let drivers = (0..threads.len()).map(is_ready).collect::<anyhow::Result<_>>()?;
    Ok((threads, ends, drivers))
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
    let Job { index, sockets, letterbox, share } = job;
    let plan = &share.plan;
    if plan.pin && !pin_to(plan.cores[index]) {
        bail!(
            "the kernel does not let this process run on core {}: give --cores others, \
             or --no-pin",
            plan.cores[index]
        );
    }
    let (mut runtime, driver) = build(plan.driver, plan.rings.entries).context(
        "no event loop can be set up: raise the limits on open files and locked memory \
         (ulimit -n, ulimit -l), or allow io_uring, or give --driver epoll",
    )?;
    runtime.block_on(async {
        let shared = Shared::new(share.server_tls, plan.tls.handshakes_waiting());
        let world = SecureWorld::new(KernelWorld::new(share.clock), shared);
        // All shards find the same driver, unless one lacks resources.
        let _ = share.driver.set(driver.to_string());
        let counters = Arc::clone(&share.counters[index]);
        let ground = Rc::new(Ground::new(world, plan.pool, share.common, counters, seed()));
        let stage = Stage::new(ground, &share.generation, index);
        let listeners = sockets
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
        let shard = Shard::new(index, stage, share.mailboxes, share.house, plan.limits.connections);
        Rc::new(shard).run(listeners, letterbox).await;
        Ok(())
    })
}
