//! TlsFiles -> TlsMaterial: what the files hold is taken whole, or every fault
//! is told. The same at the start and at each reload.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Fault, PlanError};
use super::given::Given;
use super::tls_plan::{BackendTlsPlan, PairFiles, ServerTlsPlan, TlsPlan};
use crate::tls::{
    self, Authorities, CertificateDer, Chain, CryptoProvider, Date, Identity, Key, UnixTime,
    Verification,
};

/// A certificate that ends sooner is warned of: renewal is late by then.
const EXPIRY_WARNING: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What each file held when it was read, or why it could not be read. Private
/// keys are among it, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles(BTreeMap<PathBuf, Result<Vec<u8>, String>>);

/// What the system trusts.
#[derive(Clone, Debug, Default)]
pub struct SystemAuthorities {
    pub certificates: Vec<CertificateDer<'static>>,
    /// Why there may be none.
    pub reason: String,
}

/// Checked contents: configurations can be made of them.
#[derive(Debug)]
pub struct TlsMaterial {
    /// In the operator's order; empty without TLS listeners.
    pub identities: Vec<Identity>,
    pub client_authorities: Option<Authorities>,
    /// By backend, in the operator's order; `None` is plain HTTP.
    pub backends: Vec<Option<BackendMaterial>>,
    /// Certificates that end soon.
    pub warnings: Vec<Warning>,
    /// When the first certificate of our own ends.
    pub earliest_not_after: Option<UnixTime>,
}

/// A certificate that ends soon.
#[derive(Clone, Debug)]
pub struct Warning {
    /// The setting that names its file.
    id: &'static str,
    /// Which one, and the mend.
    sentence: String,
}

impl Warning {
    /// In one sentence, with the setting by the name that the operator knows.
    #[must_use]
    pub fn told(&self, given: &Given) -> String {
        format!("{} {}", given.name(self.id), self.sentence)
    }
}

/// Checked contents for one backend.
#[derive(Clone, Debug)]
pub struct BackendMaterial {
    /// `None` when it is not verified.
    pub authorities: Option<Authorities>,
    pub identity: Option<Identity>,
}

impl TlsFiles {
    #[must_use]
    pub fn new(read: BTreeMap<PathBuf, Result<Vec<u8>, String>>) -> Self {
        Self(read)
    }

    /// Whether these files hold the same in both.
    #[must_use]
    pub fn agree<'a>(&self, other: &Self, mut files: impl Iterator<Item = &'a Path>) -> bool {
        files.all(|file| self.0.get(file) == other.0.get(file))
    }

    fn contents(&self, path: &Path) -> Result<&[u8], Fault> {
        match self.0.get(path) {
            Some(Ok(contents)) => Ok(contents),
            Some(Err(reason)) => Err(Fault::Unreadable(reason.clone())),
            None => Err(Fault::Unreadable("it was not read".to_owned())),
        }
    }
}

impl TlsPlan {
    /// Whether backends are verified by the system's own bundle.
    #[must_use]
    pub fn asks_for_system_authorities(&self) -> bool {
        self.backends.iter().flatten().any(|backend| {
            backend.verification == Verification::Full && backend.authorities.is_none()
        })
    }
}

impl TlsMaterial {
    /// # Errors
    /// Everything that is wrong with any of the files.
    pub fn check(
        plan: &TlsPlan,
        files: &TlsFiles,
        system: &SystemAuthorities,
        now: UnixTime,
    ) -> Result<Self, Vec<PlanError>> {
        let provider = tls::provider();
        let mut check = Check { files, now, provider: &provider, place: 0, faults: Vec::new() };
        let identities = plan.server.as_ref().map(|plan| check.server(plan)).unwrap_or_default();
        let clients = plan.server.as_ref().and_then(|plan| plan.clients.as_ref());
        let client_authorities =
            clients.and_then(|clients| check.bundle("--tls-client-ca", &clients.authorities));
        let backends = check.backends(&plan.backends, system);
        if !check.faults.is_empty() {
            return Err(check.faults);
        }
        let server_pairs = plan.server.iter().flat_map(|plan| &plan.pairs);
        let named: Vec<_> = server_pairs
            .map(|pair| (&SERVER, pair))
            .zip(&identities)
            .chain(backend_pairs(plan, &backends))
            .collect();
        let ends = named.iter().map(|(_, identity)| identity.chain().not_after());
        Ok(Self {
            earliest_not_after: ends.min_by_key(|end| end.as_secs()),
            warnings: named
                .into_iter()
                .flat_map(|((ids, pair), identity)| {
                    expiry_warnings(ids, pair, identity.chain(), now)
                })
                .collect(),
            identities,
            client_authorities,
            backends,
        })
    }
}

/// What is shown to backends, each pair once.
fn backend_pairs<'a>(
    plan: &'a TlsPlan,
    backends: &'a [Option<BackendMaterial>],
) -> Vec<((&'static PairIds, &'a PairFiles), &'a Identity)> {
    let mut pairs: Vec<((_, &PairFiles), _)> = Vec::new();
    for (plan, material) in plan.backends.iter().zip(backends) {
        let pair = plan.as_ref().and_then(|plan| plan.pair.as_ref());
        let identity = material.as_ref().and_then(|material| material.identity.as_ref());
        let Some((pair, identity)) = pair.zip(identity) else { continue };
        if !pairs.iter().any(|((_, known), _)| *known == pair) {
            pairs.push(((&BACKEND, pair), identity));
        }
    }
    pairs
}

fn expiry_warnings(ids: &PairIds, pair: &PairFiles, chain: &Chain, now: UnixTime) -> Vec<Warning> {
    let own = (chain.not_after(), "the certificate", "renew it");
    let others = chain
        .others_end()
        .map(|end| (end, "a certificate of an authority in the chain", "fetch the chain anew"));
    let ends_soon =
        |end: UnixTime| end.as_secs().saturating_sub(now.as_secs()) < EXPIRY_WARNING.as_secs();
    let path = pair.certificates.display();
    let all = [own].into_iter().chain(others).filter(|(end, ..)| ends_soon(*end));
    all.map(|(end, which, mend)| {
        let verb = if end < now { "expired" } else { "expires" };
        let sentence = format!("{path}: {which} {verb} on {}; {mend}", Date(end));
        Warning { id: ids.certificates, sentence }
    })
    .collect()
}

/// By which settings a pair is given.
struct PairIds {
    certificates: &'static str,
    key: &'static str,
}

static SERVER: PairIds = PairIds { certificates: "--tls-cert", key: "--tls-key" };
static BACKEND: PairIds = PairIds { certificates: "--backend-cert", key: "--backend-key" };

/// A check under way.
struct Check<'a> {
    files: &'a TlsFiles,
    now: UnixTime,
    provider: &'a CryptoProvider,
    /// Which of several pairs or backends is looked at.
    place: usize,
    faults: Vec<PlanError>,
}

impl<'a> Check<'a> {
    fn server(&mut self, plan: &ServerTlsPlan) -> Vec<Identity> {
        let mut identities = Vec::new();
        let mut carriers: HashMap<String, usize> = HashMap::new();
        for (index, pair) in plan.pairs.iter().enumerate() {
            self.place = index;
            let (id, path) = (SERVER.certificates, pair.certificates.as_path());
            let chain = self.chain(&SERVER, pair);
            if let Some(chain) = &chain {
                self.take(id, path, chain.check_names());
            }
            for name in chain.iter().flat_map(Chain::dns_names) {
                let Some(other) = carriers.insert(name.clone(), index) else { continue };
                // One certificate may list a name twice.
                if other != index {
                    let other = plan.pairs[other].certificates.display().to_string();
                    let fault = tls::Fault::NameTwice { name: name.clone(), other };
                    self.fault(id, path, fault);
                }
            }
            identities.extend(self.identity(&SERVER, pair, chain));
        }
        self.place = 0;
        identities
    }

    /// Backends with the same plan share what was made of it, and its faults.
    fn backends(
        &mut self,
        plans: &[Option<BackendTlsPlan>],
        system: &SystemAuthorities,
    ) -> Vec<Option<BackendMaterial>> {
        let mut made: Vec<Option<BackendMaterial>> = Vec::new();
        for (place, plan) in plans.iter().enumerate() {
            let known = plans.iter().position(|known| known == plan);
            let known = known.and_then(|known| made.get(known).cloned());
            self.place = place;
            made.push(
                known.unwrap_or_else(|| plan.as_ref().map(|plan| self.backend(plan, system))),
            );
        }
        made
    }

    fn backend(&mut self, plan: &BackendTlsPlan, system: &SystemAuthorities) -> BackendMaterial {
        let authorities = self.backend_authorities(plan, system);
        let identity = plan.pair.as_ref().and_then(|pair| {
            let chain = self.chain(&BACKEND, pair);
            self.identity(&BACKEND, pair, chain)
        });
        BackendMaterial { authorities, identity }
    }

    fn chain(&mut self, ids: &PairIds, pair: &PairFiles) -> Option<Chain> {
        let (id, path) = (ids.certificates, &pair.certificates);
        let pem = self.contents(id, path)?;
        let chain = self.take(id, path, Chain::read(pem))?;
        self.take(id, path, chain.check_validity(self.now));
        Some(chain)
    }

    /// The key is looked at also when the chain is none.
    fn identity(
        &mut self,
        ids: &PairIds,
        pair: &PairFiles,
        chain: Option<Chain>,
    ) -> Option<Identity> {
        let (id, path) = (ids.key, &pair.key);
        let pem = self.contents(id, path)?;
        let key = self.take(id, path, Key::read(pem, self.provider))?;
        let chain_name = pair.certificates.display().to_string();
        self.take(id, path, Identity::of(chain?, key, &chain_name))
    }

    fn backend_authorities(
        &mut self,
        plan: &BackendTlsPlan,
        system: &SystemAuthorities,
    ) -> Option<Authorities> {
        match (plan.verification, &plan.authorities) {
            (Verification::None, _) => None,
            (Verification::Full, Some(bundle)) => self.bundle("--backend-ca", bundle),
            (Verification::Full, None) => {
                let authorities = Authorities::of_system(&system.certificates);
                if authorities.is_none() {
                    let fault = Fault::NoSystemAuthorities(system.reason.clone());
                    self.fault("--backend", Path::new("https://…"), fault);
                }
                authorities
            }
        }
    }

    fn bundle(&mut self, id: &'static str, path: &Path) -> Option<Authorities> {
        match Authorities::read(self.contents(id, path)?) {
            Ok(authorities) => Some(authorities),
            Err(faults) => {
                faults.into_iter().for_each(|fault| self.fault(id, path, fault));
                None
            }
        }
    }

    fn contents(&mut self, id: &'static str, path: &Path) -> Option<&'a [u8]> {
        let files = self.files;
        self.take(id, path, files.contents(path))
    }

    /// The value, or the fault is noted.
    fn take<T>(
        &mut self,
        id: &'static str,
        path: &Path,
        read: Result<T, impl Into<Fault>>,
    ) -> Option<T> {
        read.map_err(|fault| self.fault(id, path, fault)).ok()
    }

    fn fault(&mut self, id: &'static str, path: &Path, fault: impl Into<Fault>) {
        let value = path.display().to_string();
        self.faults.push(PlanError { id, place: self.place, value, fault: fault.into() });
    }
}

#[cfg(test)]
#[path = "material_tests.rs"]
mod tests;
