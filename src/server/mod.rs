//! One process: its shards' threads, its signals, its end.

pub mod certificates;
mod drain;
mod each;
mod generation;
mod listeners;
mod names;
mod probes;
mod reload;
mod running;
mod shards;
mod threads;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;

use crate::{
    config::{BackendPlan, FileInForce, Plan, danger_lines, startup_line},
    mock::{self, MockHandle},
    rt::{self, Lookup, Resolver, Signal},
};

pub use running::Running;

/// Runs the process until it is told to stop and has drained. `file` is the one
/// that the plan was made by, if there is one.
///
/// # Errors
/// What keeps it from starting, with the mend; or the end of a shard.
pub fn serve(mut plan: Plan, file: Option<FileInForce>) -> anyhow::Result<()> {
    let demo = start_demo(&mut plan)?;
    let lookup = Arc::new(Resolver::resolve);
    let of_demo = demo.is_some().then(|| plan.backends.last().cloned()).flatten();
    let running = shards::start(plan.clone(), lookup, (file, of_demo))?;
    let bound = [running.bound(), running.secured()].concat();
    let stop = running.stopper();
    let reloader = running.reloader().cloned();
    let patience = running.patience();
    let mut told = false;
    rt::on_signals(move |signal| match signal {
        Signal::Stop if told => {
            tracing::warn!("told twice to stop: ending at once");
            std::process::exit(1);
        }
        Signal::Stop => {
            told = true;
            let patience = patience();
            tracing::info!(
                ?patience,
                "draining: no new connections, answers under way may end; a second signal \
                 (Ctrl-C) ends at once"
            );
            stop.drain(patience);
        }
        Signal::Reload => match &reloader {
            Some(reloader) => reloader.look_now(),
            None => tracing::info!("nothing to reload: the settings are flags"),
        },
    })
    .context("signals cannot be handled")?;
    // Who reads the line may signal at once, so the handlers stand before it.
    let addresses = (&*bound, running.admin());
    let line = startup_line(&plan, running.driver(), env!("CARGO_PKG_VERSION"), addresses);
    for line in line.lines() {
        tracing::info!("{line}");
    }
    for danger in danger_lines(&plan) {
        tracing::warn!("{danger}");
    }
    running.wait()?;
    drop(demo);
    tracing::info!("drained");
    Ok(())
}

/// Starts the process's shards and returns; for tests and for [`serve`].
///
/// # Errors
/// What keeps it from starting, with the mend.
pub fn start(plan: Plan) -> anyhow::Result<Running> {
    start_with(plan, Arc::new(Resolver::resolve))
}

/// The same, with names resolved by `lookup`; for tests.
///
/// # Errors
/// As [`start`].
pub fn start_with(plan: Plan, lookup: Lookup) -> anyhow::Result<Running> {
    shards::start(plan, lookup, (None, None))
}

/// The built-in mock, as one more backend.
fn start_demo(plan: &mut Plan) -> anyhow::Result<Option<MockHandle>> {
    let Some(demo) = plan.demo.clone() else { return Ok(None) };
    let handle = mock::start(demo).context("the demo's mock cannot start")?;
    let address: SocketAddr = handle.address();
    plan.backends.push(BackendPlan::at(address));
    Ok(Some(handle))
}
