//! The command line as the operator meets it: the built binary, its exit code
//! and its words.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use rcgen::{CertificateParams, KeyPair};

use tokenring::base::units::{Size, Time};
use tokenring::config::{
    Balancing, Deadlines, Ejection, EnginePlan, HealthPlan, Limits, MockScript, MockWritten, Plan,
    PoolPlan, QueuePlan, RetryPlan, RingPlan, ServerTlsPlan, TlsPlan, Written,
};

fn tokenring(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenring"));
    command.args(args).env_remove("TOKENRING_LOG");
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("words are UTF-8")
}

/// Refused with exit code 2, nothing on standard output, and one line on
/// standard error that names the flag, the reason and the mend.
#[track_caller]
fn check(args: &[&str], flag: &str, reason: &str, mend: &str) {
    let output = tokenring(args);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    let has_all = |line: &&str| [flag, reason, mend].iter().all(|part| line.contains(part));
    assert!(said.lines().any(|line| has_all(&line)), "{args:?} said:\n{said}");
}

/// Where nothing can listen: words that should be refused and are not end in
/// a failure at once, not in a server that the test waits for.
const NOWHERE: &str = "unix:/nonexistent/tokenring.sock";
const NOWHERE_TLS: &str = "unix:/nonexistent/tokenring-tls.sock";

/// `serve` with a backend, so that only `args` can be wrong.
#[track_caller]
fn check_serve(args: &[&str], flag: &str, reason: &str, mend: &str) {
    let backend: &[&str] = &["--backend", "http://127.0.0.1:1"];
    check_bare_serve(&[backend, args].concat(), flag, reason, mend);
}

#[track_caller]
fn check_bare_serve(args: &[&str], flag: &str, reason: &str, mend: &str) {
    check(&[&["serve", "--listen", NOWHERE], args].concat(), flag, reason, mend);
}

#[track_caller]
fn check_mock(args: &[&str], flag: &str, reason: &str, mend: &str) {
    check(&[&["mock"], args].concat(), flag, reason, mend);
}

#[test]
fn refuses_to_serve_without_a_backend() {
    check_bare_serve(&[], "--backend", "no backend is given", "--demo");
}

#[test]
fn refuses_a_backend_it_cannot_reach() {
    check_bare_serve(&["--backend", "htp://x"], "--backend htp://x", "scheme", "write http://");
    check_bare_serve(&["--backend", "https://-x"], "--backend", "no certificate", "DNS name");
    check_bare_serve(&["--backend", "x:80"], "--backend", "told by URL", "write http://");
    check_bare_serve(&["--backend", "http://h:0"], "--backend", "port", "write http://HOST:PORT");
    check_bare_serve(&["--backend", "http://u@h"], "--backend", "user or password", "leave out");
    let own = ["--listen", "127.0.0.1:4711", "--backend", "http://127.0.0.1:4711"];
    check_bare_serve(&own, "--backend http://127.0.0.1:4711", "our own listener", "name another");
}

#[test]
fn refuses_an_address_it_cannot_listen_on() {
    check_serve(&["--listen", "8080"], "--listen 8080", "no address", "write HOST:PORT");
    check_serve(&["--listen", "example.com:1"], "--listen", "needs an IP", "write the address");
    check_serve(&["--listen", "unix:"], "--listen", "path is empty", "write unix:/PATH");
    check_serve(&["--admin", "x"], "--admin x", "no address", "write HOST:PORT");
    check_serve(&["--admin", NOWHERE], "--admin", "already listened on", "give each");
}

#[test]
fn refuses_words_on_tls_that_have_no_effect() {
    let tls = ["--tls-listen", "127.0.0.1:0"];
    check_serve(&tls, "--tls-listen", "needs a certificate", "add --tls-cert FILE");
    check_serve(&["--tls-cert", "c"], "--tls-cert", "no listener speaks TLS", "add --tls-listen");
    check_serve(&["--tls-min-version", "1.2"], "--tls-min-version", "no effect", "leave it out");
    check_serve(&["--tls-min-version", "1.1"], "--tls-min-version", "invalid value '1.1'", "");
    check_serve(&["--backend-ca", "c"], "--backend-ca", "no backend is https", "https://");
    let uneven = [&tls[..], &["--tls-cert", "c", "--tls-cert", "d", "--tls-key", "k"]].concat();
    check_serve(&uneven, "--tls-key", "2 --tls-cert and 1 --tls-key", "as many of both");
    let name = ["--backend", "https://x", "--backend-tls-name", "a:1"];
    check_serve(&name, "--backend-tls-name a:1", "no DNS name", "write the name");
}

/// A certificate for `name` and its key, valid in these years.
fn pair(folder: &Path, name: &str, years: [i32; 2]) -> [String; 2] {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let [from, to] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
    (params.not_before, params.not_after) = (from, to);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    [("crt", certificate), ("key", key.serialize_pem())].map(|(kind, pem)| {
        let path = folder.join(format!("{name}.{kind}"));
        std::fs::write(&path, pem).expect("a file");
        path.into_os_string().into_string().expect("a path in UTF-8")
    })
}

#[test]
fn refuses_certificates_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [certificate, key] = pair(folder, "a", [2020, 4000]);
    let [_, other_key] = pair(folder, "b", [2020, 4000]);
    let [expired, expired_key] = pair(folder, "c", [2020, 2021]);
    let [early, early_key] = pair(folder, "d", [3000, 4000]);
    let encrypted = folder.join("encrypted").into_os_string().into_string().unwrap();
    std::fs::write(&encrypted, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").unwrap();
    let check_pair = |certificate: &str, key: &str, flag: &str, reason: &str, mend: &str| {
        let pair = ["--tls-listen", NOWHERE_TLS, "--tls-cert", certificate, "--tls-key", key];
        check_serve(&pair, flag, reason, mend);
    };
    check_pair(&certificate, &other_key, "--tls-key", "does not match", "give the key");
    check_pair(&expired, &expired_key, "--tls-cert", "expired on 2021-01-01", "renew it");
    check_pair(&early, &early_key, "--tls-cert", "not valid before 3000-01-01", "clock");
    check_pair("/nonexistent", &key, "--tls-cert /nonexistent", "no such file", "may read");
    check_pair(&key, &key, "--tls-cert", "holds no certificate", "BEGIN CERTIFICATE");
    check_pair(&certificate, &certificate, "--tls-key", "holds no private key", "BEGIN PRIVATE");
    check_pair(&certificate, &encrypted, "--tls-key", "is encrypted", "decrypt it");
    let bundle = ["--backend", "https://x", "--backend-ca", &key];
    check_serve(&bundle, "--backend-ca", "no certificate of an authority", "PEM bundle");
}

#[test]
fn refuses_cores_that_are_not_there() {
    check_serve(&["--cores", "8000"], "--cores 8000", "core 8000 may not", "give --cores a subset");
    check_serve(&["--cores", "0-"], "--cores 0-", "not understood", "write auto");
    check_serve(&["--cores", "3-1"], "--cores 3-1", "falls", "1-3");
    check_serve(&["--cores", "0,0"], "--cores 0,0", "twice", "list each core once");
}

#[test]
fn refuses_a_value_without_a_clear_unit() {
    check_serve(&["--connect-timeout", "5"], "--connect-timeout", "unit of the time", "add one of");
    check_serve(&["--drain", "5min"], "--drain", "not known", "use one of");
    check_serve(&["--drain", "x"], "--drain", "whole number and a unit", "write it like");
    check_serve(&["--body-bytes", "5"], "--body-bytes", "unit of the size", "add one of");
    check_serve(&["--body-bytes", "5k"], "--body-bytes", "not known", "use B");
    check_serve(&["--connections", "5k"], "--connections", "neither auto nor", "write auto");
}

#[test]
fn refuses_a_count_that_is_not_digits_alone() {
    for count in ["+5", " 5", "-1", "0x5", "99999999999999999999"] {
        let counts = ["--header-count", "--connections-per-address", "--requests-in-flight"];
        let kept = ["--pool-idle-per-backend", "--pool-buffers", "--ring-entries"];
        for flag in counts.into_iter().chain(kept) {
            check_serve(&[&format!("{flag}={count}")], flag, "no whole number", "digits only");
        }
        let of_all = format!("--connections={count}");
        check_serve(&[&of_all], "--connections", "neither auto nor", "write auto");
        for flag in ["--tokens", "--status", "--cut-at", "--fault-every", "--close-after"] {
            let word = format!("{flag}={count}");
            check_mock(&["--listen", NOWHERE, &word], flag, "no whole number", "digits only");
        }
    }
}

/// A default gives way to what was set elsewhere; the same value, asked for,
/// does not.
#[test]
fn what_was_asked_for_never_gives_way() {
    let rows = [
        ("--body-memory", "16MiB", "--body-bytes", Size(Limits::DEFAULT.body_bytes).to_string()),
        ("--head-bytes", "4KiB", "--target-bytes", Size(Limits::DEFAULT.target_bytes).to_string()),
        (
            "--total-timeout",
            "4s",
            "--connect-timeout",
            Time(Deadlines::DEFAULT.connect).to_string(),
        ),
        (
            "--keep-alive-timeout",
            "500ms",
            "--rest-before-idle",
            Time(PoolPlan::DEFAULT.rest_before_idle).to_string(),
        ),
    ];
    for (other, most, flag, default) in rows {
        check_serve(&[other, most, flag, &default], flag, "allows", &format!("raise {other}"));
    }
}

#[test]
fn refuses_values_that_do_not_fit_each_other() {
    check_serve(&["--body-bytes", "4GiB"], "--body-bytes 4GiB", "32 bits", "lower it");
    check_serve(&["--body-bytes", "2GiB"], "--body-bytes", "--body-memory allows", "raise");
    check_serve(&["--head-bytes", "1MiB"], "--head-bytes", "--pool-buffer-bytes allows", "raise");
    check_serve(&["--target-bytes", "1MiB"], "--target-bytes", "--head-bytes allows", "raise");
    check_serve(&["--first-byte-timeout", "2h"], "--first-byte", "--total-timeout", "raise");
    check_serve(&["--header-count", "999"], "--header-count", "no more rows", "lower it");
    check_serve(&["--ring-entries", "1000"], "--ring-entries", "power of two", "try 1024");
    check_serve(&["--head-timeout", "0s"], "--head-timeout", "at least 10ms", "raise it");
    check_serve(&["--connections", "99999999999"], "--connections", "open files", "ulimit -n");
    check_serve(&["--proxy-path", "v1"], "--proxy-path v1", "must start with /", "write it like");
}

#[test]
fn refuses_a_mock_that_cannot_be_played() {
    check_mock(
        &["--listen", NOWHERE, "--stall-at", "128"],
        "--stall-at 128",
        "never happens",
        "raise --tokens",
    );
    check_mock(
        &["--listen", NOWHERE, "--status", "100"],
        "--status 100",
        "final answer",
        "choose one",
    );
    check_mock(&["--listen", "x"], "--listen x", "no address", "write HOST:PORT");
    check_mock(
        &["--listen", NOWHERE, "--status", "500", "--cut-at", "3"],
        "--cut-at 3",
        "never happens",
        "leave one of the two out",
    );
    check_mock(
        &["--listen", NOWHERE, "--cores", "8000"],
        "--cores 8000",
        "may not be used",
        "subset",
    );
}

#[test]
fn suggests_the_flag_that_was_meant() {
    let output = tokenring(&["serve", "--listen", NOWHERE, "--becken", "http://x"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("'--becken'") && said.contains("'--backend'"), "{said}");
}

#[test]
fn reports_every_fault_at_once() {
    let words = ["serve", "--cores", "0-", "--backend", "x", "--listen", "y"];
    let tls = ["--tls-listen", "127.0.0.1:0", "--tls-cert", "nowhere", "--tls-key", "nowhere"];
    let https = ["--backend", "https://x", "--backend-ca", "nowhere"];
    let output = tokenring(&[&words[..], &tls, &https].concat());
    let said = text(&output.stderr);
    for flag in ["--cores", "--backend", "--listen", "--tls-cert", "--backend-ca"] {
        assert!(said.contains(&format!("error: {flag} ")), "{said}");
    }
}

#[test]
fn refuses_a_log_level_from_the_environment_that_is_none() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenring"));
    let output = command
        .args(["serve", "--demo", "--listen", NOWHERE])
        .env("TOKENRING_LOG", "loud")
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("TOKENRING_LOG loud") && said.contains("set it to off"), "{said}");
}

#[test]
fn no_words_at_all_are_answered_with_help() {
    let output = tokenring(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("tokenring serve --demo"));
}

#[test]
fn tells_its_version() {
    let output = tokenring(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), format!("tokenring {}\n", env!("CARGO_PKG_VERSION")));
}

/// Each flag that stands in the help at the start of a line, and the default
/// that is shown for it (empty when none is), whatever the width of the page.
fn flags_in_help(job: &str) -> BTreeSet<(String, String)> {
    let output = tokenring(&[job, "--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    let (settings, examples) = help.split_once("Examples:").expect("help ends with examples");
    assert!(examples.contains(&format!("tokenring {job}")));
    let mut entries: Vec<String> = Vec::new();
    for line in settings.lines().map(str::trim) {
        if line.starts_with("--") {
            entries.push(line.to_owned());
        } else if let Some(entry) = entries.last_mut() {
            *entry = format!("{entry} {line}");
        }
    }
    let flag = |entry: &String| entry.split(' ').next().unwrap_or_default().to_owned();
    entries.iter().map(|entry| (flag(entry), default_in(entry))).collect()
}

fn default_in(entry: &str) -> String {
    let shown = entry.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
    shown.map(|(default, _)| default.to_owned()).unwrap_or_default()
}

/// The help of a job lists exactly these flags with exactly these defaults.
#[track_caller]
fn check_help(job: &str, rows: &[(&str, &str)]) {
    let log = ("--log", "info, or $TOKENRING_LOG");
    let expected = rows.iter().chain([&log]);
    let expected: BTreeSet<_> =
        expected.map(|(flag, default)| ((*flag).to_owned(), (*default).to_owned())).collect();
    assert_eq!(flags_in_help(job), expected);
}

#[test]
fn refuses_a_choice_of_backends_that_cannot_be_made() {
    check_serve(&["--policy", "best"], "--policy", "invalid value 'best'", "");
    check_serve(&["--decode-slots", "0"], "--decode-slots 0", "at least 1", "raise it");
    check_serve(&["--eject-after", "33"], "--eject-after 33", "at most 32", "lower it");
    check_serve(&["--eject-below", "50%"], "--eject-below", "no whole number", "digits only");
    check_serve(&["--eject-pause", "2m"], "--eject-pause 2m", "--eject-pause-max allows", "lower");
    let random = ["--policy", "random", "--decode-slots", "9"];
    check_serve(&random, "--decode-slots 9", "random does not ask", "leave it out");
    let never = ["--eject-after", "0", "--eject-below", "0", "--eject-pause", "1s"];
    check_serve(&never, "--eject-pause 1s", "ever ejected", "give --eject-after");
}

#[test]
fn the_help_of_serve_shows_every_setting_with_its_default() {
    let (deadlines, limits, pool) = (Deadlines::DEFAULT, Limits::DEFAULT, PoolPlan::DEFAULT);
    let time = |time| Time(time).to_string();
    let size = |size| Size(size).to_string();
    let count = |count: usize| count.to_string();
    check_help(
        "serve",
        &[
            ("--config", "none"),
            ("--config-watch-every", &time(Plan::WATCH_EVERY)),
            ("--listen", Written::LISTEN),
            ("--admin", "none"),
            ("--backend", ""),
            ("--policy", "least_latency"),
            ("--decode-slots", "256"),
            ("--affinity-percent", "200"),
            ("--prefix-bytes", "4MiB"),
            ("--slow-start", &time(Balancing::DEFAULT.slow_start)),
            ("--queue-length", &count(QueuePlan::DEFAULT.length)),
            ("--queue-timeout", &time(QueuePlan::DEFAULT.timeout)),
            ("--queue-priorities", ""),
            ("--retry-attempts", "3"),
            (
                "--retry-on",
                "connect, tls, cut, timeout, no_room, server_error, error_event, protocol, \
                 credential",
            ),
            ("--retry-budget-percent", "20"),
            ("--retry-backoff", &time(RetryPlan::DEFAULT.backoff)),
            ("--retry-backoff-max", &time(RetryPlan::DEFAULT.backoff_max)),
            ("--retry-after-max", &time(RetryPlan::DEFAULT.retry_after_max)),
            ("--health-interval", "0s"),
            ("--health-path", HealthPlan::PATH),
            ("--health-timeout", &time(HealthPlan::TIMEOUT)),
            ("--health-unhealthy-after", &HealthPlan::UNHEALTHY_AFTER.to_string()),
            ("--health-healthy-after", &HealthPlan::HEALTHY_AFTER.to_string()),
            ("--engine-interval", "0s"),
            ("--engine-metrics-path", EnginePlan::METRICS_PATH),
            ("--eject-after", "5"),
            ("--eject-below", "50"),
            ("--eject-pause", &time(Ejection::DEFAULT.pause)),
            ("--eject-pause-max", &time(Ejection::DEFAULT.pause_max)),
            ("--tls-listen", ""),
            ("--tls-cert", ""),
            ("--tls-key", ""),
            ("--tls-client-ca", "none"),
            ("--tls-client-auth", "required"),
            ("--tls-min-version", "1.2"),
            ("--tls-handshake-timeout", &time(ServerTlsPlan::HANDSHAKE_TIMEOUT)),
            ("--tls-handshakes-waiting", &count(ServerTlsPlan::HANDSHAKES_WAITING)),
            ("--tls-watch-every", &time(TlsPlan::WATCH_EVERY)),
            ("--backend-ca", "the system's"),
            ("--backend-cert", "none"),
            ("--backend-key", ""),
            ("--backend-tls-name", "its URL's host"),
            ("--backends-file", "none"),
            ("--danger-backend-no-verify", ""),
            ("--demo", ""),
            ("--proxy-path", Plan::PROXY_PATH),
            ("--cores", Written::CORES),
            ("--no-pin", ""),
            ("--driver", "auto"),
            ("--ring-entries", &RingPlan::DEFAULT.entries.to_string()),
            ("--connect-timeout", &time(deadlines.connect)),
            ("--head-timeout", &time(deadlines.head)),
            ("--body-rate-min", &size(deadlines.body_rate_min)),
            ("--body-rate-grace", &time(deadlines.body_rate_grace)),
            ("--first-byte-timeout", &time(deadlines.first_byte)),
            ("--session-headers", ""),
            ("--silence-timeout", &time(deadlines.idle_between_reads)),
            ("--total-timeout", &time(deadlines.total)),
            ("--client-write-timeout", &time(deadlines.client_write)),
            ("--keep-alive-timeout", &time(deadlines.keep_alive)),
            ("--drain", &time(Plan::DRAIN)),
            ("--head-bytes", &size(limits.head_bytes)),
            ("--header-count", &count(limits.headers)),
            ("--hedge-after", "never"),
            ("--hedge-percent-max", "5"),
            ("--target-bytes", &size(limits.target_bytes)),
            ("--body-bytes", &size(limits.body_bytes)),
            ("--body-memory", &size(limits.body_memory_total)),
            ("--connections", "auto"),
            ("--connections-per-address", "0"),
            ("--requests-in-flight", "0"),
            ("--sse-event-bytes", &size(limits.sse_event_bytes)),
            ("--pool-idle-per-backend", &count(pool.idle_per_backend)),
            ("--pool-idle-timeout", &time(pool.idle_timeout)),
            ("--pool-buffers", &count(pool.buffers)),
            ("--pool-buffer-bytes", &size(pool.buffer_bytes)),
            ("--rest-before-idle", &time(pool.rest_before_idle)),
            ("--resolve-every", &time(Plan::RESOLVE_EVERY)),
            ("--pass-credentials", ""),
            ("--no-via", ""),
            ("--no-forwarded", ""),
            ("--no-request-id", ""),
            ("--no-own-headers", ""),
        ],
    );
}

/// It is no refusal: the event goes to the client all the same.
#[test]
fn the_help_says_what_becomes_of_an_event_that_is_too_large() {
    let help = text(&tokenring(&["serve", "--help"]).stdout);
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("a larger one passes unread"), "{words}");
}

#[test]
fn the_help_of_the_mock_shows_every_setting_with_its_default() {
    check_help(
        "mock",
        &[
            ("--listen", MockWritten::LISTEN),
            ("--cores", Written::CORES),
            ("--no-pin", ""),
            ("--driver", "auto"),
            ("--models", "every name"),
            ("--first-token", &Time(MockScript::FIRST_TOKEN).to_string()),
            ("--token-gap", &Time(MockScript::TOKEN_GAP).to_string()),
            ("--tokens", &MockScript::TOKENS.to_string()),
            ("--token-bytes", &Size(MockScript::TOKEN_BYTES).to_string()),
            ("--body-bytes", "as it comes"),
            ("--prefill-per-token", "0s"),
            ("--prefill-slots", "1"),
            ("--cold-requests", "0"),
            ("--cold-times", "10"),
            ("--status", &MockScript::STATUS.to_string()),
            ("--retry-after", "none"),
            ("--stall-at", "never"),
            ("--cut-at", "never"),
            ("--error-at", "never"),
            ("--omit-done", ""),
            ("--fault-every", &MockScript::FAULT_EVERY.to_string()),
            ("--close-after", "never"),
            ("--health-status", "200"),
            ("--answered", "none"),
            ("--asked", "none"),
        ],
    );
}
