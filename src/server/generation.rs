//! Generations of the plan: what the shards are told of each, and what goes on
//! from one to the next.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, OnceLock},
};

use crate::{
    admin::{self, CertificateFigures, Facts, Reloads},
    balance::{BackendId, Fleet, Seat},
    config::{BackendAddress, BackendPlan, Plan},
    exchange::{
        BackendSettings, Counters, Credential, Deadlines, Generation, Host, RuleCounts, Settings,
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
                host: Host::new(&backend.host_header),
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
    let serves_one = |place: usize| match plan.routes.backends.get(place) {
        Some(serves) => matches!(&*serves.models, [name] if name.is_exact()),
        None => false,
    };
    let seat = |(place, backend): (usize, &BackendPlan)| Seat {
        place: place_of(backend),
        serves_one: serves_one(place),
        weight: backend.weight,
        capacity: backend.capacity,
        ..Seat::of(&backend.name)
    };
    plan.backends.iter().enumerate().map(seat).collect()
}

/// What stands for where a backend is reached.
fn place_of(backend: &BackendPlan) -> u64 {
    let mut hasher = DefaultHasher::new();
    reached_at(backend).hash(&mut hasher);
    hasher.finish()
}

fn reached_at(backend: &BackendPlan) -> (&BackendAddress, &str) {
    (&backend.address, &backend.base_path)
}

/// Which backend of the plan before each one of the next plan is; what was
/// learnt of it still holds. It is the one at the same place: of several there
/// that of the same name, else one whose name is gone, as it was renamed. Who
/// has moved is another one, whatever its name: neither the requests nor the
/// failures of the old place are its own.
pub(super) fn known(before: &Plan, next: &Plan) -> Vec<Option<BackendId>> {
    let find = |backend: &BackendPlan, is_it: &dyn Fn(usize, &BackendPlan) -> bool| {
        let mut all = before.backends.iter().enumerate();
        let is_there = |other| reached_at(other) == reached_at(backend);
        let found = all.find(|(place, other)| is_there(other) && is_it(*place, other));
        found.map(|(place, _)| BackendId(place))
    };
    let named = |backend| find(backend, &|_, other| other.name == backend.name);
    let mut known: Vec<_> = next.backends.iter().map(named).collect();
    for (place, backend) in next.backends.iter().enumerate() {
        if known[place].is_none() {
            known[place] = find(backend, &|old, _| !known.contains(&Some(BackendId(old))));
        }
    }
    known
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
    use crate::config::{BackendWritten, Machine, Written, check};

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

    fn named(backends: &[(&str, &str)]) -> Plan {
        let mut written = Written { cores: "0".to_owned(), ..Written::default() };
        for &(name, url) in backends {
            written.backends.push(BackendWritten { name: Some(name.to_owned()), ..url.into() });
        }
        let machine = Machine { allowed_cores: vec![0], open_files: None };
        check(&written, &machine).unwrap()
    }

    #[test]
    fn a_backend_is_the_same_by_another_name() {
        let before = named(&[("g", "http://a"), ("b", "http://b")]);
        for (next, expected) in [
            (named(&[("b", "http://b"), ("h", "http://a")]), [Some(1), Some(0)]),
            // Names that were exchanged stand for other machines now.
            (named(&[("b", "http://a"), ("g", "http://b")]), [Some(0), Some(1)]),
            (named(&[("g", "http://c"), ("h", "http://a")]), [None, Some(0)]),
        ] {
            check_same(&before, &next, &expected, &expected);
        }
    }

    #[test]
    fn of_two_names_for_the_same_place_each_is_its_own() {
        let two = named(&[("a", "http://a"), ("b", "http://a")]);
        check_same(&two, &named(&[("b", "http://a")]), &[Some(1)], &[Some(1)]);
        let next = named(&[("c", "http://a"), ("a", "http://a"), ("d", "http://a")]);
        let expected = [Some(1), Some(0), None];
        check_same(&two, &next, &expected, &expected);
    }

    #[test]
    fn a_connection_does_not_outlive_what_it_was_verified_by() {
        let (before, next) = (plan(&["https://a"], Some("x")), plan(&["https://a"], Some("y")));
        check_same(&before, &next, &[Some(0)], &[None]);
        check_same(&before, &before, &[Some(0)], &[Some(0)]);
    }
}
