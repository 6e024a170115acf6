//! Facts about certificates that change while we run, with real files and with
//! handshakes.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use rustls::HandshakeKind;
use tempfile::TempDir;

use super::*;
use crate::{
    config::{BackendWritten, ClientAuth, Machine, Written, check},
    tls::{
        client_name,
        testing::{Issued, Issuing, NOW, Still, client_of, server_of, shake_hands},
    },
};

/// A folder of files, a plan that names them, and what was loaded of it.
struct World {
    folder: TempDir,
    ca: Issuing,
    written: Written,
}

impl World {
    /// One TLS listener for `a.example`, one https backend, one that is not.
    fn new() -> Self {
        let (folder, ca) = (tempfile::tempdir().unwrap(), Issuing::new("ca"));
        let mut written = Written { cores: "0".to_owned(), ..Written::default() };
        written.backends = vec!["https://a.example".into(), "http://b".into()];
        written.tls.listen = vec!["127.0.0.1:0".into()];
        let path = |name: &str| folder.path().join(name);
        written.tls.certificates = vec![path("c")];
        written.tls.keys = vec![path("k")];
        written.tls.backend.ca = Some(path("roots"));
        let world = Self { folder, ca, written };
        world.put("roots", &world.ca.pem);
        world.put_pair(&world.issue());
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, contents: &str) {
        fs::write(self.path(name), contents).unwrap();
    }

    fn put_pair(&self, issued: &Issued) {
        self.put("c", &issued.certificate);
        self.put("k", &issued.key);
    }

    fn issue(&self) -> Issued {
        self.ca.issue(&["a.example"])
    }

    fn plan(&self) -> Plan {
        let machine = Machine { allowed_cores: vec![0], open_files: None };
        check(&self.written, &machine).unwrap()
    }

    fn load(&self) -> Certificates {
        Certificates::load_by(&self.plan(), Arc::new(Still(NOW))).unwrap()
    }

    /// A client that trusts the authority; shows a certificate if there is one.
    fn client(&self, shown: Option<&Issued>) -> Arc<ClientConfig> {
        let (authorities, identity) = (self.ca.authorities(), shown.map(Issued::identity));
        let side = BackendSide { identity: identity.as_ref(), ..client_of(Some(&authorities)) };
        for_one_backend(&client_config(side).unwrap())
    }
}

/// The certificate that a new connection is shown.
fn shown(world: &World, server: &ServerTls) -> Vec<u8> {
    let (client, _) = shake_hands(&world.client(None), &server.current(), "a.example").unwrap();
    client.peer_certificates().unwrap()[0].to_vec()
}

fn figures(certificates: &Certificates) -> [u64; 2] {
    let figures = &certificates.keeper.figures;
    [figures.reloads_taken.read(), figures.reloads_refused.read()]
}

#[test]
fn each_https_backend_has_its_cell_and_no_other() {
    let world = World::new();
    let certificates = world.load();
    assert!(certificates.server.is_some());
    let [Some(https), None] = &certificates.backends[..] else { panic!("cells by backend") };
    assert_eq!(https.name().to_str(), "a.example");
    let server = certificates.server.as_ref().unwrap().current();
    assert!(shake_hands(&https.current(), &server, "a.example").is_ok());
}

#[test]
fn without_tls_there_is_nothing_to_watch() {
    let written = Written { backends: vec!["http://b".into()], ..Written::default() };
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    let certificates = Certificates::load(&check(&written, &machine).unwrap()).unwrap();
    assert!(certificates.server.is_none() && certificates.figures().is_none());
    assert!(certificates.watch(None).unwrap().is_none());
}

#[test]
fn faulty_files_are_refused_at_the_start_in_one_line() {
    let world = World::new();
    world.put("k", "");
    fs::remove_file(world.path("roots")).unwrap();
    let refused = Certificates::load_by(&world.plan(), Arc::new(Still(NOW))).map(|_| ());
    let said = refused.unwrap_err().to_string();
    let (key, roots) = (world.path("k"), world.path("roots"));
    let key = format!("--tls-key {}: the file holds no private key; ", key.display());
    let roots = format!("; and --backend-ca {}: the file cannot be read", roots.display());
    assert!(said.starts_with(&key) && said.contains(&roots) && !said.contains('\n'), "{said}");
}

#[test]
fn what_does_not_change_is_left_alone() {
    let mut certificates = World::new().load();
    let before = certificates.server.as_ref().unwrap().current();
    // The world's folder is gone by now, so this is a change, and a refusal.
    assert_eq!(certificates.keeper.look(), Look::Refused);
    assert_eq!(certificates.keeper.look(), Look::Unchanged);
    assert!(Arc::ptr_eq(&before, &certificates.server.as_ref().unwrap().current()));
    assert_eq!(figures(&certificates), [0, 1]);
}

#[test]
fn a_new_pair_is_taken_by_new_handshakes() {
    let world = World::new();
    let mut certificates = world.load();
    let server = Arc::clone(certificates.server.as_ref().unwrap());
    let under_way = server.current();
    let old = shown(&world, &server);
    let new = world.issue();
    world.put_pair(&new);
    assert_eq!(shown(&world, &server), old, "nobody has looked yet");
    assert_eq!(certificates.keeper.look(), Look::Taken);
    assert_eq!(shown(&world, &server), new.der.to_vec());
    assert_eq!(certificates.keeper.look(), Look::Unchanged);
    assert_eq!(figures(&certificates), [1, 0]);
    // Who has begun goes on with what it has begun with.
    assert!(shake_hands(&world.client(None), &under_way, "a.example").is_ok());
}

#[test]
fn new_authorities_of_backends_are_taken_by_new_handshakes() {
    let world = World::new();
    let mut certificates = world.load();
    let backend = Arc::clone(certificates.backends[0].as_ref().unwrap());
    let next = Issuing::new("next");
    let identities = [next.issue(&["a.example"]).identity()];
    let server = server_config(server_of(&identities)).unwrap();
    let shake = || shake_hands(&backend.current(), &server, "a.example");
    assert!(shake().is_err());
    world.put("roots", &next.pem);
    assert_eq!(certificates.keeper.look(), Look::Taken);
    assert!(shake().is_ok());
}

#[test]
fn a_pair_half_written_is_refused_once_and_taken_when_it_is_whole() {
    let world = World::new();
    let mut certificates = world.load();
    let server = Arc::clone(certificates.server.as_ref().unwrap());
    let (old, new) = (shown(&world, &server), world.issue());
    let half = new.certificate.len() / 2;
    for (name, contents, expected) in [
        ("c", &new.certificate[..half], Look::Refused),
        ("c", &new.certificate[..half], Look::Unchanged),
        ("c", &new.certificate[..], Look::Refused),
        ("c", &new.certificate[..], Look::Unchanged),
        ("k", &new.key[..], Look::Taken),
    ] {
        assert_eq!(shown(&world, &server), old);
        world.put(name, contents);
        assert_eq!(certificates.keeper.look(), expected);
    }
    assert_eq!(shown(&world, &server), new.der.to_vec());
    assert_eq!(figures(&certificates), [1, 2]);
}

#[test]
fn one_side_is_not_taken_when_the_other_is_refused() {
    let world = World::new();
    let mut certificates = world.load();
    let server = Arc::clone(certificates.server.as_ref().unwrap());
    let (old, new) = (shown(&world, &server), world.issue());
    world.put_pair(&new);
    world.put("roots", "");
    assert_eq!(certificates.keeper.look(), Look::Refused);
    assert_eq!(shown(&world, &server), old);
    world.put("roots", &world.ca.pem);
    assert_eq!(certificates.keeper.look(), Look::Taken);
    assert_eq!(shown(&world, &server), new.der.to_vec());
}

/// As secrets are mounted in Kubernetes: a link to a folder is led elsewhere,
/// and no file that we name has changed by itself.
#[test]
fn a_link_that_is_led_elsewhere_is_a_change() {
    let mut world = World::new();
    let put = |folder: &Path, issued: &Issued| {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("c"), &issued.certificate).unwrap();
        fs::write(folder.join("k"), &issued.key).unwrap();
    };
    let (old, new) = (world.issue(), world.issue());
    put(&world.path("old"), &old);
    put(&world.path("new"), &new);
    symlink("old", world.path("data")).unwrap();
    world.written.tls.certificates = vec![world.path("data").join("c")];
    world.written.tls.keys = vec![world.path("data").join("k")];
    let mut certificates = world.load();
    let server = Arc::clone(certificates.server.as_ref().unwrap());
    assert_eq!(shown(&world, &server), old.der.to_vec());
    symlink("new", world.path("data-next")).unwrap();
    fs::rename(world.path("data-next"), world.path("data")).unwrap();
    assert_eq!(certificates.keeper.look(), Look::Taken);
    assert_eq!(shown(&world, &server), new.der.to_vec());
}

#[test]
fn a_file_rewritten_at_the_same_time_is_a_change() {
    let world = World::new();
    let mut certificates = world.load();
    let time = fs::metadata(world.path("c")).unwrap().modified().unwrap();
    world.put_pair(&world.issue());
    for name in ["c", "k"] {
        fs::File::options().write(true).open(world.path(name)).unwrap().set_modified(time).unwrap();
    }
    assert_eq!(certificates.keeper.look(), Look::Taken);
}

/// A clock that is set by hand.
#[derive(Debug)]
struct Set(Mutex<UnixTime>);

impl TimeProvider for Set {
    fn current_time(&self) -> Option<UnixTime> {
        Some(*self.0.lock().unwrap())
    }
}

#[test]
fn a_signal_takes_what_has_become_valid_without_a_change() {
    let world = World::new();
    let clock = Arc::new(Set(Mutex::new(NOW)));
    let mut certificates = Certificates::load_by(&world.plan(), Arc::clone(&clock) as _).unwrap();
    world.put_pair(&world.ca.issue_with(&["a.example"], |params| {
        params.not_before = rcgen::date_time_ymd(2026, 12, 1);
    }));
    assert_eq!(certificates.keeper.look(), Look::Refused);
    assert_eq!(certificates.keeper.look_now(), Look::Refused);
    let in_a_month = NOW.as_secs() + 30 * 24 * 60 * 60;
    *clock.0.lock().unwrap() = UnixTime::since_unix_epoch(Duration::from_secs(in_a_month));
    assert_eq!(certificates.keeper.look(), Look::Unchanged);
    assert_eq!(certificates.keeper.look_now(), Look::Taken);
}

#[test]
fn the_earliest_end_follows_what_is_in_force() {
    let world = World::new();
    let mut certificates = world.load();
    let figures = certificates.figures().unwrap();
    let june = 1_811_808_000;
    assert_eq!(figures.not_after.read(), june);
    let until_january = world.ca.issue_with(&["a.example"], |params| {
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    });
    world.put("c", &until_january.certificate);
    assert_eq!(certificates.keeper.look(), Look::Refused);
    assert_eq!(figures.not_after.read(), june, "what was refused is not in force");
    world.put("k", &until_january.key);
    assert_eq!(certificates.keeper.look(), Look::Taken);
    assert_eq!(figures.not_after.read(), 1_798_761_600);
}

#[test]
fn clients_resume_over_a_change_of_certificates() {
    let world = World::new();
    let mut certificates = world.load();
    let server = Arc::clone(certificates.server.as_ref().unwrap());
    let client = world.client(None);
    let kind = || shake_hands(&client, &server.current(), "a.example").unwrap().1.handshake_kind();
    assert_eq!(kind(), Some(HandshakeKind::Full));
    world.put_pair(&world.issue());
    assert_eq!(certificates.keeper.look(), Look::Taken);
    assert_eq!(kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn no_ticket_carries_a_client_past_a_change_of_authorities() {
    let mut world = World::new();
    world.written.tls.client_ca = Some(world.path("clients"));
    world.written.tls.client_auth = Some(ClientAuth::Required);
    let (trusted, next) = (Issuing::new("trusted"), Issuing::new("next"));
    world.put("clients", &trusted.pem);
    let mut certificates = world.load();
    let server = Arc::clone(certificates.server.as_ref().unwrap());
    let client = world.client(Some(&trusted.issue(&["client.example"])));
    let shake = || shake_hands(&client, &server.current(), "a.example");
    world.put_pair(&world.issue());
    assert_eq!(certificates.keeper.look(), Look::Taken);
    assert!(shake().is_ok());
    let (_, end) = shake().unwrap();
    assert_eq!(end.handshake_kind(), Some(HandshakeKind::Resumed));
    let name = end.peer_certificates().and_then(|chain| client_name(&chain[0]));
    assert_eq!(name.as_deref(), Some("client.example"));
    world.put("clients", &next.pem);
    assert_eq!(certificates.keeper.look(), Look::Taken);
    assert!(shake().is_err(), "its authority is no longer trusted");
    world.put_pair(&world.issue());
    assert_eq!(certificates.keeper.look(), Look::Taken);
    assert!(shake().is_err(), "nor after the next change");
}

/// Waits for the thread that looks.
#[track_caller]
fn eventually(mut is_so: impl FnMut() -> bool) {
    let patience = Duration::from_secs(10);
    #[allow(clippy::disallowed_methods, reason = "the wait of a test has an end")]
    let now = Instant::now;
    let deadline = now() + patience;
    while !is_so() {
        assert!(now() < deadline, "not so in {patience:?}");
        std::thread::yield_now();
    }
}

#[test]
fn the_thread_takes_a_change_by_itself() {
    let mut world = World::new();
    world.written.tls.watch_every = Duration::from_millis(10);
    let certificates = world.load();
    let server = Arc::clone(certificates.server.as_ref().unwrap());
    let _reloader = certificates.watch(None).unwrap().unwrap();
    let new = world.issue();
    world.put_pair(&new);
    eventually(|| shown(&world, &server) == new.der.to_vec());
}

#[test]
fn the_thread_looks_at_once_when_it_is_told_to() {
    let mut world = World::new();
    world.written.tls.watch_every = Duration::from_secs(24 * 60 * 60);
    let certificates = world.load();
    let figures = certificates.figures().unwrap();
    let reloader = certificates.watch(None).unwrap().unwrap();
    reloader.look_now();
    eventually(|| figures.reloads_taken.read() == 1);
    world.put("k", "");
    reloader.look_now();
    eventually(|| figures.reloads_refused.read() == 1);
}

#[test]
fn a_backend_whose_files_stay_keeps_its_sessions() {
    let mut world = World::new();
    world.written.tls.backend.ca = None;
    world.written.backends = ["roots", "others"].map(|file| backend(&world, file)).to_vec();
    world.put("others", &world.ca.pem);
    let mut certificates = world.load();
    let configs = |certificates: &Certificates| {
        certificates.backends.iter().flatten().map(|one| one.current()).collect::<Vec<_>>()
    };
    let same = |one: &[Arc<ClientConfig>], other: &[Arc<ClientConfig>]| {
        one.iter().zip(other).map(|(one, other)| Arc::ptr_eq(one, other)).collect::<Vec<_>>()
    };
    let first = configs(&certificates);
    world.put("others", &Issuing::new("other").pem);
    assert_eq!(certificates.keeper.look(), Look::Taken);
    let second = configs(&certificates);
    assert_eq!(same(&first, &second), [true, false]);
    assert_eq!(certificates.keeper.look_now(), Look::Taken);
    assert_eq!(same(&second, &configs(&certificates)), [false, false]);
}

/// An https backend that is verified by this file alone.
fn backend(world: &World, file: &str) -> BackendWritten {
    let mut backend = BackendWritten::from(format!("https://{file}.example"));
    backend.tls.ca = Some(world.path(file));
    backend
}
