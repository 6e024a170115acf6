//! Certificates in force: built at the start, looked at while we run, replaced
//! whole or not at all.
//!
//! ```text
//! files ──read──► TlsFiles ──changed, or SIGHUP──► TlsMaterial ──► the cells
//!                                   │                           that handshakes
//!                                   └ faults: the log,          begin with
//!                                     what was in force stays
//! ```

use std::{io, sync::Arc, time::Duration};

use anyhow::anyhow;
use rustls::{ClientConfig, ServerConfig, time_provider::DefaultTimeProvider};

use super::reload::{self, Planner, Reloader};
use crate::{
    admin::CertificateFigures,
    balance::BackendId,
    config::{
        BackendMaterial, Given, Plan, PlanError, TlsFiles, TlsMaterial, TlsPlan, read_files,
        system_authorities,
    },
    tls::{
        Authorities, BackendSide, BackendTls, Date, Fault, ProducesTickets, ServerSide, ServerTls,
        TimeProvider, UnixTime, client_config, for_one_backend, new_tickets, provider,
        server_config,
    },
};

/// What handshakes begin with, now and after each change of the files.
pub struct Certificates {
    /// `Some` when there are TLS listeners.
    pub server: Option<Arc<ServerTls>>,
    /// By backend, in the plan's order; `None` is plain HTTP.
    pub backends: Vec<Option<Arc<BackendTls>>>,
    keeper: Keeper,
}

/// Looks at the files, and replaces what is in force.
pub(super) struct Keeper {
    maker: Maker,
    /// What the files held when they were last looked at, taken or refused.
    seen: TlsFiles,
    /// What they held when they were last taken.
    taken: TlsFiles,
    server: Option<Arc<ServerTls>>,
    /// By backend, as above.
    backends: Vec<Option<Arc<BackendTls>>>,
    figures: Arc<CertificateFigures>,
}

/// Makes configurations of files.
pub(super) struct Maker {
    plan: TlsPlan,
    /// Where its settings were given.
    given: Given,
    clock: Arc<dyn TimeProvider>,
    /// Kept while certificates change, so that clients can still resume.
    tickets: Arc<dyn ProducesTickets>,
    /// Whose clients the tickets may name.
    clients: Option<Authorities>,
}

/// Configurations of one moment.
struct Made {
    server: Option<Arc<ServerConfig>>,
    /// By backend, as above.
    backends: Vec<Option<ClientConfig>>,
    tickets: Arc<dyn ProducesTickets>,
    clients: Option<Authorities>,
    warnings: Vec<String>,
    earliest_not_after: Option<UnixTime>,
}

/// The next plan's side of TLS; nothing is in force by it yet.
pub(super) struct Prepared {
    maker: Maker,
    seen: TlsFiles,
    made: Made,
    /// By backend of the next plan; those that are kept go on.
    backends: Vec<Option<Arc<BackendTls>>>,
}

/// Why nothing was made: the operator's faults, or ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{}", .0.join("; and "))]
    Files(Vec<String>),
    #[error(transparent)]
    Setup(#[from] Fault),
    #[error("this machine does not tell the time, so no certificate can be judged; set its clock")]
    NoTime,
}

/// Which backends' side is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backends {
    /// Those whose files are others.
    Changed,
    All,
}

/// What came of a look at the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Unchanged,
    Taken,
    Refused,
}

impl Certificates {
    /// Reads the files that the plan names.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(plan: &Plan) -> anyhow::Result<Self> {
        Self::load_by(plan, Arc::new(DefaultTimeProvider))
    }

    /// The same, by another clock.
    ///
    /// # Errors
    /// As [`Certificates::load`].
    pub fn load_by(plan: &Plan, clock: Arc<dyn TimeProvider>) -> anyhow::Result<Self> {
        let tickets = new_tickets()?;
        let given = plan.given.clone();
        let mut maker = Maker { plan: plan.tls.clone(), given, clock, tickets, clients: None };
        let seen = read_files(&maker.plan);
        let made = maker.make(&seen).map_err(|refusal| anyhow!("{refusal}"))?;
        let server = made.server.clone().map(|config| Arc::new(ServerTls::new(config)));
        let backends = cells(plan, &made);
        let figures = Arc::new(CertificateFigures::default());
        tell(&made, &figures);
        maker.keep(made);
        let taken = seen.clone();
        let (server_cell, cells) = (server.clone(), backends.clone());
        let keeper = Keeper { maker, seen, taken, server: server_cell, backends: cells, figures };
        Ok(Self { server, backends, keeper })
    }

    /// Figures for the pages; `None` when there is no TLS.
    #[must_use]
    pub fn figures(&self) -> Option<Arc<CertificateFigures>> {
        self.keeper.has_tls().then(|| Arc::clone(&self.keeper.figures))
    }

    /// Looks at the files from now on, on a thread of its own, and at those that
    /// `planner` runs by; `None` when there is nothing to look at.
    ///
    /// # Errors
    /// The kernel's refusal to start the thread.
    pub(super) fn watch(self, planner: Option<Planner>) -> io::Result<Option<Reloader>> {
        if !self.keeper.has_tls() && planner.is_none() {
            return Ok(None);
        }
        reload::watch(self.keeper, planner).map(Some)
    }
}

impl Keeper {
    fn has_tls(&self) -> bool {
        self.server.is_some() || self.backends.iter().any(Option::is_some)
    }

    /// Takes what changed. What was refused is tried again when it changes
    /// again, and not told again until then.
    ///
    /// The contents are compared: a link that is led elsewhere, or a file that
    /// is written twice in one second, keeps its time of change.
    pub(super) fn look(&mut self) -> Look {
        let files = read_files(&self.maker.plan);
        if files == self.seen {
            return Look::Unchanged;
        }
        // Sessions with a backend are lost with its configuration.
        self.take(files, Backends::Changed)
    }

    pub(super) fn look_now(&mut self) -> Look {
        if !self.has_tls() {
            return Look::Unchanged;
        }
        let files = read_files(&self.maker.plan);
        // Also where no file has changed: the system may trust others now.
        self.take(files, Backends::All)
    }

    pub(super) fn watch_every(&self) -> Duration {
        self.maker.plan.watch_every
    }

    /// What the next plan asks for. `kept` says of each of its backends which
    /// one it is here, where connections to it may go on.
    pub(super) fn prepare(
        &self,
        plan: &Plan,
        kept: &[Option<BackendId>],
    ) -> Result<Prepared, Refusal> {
        let maker = Maker {
            plan: plan.tls.clone(),
            given: plan.given.clone(),
            clock: Arc::clone(&self.maker.clock),
            tickets: Arc::clone(&self.maker.tickets),
            clients: self.maker.clients.clone(),
        };
        let seen = read_files(&maker.plan);
        let made = maker.make(&seen)?;
        let anew = cells(plan, &made);
        let cell = |(place, anew): (usize, Option<Arc<_>>)| {
            let kept = kept.get(place).copied().flatten();
            kept.and_then(|kept| self.backends.get(kept.0)?.clone()).or(anew)
        };
        let backends = anew.into_iter().enumerate().map(cell).collect();
        Ok(Prepared { maker, seen, made, backends })
    }

    /// Puts it in force; returns what connections to each backend are secured
    /// with.
    pub(super) fn adopt(&mut self, next: Prepared) -> Vec<Option<Arc<BackendTls>>> {
        let Prepared { maker, seen, made, backends } = next;
        if let (Some(cell), Some(config)) = (&self.server, &made.server) {
            cell.replace(Arc::clone(config));
        }
        self.backends.clone_from(&backends);
        let plans = maker.plan.backends.iter();
        for ((cell, plan), config) in self.backends.iter().zip(plans).zip(&made.backends) {
            let (Some(cell), Some(plan), Some(config)) = (cell, plan, config) else { continue };
            // Sessions with a backend are lost with its configuration.
            if !seen.agree(&self.taken, plan.files()) {
                cell.replace(for_one_backend(config));
            }
        }
        self.maker = maker;
        tell(&made, &self.figures);
        self.maker.keep(made);
        (self.taken, self.seen) = (seen.clone(), seen);
        backends
    }

    fn take(&mut self, files: TlsFiles, backends: Backends) -> Look {
        self.seen = files;
        let made = match self.maker.make(&self.seen) {
            Ok(made) => made,
            Err(refusal) => {
                self.figures.reloads_refused.increment();
                tracing::error!("certificates are not reloaded, those before stay: {refusal}");
                return Look::Refused;
            }
        };
        if let (Some(cell), Some(config)) = (&self.server, &made.server) {
            cell.replace(Arc::clone(config));
        }
        let plans = self.maker.plan.backends.iter();
        for ((cell, plan), config) in self.backends.iter().zip(plans).zip(&made.backends) {
            let (Some(cell), Some(plan), Some(config)) = (cell, plan, config) else { continue };
            if backends == Backends::All || !self.seen.agree(&self.taken, plan.files()) {
                cell.replace(for_one_backend(config));
            }
        }
        self.figures.reloads_taken.increment();
        tracing::info!("certificates are reloaded");
        tell(&made, &self.figures);
        self.maker.keep(made);
        self.taken = self.seen.clone();
        Look::Taken
    }
}

impl Maker {
    /// Both sides or neither. Nothing of ours changes by it.
    fn make(&self, files: &TlsFiles) -> Result<Made, Refusal> {
        let now = self.clock.current_time().ok_or(Refusal::NoTime)?;
        let system = system_authorities(&self.plan);
        let material =
            TlsMaterial::check(&self.plan, files, &system, now).map_err(|e| self.told(&e))?;
        let clients = material.client_authorities.clone();
        let tickets =
            if clients == self.clients { Arc::clone(&self.tickets) } else { new_tickets()? };
        let server = self.plan.server.as_ref().map(|plan| {
            server_config(ServerSide {
                identities: &material.identities,
                clients: clients
                    .as_ref()
                    .zip(plan.clients.as_ref())
                    .map(|(a, plan)| (a, plan.mode)),
                min_version: plan.min_version,
                tickets: Arc::clone(&tickets),
                clock: Arc::clone(&self.clock),
                provider: provider(),
            })
        });
        let backend = |backend: &BackendMaterial| {
            client_config(BackendSide {
                authorities: backend.authorities.as_ref(),
                identity: backend.identity.as_ref(),
                clock: Arc::clone(&self.clock),
                provider: provider(),
            })
        };
        let backends = material.backends.iter().map(|one| one.as_ref().map(backend).transpose());
        Ok(Made {
            server: server.transpose()?,
            backends: backends.collect::<Result<_, _>>()?,
            tickets,
            clients,
            warnings: material.warnings.iter().map(|said| said.told(&self.given)).collect(),
            earliest_not_after: material.earliest_not_after,
        })
    }

    /// The faults by the names that the operator knows.
    fn told(&self, faults: &[PlanError]) -> Refusal {
        Refusal::Files(faults.iter().map(|fault| self.given.tell(fault).sentence).collect())
    }

    /// What was made is in force, and its tickets are out.
    fn keep(&mut self, made: Made) {
        (self.tickets, self.clients) = (made.tickets, made.clients);
    }
}

/// By backend, in the plan's order.
fn cells(plan: &Plan, made: &Made) -> Vec<Option<Arc<BackendTls>>> {
    // The demo's mock is behind the others, and speaks no TLS.
    let cell = |(place, name): (usize, Option<_>)| {
        let config = for_one_backend(made.backends.get(place)?.as_ref()?);
        Some(Arc::new(BackendTls::new(config, name?)))
    };
    plan.backends.iter().map(|plan| plan.tls_name.clone()).enumerate().map(cell).collect()
}

/// What is worth telling of what is now in force.
fn tell(made: &Made, figures: &CertificateFigures) {
    for warning in &made.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(end) = made.earliest_not_after {
        tracing::debug!("the first certificate in force ends on {}", Date(end));
    }
    figures.not_after.set(made.earliest_not_after.map_or(0, |end| end.as_secs()));
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
mod tests;
