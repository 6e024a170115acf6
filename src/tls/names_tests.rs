//! Facts about the names in certificates.

use rcgen::{CertificateParams, DnType, SanType};

use super::*;
use crate::tls::testing::Issuing;

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn mail(name: &str) -> SanType {
    SanType::Rfc822Name(name.try_into().unwrap())
}

fn address() -> SanType {
    SanType::IpAddress([10, 0, 0, 1].into())
}

#[track_caller]
fn check(change: impl FnOnce(&mut CertificateParams), expected: Option<&str>) {
    let issued = Issuing::new("ca").issue_with(&[], change);
    assert_eq!(client_name(&issued.der).as_deref(), expected);
}

#[track_caller]
fn check_alternative(names: &[SanType], expected: &str) {
    check(|params| params.subject_alt_names = names.to_vec(), Some(expected));
}

#[test]
fn the_first_alternative_name_counts() {
    check_alternative(&[uri("spiffe://a/b"), dns("c"), mail("d@e")], "spiffe://a/b");
    check_alternative(&[dns("c"), uri("spiffe://a/b")], "c");
    check_alternative(&[mail("d@e"), dns("c")], "d@e");
}

#[test]
fn an_ip_address_is_no_clients_name() {
    check_alternative(&[address(), dns("c")], "c");
    check_alternative(&[address()], "somebody");
}

#[test]
fn the_common_name_counts_when_there_is_no_other() {
    check(|_| {}, Some("somebody"));
    check(|params| assert!(params.distinguished_name.remove(DnType::CommonName)), None);
}

#[test]
fn a_name_with_a_control_byte_is_passed_over() {
    check_alternative(&[dns("admin\0.example"), dns("c")], "c");
    check(|params| params.distinguished_name.push(DnType::CommonName, "admin\nroot"), None);
}

#[test]
fn what_is_no_certificate_has_no_name() {
    assert_eq!(client_name(&CertificateDer::from(vec![0x30, 0x00])), None);
    assert_eq!(client_name(&CertificateDer::from(Vec::new())), None);
}
