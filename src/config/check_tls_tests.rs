//! Facts about which words on TLS make a plan.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::config::{Machine, Plan, Written, check};
use crate::tls::MinVersion;

/// One plain listener, one TLS listener with a pair, one https backend.
fn plan_of(change: impl FnOnce(&mut Written)) -> Result<Plan, Vec<String>> {
    let mut written = Written {
        listen: vec!["127.0.0.1:1".into()],
        backends: vec!["https://a".into()],
        ..Written::default()
    };
    written.tls.listen = vec!["127.0.0.1:2".into()];
    written.tls.certificates = vec!["c.pem".into()];
    written.tls.keys = vec!["k.pem".into()];
    change(&mut written);
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    check(&written, &machine).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// Sets one thing.
type Change = fn(&mut TlsWritten);

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Written), expected: &[&str]) {
    assert_eq!(plan_of(change).unwrap_err(), expected);
}

fn no_tls(written: &mut Written) {
    written.tls = TlsWritten::default();
    written.backends = vec!["http://a:1".into()];
}

fn tls_names(plan: &Plan) -> Vec<Option<String>> {
    let names = plan.backends.iter().map(|backend| backend.tls_name.as_ref());
    names.map(|name| name.map(|name| name.to_str().into_owned())).collect()
}

#[test]
fn without_a_word_there_is_no_tls() {
    let plan = plan_of(no_tls).unwrap();
    assert_eq!(
        (plan.tls_listeners.len(), &plan.tls),
        (0, &TlsPlan { backends: vec![None], ..TlsPlan::default() })
    );
    assert_eq!(plan.tls.files(), BTreeSet::new());
}

#[test]
fn what_was_written_is_in_the_plan() {
    let plan = plan_of(|written| {
        written.tls.certificates.push("c2.pem".into());
        written.tls.keys.push("k2.pem".into());
        written.tls.client_ca = Some("clients.pem".into());
        written.tls.min_version = MinVersion::Tls13;
        written.tls.handshake_timeout = Duration::from_secs(3);
        written.tls.handshakes_waiting = 7;
        written.tls.backend.ca = Some("backends.pem".into());
        written.tls.backend.certificate = Some("me.pem".into());
        written.tls.backend.key = Some("me.pem".into());
    })
    .unwrap();
    let pair = |c: &str, k: &str| PairFiles { certificates: c.into(), key: k.into() };
    let server = ServerTlsPlan {
        pairs: vec![pair("c.pem", "k.pem"), pair("c2.pem", "k2.pem")],
        clients: Some(ClientAuthPlan {
            authorities: "clients.pem".into(),
            mode: ClientAuth::Required,
        }),
        min_version: MinVersion::Tls13,
        handshake_timeout: Duration::from_secs(3),
        handshakes_waiting: 7,
    };
    let backend = BackendTlsPlan {
        authorities: Some("backends.pem".into()),
        pair: Some(pair("me.pem", "me.pem")),
        verification: Verification::Full,
    };
    assert_eq!(
        (plan.tls.server.as_ref(), plan.tls.backends.as_slice()),
        (Some(&server), &[Some(backend)][..])
    );
    let files: Vec<_> = plan.tls.files().iter().map(|path| path.display().to_string()).collect();
    let expected = ["backends.pem", "c.pem", "c2.pem", "clients.pem", "k.pem", "k2.pem", "me.pem"];
    assert_eq!(files, expected);
}

#[test]
fn the_default_listener_gives_way_to_a_tls_listener() {
    let default = |written: &mut Written| written.listen = vec![Written::LISTEN.into()];
    assert_eq!(plan_of(default).unwrap().listeners, []);
    let given = plan_of(|written| {
        default(written);
        written.given.by_flag("--listen");
    });
    assert_eq!(given.unwrap().listeners, [read_listen(Written::LISTEN).unwrap()]);
}

#[test]
fn tls_listeners_share_no_address_with_any_other() {
    check_refused(
        |written| written.tls.listen = vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()],
        &["--tls-listen 127.0.0.1:1: this address is already listened on by --listen; \
           give each listener its own"],
    );
    check_refused(
        |written| written.tls.listen.push("localhost:2".into()),
        &["--tls-listen localhost:2: this address is already listened on by --tls-listen; \
           give each listener its own"],
    );
    check_refused(
        |written| written.admin = Some("127.0.0.1:2".into()),
        &["--admin 127.0.0.1:2: this address is already listened on by --tls-listen; \
           give each listener its own"],
    );
    check_refused(
        |written| written.backends = vec!["https://127.0.0.1:2".into()],
        &["--backend https://127.0.0.1:2: this backend is our own listener, \
           requests would go round for ever; name another"],
    );
    check_refused(
        |written| written.tls.listen.push("x".into()),
        &["--tls-listen x: this is no address to listen on; \
           write HOST:PORT, [::1]:PORT or unix:/PATH"],
    );
}

#[test]
fn a_tls_listener_has_as_many_keys_as_certificates_and_one_at_least() {
    check_refused(
        |written| (written.tls.certificates, written.tls.keys) = (vec![], vec![]),
        &["--tls-listen 127.0.0.1:2: a TLS listener needs a certificate; \
           add --tls-cert FILE and --tls-key FILE"],
    );
    check_refused(
        |written| written.tls.keys.clear(),
        &["--tls-key: 1 --tls-cert and 0 --tls-key are given, and are paired in order; \
           give as many of both"],
    );
    check_refused(
        |written| written.tls.keys.push("more".into()),
        &["--tls-cert: 1 --tls-cert and 2 --tls-key are given, and are paired in order; \
           give as many of both"],
    );
}

#[test]
fn a_setting_of_tls_without_a_tls_listener_is_refused() {
    let sentence = |flag: &str| {
        format!(
            "{flag}: no listener speaks TLS, so this has no effect; \
             add --tls-listen ADDR or leave it out"
        )
    };
    let rows: [(&str, Change); 7] = [
        ("--tls-cert", |tls| tls.certificates = vec!["c".into()]),
        ("--tls-key", |tls| tls.keys = vec!["k".into()]),
        ("--tls-client-ca", |tls| tls.client_ca = Some("c".into())),
        ("--tls-client-auth", |tls| tls.client_auth = Some(ClientAuth::Optional)),
        ("--tls-min-version", |tls| tls.min_version = MinVersion::Tls13),
        ("--tls-handshake-timeout", |tls| tls.handshake_timeout = Duration::from_secs(1)),
        ("--tls-handshakes-waiting", |tls| tls.handshakes_waiting = 1),
    ];
    for (flag, change) in rows {
        let set = |written: &mut Written| {
            no_tls(written);
            change(&mut written.tls);
        };
        check_refused(set, &[&sentence(flag)]);
        // Also when it was set to its default.
        let given = |written: &mut Written| {
            no_tls(written);
            written.given.by_flag(flag);
        };
        check_refused(given, &[&sentence(flag)]);
    }
}

#[test]
fn how_clients_are_asked_needs_an_authority() {
    check_refused(
        |written| written.tls.client_auth = Some(ClientAuth::Required),
        &["--tls-client-auth: no client is asked for a certificate; \
           add --tls-client-ca FILE or leave it out"],
    );
}

#[test]
fn a_setting_for_https_backends_without_one_is_refused() {
    let rows: [(&[&str], Change); 4] = [
        (&["--backend-ca"], |tls| tls.backend.ca = Some("c".into())),
        (&["--backend-cert", "--backend-key"], |tls| {
            (tls.backend.certificate, tls.backend.key) = (Some("c".into()), Some("k".into()));
        }),
        (&["--backend-tls-name"], |tls| tls.backend.name = Some("a".into())),
        (&["--danger-backend-no-verify"], |tls| tls.backend.verification = Verification::None),
    ];
    for (flags, change) in rows {
        let said = plan_of(|written| {
            written.backends = vec!["http://a:1".into()];
            change(&mut written.tls);
        });
        let sentence = |flag: &&str| {
            format!(
                "{flag}: no backend is https, so this has no effect; \
                 write --backend https://… or leave it out"
            )
        };
        assert_eq!(said.unwrap_err(), flags.iter().map(sentence).collect::<Vec<_>>());
    }
}

#[test]
fn a_certificate_for_backends_comes_with_its_key() {
    check_refused(
        |written| written.tls.backend.certificate = Some("c".into()),
        &["--backend-cert: a certificate is shown to backends together with its key; \
           add --backend-key FILE"],
    );
    check_refused(
        |written| written.tls.backend.key = Some("k".into()),
        &["--backend-key: a certificate is shown to backends together with its key; \
           add --backend-cert FILE"],
    );
}

#[test]
fn an_authority_is_of_no_use_when_nothing_is_verified() {
    check_refused(
        |written| {
            written.tls.backend.ca = Some("c".into());
            written.tls.backend.verification = Verification::None;
        },
        &["--backend-ca: with --danger-backend-no-verify no certificate of a backend is \
           verified, so this has no effect; leave one of the two out"],
    );
}

#[test]
fn one_name_for_all_replaces_the_names_of_urls() {
    let two = |written: &mut Written| {
        written.backends = ["https://a", "http://b", "https://10.0.0.1"].map(Into::into).to_vec();
    };
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(tls_names(&plan_of(two).unwrap()), [name("a"), None, name("10.0.0.1")]);
    let named = plan_of(|written| {
        two(written);
        written.tls.backend.name = Some("models.example".into());
    });
    let expected = [name("models.example"), None, name("models.example")];
    assert_eq!(tls_names(&named.unwrap()), expected);
}

#[test]
fn a_name_that_no_certificate_can_have_is_refused() {
    for wrong in ["", "a b", "a:443", "https://a", "a..b", "*.a"] {
        let said = plan_of(|written| written.tls.backend.name = Some(wrong.into())).unwrap_err();
        let sentence = "this is no DNS name and no IP address; \
                        write the name in the backend's certificate";
        assert!(said.len() == 1 && said[0].ends_with(sentence), "{wrong:?}: {said:?}");
    }
}

#[test]
fn http_and_https_of_one_host_need_names_of_their_own() {
    check_refused(
        |written| written.backends = vec!["http://a".into(), "https://a".into()],
        &["--backend https://a: http and https of one host have the same name in logs and \
           metrics; write the port of one of them"],
    );
    let ports = ["http://a", "https://a:443"].map(Into::into).to_vec();
    assert!(plan_of(|written| written.backends = ports).is_ok());
}

#[test]
fn files_are_looked_at_now_and_then_if_there_are_any() {
    check_refused(
        |written| {
            no_tls(written);
            written.tls.watch_every = Duration::from_secs(5);
        },
        &["--tls-watch-every 5s: there is no certificate file to look at, \
           so this has no effect; leave it out"],
    );
    check_refused(
        |written| written.tls.watch_every = Duration::ZERO,
        &["--tls-watch-every 0s: the value must be at least 10ms; raise it"],
    );
    let plan = plan_of(|written| written.tls.watch_every = Duration::from_secs(5)).unwrap();
    assert_eq!(plan.tls.watch_every, Duration::from_secs(5));
}

#[test]
fn handshakes_have_bounds() {
    check_refused(
        |written| written.tls.handshake_timeout = Duration::ZERO,
        &["--tls-handshake-timeout 0s: the value must be at least 10ms; raise it"],
    );
    check_refused(
        |written| written.tls.handshakes_waiting = 0,
        &["--tls-handshakes-waiting 0: the value must be at least 1; raise it"],
    );
    check_refused(
        |written| written.tls.handshakes_waiting = 1 << 21,
        &["--tls-handshakes-waiting 2097152: the value must be at most 1048576, \
           as each of them holds a connection; lower it"],
    );
}
