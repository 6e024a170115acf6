//! Facts about what files of TLS hold, one row for each fault.

use super::*;
use crate::config::{ClientAuth, ClientAuthPlan};
use crate::tls::testing::{Issued, Issuing, NOW};

/// A plan and the contents of its files.
struct World {
    plan: TlsPlan,
    files: BTreeMap<PathBuf, Result<Vec<u8>, String>>,
    system: SystemAuthorities,
    ca: Issuing,
}

fn pair(certificates: &str, key: &str) -> PairFiles {
    PairFiles { certificates: certificates.into(), key: key.into() }
}

impl World {
    /// One TLS listener, and https backends that are verified by a bundle.
    fn new() -> Self {
        let ca = Issuing::new("ca");
        let server = ServerTlsPlan {
            pairs: vec![pair("c", "k")],
            clients: None,
            min_version: tls::MinVersion::Tls12,
            handshake_timeout: ServerTlsPlan::HANDSHAKE_TIMEOUT,
            handshakes_waiting: ServerTlsPlan::HANDSHAKES_WAITING,
        };
        let backend = BackendTlsPlan { authorities: Some("roots".into()), ..Default::default() };
        let plan =
            TlsPlan { server: Some(server), backends: vec![Some(backend)], ..TlsPlan::default() };
        let system = SystemAuthorities { certificates: Vec::new(), reason: "none".into() };
        let mut world = Self { plan, files: BTreeMap::new(), system, ca };
        let issued = world.ca.issue(&["a.example"]);
        world.put("c", &issued.certificate);
        world.put("k", &issued.key);
        world.put("roots", &world.ca.pem.clone());
        world
    }

    fn put(&mut self, path: &str, contents: &str) {
        self.files.insert(path.into(), Ok(contents.as_bytes().to_vec()));
    }

    fn put_pair(&mut self, issued: &Issued) {
        self.put("c", &issued.certificate);
        self.put("k", &issued.key);
    }

    fn pairs(&mut self) -> &mut Vec<PairFiles> {
        &mut self.plan.server.as_mut().unwrap().pairs
    }

    fn backend(&mut self) -> &mut BackendTlsPlan {
        self.plan.backends[0].as_mut().unwrap()
    }

    fn check(&self) -> Result<TlsMaterial, Vec<String>> {
        let files = TlsFiles::new(self.files.clone());
        TlsMaterial::check(&self.plan, &files, &self.system, NOW)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }
}

/// Changed so, the files are refused with exactly these sentences.
#[track_caller]
fn check_refused(change: impl FnOnce(&mut World), expected: &[&str]) {
    let mut world = World::new();
    change(&mut world);
    assert_eq!(world.check().map(|_| ()).unwrap_err(), expected);
}

/// The same, by the beginnings: what follows is in the words of others.
#[track_caller]
fn check_refused_beginning(change: impl FnOnce(&mut World), expected: &str) {
    let mut world = World::new();
    change(&mut world);
    let said = world.check().map(|_| ()).unwrap_err();
    assert!(said.len() == 1 && said[0].starts_with(expected), "{said:?}");
}

fn valid(issuing: &Issuing, from: (i32, u8, u8), to: (i32, u8, u8)) -> Issued {
    issuing.issue_with(&["a.example"], |params| {
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
    })
}

#[test]
fn whole_files_are_taken() {
    let mut world = World::new();
    world.plan.server.as_mut().unwrap().clients =
        Some(ClientAuthPlan { authorities: "roots".into(), mode: ClientAuth::Required });
    world.backend().pair = Some(pair("c", "k"));
    let material = world.check().unwrap();
    assert_eq!(material.identities.len(), 1);
    let backend = material.backends[0].as_ref().unwrap();
    assert!(material.client_authorities.is_some() && backend.authorities.is_some());
    assert!(backend.identity.is_some());
    assert_eq!(material.warnings.len(), 0);
    let end = Date(material.earliest_not_after.unwrap()).to_string();
    assert_eq!(end, "2027-06-01 00:00:00 UTC");
}

#[test]
fn without_tls_nothing_is_read() {
    let mut world = World::new();
    (world.plan, world.files) = (TlsPlan::default(), BTreeMap::new());
    let material = world.check().unwrap();
    assert_eq!((material.identities.len(), material.earliest_not_after), (0, None));
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_the_systems_reason() {
    check_refused(
        |world| {
            world.files.insert("k".into(), Err("permission denied".into()));
        },
        &["--tls-key k: the file cannot be read (permission denied); \
           give a file that this user may read"],
    );
}

#[test]
fn a_file_without_what_it_should_hold_is_refused() {
    check_refused(
        |world| world.put("c", ""),
        &["--tls-cert c: the file holds no certificate; \
           give a PEM file with BEGIN CERTIFICATE"],
    );
    check_refused(
        |world| world.put("k", ""),
        &["--tls-key k: the file holds no private key; \
           give a PEM file with BEGIN PRIVATE KEY"],
    );
    check_refused(
        |world| world.put("roots", ""),
        &["--backend-ca roots: the file holds no certificate of an authority; \
           give a PEM bundle"],
    );
}

#[test]
fn what_is_half_written_is_refused() {
    check_refused_beginning(
        |world| {
            let half = world.ca.issue(&["a.example"]).certificate[..200].to_owned();
            world.put("c", &half);
        },
        "--tls-cert c: the file is no whole PEM (",
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    check_refused(
        |world| world.put("k", &world.ca.issue(&["a.example"]).key),
        &["--tls-key k: the private key does not match the first certificate of c; \
           give the key it was issued for, and put the server's certificate first"],
    );
}

#[test]
fn an_encrypted_key_is_refused() {
    check_refused(
        |world| world.put("k", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
        &["--tls-key k: the private key is encrypted, and nobody is asked for a passphrase; \
           decrypt it"],
    );
}

#[test]
fn a_key_that_is_not_taken_is_refused() {
    let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    check_refused_beginning(
        |world| world.put("k", key),
        "--tls-key k: the private key is not taken (",
    );
}

#[test]
fn a_certificate_out_of_its_time_is_refused_with_its_dates() {
    check_refused(
        |world| world.put_pair(&valid(&world.ca, (2026, 1, 1), (2026, 11, 20))),
        &["--tls-cert c: the certificate expired on 2026-11-20 00:00:00 UTC \
           (it is valid from 2026-01-01 00:00:00 UTC); renew it"],
    );
    check_refused(
        |world| world.put_pair(&valid(&world.ca, (2027, 1, 1), (2028, 1, 1))),
        &["--tls-cert c: the certificate is not valid before 2027-01-01 00:00:00 UTC \
           (until 2028-01-01 00:00:00 UTC); wait, or set this machine's clock"],
    );
}

#[test]
fn a_servers_certificate_has_names_and_a_clients_need_not() {
    let nameless = |world: &mut World| world.put_pair(&world.ca.issue(&[]));
    check_refused(
        nameless,
        &["--tls-cert c: the certificate names no host (no DNS name or IP address in its \
           subjectAltName), so every client would refuse it; have it issued with its names"],
    );
    let mut world = World::new();
    nameless(&mut world);
    world.plan.server = None;
    world.backend().pair = Some(pair("c", "k"));
    assert!(world.check().is_ok());
}

#[test]
fn a_name_is_carried_by_one_pair() {
    let two = |names: [&'static [&'static str]; 2]| {
        move |world: &mut World| {
            world.put_pair(&world.ca.issue(names[0]));
            let other = world.ca.issue(names[1]);
            world.put("c2", &other.certificate);
            world.put("k2", &other.key);
            world.pairs().push(pair("c2", "k2"));
        }
    };
    check_refused(
        two([&["a.example", "b.example"], &["B.example"]]),
        &["--tls-cert c2: the name b.example is already carried by c; \
           keep one certificate for each name"],
    );
    check_refused(
        |world| world.pairs().push(pair("c", "k")),
        &["--tls-cert c: the name a.example is already carried by c; \
           keep one certificate for each name"],
    );
    // A wildcard and a name under it differ; an address is asked for by nobody.
    for names in [
        [&["*.a.example"][..], &["b.a.example"]],
        [&["a.example", "10.0.0.1"], &["b.example", "10.0.0.1"]],
        [&["a.example", "a.example"], &["b.example"]],
    ] {
        let mut world = World::new();
        two(names)(&mut world);
        assert_eq!(world.check().unwrap().identities.len(), 2, "{names:?}");
    }
}

#[test]
fn unusable_authorities_of_a_bundle_are_refused_by_place() {
    check_refused(
        |world| {
            let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
            world.put("roots", &format!("{}{broken}", world.ca.pem));
        },
        &["--backend-ca roots: certificate 2 of the bundle is no authority to be used \
           (it is not encoded as one); remove it"],
    );
}

fn verified(world: &World) -> bool {
    world.check().unwrap().backends[0].as_ref().unwrap().authorities.is_some()
}

#[test]
fn https_backends_need_authorities_of_the_system_or_a_bundle() {
    let no_bundle = |world: &mut World| world.backend().authorities = None;
    check_refused(
        no_bundle,
        &["--backend https://…: this system has no authorities to verify https backends with \
           (none); install ca-certificates, or give --backend-ca FILE"],
    );
    let mut world = World::new();
    no_bundle(&mut world);
    assert!(world.plan.asks_for_system_authorities());
    world.system.certificates = vec![Issuing::new("system").issue(&["a"]).der];
    assert!(verified(&world));
    world.backend().verification = Verification::None;
    world.system.certificates.clear();
    assert!(!world.plan.asks_for_system_authorities());
    assert!(!verified(&world));
}

#[test]
fn all_faults_of_all_files_are_told_at_once() {
    check_refused(
        |world| {
            world.put_pair(&world.ca.issue_with(&[], |params| {
                params.not_after = rcgen::date_time_ymd(2026, 2, 1);
            }));
            world.put("k", "");
            world.put("roots", "");
        },
        &[
            "--tls-cert c: the certificate expired on 2026-02-01 00:00:00 UTC \
             (it is valid from 2026-01-01 00:00:00 UTC); renew it",
            "--tls-cert c: the certificate names no host (no DNS name or IP address in its \
             subjectAltName), so every client would refuse it; have it issued with its names",
            "--tls-key k: the file holds no private key; give a PEM file with BEGIN PRIVATE KEY",
            "--backend-ca roots: the file holds no certificate of an authority; give a PEM bundle",
        ],
    );
}

#[track_caller]
fn check_warned(issued: &Issued, expected: &[&str]) {
    let mut world = World::new();
    world.put_pair(issued);
    let warnings = world.check().unwrap().warnings;
    let said: Vec<_> = warnings.iter().map(|warning| warning.told(&Given::default())).collect();
    assert_eq!(said, expected);
}

#[test]
fn a_certificate_that_ends_within_thirty_days_is_warned_of() {
    let ca = Issuing::new("ca");
    let until = |month, day| valid(&ca, (2026, 1, 1), (2026, month, day));
    check_warned(&until(12, 21), &[]);
    check_warned(
        &until(12, 20),
        &["--tls-cert c: the certificate expires on 2026-12-20 00:00:00 UTC; renew it"],
    );
}

#[test]
fn an_authority_in_the_chain_that_ends_is_warned_of() {
    let ca = Issuing::new("ca");
    let mut chain = ca.issue(&["a.example"]);
    chain.certificate += &valid(&ca, (2025, 1, 1), (2026, 1, 1)).certificate;
    check_warned(
        &chain,
        &["--tls-cert c: a certificate of an authority in the chain expired on \
           2026-01-01 00:00:00 UTC; fetch the chain anew"],
    );
}

#[test]
fn the_earliest_end_is_of_any_pair() {
    let mut world = World::new();
    let other = world.ca.issue_with(&["b.example"], |params| {
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    });
    world.put("c2", &other.certificate);
    world.put("k2", &other.key);
    world.backend().pair = Some(pair("c2", "k2"));
    let end = world.check().unwrap().earliest_not_after.unwrap();
    assert_eq!(Date(end).to_string(), "2027-01-01 00:00:00 UTC");
}

#[test]
fn backends_of_one_plan_share_their_faults_and_others_have_their_own() {
    let mut world = World::new();
    let (same, mut other) = (world.plan.backends[0].clone(), BackendTlsPlan::default());
    other.authorities = Some("others".into());
    world.plan.backends.extend([None, same, Some(other)]);
    world.put("roots", "");
    world.put("others", "");
    let none = "the file holds no certificate of an authority; give a PEM bundle";
    let expected = ["roots", "others"].map(|file| format!("--backend-ca {file}: {none}"));
    assert_eq!(world.check().map(|_| ()).unwrap_err(), expected);
    let pem = world.ca.pem.clone();
    world.put("roots", &pem);
    world.put("others", &pem);
    let made: Vec<_> = world.check().unwrap().backends.iter().map(Option::is_some).collect();
    assert_eq!(made, [true, false, true, true]);
}
