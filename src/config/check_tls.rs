//! Written -> TlsPlan: the words about TLS, without their files. What the files
//! hold is checked in `material.rs`.

use std::path::PathBuf;

use super::address::{read_listen, read_server_name};
use super::check::{Faults, check_time};
use super::error::Fault;
use super::plan::{Address, BackendPlan};
use super::tls_plan::{BackendTlsPlan, ClientAuthPlan, PairFiles, ServerTlsPlan, TlsPlan};
use super::written::TlsWritten;
use crate::base::units::Time;
use crate::tls::{ClientAuth, Verification};

/// `plain` are the listeners of `--listen`.
pub(super) fn listeners(
    written: &TlsWritten,
    plain: &[Address],
    faults: &mut Faults,
) -> Vec<Address> {
    const FLAG: &str = "--tls-listen";
    let mut listeners = Vec::new();
    for text in &written.listen {
        let Some(address) = faults.take(FLAG, text, read_listen(text)) else { continue };
        for (flag, taken) in [("--listen", plain), (FLAG, &listeners)] {
            if address.is_fixed() && taken.contains(&address) {
                faults.add(FLAG, text, Fault::ListenTwice(flag));
            }
        }
        listeners.push(address);
    }
    listeners
}

/// The backends, by the name that holds for all of them if there is one, and
/// the plan of both sides.
pub(super) fn check(
    written: &TlsWritten,
    mut backends: Vec<BackendPlan>,
    faults: &mut Faults,
) -> (Vec<BackendPlan>, TlsPlan) {
    let https = backends.iter().any(|backend| backend.tls_name.is_some());
    check_server(written, faults);
    check_backend_side(written, https, faults);
    if let Some(text) = &written.backend_name {
        let name = read_server_name(text).ok_or(Fault::TlsName);
        if let Some(name) = faults.take("--backend-tls-name", text, name) {
            let names = backends.iter_mut().filter_map(|backend| backend.tls_name.as_mut());
            names.for_each(|of_url| *of_url = name.clone());
        }
    }
    let plan = plan(written, https);
    check_watch(written, &plan, faults);
    (backends, plan)
}

/// What would be meant if nothing was wrong with it.
pub(super) fn plan(written: &TlsWritten, https: bool) -> TlsPlan {
    let pair = |(certificates, key): (&PathBuf, &PathBuf)| PairFiles {
        certificates: certificates.clone(),
        key: key.clone(),
    };
    let server = (!written.listen.is_empty()).then(|| ServerTlsPlan {
        pairs: written.certificates.iter().zip(&written.keys).map(pair).collect(),
        clients: written.client_ca.clone().map(|authorities| ClientAuthPlan {
            authorities,
            mode: written.client_auth.unwrap_or(ClientAuth::Required),
        }),
        min_version: written.min_version,
        handshake_timeout: written.handshake_timeout,
        handshakes_waiting: written.handshakes_waiting,
    });
    let backend = https.then(|| BackendTlsPlan {
        authorities: written.backend_ca.clone(),
        pair: written.backend_certificate.as_ref().zip(written.backend_key.as_ref()).map(pair),
        verification: written.backend_verification,
    });
    TlsPlan { server, backend, watch_every: written.watch_every }
}

fn check_server(written: &TlsWritten, faults: &mut Faults) {
    check_time("--tls-handshake-timeout", written.handshake_timeout, faults);
    faults.at_least("--tls-handshakes-waiting", written.handshakes_waiting, 1);
    faults.at_most(
        "--tls-handshakes-waiting",
        written.handshakes_waiting,
        ServerTlsPlan::HANDSHAKES_WAITING_MAX,
        "each of them holds a connection",
    );
    let (certificates, keys) = (written.certificates.len(), written.keys.len());
    if written.listen.is_empty() {
        check_no_server(written, faults);
    } else if certificates == 0 && keys == 0 {
        faults.add("--tls-listen", written.listen.join(" "), Fault::TlsNoPair);
    } else if certificates != keys {
        let fewer = if certificates < keys { "--tls-cert" } else { "--tls-key" };
        faults.add(fewer, "", Fault::TlsPairsUneven { certificates, keys });
    }
    if written.client_auth.is_some() && written.client_ca.is_none() && !written.listen.is_empty() {
        faults.add("--tls-client-auth", "", Fault::TlsNoClientCa);
    }
}

/// Nobody is to believe that something is in force which is not.
fn check_no_server(written: &TlsWritten, faults: &mut Faults) {
    let default = TlsWritten::default();
    let set = [
        ("--tls-cert", !written.certificates.is_empty()),
        ("--tls-key", !written.keys.is_empty()),
        ("--tls-client-ca", written.client_ca.is_some()),
        ("--tls-client-auth", written.client_auth.is_some()),
        ("--tls-min-version", written.min_version != default.min_version),
        ("--tls-handshake-timeout", written.handshake_timeout != default.handshake_timeout),
        ("--tls-handshakes-waiting", written.handshakes_waiting != default.handshakes_waiting),
    ];
    refuse_set(&set, &Fault::TlsNoListener, faults);
}

fn check_backend_side(written: &TlsWritten, https: bool, faults: &mut Faults) {
    let unverified = written.backend_verification == Verification::None;
    let set = [
        ("--backend-ca", written.backend_ca.is_some()),
        ("--backend-cert", written.backend_certificate.is_some()),
        ("--backend-key", written.backend_key.is_some()),
        ("--backend-tls-name", written.backend_name.is_some()),
        ("--danger-backend-no-verify", unverified),
    ];
    if !https {
        refuse_set(&set, &Fault::TlsNoBackend, faults);
    }
    match (&written.backend_certificate, &written.backend_key) {
        (Some(_), None) => faults.add("--backend-cert", "", Fault::TlsHalfPair("--backend-key")),
        (None, Some(_)) => faults.add("--backend-key", "", Fault::TlsHalfPair("--backend-cert")),
        _ => {}
    }
    if unverified && written.backend_ca.is_some() {
        faults.add("--backend-ca", "with --danger-backend-no-verify", Fault::TlsUnverified);
    }
}

fn check_watch(written: &TlsWritten, plan: &TlsPlan, faults: &mut Faults) {
    const FLAG: &str = "--tls-watch-every";
    check_time(FLAG, written.watch_every, faults);
    let is_set = written.watch_every != TlsPlan::WATCH_EVERY || faults.is_given(FLAG);
    if is_set && plan.files().is_empty() {
        faults.add(FLAG, Time(written.watch_every), Fault::TlsNoFile);
    }
}

/// Each flag that was set, to a value or to its default.
fn refuse_set(set: &[(&'static str, bool)], fault: &Fault, faults: &mut Faults) {
    for (flag, is_set) in set {
        if *is_set || faults.is_given(flag) {
            faults.add(flag, "", fault.clone());
        }
    }
}

#[cfg(test)]
#[path = "check_tls_tests.rs"]
mod tests;
