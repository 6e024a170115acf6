//! Facts about chains and keys.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use super::*;
use crate::tls::{
    provider,
    testing::{Issuing, NOW},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[track_caller]
fn check_key(pem: &str, expected: &str) {
    let fault = Key::read(pem.as_bytes(), &provider()).map(|_| ()).unwrap_err().to_string();
    assert!(fault.starts_with(expected), "{fault}");
}

#[track_caller]
fn check_chain(pem: &str, expected: &str) {
    let fault = Chain::read(pem.as_bytes()).map(|_| ()).unwrap_err().to_string();
    assert!(fault.starts_with(expected), "{fault}");
}

#[track_caller]
fn check_validity(dates: [(i32, u8, u8); 2], expected: Result<(), &str>) {
    let issued = Issuing::new("ca").issue_with(&["a"], |params| {
        let [from, to] = dates.map(|(year, month, day)| rcgen::date_time_ymd(year, month, day));
        (params.not_before, params.not_after) = (from, to);
    });
    let validity = issued.identity().chain().check_validity(NOW);
    assert_eq!(validity.map_err(|fault| fault.to_string()), expected.map_err(str::to_owned));
}

#[test]
fn a_chain_knows_its_names_in_lower_case() {
    let issued = Issuing::new("ca").issue(&["A.Example", "*.b.example", "10.0.0.1"]);
    let identity = issued.identity();
    assert_eq!(identity.chain().dns_names(), ["a.example", "*.b.example"]);
    assert_eq!(identity.chain().check_names(), Ok(()));
}

#[test]
fn an_ip_address_is_a_servers_name_too() {
    let identity = Issuing::new("ca").issue(&["10.0.0.1"]).identity();
    assert_eq!(identity.chain().dns_names(), [""; 0]);
    assert_eq!(identity.chain().check_names(), Ok(()));
}

#[test]
fn a_common_name_is_no_servers_name() {
    let identity = Issuing::new("ca").issue(&[]).identity();
    assert_eq!(identity.chain().check_names(), Err(Fault::NoNames));
}

#[test]
fn a_certificate_is_valid_from_its_first_day_to_its_last() {
    check_validity([(2026, 1, 1), (2027, 1, 1)], Ok(()));
    check_validity([(2026, 11, 21), (2026, 11, 21)], Ok(()));
    check_validity(
        [(2025, 1, 1), (2026, 11, 20)],
        Err("the certificate expired on 2026-11-20 00:00:00 UTC \
             (it is valid from 2025-01-01 00:00:00 UTC); renew it"),
    );
    check_validity(
        [(2026, 11, 22), (2030, 1, 1)],
        Err("the certificate is not valid before 2026-11-22 00:00:00 UTC \
             (until 2030-01-01 00:00:00 UTC); wait, or set this machine's clock"),
    );
}

#[test]
fn the_end_of_the_others_in_a_chain_is_the_first_one() {
    let ca = Issuing::new("ca");
    let other = |year| ca.issue_with(&["b"], |p| p.not_after = rcgen::date_time_ymd(year, 1, 1));
    let pem = [ca.issue(&["a"]), other(2031), other(2029), other(2030)].map(|i| i.certificate);
    let chain = Chain::read(pem.concat().as_bytes()).unwrap();
    assert_eq!(Date(chain.others_end().unwrap()).to_string(), "2029-01-01 00:00:00 UTC");
    assert_eq!(Date(chain.not_after()).to_string(), "2027-06-01 00:00:00 UTC");
    let alone = ca.issue(&["a"]).identity();
    assert_eq!(alone.chain().others_end(), None);
}

#[test]
fn one_file_may_hold_chain_and_key() {
    let ca = Issuing::new("ca");
    let issued = ca.issue(&["a"]);
    let both = format!("{}{}{}", issued.key, issued.certificate, ca.pem);
    let chain = Chain::read(both.as_bytes()).unwrap();
    assert_eq!(chain.certificates.len(), 2);
    let key = Key::read(both.as_bytes(), &provider()).unwrap();
    assert!(Identity::of(chain, key, "both").is_ok());
}

#[test]
fn a_chain_that_is_none_is_refused() {
    let issued = Issuing::new("ca").issue(&["a"]);
    check_chain("", "the file holds no certificate; ");
    check_chain("hello", "the file holds no certificate; ");
    check_chain(&issued.key, "the file holds no certificate; ");
    check_chain(&issued.certificate[..100], "the file is no whole PEM (");
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    check_chain(broken, "certificate 1 in the file cannot be read (");
    let second = format!("{}{broken}", issued.certificate);
    check_chain(&second, "certificate 2 in the file cannot be read (");
}

#[test]
fn a_half_written_chain_is_refused_wherever_it_is_cut() {
    let pem = Issuing::new("ca").issue(&["a"]).certificate;
    let begun = "-----BEGIN".len();
    // The last byte is a line break, and the one before may be one too.
    for end in begun..pem.trim_end().len() {
        assert!(Chain::read(&pem.as_bytes()[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_key_of_each_common_kind_is_taken() {
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(kind).unwrap();
        let params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let chain = Chain::read(certificate.as_bytes()).unwrap();
        let key = Key::read(key.serialize_pem().as_bytes(), &provider()).unwrap();
        assert!(Identity::of(chain, key, "a").is_ok(), "{kind:?}");
    }
}

#[test]
fn a_key_that_is_none_is_refused() {
    let issued = Issuing::new("ca").issue(&["a"]);
    check_key("", "the file holds no private key; ");
    check_key(&issued.certificate, "the file holds no private key; ");
    check_key(&issued.key[..100], "the file is no whole PEM (");
    let nonsense = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    check_key(
        nonsense,
        "the private key is not taken (failed to parse private key as RSA, ECDSA, or EdDSA); ",
    );
}

#[test]
fn an_encrypted_key_is_told_as_one() {
    let new = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    check_key(new, "the private key is encrypted, ");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\
               \nMAA=\n-----END RSA PRIVATE KEY-----\n";
    check_key(old, "the private key is encrypted, ");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let ca = Issuing::new("ca");
    let (a, b) = (ca.issue(&["a"]), ca.issue(&["b"]));
    let refused = |chain: &str, key: &str| {
        let chain = Chain::read(chain.as_bytes()).unwrap();
        let key = Key::read(key.as_bytes(), &provider()).unwrap();
        Identity::of(chain, key, "c.pem").map(|_| ()).unwrap_err()
    };
    let mismatch = Fault::KeyMismatch("c.pem".to_owned());
    assert_eq!(refused(&a.certificate, &b.key), mismatch);
    // The authority's certificate comes first: the usual slip.
    assert_eq!(refused(&format!("{}{}", ca.pem, a.certificate), &a.key), mismatch);
}

#[test]
fn a_moment_before_1970_is_1970() {
    let long_ago = moment(ASN1Time::from_timestamp(-1).unwrap());
    assert_eq!(long_ago.as_secs(), 0);
    assert_eq!(moment(ASN1Time::from_timestamp(86_400).unwrap()).as_secs(), DAY.as_secs());
}

/// Made by `openssl x509 -req -signkey` without an extension, which is how
/// certificates of the first version still come about.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBFzCBvQIUVJlLdIcqcrmCs9CNJjc06PGdEOswCgYIKoZIzj0EAwIwDTELMAkG\n\
A1UEAwwCdjEwIBcNMjYxMTIxMTUxMzMzWhgPMjEwOTAxMTAxNTEzMzNaMA0xCzAJ\n\
BgNVBAMMAnYxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEy76GSKuoN2V4BFHB\n\
EHn+koEoB289hSRyy7ggZkHbo9rBJzxt9tiBL8yucTiQcvbG/ZCHlBIX/vV2oysi\n\
N2pt1DAKBggqhkjOPQQDAgNJADBGAiEA8lOtgjR5H3yQ4+n2n++pKfcIMA1Mmj3c\n\
uVlxQO+6fpcCIQCOM/Xqre17fW3LfQwyhaa1XXM5RYRyyQHWDaAVLWeAJg==\n\
-----END CERTIFICATE-----\n";

#[test]
fn a_certificate_that_tls_does_not_know_is_refused() {
    check_chain(VERSION_1, "certificate 1 in the file cannot be read (UnsupportedCertVersion); ");
}
