//! Facts about a client's configuration, by handshakes with it.

use rustls::{HandshakeKind, ServerConfig};

use super::*;
use crate::tls::{
    ClientAuth, ServerSide, server_config,
    testing::{Issuing, client_of, server_of, shake_hands},
};

fn server(ca: &Issuing, names: &[&str]) -> Arc<ServerConfig> {
    server_config(server_of(&[ca.issue(names).identity()])).unwrap()
}

fn client(ca: &Issuing) -> ClientConfig {
    client_config(client_of(Some(&ca.authorities()))).unwrap()
}

#[test]
fn a_backend_is_verified_by_name_and_authority() {
    let (ca, other) = (Issuing::new("ca"), Issuing::new("other"));
    let client = Arc::new(client(&ca));
    assert!(shake_hands(&client, &server(&ca, &["a.example"]), "a.example").is_ok());
    assert!(shake_hands(&client, &server(&ca, &["10.0.0.1"]), "10.0.0.1").is_ok());
    assert!(shake_hands(&client, &server(&ca, &["b.example"]), "a.example").is_err());
    assert!(shake_hands(&client, &server(&other, &["a.example"]), "a.example").is_err());
}

#[test]
fn danger_takes_any_certificate() {
    let client = Arc::new(client_config(client_of(None)).unwrap());
    let (ca, other) = (Issuing::new("ca"), Issuing::new("other"));
    assert!(shake_hands(&client, &server(&ca, &["b.example"]), "a.example").is_ok());
    assert!(shake_hands(&client, &server(&other, &["a.example"]), "a.example").is_ok());
}

#[test]
fn a_certificate_is_shown_to_backends_that_ask_for_one() {
    let ca = Issuing::new("ca");
    let (identities, authorities) = ([ca.issue(&["a"]).identity()], ca.authorities());
    let clients = Some((&authorities, ClientAuth::Required));
    let asking = server_config(ServerSide { clients, ..server_of(&identities) }).unwrap();
    let shown = ca.issue(&["proxy"]).identity();
    let side = BackendSide { identity: Some(&shown), ..client_of(Some(&authorities)) };
    let showing = Arc::new(client_config(side).unwrap());
    assert!(shake_hands(&showing, &asking, "a").is_ok());
    assert!(shake_hands(&Arc::new(client(&ca)), &asking, "a").is_err());
}

#[test]
fn sessions_are_resumed_with_their_own_backend_only() {
    let ca = Issuing::new("ca");
    let (one, other) = (server(&ca, &["a"]), server(&ca, &["a"]));
    let config = client(&ca);
    let (to_one, to_other) = (for_one_backend(&config), for_one_backend(&config));
    let kind = |client, server| shake_hands(client, server, "a").unwrap().0.handshake_kind();
    assert_eq!(kind(&to_one, &one), Some(HandshakeKind::Full));
    assert_eq!(kind(&to_other, &other), Some(HandshakeKind::Full));
    for _ in 0..3 {
        assert_eq!(kind(&to_one, &one), Some(HandshakeKind::Resumed));
        assert_eq!(kind(&to_other, &other), Some(HandshakeKind::Resumed));
    }
}

#[test]
fn http_1_1_is_offered_and_no_early_data() {
    let config = client(&Issuing::new("ca"));
    assert_eq!(config.alpn_protocols, [b"http/1.1"]);
    assert!(!config.enable_early_data);
}
