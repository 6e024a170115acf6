//! Facts about how errors name what the operator wrote.

use super::*;
use crate::config::{Fault, RouteFault};

/// Settings of a file: the head's size in line 3, backends in 7 and 9; the
/// body's size was typed.
fn given() -> Given {
    let mut given = Given::in_file("t.toml");
    given.in_line(("--head-bytes", 0), 3);
    given.in_line(("--backend", 0), 7);
    given.in_line(("--backend", 1), 9);
    given.by_flag("--body-bytes");
    given
}

#[track_caller]
fn check(spot: (&'static str, usize), value: &str, fault: Fault, expected: &str) {
    let (id, place) = spot;
    let error = PlanError { id, place, value: value.to_owned(), fault };
    assert_eq!(given().tell(&error).sentence, expected);
}

#[test]
fn what_stands_in_the_file_is_named_by_key_and_line() {
    let least = || Fault::TooSmall("1KiB".to_owned());
    check(
        ("--head-bytes", 0),
        "1B",
        least(),
        "t.toml:3: limits.head_bytes 1B: \
          the value must be at least 1KiB; raise it",
    );
    check(
        ("--backend", 1),
        "x",
        Fault::BackendTwice,
        "t.toml:9: backend.url x: \
          this backend is listed twice; list each one once",
    );
    check(
        ("--body-bytes", 0),
        "1B",
        least(),
        "--body-bytes 1B: \
          the value must be at least 1KiB; raise it",
    );
    check(
        ("--connections", 0),
        "",
        least(),
        "t.toml: limits.connections: \
          the value must be at least 1KiB; raise it",
    );
}

#[test]
fn a_mend_names_what_the_operator_can_change() {
    let above = |other| Fault::Above { other, most: "1MiB".to_owned() };
    check(
        ("--head-bytes", 0),
        "",
        above("--body-bytes"),
        "t.toml:3: limits.head_bytes: \
          this is more than --body-bytes allows (1MiB); lower it or raise --body-bytes",
    );
    check(
        ("--body-bytes", 0),
        "",
        above("--body-memory"),
        "--body-bytes: \
          this is more than limits.body_memory allows (1MiB); \
          lower it or raise limits.body_memory",
    );
    check(
        ("--tls-listen", 0),
        "",
        Fault::TlsNoPair,
        "t.toml: listen.tls: \
          a TLS listener needs a certificate; add tls.cert = \"FILE\" and tls.key = \"FILE\"",
    );
    check(
        ("--backend", 5),
        "",
        Fault::NoBackend,
        "t.toml:7: backend.url: \
          no backend is given; name one with backend.url = \"http://HOST:PORT\", \
          or add demo = true to use the built-in mock",
    );
    check(
        ("--cores", 0),
        "",
        Fault::CoresUnknown,
        "t.toml: cores.use: \
          the kernel did not say which cores this process may use; \
          list them with cores.use, and add cores.pin = false",
    );
}

/// A model may be called anything.
#[test]
fn what_the_operator_wrote_is_shown_as_it_was_written() {
    check(
        ("model.name", 0),
        "--cores",
        RouteFault::NotServed("--cores".to_owned()).into(),
        "t.toml: model.name --cores: no backend serves --cores; add the name to the \
         backend.models of one",
    );
}

#[test]
fn without_a_file_everything_is_a_flag() {
    let error = PlanError {
        id: "--tls-listen",
        place: 0,
        value: "a:1".to_owned(),
        fault: Fault::TlsNoPair,
    };
    assert_eq!(
        error.to_string(),
        "--tls-listen a:1: a TLS listener needs a certificate; \
         add --tls-cert FILE and --tls-key FILE"
    );
}

#[test]
fn a_key_that_was_pasted_for_its_path_and_a_password_are_not_shown() {
    for secret in ["-----BEGIN PRIVATE KEY-----MIIEv", "a\nb", "http://user:secret@a"] {
        check(
            ("--body-bytes", 0),
            secret,
            Fault::NoBackend,
            "--body-bytes …: \
              no backend is given; name one with backend.url = \"http://HOST:PORT\", \
              or add demo = true to use the built-in mock",
        );
    }
}

#[test]
fn what_stands_behind_the_path_of_a_url_is_not_shown() {
    for (value, expected) in [
        ("http://h:9?key=sk-secret", "http://h:9?…"),
        ("dns+https://h/v1?key=sk-secret#x", "dns+https://h/v1?…"),
        ("https://h/v1#sk-secret", "https://h/v1#…"),
        ("h:9/v1?sk-secret", "h:9/v1?…"),
        ("/health?token=sk-secret", "/health?…"),
        ("http://h:9", "http://h:9"),
        ("gpt-4#1", "gpt-4#1"),
        (&"é".repeat(300), &format!("{}…", "é".repeat(256))),
    ] {
        assert_eq!(shown(value), expected);
        let error = PlanError {
            id: "--backend",
            place: 0,
            value: value.to_owned(),
            fault: Fault::NoBackend,
        };
        let told = Given::default().tell(&error).sentence;
        assert!(!told.contains("sk-") && told.contains(expected), "{told}");
    }
}
