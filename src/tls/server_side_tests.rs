//! Facts about a server's configuration, by handshakes with it.

use rustls::{ClientConfig, Connection, HandshakeKind};

use super::*;
use crate::tls::{
    BackendSide, client_config, client_name, for_one_backend,
    testing::{Issued, Issuing, client_of, server_of, shake_hands},
};

/// A client that trusts `ca`, shows `shown`, and can resume.
fn client(ca: &Issuing, shown: Option<&Issued>) -> Arc<ClientConfig> {
    let (authorities, identity) = (ca.authorities(), shown.map(Issued::identity));
    let side = BackendSide { identity: identity.as_ref(), ..client_of(Some(&authorities)) };
    for_one_backend(&client_config(side).unwrap())
}

fn common_name(connection: &Connection) -> Option<String> {
    client_name(&connection.peer_certificates()?[0])
}

/// Of these pairs, the one whose first name is `expected` answers to `name`.
#[track_caller]
fn check_chosen(pairs: &[&[&str]], name: Option<&str>, expected: &str) {
    let ca = Issuing::new("ca");
    let identities: Vec<_> = pairs.iter().map(|names| ca.issue(names).identity()).collect();
    let chosen = ByName::of(&identities).find(name).unwrap();
    assert_eq!(client_name(&chosen.cert[0]).as_deref(), Some(expected), "{name:?}");
}

const PAIRS: &[&[&str]] =
    &[&["a.example"], &["*.b.example", "b.example"], &["c.b.example", "10.0.0.1"]];

#[test]
fn an_identity_is_chosen_by_server_name() {
    check_chosen(PAIRS, Some("a.example"), "a.example");
    check_chosen(PAIRS, Some("A.EXAMPLE"), "a.example");
    check_chosen(PAIRS, Some("b.example"), "*.b.example");
    check_chosen(PAIRS, Some("x.b.example"), "*.b.example");
}

#[test]
fn an_exact_name_comes_before_a_wildcard() {
    check_chosen(PAIRS, Some("c.b.example"), "c.b.example");
}

#[test]
fn a_wildcard_stands_for_one_label() {
    check_chosen(PAIRS, Some("x.y.b.example"), "a.example");
}

#[test]
fn the_first_identity_answers_any_other_name_and_none() {
    check_chosen(PAIRS, Some("other"), "a.example");
    check_chosen(PAIRS, Some(""), "a.example");
    check_chosen(PAIRS, None, "a.example");
}

#[test]
fn http_1_1_is_agreed_on_and_nothing_else() {
    let ca = Issuing::new("ca");
    let identities = [ca.issue(&["a"]).identity()];
    let server = server_config(server_of(&identities)).unwrap();
    let (_, end) = shake_hands(&client(&ca, None), &server, "a").unwrap();
    assert_eq!(end.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut other = ClientConfig::clone(&client(&ca, None));
    other.alpn_protocols = vec![b"h2".to_vec()];
    let error = shake_hands(&Arc::new(other), &server, "a").map(|_| ()).unwrap_err();
    assert_eq!(error, rustls::Error::NoApplicationProtocol);
    let mut silent = ClientConfig::clone(&client(&ca, None));
    silent.alpn_protocols.clear();
    assert!(shake_hands(&Arc::new(silent), &server, "a").is_ok());
}

fn only(version: &'static SupportedProtocolVersion, ca: &Issuing) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(crate::tls::provider());
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    // By the clock of this machine: no date is far from the present here.
    let mut config = builder.with_root_certificates(ca.authorities().store).with_no_client_auth();
    config.time_provider = Arc::new(crate::tls::testing::Still(crate::tls::testing::NOW));
    Arc::new(config)
}

#[test]
fn the_cheapest_suite_that_both_have_is_agreed_on() {
    use rustls::CipherSuite as Suite;
    let ca = Issuing::new("ca");
    let identities = [ca.issue(&["a"]).identity()];
    let server = server_config(server_of(&identities)).unwrap();
    for (version, expected) in [
        (&rustls::version::TLS12, Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        (&rustls::version::TLS13, Suite::TLS13_AES_128_GCM_SHA256),
    ] {
        // Whatever the client would rather have.
        let mut provider = rustls::crypto::CryptoProvider::clone(&crate::tls::provider());
        provider.cipher_suites.reverse();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[version]).unwrap();
        let roots = ca.authorities().store;
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.time_provider = Arc::new(crate::tls::testing::Still(crate::tls::testing::NOW));
        let (client, _) = shake_hands(&Arc::new(client), &server, "a").unwrap();
        assert_eq!(client.negotiated_cipher_suite().unwrap().suite(), expected);
    }
}

#[test]
fn the_oldest_version_is_as_asked_for() {
    use rustls::version::{TLS12, TLS13};
    let ca = Issuing::new("ca");
    let identities = [ca.issue(&["a"]).identity()];
    for (min_version, version, taken) in [
        (MinVersion::Tls12, &TLS12, true),
        (MinVersion::Tls12, &TLS13, true),
        (MinVersion::Tls13, &TLS12, false),
        (MinVersion::Tls13, &TLS13, true),
    ] {
        let side = ServerSide { min_version, ..server_of(&identities) };
        let server = server_config(side).unwrap();
        let result = shake_hands(&only(version, &ca), &server, "a");
        assert_eq!(result.is_ok(), taken, "{min_version:?} {version:?}");
        let agreed = result.ok().and_then(|(_, server)| server.protocol_version());
        assert_eq!(agreed, taken.then_some(version.version));
    }
}

#[test]
fn no_early_data_is_taken() {
    let identities = [Issuing::new("ca").issue(&["a"]).identity()];
    let server = server_config(server_of(&identities)).unwrap();
    assert_eq!(server.max_early_data_size, 0);
    assert!(!server.send_half_rtt_data);
}

/// What a client that shows `shown` is called by a server that trusts `ca`,
/// or whether it is refused.
#[track_caller]
fn check_client(
    mode: ClientAuth,
    shown: Option<&Issued>,
    ca: &Issuing,
    expected: Result<Option<&str>, ()>,
) {
    let (identities, authorities) = ([ca.issue(&["a"]).identity()], ca.authorities());
    let side = ServerSide { clients: Some((&authorities, mode)), ..server_of(&identities) };
    let server = server_config(side).unwrap();
    let result = shake_hands(&client(ca, shown), &server, "a");
    let name = result.map(|(_, server)| common_name(&server)).map_err(|_| ());
    assert_eq!(name, expected.map(|name| name.map(str::to_owned)));
}

#[test]
fn a_required_client_certificate_is_required_and_verified() {
    let (ca, stranger) = (Issuing::new("ca"), Issuing::new("stranger"));
    let known = ca.issue(&["client.example"]);
    let unknown = stranger.issue(&["client.example"]);
    check_client(ClientAuth::Required, Some(&known), &ca, Ok(Some("client.example")));
    check_client(ClientAuth::Required, Some(&unknown), &ca, Err(()));
    check_client(ClientAuth::Required, None, &ca, Err(()));
}

#[test]
fn an_optional_client_certificate_may_be_absent_but_not_wrong() {
    let (ca, stranger) = (Issuing::new("ca"), Issuing::new("stranger"));
    let known = ca.issue(&["client.example"]);
    let unknown = stranger.issue(&["client.example"]);
    check_client(ClientAuth::Optional, Some(&known), &ca, Ok(Some("client.example")));
    check_client(ClientAuth::Optional, None, &ca, Ok(None));
    check_client(ClientAuth::Optional, Some(&unknown), &ca, Err(()));
}

#[track_caller]
fn check_second(
    client: &Arc<ClientConfig>,
    servers: [&Arc<ServerConfig>; 2],
    expected: HandshakeKind,
) -> Connection {
    let (_, first) = shake_hands(client, servers[0], "a").unwrap();
    assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
    let (_, second) = shake_hands(client, servers[1], "a").unwrap();
    assert_eq!(second.handshake_kind(), Some(expected));
    second
}

#[test]
fn a_client_resumes_also_after_the_certificate_was_replaced() {
    let ca = Issuing::new("ca");
    let (old, new) = ([ca.issue(&["a"]).identity()], [ca.issue(&["a"]).identity()]);
    let tickets = new_tickets().unwrap();
    let server = |identities| {
        let tickets = Arc::clone(&tickets);
        server_config(ServerSide { tickets, ..server_of(identities) }).unwrap()
    };
    let (old, new) = (server(&old), server(&new));
    check_second(&client(&ca, None), [&old, &new], HandshakeKind::Resumed);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        check_second(&only(version, &ca), [&old, &new], HandshakeKind::Resumed);
    }
}

#[test]
fn no_session_is_kept_for_clients_without_tickets() {
    use rustls::client::{Resumption, Tls12Resumption};
    let ca = Issuing::new("ca");
    let identities = [ca.issue(&["a"]).identity()];
    let server = server_config(server_of(&identities)).unwrap();
    let mut client = ClientConfig::clone(&only(&rustls::version::TLS12, &ca));
    client.resumption =
        Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
    check_second(&Arc::new(client), [&server, &server], HandshakeKind::Full);
}

#[test]
fn a_client_does_not_resume_by_tickets_of_others() {
    let ca = Issuing::new("ca");
    let identities = [ca.issue(&["a"]).identity()];
    let server = || server_config(server_of(&identities)).unwrap();
    check_second(&client(&ca, None), [&server(), &server()], HandshakeKind::Full);
}

#[test]
fn the_clients_name_is_known_when_it_resumes() {
    let ca = Issuing::new("ca");
    let (identities, authorities) = ([ca.issue(&["a"]).identity()], ca.authorities());
    let clients = Some((&authorities, ClientAuth::Required));
    let server = server_config(ServerSide { clients, ..server_of(&identities) }).unwrap();
    let client = client(&ca, Some(&ca.issue(&["client.example"])));
    let second = check_second(&client, [&server, &server], HandshakeKind::Resumed);
    assert_eq!(common_name(&second).as_deref(), Some("client.example"));
}
