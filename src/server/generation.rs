//! Generations of the plan: what the shards are told of each, and what goes on
//! from one to the next.

use std::sync::{Arc, OnceLock};

use crate::{
    admin::{self, CertificateFigures, Facts, Reloads},
    balance::{BackendId, Fleet, Seat},
    config::{BackendPlan, Plan},
    exchange::{
        BackendSettings, Counters, Credential, Deadlines, Generation, RuleCounts, Settings,
    },
    probe::ProbeFigures,
    route::RouteTable,
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
    pub reloads: Arc<Reloads>,
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
    rules: &Arc<RuleCounts>,
    shown: &Shown,
) -> Generation<Security> {
    let Backends { fleet, security, addresses, kept, probes } = backends;
    let facts = Facts {
        version: env!("CARGO_PKG_VERSION"),
        driver: Arc::clone(&shown.driver),
        panics: KernelWorld::panics,
        certificates: shown.certificates.clone(),
        reloads: Arc::clone(&shown.reloads),
        fleet: Arc::clone(&fleet),
        backends: plan.backends.iter().map(|backend| backend.name.clone()).collect(),
        probes,
        rules: Arc::clone(rules),
    };
    let pages = admin::pages(Arc::clone(&shown.counters), facts);
    let (settings, rules) = (settings(plan), Arc::clone(rules));
    // Here, and not by each shard: a large table takes its time.
    let routes = Arc::new(RouteTable::new(&plan.routes));
    Generation { number, settings, pages, fleet, routes, rules, security, addresses, kept }
}

fn settings(plan: &Plan) -> Settings {
    Settings {
        deadlines: Deadlines { handshake: plan.tls.handshake_timeout(), ..plan.deadlines },
        limits: plan.limits,
        pool: plan.pool,
        queue: plan.queue,
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
        policies: plan.models.iter().map(|model| model.policy).collect(),
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

/// Which backend of the plan before each one of the next plan is; what was
/// learnt of it still holds.
pub(super) fn known(before: &Plan, next: &Plan) -> Vec<Option<BackendId>> {
    let place = |backend: &BackendPlan| {
        let is_same = |other: &BackendPlan| {
            (&other.name, &other.address, &other.base_path)
                == (&backend.name, &backend.address, &backend.base_path)
        };
        before.backends.iter().position(is_same).map(BackendId)
    };
    next.backends.iter().map(place).collect()
}

/// The same, where also a connection to it may go on.
pub(super) fn connected(before: &Plan, next: &Plan) -> Vec<Option<BackendId>> {
    let secured = |plan: &Plan, place: usize| {
        let tls = plan.tls.backends.get(place).cloned().flatten();
        (tls, plan.backends[place].tls_name.clone(), plan.backends[place].host_header.clone())
    };
    let is_same = |(place, known): (usize, Option<BackendId>)| {
        known.filter(|known| secured(before, known.0) == secured(next, place))
    };
    known(before, next).into_iter().enumerate().map(is_same).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Machine, Written, check};

    fn plan(backends: &[&str], ca: Option<&str>) -> Plan {
        let mut written = Written { cores: "0".to_owned(), ..Written::default() };
        written.backends = backends.iter().map(|&url| url.into()).collect();
        written.tls.backend.ca = ca.map(Into::into);
        let machine = Machine { allowed_cores: vec![0], open_files: None };
        check(&written, &machine).unwrap()
    }

    #[track_caller]
    fn check_same(before: &Plan, next: &Plan, known: &[Option<usize>], kept: &[Option<usize>]) {
        let ids = |places: &[Option<usize>]| -> Vec<Option<BackendId>> {
            places.iter().map(|place| place.map(BackendId)).collect()
        };
        assert_eq!(super::known(before, next), ids(known));
        assert_eq!(connected(before, next), ids(kept));
    }

    #[test]
    fn a_backend_is_the_same_wherever_it_stands_in_the_file() {
        let (before, next) =
            (plan(&["http://a", "http://b"], None), plan(&["http://b", "http://c"], None));
        check_same(&before, &next, &[Some(1), None], &[Some(1), None]);
        let other_port = plan(&["http://a:81", "http://b/v1"], None);
        check_same(&before, &other_port, &[None, None], &[None, None]);
    }

    #[test]
    fn a_connection_does_not_outlive_what_it_was_verified_by() {
        let (before, next) = (plan(&["https://a"], Some("x")), plan(&["https://a"], Some("y")));
        check_same(&before, &next, &[Some(0)], &[None]);
        check_same(&before, &before, &[Some(0)], &[Some(0)]);
    }
}
