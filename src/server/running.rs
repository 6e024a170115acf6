//! A process whose shards run: what can be asked of it, and its end.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::bail;
use arc_swap::ArcSwap;

use super::{drain::Stopper, probes::Probes, reload::Reloader, threads::ShardEnd};
use crate::{
    balance::{BackendId, Figures, Fleet},
    exchange::Counters,
    rt::{Clock, Resolver},
};

/// A process whose shards run.
pub struct Running {
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) ends: mpsc::Receiver<ShardEnd>,
    pub(super) bound: Vec<String>,
    pub(super) secured: Vec<String>,
    pub(super) admin: Option<String>,
    pub(super) files: Vec<PathBuf>,
    pub(super) driver: String,
    pub(super) stopper: Stopper,
    pub(super) counters: Arc<[Arc<Counters>]>,
    pub(super) fleet: Arc<ArcSwap<Fleet>>,
    pub(super) clock: Clock,
    pub(super) patience: Arc<ArcSwap<Duration>>,
    pub(super) _resolver: Option<Resolver>,
    pub(super) _probes: Arc<Probes>,
    pub(super) reloader: Option<Reloader>,
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
