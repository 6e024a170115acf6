//! Written -> TlsPlan: the words about TLS, without their files. What the files
//! hold is checked in `material.rs`.

use std::path::PathBuf;

use super::address::{read_listen, read_server_name};
use super::check::check_time;
use super::error::Fault;
use super::faults::Faults;
use super::plan::{Address, BackendPlan};
use super::tls_plan::{BackendTlsPlan, ClientAuthPlan, PairFiles, ServerTlsPlan, TlsPlan};
use super::written::{BackendTlsWritten, BackendWritten, TlsWritten, Written};
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
    for (place, text) in written.listen.iter().enumerate() {
        let spot = (FLAG, place);
        let Some(address) = faults.take(spot, text, read_listen(text)) else { continue };
        for (flag, taken) in [("--listen", plain), (FLAG, &listeners)] {
            if address.is_fixed() && taken.contains(&address) {
                faults.add(spot, text, Fault::ListenTwice(flag));
            }
        }
        listeners.push(address);
    }
    listeners
}

/// The plan of both sides.
pub(super) fn check(written: &Written, faults: &mut Faults) -> TlsPlan {
    let plan = plan(written);
    check_server(&written.tls, faults);
    check_backends(written, faults);
    check_watch(&written.tls, &plan, faults);
    plan
}

/// What would be meant if nothing was wrong with it.
pub(super) fn plan(written: &Written) -> TlsPlan {
    let tls = &written.tls;
    let pair = |(certificates, key): (&PathBuf, &PathBuf)| PairFiles {
        certificates: certificates.clone(),
        key: key.clone(),
    };
    let server = (!tls.listen.is_empty()).then(|| ServerTlsPlan {
        pairs: tls.certificates.iter().zip(&tls.keys).map(pair).collect(),
        clients: tls.client_ca.clone().map(|authorities| ClientAuthPlan {
            authorities,
            mode: tls.client_auth.unwrap_or(ClientAuth::Required),
        }),
        min_version: tls.min_version,
        handshake_timeout: tls.handshake_timeout,
        handshakes_waiting: tls.handshakes_waiting,
    });
    let backend = |one: &BackendWritten| {
        let side = tls.backend.or(&one.tls);
        is_https(&one.url).then(|| BackendTlsPlan {
            pair: side.certificate.as_ref().zip(side.key.as_ref()).map(pair),
            authorities: side.ca,
            verification: side.verification,
        })
    };
    let backends = written.backends.iter().map(backend).collect();
    TlsPlan { server, backends, watch_every: tls.watch_every }
}

fn is_https(url: &str) -> bool {
    let each = super::address::EACH_ADDRESS;
    let url = match url.get(..each.len()) {
        Some(start) if start.eq_ignore_ascii_case(each) => &url[each.len()..],
        _ => url,
    };
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
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

/// An https backend takes the name that was given for it, if there is one.
pub(super) fn name_backend(side: &BackendTlsWritten, backend: &mut BackendPlan) {
    let given = side.name.as_deref().and_then(read_server_name);
    if let (Some(of_url), Some(given)) = (&mut backend.tls_name, given) {
        *of_url = given;
    }
}

fn check_backends(written: &Written, faults: &mut Faults) {
    let for_all = &written.tls.backend;
    if !written.backends.iter().any(|one| is_https(&one.url)) {
        for (flag, is_set) in set(for_all) {
            if is_set || faults.is_typed(flag) {
                faults.add(flag, "", Fault::TlsNoBackend);
            }
        }
    }
    let mut checked = Vec::new();
    for (place, BackendWritten { url, tls: own, .. }) in written.backends.iter().enumerate() {
        let side = for_all.or(own);
        if !is_https(url) {
            let own = set(own).into_iter().filter(|(_, is_set)| *is_set);
            own.for_each(|(flag, _)| faults.add((flag, place), "", Fault::TlsPlainBackend));
        } else if !checked.contains(&side) {
            check_side(place, &side, faults);
            checked.push(side);
        }
    }
}

/// How we are a client to the backend at this place.
fn check_side(place: usize, side: &BackendTlsWritten, faults: &mut Faults) {
    let [certificate, key] = ["--backend-cert", "--backend-key"];
    match (&side.certificate, &side.key) {
        (Some(_), None) => faults.add((certificate, place), "", Fault::TlsHalfPair(key)),
        (None, Some(_)) => faults.add((key, place), "", Fault::TlsHalfPair(certificate)),
        _ => {}
    }
    if side.verification == Verification::None && side.ca.is_some() {
        faults.add(("--backend-ca", place), "", Fault::TlsUnverified);
    }
    if let Some(text) = &side.name {
        let name = read_server_name(text).ok_or(Fault::TlsName);
        faults.take(("--backend-tls-name", place), text, name);
    }
}

fn set(written: &BackendTlsWritten) -> [(&'static str, bool); 5] {
    [
        ("--backend-ca", written.ca.is_some()),
        ("--backend-cert", written.certificate.is_some()),
        ("--backend-key", written.key.is_some()),
        ("--backend-tls-name", written.name.is_some()),
        ("--danger-backend-no-verify", written.verification == Verification::None),
    ]
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
            faults.add(*flag, "", fault.clone());
        }
    }
}

#[cfg(test)]
#[path = "check_tls_tests.rs"]
mod tests;
