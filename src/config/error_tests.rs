//! Facts about the settings that sentences name.

use super::*;
use crate::config::{Near, settings};

/// The sentence names these settings and no others.
#[track_caller]
fn check(fault: impl Into<Fault>, expected: &[&str]) {
    let fault = fault.into();
    let (sentence, names) = (fault.to_string(), fault.names());
    let ids: Vec<_> = names.iter().map(|named| named.id).collect();
    assert_eq!(ids, expected, "{sentence}");
    for named in &names {
        assert!(named.find_in(&sentence).is_some(), "{named} is not in {sentence}");
        let whole = Named::only(named.id);
        assert_eq!(named.find_in(&sentence), whole.find_in(&sentence), "{sentence}");
    }
    for id in settings().map(super::super::settings::Setting::id) {
        let is_said = Named::only(id).find_in(&sentence).is_some();
        assert_eq!(is_said, ids.contains(&id), "{id} in {sentence}");
    }
}

#[test]
fn a_fault_knows_the_settings_that_its_sentence_names() {
    let text = || "x".to_owned();
    let allowed = || CoreList(vec![0]);
    check(Fault::CoreForbidden { core: 1, allowed: allowed() }, &["--cores"]);
    check(Fault::CoresUnknown, &["--cores", "--no-pin"]);
    check(Fault::NoBackend, &["--backend", "--demo"]);
    check(Fault::ListenTwice("--tls-listen"), &["--tls-listen"]);
    check(Fault::NobodyWaits("--queue-length"), &["--queue-length"]);
    check(Fault::NeverEjected("--eject-after"), &["--eject-after"]);
    check(Fault::NeverAsked("--health-interval"), &["--health-interval"]);
    check(Fault::Above { other: "--head-bytes", most: text() }, &["--head-bytes"]);
    check(Fault::HedgeWithoutAttempts, &["--retry-attempts"]);
    check(Fault::TlsNoPair, &["--tls-cert", "--tls-key"]);
    check(Fault::TlsPairsUneven { certificates: 2, keys: 1 }, &["--tls-cert", "--tls-key"]);
    check(Fault::TlsNoListener, &["--tls-listen"]);
    check(Fault::TlsNoClientCa, &["--tls-client-ca"]);
    check(Fault::TlsNoBackend, &["--backend"]);
    check(Fault::TlsHalfPair("--backend-key"), &["--backend-key"]);
    check(Fault::TlsUnverified, &["--danger-backend-no-verify"]);
    check(Fault::NoSystemAuthorities(text()), &["--backend-ca"]);
    let [wanted, needed, allowed, fitting] = [4, 3, 2, 1];
    check(Fault::OpenFilesForConnections { wanted, needed, allowed, fitting }, &["--connections"]);
    check(Fault::OpenFiles { needed, allowed }, &["--pool-idle-per-backend"]);
    check(Fault::TlsNoFile, &[]);

    check(RouteFault::UnknownBackend(Near::One(text())), &["backend.name"]);
    let names = ["model.name", "model.aliases", "backend.models"];
    check(RouteFault::UnknownModel(Near::One(text())), &names);
    check(RouteFault::NotServedBy(text()), &["backend.models"]);
    check(RouteFault::NotServed(text()), &["backend.models"]);
    check(RouteFault::NoDialect { model: text(), speaks: "OpenAI", by: "x" }, &["backend.dialect"]);
    check(RouteFault::ShadowMirror, &["route.shadow"]);
    check(
        RouteFault::MinAboveMax("route.when.complexity_max", text()),
        &["route.when.complexity_max"],
    );
    check(RouteFault::Nowhere, &[]);
}

/// What stands in a sentence as words is nobody's data. The mock has no file,
/// and nothing about its flags comes of others.
#[test]
fn no_sentence_names_a_setting_by_words_alone() {
    let (of_serve, _) = include_str!("error.rs").split_once("// The mock.").unwrap();
    for text in [of_serve, include_str!("route_fault.rs")] {
        for word in text.split(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))) {
            let is_of_id = settings().any(|setting| setting.id() == word);
            assert!(!is_of_id, "{word}");
        }
    }
}
