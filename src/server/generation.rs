//! Generations of the plan: what the shards are told of each, and what goes on
//! from one to the next.

use std::sync::{Arc, OnceLock};

use crate::{
    admin::{self, CertificateFigures, Facts},
    balance::{BackendId, Fleet, Seat},
    config::{BackendPlan, Plan},
    exchange::{BackendSettings, Counters, Credential, Deadlines, Generation, Settings},
    probe::ProbeFigures,
    rt::{ConnectAddress, KernelWorld},
    tls::BackendTls,
};

/// What connections to a backend are secured with; `None` is plain HTTP.
pub(super) type Security = Option<Arc<BackendTls>>;

/// What the pages show of the process, whatever the plan.
#[derive(Clone)]
pub(super) struct Shown {
    pub counters: Arc<[Arc<Counters>]>,
    /// Known once the first shard runs.
    pub driver: Arc<OnceLock<String>>,
    pub certificates: Option<Arc<CertificateFigures>>,
}

/// What there is of the backends of a plan beside the plan.
pub(super) struct Backends {
    pub fleet: Arc<Fleet>,
    pub security: Vec<Security>,
    pub addresses: Vec<Vec<ConnectAddress>>,
    /// Which one each was before, where connections to it may go on.
    pub kept: Vec<Option<BackendId>>,
    /// What probes have found out.
    pub probes: Arc<[Arc<ProbeFigures>]>,
}

pub(super) fn generation(
    number: u64,
    plan: &Plan,
    backends: Backends,
    shown: &Shown,
) -> Generation<Security> {
    let Backends { fleet, security, addresses, kept, probes } = backends;
    let facts = Facts {
        version: env!("CARGO_PKG_VERSION"),
        driver: Arc::clone(&shown.driver),
        panics: KernelWorld::panics,
        certificates: shown.certificates.clone(),
        fleet: Arc::clone(&fleet),
        backends: plan.backends.iter().map(|backend| backend.name.clone()).collect(),
        probes,
    };
    let pages = admin::pages(Arc::clone(&shown.counters), facts);
    Generation { number, settings: settings(plan), pages, fleet, security, addresses, kept }
}

fn settings(plan: &Plan) -> Settings {
    Settings {
        deadlines: Deadlines { handshake: plan.tls.handshake_timeout(), ..plan.deadlines },
        limits: plan.limits,
        pool: plan.pool,
        headers: plan.headers,
        credentials: plan.credentials,
        retry: plan.retry,
        proxy_path: plan.proxy_path.clone(),
        backends: plan
            .backends
            .iter()
            .map(|backend| BackendSettings {
                name: backend.name.clone(),
                host_header: backend.host_header.clone(),
                base_path: backend.base_path.clone(),
                credential: backend
                    .credential
                    .as_ref()
                    .map(|secret| Credential::new(secret.expose())),
            })
            .collect(),
        panics_at: plan.panics_at.clone(),
    }
}

pub(super) fn seats(plan: &Plan) -> Vec<Seat> {
    let seat = |backend: &BackendPlan| Seat {
        weight: backend.weight,
        capacity: backend.capacity,
        ..Seat::of(&backend.name)
    };
    plan.backends.iter().map(seat).collect()
}
