//! Facts about bundles of authorities.

use super::*;
use crate::tls::testing::Issuing;

/// What a certificate without a body looks like.
const BROKEN: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

#[track_caller]
fn check_refused(pem: &str, expected: &[&str]) {
    let faults = Authorities::read(pem.as_bytes()).unwrap_err();
    let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(said, expected);
}

#[test]
fn a_bundle_holds_any_number_of_authorities_and_words_between() {
    let (a, b) = (Issuing::new("a"), Issuing::new("b"));
    let bundle = format!("# First\n{}\r\n# Second\n{}", a.pem, b.pem);
    let both = Authorities::read(bundle.as_bytes()).unwrap();
    assert_eq!(both.store.len(), 2);
    assert_eq!(a.authorities().store.len(), 1);
}

#[test]
fn bundles_are_the_same_by_their_certificates() {
    let (a, b) = (Issuing::new("a"), Issuing::new("a"));
    assert_eq!(a.authorities(), Authorities::read(format!("# A\n{}", a.pem).as_bytes()).unwrap());
    assert_ne!(a.authorities(), b.authorities());
}

#[test]
fn a_bundle_without_certificates_is_refused() {
    let none = "the file holds no certificate of an authority; give a PEM bundle";
    check_refused("", &[none]);
    check_refused("a = b\n", &[none]);
    let key = Issuing::new("a").issue(&["b"]).key;
    check_refused(&key, &[none]);
}

#[test]
fn every_unusable_certificate_of_a_bundle_is_named() {
    let good = Issuing::new("a").pem;
    check_refused(
        &format!("{BROKEN}{good}{BROKEN}"),
        &[
            "certificate 1 of the bundle is no authority to be used (it is not encoded as one); remove it",
            "certificate 3 of the bundle is no authority to be used (it is not encoded as one); remove it",
        ],
    );
}

#[test]
fn a_bundle_that_is_cut_is_refused() {
    let good = Issuing::new("a").pem;
    let cut = &good[..good.len() - 10];
    let faults = Authorities::read(cut.as_bytes()).unwrap_err();
    assert!(matches!(&faults[..], [Fault::NotPem(_)]), "{faults:?}");
}

#[test]
fn the_system_may_hold_what_is_old_and_odd_but_not_that_alone() {
    let broken = CertificateDer::from(vec![0x30, 0x00]);
    let good = Issuing::new("a").authorities().certificates;
    let found =
        Authorities::of_system(&[good.as_slice(), std::slice::from_ref(&broken)].concat()).unwrap();
    assert_eq!(found.store.len(), 1);
    assert!(Authorities::of_system(&[broken]).is_none());
    assert!(Authorities::of_system(&[]).is_none());
}
