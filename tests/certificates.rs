//! Certificate files of a running process: signals, the log, the figures.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, and wait for threads of their own"
)]

mod support;

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use support::{eventually, process::Process};

/// A certificate for `a` that ends with this year, and its key, in one file.
fn put(path: &Path, last_year: i32) {
    let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(last_year + 1, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    std::fs::write(path, certificate + &key.serialize_pem()).unwrap();
}

/// Before an https backend that is verified by this file, and shown it.
fn serve(file: &Path, more: &[&str]) -> Process {
    let file = file.to_str().unwrap();
    let tls = ["--backend", "https://127.0.0.1:1", "--backend-cert", file, "--backend-key", file];
    Process::serve(&[], &[&tls[..], more].concat())
}

#[test]
fn a_signal_has_the_files_looked_at_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pem");
    put(&file, 4000);
    let bundle = ["--backend-ca", file.to_str().unwrap(), "--tls-watch-every", "1d"];
    let process = serve(&file, &bundle);
    let end = "tokenring_certificate_not_after_seconds";
    let (before, year) = (process.metric(end), 365 * 24 * 60 * 60);
    put(&file, 4001);
    process.signal("HUP");
    eventually("the new files are taken", || process.metric(end) == before + year);
    assert_eq!(process.metric("tokenring_certificate_reloads_total"), 1);
    std::fs::write(&file, "").unwrap();
    process.signal("HUP");
    let refused = "tokenring_certificate_reloads_refused_total";
    eventually("the empty file is refused", || process.metric(refused) == 1);
    assert_eq!(process.metric(end), before + year);
    eventually("the log has the reason", || {
        let said = process.said();
        let line = said.lines().find(|line| line.contains("not reloaded, those before stay"));
        line.is_some_and(|line| line.contains("holds no certificate") && line.contains("ERROR"))
    });
}

#[test]
fn a_changed_file_is_seen_without_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pem");
    put(&file, 4000);
    let bundle = ["--backend-ca", file.to_str().unwrap(), "--tls-watch-every", "10ms"];
    let process = serve(&file, &bundle);
    put(&file, 4001);
    let taken = || process.metric("tokenring_certificate_reloads_total");
    eventually("the new files are taken", || taken() >= 1);
}

#[test]
fn danger_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pem");
    put(&file, 4000);
    let process = serve(&file, &["--danger-backend-no-verify"]);
    eventually("the log warns", || {
        let said = process.said();
        said.lines().any(|line| line.contains("WARN") && line.contains("DANGER: --danger-backend"))
    });
    assert!(process.said().contains("127.0.0.1:1 (https, NOT VERIFIED)"), "{}", process.said());
}
