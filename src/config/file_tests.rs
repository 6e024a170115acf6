//! Facts about the words of a file: what is understood, and how each fault is
//! told.

use super::*;
use crate::config::{BackendWritten, Machine, check_file_and_flags};
use crate::tls::UnixTime;
use std::time::Duration;

/// A backend, so that only what is before it can be wrong.
const BACKEND: &str = "[[backend]]\nurl = \"http://a:1\"\n";

fn file(text: &str) -> ConfigFile {
    ConfigFile { name: "t.toml".to_owned(), text: text.to_owned() }
}

fn written(text: &str) -> Written {
    let read = file(text).read();
    let told: Vec<_> = read.faults.iter().map(|told| told.sentence.as_str()).collect();
    assert_eq!(told, [""; 0], "{text}");
    Written { given: Given::default(), ..read.written }
}

fn told(text: &str, type_flags: impl FnOnce(&mut Written)) -> Vec<String> {
    let machine = Machine { allowed_cores: vec![0, 1], open_files: Some(4096) };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1));
    let plan = check_file_and_flags(Some(&file(text)), type_flags, &machine, now);
    plan.map(|_| ()).err().unwrap_or_default()
}

/// The file is refused with exactly these sentences.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(told(text, |_| ()), expected, "{text}");
}

/// The same before a backend.
#[track_caller]
fn check_line(line: &str, expected: &str) {
    check(&format!("{line}\n{BACKEND}"), &[expected]);
}

/// The same, by the beginning: what follows is in the words of others.
#[track_caller]
fn check_syntax(text: &str, line: usize) {
    let told = told(text, |_| ());
    let expected = format!("t.toml:{line}: this is not TOML (");
    assert!(told.len() == 1 && told[0].starts_with(&expected), "{told:?}");
}

#[test]
fn nothing_written_is_every_default() {
    assert_eq!(written(""), Written::default());
    assert_eq!(
        written("# a comment\n[deadlines]\n[backend.tls]\n".split("[b").next().unwrap()),
        Written::default()
    );
}

#[test]
fn backends_are_taken_in_their_order_with_tables_of_their_own() {
    let of_file = written(
        "[[backend]]\nurl = \"https://a\"\n[backend.tls]\nca = \"x.pem\"\nname = \"n\"\n\
         [[backend]]\nurl = \"https://b\"\ntls = { danger_no_verify = true }\n",
    );
    let [first, second] = &of_file.backends[..] else { panic!("{:?}", of_file.backends) };
    assert_eq!((first.url.as_str(), second.url.as_str()), ("https://a", "https://b"));
    assert_eq!((first.tls.ca.as_deref(), second.tls.ca.as_deref()), (Some("x.pem".as_ref()), None));
    assert_eq!(first.tls.name.as_deref(), Some("n"));
    let verification = |one: &BackendWritten| one.tls.verification;
    assert_ne!(verification(first), verification(second));
}

#[test]
fn a_list_stands_alone_or_in_brackets() {
    assert_eq!(written("listen.http = \"a:1\"").listen, ["a:1"]);
    assert_eq!(written("listen.http = [\"a:1\", \"b:2\"]").listen, ["a:1", "b:2"]);
    assert_eq!(written("listen.http = []").listen, [""; 0]);
}

#[test]
fn what_is_no_toml_is_told_by_its_line() {
    check_syntax("demo = true\ncores.use = 0-1\n", 2);
    check_syntax("demo = true\n[limits\nbody_bytes = \"1B\"\n", 2);
    check_syntax("demo = true\ndemo = true\n", 2);
    check_syntax("demo\n", 1);
    check_syntax("proxy.path = \"/x\n", 1);
}

#[test]
fn every_line_that_is_no_toml_is_told_and_so_are_unknown_keys() {
    let told = told("demo = yes\nlimit.x = 1\n[[backend]]\nurl = http://a\n", |_| ());
    let lines: Vec<_> = told.iter().map(|told| &told[..9]).collect();
    assert_eq!(lines, ["t.toml:1:", "t.toml:2:", "t.toml:4:"], "{told:?}");
}

#[test]
fn what_is_no_configuration_is_told_in_a_few_lines() {
    let told = told(&"no configuration\n".repeat(20_000), |_| ());
    assert_eq!(told.len(), FAULTS_MAX + 1);
    let last = told.last().unwrap();
    assert!(last.ends_with(" more faults; mend those above first"), "{last}");
}

#[test]
fn the_first_faults_are_told_wherever_they_are_found() {
    let rings: String = (0..90).map(|n| format!("key{n} = 1\n")).collect();
    let routes: String = (0..90).map(|n| format!("[[route]]\nname = \"r{n}\"\n")).collect();
    let told = told(&format!("{rings}{BACKEND}{routes}"), |_| ());
    assert_eq!(told.len(), FAULTS_MAX + 1);
    assert!(told[89].starts_with("t.toml:90: key89: "), "{}", told[89]);
    assert!(told[99].starts_with("t.toml:112: route.name r9: "), "{}", told[99]);
    assert_eq!(told[100], "t.toml: 80 more faults; mend those above first");
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    check_line(
        "limits.bodybytes = 1",
        "t.toml:1: limits.bodybytes: the key is not known; \
               did you mean limits.body_bytes?",
    );
    check_line(
        "[deadline]\nconnect = 1",
        "t.toml:1: deadline: the key is not known; \
               did you mean deadlines?",
    );
    check_line(
        "\nconnect_timeout = \"1s\"",
        "t.toml:2: connect_timeout: the key is not known; \
               did you mean deadlines.connect?",
    );
    check_line(
        "dns.x = 1",
        "t.toml:1: dns.x: the key is not known; \
               known here are resolve_every",
    );
    check(
        "[[backends]]\nurl = \"http://a\"\n",
        &["t.toml:1: backends: the key is not known; \
          did you mean backend?"],
    );
    check(
        "[[backend]]\nurls = \"http://a\"\n",
        &["t.toml:2: backend.urls: the key is not known; \
          did you mean backend.url?"],
    );
    check(
        "[[backend]]\nurl = \"http://a\"\n[backend.tsl]\nca = 1",
        &["t.toml:3: backend.tsl: the key is not known; did you mean backend.tls?"],
    );
}

#[test]
fn a_name_in_quotes_is_no_key_of_ours() {
    check_line(
        "\"dns.resolve_every\" = \"1s\"",
        "t.toml:1: \"dns.resolve_every\": the key is not known; did you mean dns.resolve_every?",
    );
    for name in ["\"\"", "\"a\\nb\"", "\"x.y\""] {
        let told = told(&format!("{name} = 1\n{BACKEND}"), |_| ());
        assert!(told.len() == 1 && told[0].contains(": the key is not known; known"), "{told:?}");
    }
}

#[test]
fn a_value_of_another_type_is_told_with_an_example() {
    let wrong = |what: &str, found: &str, example: &str| {
        format!("t.toml:1: {what}: this is {found}; write it like {example}")
    };
    for (line, what, found, example) in [
        ("deadlines.connect = 5", "deadlines.connect", "a whole number", "connect = \"2s\""),
        (
            "limits.body_bytes = 1.5",
            "limits.body_bytes",
            "a number with a fraction",
            "body_bytes = \"128MiB\"",
        ),
        ("limits.header_count = \"5\"", "limits.header_count", "a text", "header_count = 200"),
        (
            "limits.header_count = 0x5",
            "limits.header_count",
            "a number that is not decimal",
            "header_count = 200",
        ),
        ("limits.connections = true", "limits.connections", "true or false", "connections = 200"),
        ("demo = \"yes\"", "demo", "a text", "demo = true"),
        ("cores.use = [0, 1]", "cores.use", "a list", "use = \"0\""),
        ("listen.tls = [1]", "listen.tls", "a list", "tls = \"0.0.0.0:8443\""),
        (
            "listen.http = 8080",
            "listen.http",
            "a whole number",
            "http = [\"0.0.0.0:8080\", \"unix:/run/tokenring.sock\"]",
        ),
        ("proxy.path.x = 1", "proxy.path", "a table", "path = \"/v1/embeddings\""),
        (
            "tls.min_version = 1.3",
            "tls.min_version",
            "a number with a fraction",
            "min_version = \"1.3\"",
        ),
        ("deadlines.total = 2026-01-01", "deadlines.total", "a date", "total = \"2h\""),
    ] {
        check_line(line, &wrong(what, found, example));
    }
    check_line(
        "limits = 5",
        "t.toml:1: limits: this is a whole number, and a table is meant; \
               write [limits] and its keys below",
    );
    check(
        "[backend]\nurl = \"http://a\"\n",
        &["t.toml:1: backend: this is a table, and backends \
          are a list of tables; write [[backend]] once for each"],
    );
    check(
        "backend = [\"http://a\"]\n",
        &["t.toml:1: backend: this is a text, and backends \
          are a list of tables; write [[backend]] once for each"],
    );
    check(
        "[[backend]]\nurl = [\"http://a\", \"http://b\"]\n",
        &["t.toml:2: backend.url: this is a list; \
           write it like url = \"https://models.example.com/serving\""],
    );
    check(
        "[[backend]]\nurl = [\"http://a\", \"http://b\"]\n",
        &["t.toml:2: backend.url: this is a list; \
           write it like url = \"https://models.example.com/serving\""],
    );
    check(
        "[[backend]]\n",
        &["t.toml:1: backend: a backend without url; \
          add a line like url = \"http://10.0.0.1:8000\""],
    );
}

#[test]
fn a_word_that_is_not_understood_is_told_with_its_mend() {
    check_line(
        "deadlines.connect = \"5\"",
        "t.toml:1: deadlines.connect 5: \
               the unit of the time is missing; add one of ms, s, m, h, d, as in 10s",
    );
    check_line(
        "limits.body_bytes = \"5KB\"",
        "t.toml:1: limits.body_bytes 5KB: the unit of the \
               size is not known; use B, KiB, MiB, GiB (1024) or kB, MB, GB (1000)",
    );
    check_line(
        "limits.header_count = -5",
        "t.toml:1: limits.header_count -5: this is no whole \
               number, or one that is too large; write digits only, like 16",
    );
    check_line(
        "limits.connections = \"all\"",
        "t.toml:1: limits.connections all: this is neither \
               auto nor a whole number; write auto or a count like 10000",
    );
    check_line(
        "kernel.driver = \"fast\"",
        "t.toml:1: kernel.driver fast: the word is not known; \
               write one of auto, uring, epoll",
    );
}

#[test]
fn values_out_of_range_and_relations_are_told_by_key_and_line() {
    check_line(
        "\nlimits.body_bytes = \"2GiB\"",
        "t.toml:2: limits.body_bytes 2GiB: this is more \
               than limits.body_memory allows (1GiB); lower it or raise limits.body_memory",
    );
    check_line(
        "deadlines.head = \"1ms\"",
        "t.toml:1: deadlines.head 1ms: \
               the value must be at least 10ms; raise it",
    );
    check_line(
        "kernel.ring_entries = 1000",
        "t.toml:1: kernel.ring_entries 1000: \
               the number must be a power of two; try 1024",
    );
    check_line(
        "listen.http = [\n\"127.0.0.1:1\",\n\"x\"]",
        "t.toml:3: listen.http x: this is no \
               address to listen on; write HOST:PORT, [::1]:PORT or unix:/PATH",
    );
    check(
        "demo = false\n",
        &["t.toml: backend.url: no backend is given; name one with \
          backend.url = \"http://HOST:PORT\", or add demo = true to use the built-in mock"],
    );
    check_line(
        "listen.tls = \"127.0.0.1:1\"",
        "t.toml:1: listen.tls 127.0.0.1:1: \
               a TLS listener needs a certificate; \
               add tls.cert = \"FILE\" and tls.key = \"FILE\"",
    );
    check_line(
        "tls.watch_every = \"1s\"",
        "t.toml:1: tls.watch_every 1s: there is no certificate \
               file to look at, so this has no effect; leave it out",
    );
}

#[test]
fn each_backend_is_told_by_its_own_line() {
    check(
        "[[backend]]\nurl = \"http://a\"\n[[backend]]\nurl = \"htp://b\"\n[[backend]]\n\
           url = \"http://a\"\n[backend.tls]\nca = \"x\"\n",
        &[
            "t.toml:4: backend.url htp://b: the scheme must be http or https; \
         write http://HOST:PORT, https://HOST or unix:/PATH",
            "t.toml:6: backend.url http://a: this backend is listed twice; list each one once",
            "t.toml:8: backend.tls.ca: this backend is not https, so this has no effect; leave it out",
        ],
    );
    check(
        "[[backend]]\nurl = \"https://a\"\ntls.danger_no_verify = true\n\
           [[backend]]\nurl = \"https://b\"\ntls = { cert = \"c\", danger_no_verify = true }\n",
        &["t.toml:6: backend.tls.cert: a certificate is shown to backends together with its key; \
         add backend.tls.key = \"FILE\""],
    );
    check(
        "[[backend]]\nurl = \"https://a\"\ntls.ca = \"/nonexistent\"\n",
        &["t.toml:3: backend.tls.ca /nonexistent: the file cannot be read (no such file or \
         directory); give a file that this user may read"],
    );
}

#[test]
fn what_was_not_understood_is_not_found_faulty_again() {
    check(
        "deadlines.total = \"5\"\ndeadlines.first_byte = \"2h\"\n[[backend]]\nurl = 1\n\
           tls.ca = \"x\"\n",
        &[
            "t.toml:1: deadlines.total 5: the unit of the time is missing; \
         add one of ms, s, m, h, d, as in 10s",
            "t.toml:4: backend.url: this is a whole number; \
         write it like url = \"https://models.example.com/serving\"",
        ],
    );
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_lines() {
    let text = "limits.head_bytes = \"1MiB\"\nx = 1\ndeadlines.head = 1\ncores.use = \"0-9\"\n";
    let told = told(text, |_| ());
    let starts: Vec<_> = told.iter().map(|told| told.split(": ").next().unwrap()).collect();
    assert_eq!(starts, ["t.toml:1", "t.toml:2", "t.toml:3", "t.toml:4", "t.toml"], "{told:#?}");
}

#[test]
fn a_flag_that_was_typed_wins_and_is_named_as_a_flag() {
    let typed = |written: &mut Written| {
        written.limits.body_bytes = 2 << 30;
        written.given.by_flag("--body-bytes");
    };
    let text = format!("limits.body_bytes = \"1MiB\"\n{BACKEND}");
    assert_eq!(
        told(&text, typed),
        ["--body-bytes 2GiB: this is more than limits.body_memory allows (1GiB); \
         lower it or raise limits.body_memory",]
    );
}

#[test]
fn a_key_file_is_not_shown_wherever_it_was_given() {
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nSECRET=\nSECRET\n-----END PRIVATE KEY-----\n";
    check(PEM, &["t.toml:1: this is a PEM file and no configuration; give a file in TOML"]);
    check_line(
        &format!("tls.key = '''{PEM}'''"),
        "t.toml:1: tls.key …: \
               this is what a PEM file holds, and is not shown; give the file's path",
    );
    for key in ["proxy.path", "cores.use", "kernel.driver", "deadlines.head", "listen.http"] {
        let told = told(&format!("{key} = '''{PEM}'''\n{BACKEND}"), |_| ());
        assert!(told.len() == 1 && !told[0].contains("SECRET"), "{told:?}");
    }
}
