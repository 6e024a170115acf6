use super::*;
use crate::exchange::{Credential, Host};

fn backend(base_path: &str, host: &str, key: Option<&str>) -> BackendSettings {
    BackendSettings {
        name: String::new(),
        host: Host::new(host),
        base_path: base_path.into(),
        credential: key.map(|key| Credential::new(key.as_bytes())),
    }
}

fn room(backends: &[BackendSettings]) -> usize {
    backends.iter().map(BackendSettings::prefix_bytes).max().unwrap()
}

fn begin(credentials: &str, prefix_room: usize) -> Outgoing {
    let bytes = Vec::with_capacity(1024);
    Outgoing::begin(bytes, (b"POST", b"/v1/x?q"), credentials.as_bytes(), prefix_room)
}

/// All that goes to this backend.
fn sent_as(outgoing: &mut Outgoing, to: &BackendSettings, dialect: Dialect) -> String {
    let range = outgoing.address_to(to, dialect);
    let mut sent = outgoing.bytes[range].to_vec();
    if let Some(body) = outgoing.lend_apart() {
        let (first, more) = outgoing.parts_apart(body.len());
        sent.extend_from_slice(&body[first]);
        if let Some((name, rest)) = more {
            sent.extend_from_slice(name);
            sent.extend_from_slice(&body[rest]);
        }
        outgoing.restore_apart(body);
    }
    String::from_utf8(sent).unwrap()
}

fn sent(outgoing: &mut Outgoing, to: &BackendSettings) -> String {
    sent_as(outgoing, to, Dialect::OpenAi)
}

#[test]
fn each_attempt_is_addressed_anew_and_the_rest_stays() {
    let backends = [
        backend("", "a:1", None),
        backend("/base", "long.example:8000", None),
        backend("", "b", None),
    ];
    let mut outgoing = begin("", room(&backends));
    outgoing.field(b"accept", b"*/*");
    assert!(outgoing.end_with_body(b"{}"));
    let rest = "content-length: 2\r\naccept: */*\r\n\r\n{}";
    for _ in 0..2 {
        for (to, line) in backends.iter().zip([
            "POST /v1/x?q HTTP/1.1\r\nhost: a:1\r\n",
            "POST /base/v1/x?q HTTP/1.1\r\nhost: long.example:8000\r\n",
            "POST /v1/x?q HTTP/1.1\r\nhost: b\r\n",
        ]) {
            assert_eq!(sent(&mut outgoing, to), format!("{line}{rest}"));
        }
    }
}

#[test]
fn a_request_without_body_says_nothing_of_length() {
    let to = backend("", "h", None);
    let bytes = Vec::with_capacity(256);
    let mut outgoing = Outgoing::begin(bytes, (b"GET", b"/"), b"", to.prefix_bytes());
    outgoing.end_without_body();
    let head = sent(&mut outgoing, &to);
    assert_eq!(head, "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
}

#[test]
fn a_large_body_stands_apart() {
    let to = backend("", "h", None);
    let bytes = Vec::with_capacity(128);
    let mut outgoing = Outgoing::begin(bytes, (b"POST", b"/"), b"", to.prefix_bytes());
    let body = vec![b'x'; 1000];
    assert!(!outgoing.end_with_body(&body));
    outgoing.end_with_body_apart(body.clone());
    assert_eq!(outgoing.body(), body);
    let range = outgoing.address_to(&to, Dialect::OpenAi);
    let head = String::from_utf8(outgoing.bytes[range].to_vec()).unwrap();
    assert!(head.ends_with("content-length: 1000\r\n\r\n"), "{head}");
}

#[test]
fn nobody_sees_the_credential_of_another() {
    let backends = [
        backend("", "a", Some("key-of-a-which-is-long")),
        backend("", "b", None),
        backend("", "c", Some("key-of-c")),
    ];
    let own = "authorization: Bearer client\r\n";
    let mut outgoing = begin(own, room(&backends));
    assert!(outgoing.end_with_body(b"{}"));
    let rest = "content-length: 2\r\n";
    for places in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        for place in places {
            let host = ["a", "b", "c"][place];
            let (openai, anthropic) = match place {
                0 => (
                    "authorization: Bearer key-of-a-which-is-long\r\n",
                    "x-api-key: key-of-a-which-is-long\r\n",
                ),
                1 => (own, own),
                _ => ("authorization: Bearer key-of-c\r\n", "x-api-key: key-of-c\r\n"),
            };
            for (dialect, line) in [(Dialect::OpenAi, openai), (Dialect::Anthropic, anthropic)] {
                let whole =
                    format!("POST /v1/x?q HTTP/1.1\r\nhost: {host}\r\n{rest}{line}\r\n{{}}");
                assert_eq!(sent_as(&mut outgoing, &backends[place], dialect), whole);
            }
        }
    }
}

#[test]
fn a_credential_is_never_shown() {
    let shown = format!("{:?}", backend("", "a", Some("secret")));
    assert!(!shown.contains("secret"), "{shown}");
}

/// The body is the client's to the byte, save for the model's name.
#[track_caller]
fn check_renaming(front: &str, name: &str, tail: &str) {
    let to = backend("", "h", None);
    let body = format!("{front}{name}{tail}");
    let at = || Some(front.len()..front.len() + name.len());
    for apart in [false, true] {
        let mut outgoing = begin("", room(std::slice::from_ref(&to)));
        outgoing.field(b"accept", b"*/*");
        if apart {
            outgoing.end_with_body_apart(body.clone().into_bytes());
        } else if !outgoing.end_with_body(body.as_bytes()) {
            continue;
        }
        let plain = sent(&mut outgoing, &to);
        for other in ["a", "a/much-longer-name-of-a-model", "q\"\\q"] {
            let written = serde_json::to_string(other).unwrap();
            outgoing.rename(at(), Some(other));
            let expected = format!("{front}{written}{tail}");
            let sent = sent(&mut outgoing, &to);
            let (head, body) = sent.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, expected, "apart: {apart}");
            let length = format!("content-length: {}\r\n", expected.len());
            assert!(head.contains(&length) && head.ends_with("accept: */*"), "{head}");
        }
        outgoing.rename(at(), None);
        assert_eq!(sent(&mut outgoing, &to), plain, "apart: {apart}");
        assert_eq!(outgoing.body(), body.as_bytes());
    }
}

#[test]
fn only_the_models_name_changes_wherever_it_stands() {
    check_renaming("{\"model\":", "\"m\"", "}");
    check_renaming("{\"model\":", "\"m\"", &format!(",\"x\":\"{}\"}}", "y".repeat(5000)));
    let long = format!("{{\"x\":\"{}\",\"model\":", "y".repeat(5000));
    check_renaming(&long, "\"original-name\"", ",\"z\":1}");
}

#[test]
fn without_a_name_in_the_body_nothing_is_renamed() {
    let to = backend("", "h", None);
    let mut outgoing = begin("", room(std::slice::from_ref(&to)));
    assert!(outgoing.end_with_body(b"{}"));
    outgoing.rename(None, Some("other"));
    assert!(sent(&mut outgoing, &to).ends_with("content-length: 2\r\n\r\n{}"));
}

#[test]
fn a_copy_is_sent_to_another_backend_as_the_original_would_be() {
    let backends = [backend("/a", "a:1", Some("key-a")), backend("", "b", None)];
    let body = format!(r#"{{"model":"m","x":"{}"}}"#, "y".repeat(4000));
    for is_apart in [false, true] {
        let mut outgoing = begin("authorization: Bearer own\r\n", room(&backends));
        if is_apart {
            outgoing.end_with_body_apart(body.clone().into_bytes());
        } else {
            outgoing.bytes.reserve(body.len() + 100);
            assert!(outgoing.end_with_body(body.as_bytes()));
        }
        outgoing.rename(Some(9..12), Some("other"));
        let first = sent(&mut outgoing, &backends[0]);
        assert!(outgoing.is_at_home());
        let mut copy = outgoing.copy(b"what a buffer held".to_vec());
        assert_eq!(outgoing.size(), copy.size());
        let second = sent(&mut copy, &backends[1]);
        assert_eq!(second, sent(&mut outgoing, &backends[1]), "apart: {is_apart}");
        assert!(first.contains("key-a") && !second.contains("key-a"));
        assert!(second.contains(r#""model":"other""#));
        copy.rename(Some(9..12), None);
        assert_eq!(sent(&mut outgoing, &backends[0]), first, "each has its own name");
    }
}

#[test]
fn what_is_lent_is_not_at_home() {
    let mut outgoing = begin("", 100);
    outgoing.end_with_body_apart(b"{}".to_vec());
    assert!(outgoing.is_at_home());
    let bytes = outgoing.lend();
    assert!(!outgoing.is_at_home());
    outgoing.restore(bytes);
    let apart = outgoing.lend_apart().unwrap();
    assert!(!outgoing.is_at_home());
    outgoing.restore_apart(apart);
    assert!(outgoing.is_at_home());
}

#[test]
fn a_copy_holds_all_but_the_clients_credentials() {
    let (keyed, plain) = (backend("/b", "h", Some("ours")), backend("", "h", None));
    let body = "{\"model\":\"m\",\"authorization: x\":1}";
    for apart in [false, true] {
        let mut outgoing =
            begin("authorization: Bearer theirs\r\n", room(std::slice::from_ref(&keyed)));
        for (name, value) in [("Cookie", "c"), ("accept", "*/*"), ("x-api-key", "k"), ("a", "b: c")]
        {
            outgoing.field(name.as_bytes(), value.as_bytes());
        }
        if apart {
            outgoing.end_with_body_apart(body.into());
        } else {
            assert!(outgoing.end_with_body(body.as_bytes()));
        }
        let original = sent(&mut outgoing, &plain);
        let mut copy = outgoing.without_credentials();
        assert!(copy.size() >= body.len() && !copy.has_body_apart());
        let rest = format!("accept: */*\r\na: b: c\r\n\r\n{body}");
        let length = format!("content-length: {}\r\n", body.len());
        let line = "/v1/x?q HTTP/1.1\r\nhost: h\r\n";
        assert_eq!(sent(&mut copy, &plain), format!("POST {line}{length}{rest}"));
        let own = "authorization: Bearer ours\r\n";
        assert_eq!(sent(&mut copy, &keyed), format!("POST /b{line}{length}{own}{rest}"));
        copy.rename(Some(9..12), Some("other"));
        assert!(sent(&mut copy, &plain).contains("{\"model\":\"other\",\"auth"));
        assert_eq!(sent(&mut outgoing, &plain), original, "the request itself stays");
    }
}
