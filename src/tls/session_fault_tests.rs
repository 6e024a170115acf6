//! Facts about why handshakes fail, by handshakes that do.

use std::{sync::Arc, time::Duration};

use rustls::pki_types::UnixTime;

use super::*;
use crate::tls::{
    BackendSide, ClientAuth, MinVersion, ServerSide, client_config, server_config,
    testing::{Issuing, NOW, Still, client_of, server_of, shake_hands},
};

/// A client that asks for `a.example`, and a server, changed.
#[track_caller]
fn check(
    names: &[&str],
    change: impl FnOnce(&mut BackendSide<'_>, &mut ServerSide<'_>),
    expected: &SessionFault,
) {
    let ca = Issuing::new("ca");
    let (authorities, identities) = (ca.authorities(), [ca.issue(names).identity()]);
    let (mut client, mut server) = (client_of(Some(&authorities)), server_of(&identities));
    change(&mut client, &mut server);
    let (client, server) = (client_config(client).unwrap(), server_config(server).unwrap());
    let error = shake_hands(&Arc::new(client), &server, "a.example").map(|_| ()).unwrap_err();
    assert_eq!(SessionFault::from(error), *expected);
}

fn unverified(reason: &str) -> SessionFault {
    let reason = format!("the certificate does not verify: {reason}");
    SessionFault { kind: SessionFaultKind::Verification, reason }
}

fn days_from_now(days: i64) -> Arc<Still> {
    let seconds = i64::try_from(NOW.as_secs()).unwrap() + days * 24 * 60 * 60;
    let moment = Duration::from_secs(u64::try_from(seconds).unwrap());
    Arc::new(Still(UnixTime::since_unix_epoch(moment)))
}

#[test]
fn another_name_is_told_with_the_names_there_are() {
    check(
        &["b.example", "*.c.example"],
        |_, _| {},
        &unverified("it is not for a.example, but for b.example, *.c.example"),
    );
    check(&[], |_, _| {}, &unverified("it is not for a.example, but for no name at all"));
}

#[test]
fn a_certificate_out_of_its_time_is_told_with_the_date() {
    check(
        &["a.example"],
        |client, _| client.clock = days_from_now(300),
        &unverified("it expired on 2027-06-01 00:00:00 UTC"),
    );
    check(
        &["a.example"],
        |client, _| client.clock = days_from_now(-400),
        &unverified("it is not valid before 2026-01-01 00:00:00 UTC"),
    );
}

#[test]
fn an_unknown_authority_is_told() {
    let other = Issuing::new("other").authorities();
    check(
        &["a.example"],
        |client, _| client.authorities = Some(Box::leak(Box::new(other))),
        &unverified("no trusted authority has issued it"),
    );
}

#[test]
fn a_client_without_a_certificate_is_told_by_the_server() {
    let other = Box::leak(Box::new(Issuing::new("other").authorities()));
    check(
        &["a.example"],
        |_, server| server.clients = Some((other, ClientAuth::Required)),
        &unverified("none was shown"),
    );
}

#[test]
fn an_authority_that_shows_its_own_certificate_is_told() {
    let ca = Issuing::new("ca");
    let shown = ca.issue_with(&["a.example"], |params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let (authorities, identities) = (ca.authorities(), [shown.identity()]);
    let client = client_config(client_of(Some(&authorities))).unwrap();
    let server = server_config(server_of(&identities)).unwrap();
    let error = shake_hands(&Arc::new(client), &server, "a.example").map(|_| ()).unwrap_err();
    let reason = "it is an authority's own, not one that an authority has issued to a server";
    assert_eq!(SessionFault::from(error), unverified(reason));
}

#[test]
fn what_is_no_verification_is_told_in_its_own_words() {
    let alert = Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
    let reason = "the peer ended the connection with the alert HandshakeFailure".to_owned();
    let kind = SessionFaultKind::PeerAlert;
    assert_eq!(SessionFault::from(alert), SessionFault { kind, reason });
    let early = SessionFault::from(Error::HandshakeNotComplete);
    assert_eq!(early.to_string(), Error::HandshakeNotComplete.to_string());
    assert_eq!(early.kind, SessionFaultKind::Protocol);
}

#[test]
fn a_version_that_one_end_does_not_speak_is_no_verification() {
    let ca = Issuing::new("ca");
    let identities = [ca.issue(&["a.example"]).identity()];
    let server = ServerSide { min_version: MinVersion::Tls13, ..server_of(&identities) };
    let server = server_config(server).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(crate::tls::provider());
    let old = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    let old = old.with_root_certificates(ca.authorities().store.clone()).with_no_client_auth();
    let error = shake_hands(&Arc::new(old), &server, "a.example").map(|_| ()).unwrap_err();
    let fault = SessionFault::from(error);
    assert!(!matches!(fault.kind, SessionFaultKind::Verification), "{fault}");
}
