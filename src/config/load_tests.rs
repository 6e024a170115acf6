//! Facts about reading files, with real ones.

use super::*;
use crate::config::{Fault, TlsWritten};
use crate::tls::testing::{Issuing, NOW};

fn machine() -> Machine {
    Machine { allowed_cores: vec![0], open_files: None }
}

#[track_caller]
fn check_reason(path: &Path, expected: &str) {
    assert_eq!(read_file(path).map_err(|error| reason(&error)).unwrap_err(), expected);
}

/// A TLS listener with this pair, behind it a plain backend.
fn written(certificate: &Path, key: &Path) -> Written {
    Written {
        backends: vec!["http://a:1".into()],
        tls: TlsWritten {
            listen: vec!["127.0.0.1:0".into()],
            certificates: vec![certificate.to_owned()],
            keys: vec![key.to_owned()],
            ..TlsWritten::default()
        },
        ..Written::default()
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_in_the_systems_words() {
    let folder = tempfile::tempdir().unwrap();
    check_reason(&folder.path().join("none"), "no such file or directory");
    check_reason(folder.path(), "it is not a regular file");
    let large = folder.path().join("large");
    File::create(&large).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    check_reason(&large, "it has more than 4MiB, which no file of settings or certificates has");
}

#[test]
fn a_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "x").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(read_file(&link).unwrap(), b"x");
}

#[test]
fn a_plan_is_made_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let both = folder.path().join("both.pem");
    let issued = Issuing::new("ca").issue(&["a.example"]);
    fs::write(&both, format!("{}{}", issued.certificate, issued.key)).unwrap();
    let plan = check_with_files(&written(&both, &both), &machine(), NOW).unwrap();
    assert_eq!(plan.tls.files().len(), 1);
}

#[test]
fn faults_of_words_and_of_files_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    let mut written = written(&none, &none);
    written.cores = "x".into();
    written.backends = vec!["HTTPS://a".into()];
    written.tls.backend.ca = Some(none.clone());
    let faults = check_with_files(&written, &machine(), NOW).unwrap_err();
    let flags: Vec<_> = faults.iter().map(|fault| fault.id).collect();
    assert_eq!(flags, ["--cores", "--tls-cert", "--tls-key", "--backend-ca"]);
    let unreadable = Fault::Unreadable("no such file or directory".into());
    assert!(faults[1..].iter().all(|fault| fault.fault == unreadable), "{faults:?}");
}
