//! Facts about how flags of `serve` become what was written.

use std::num::{NonZeroU8, NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Parser;

use super::*;
use crate::config::{
    ClientAuth, Credentials, DriverChoice, Given, MinVersion, Policy, Verification,
};

#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    flags: ServeFlags,
}

fn written(args: &[&str]) -> Written {
    let args = ["serve"].iter().chain(args);
    let alone = Alone::try_parse_from(args).unwrap();
    let mut written = Written::default();
    alone.flags.write(&mut written);
    Written { given: Given::default(), ..written }
}

/// The flags change what was written as `change` does, and nothing else.
#[track_caller]
fn check(args: &[&str], change: impl FnOnce(&mut Written)) {
    let mut expected = Written::default();
    change(&mut expected);
    assert_eq!(written(args), expected);
}

#[test]
fn no_flag_writes_the_defaults() {
    check(&[], |_| {});
}

#[test]
fn a_repeated_flag_adds_and_replaces_the_default() {
    check(&["--listen", "a:1", "--listen", "unix:/b"], |w| {
        w.listen = vec!["a:1".into(), "unix:/b".into()];
    });
    check(&["--backend", "http://a", "--backend", "http://b"], |w| {
        w.backends = vec!["http://a".into(), "http://b".into()];
    });
}

#[test]
fn places_and_cores_are_kept_as_words() {
    check(&["--admin", "x"], |w| w.admin = Some("x".into()));
    let time = Duration::from_millis(123);
    check(&["--resolve-every", "123ms"], |w| w.resolve_every = time);
    check(&["--demo"], |w| w.demo = true);
    check(&["--proxy-path", "/x"], |w| w.proxy_path = "/x".into());
    check(&["--cores", "0-1,3"], |w| w.cores = "0-1,3".into());
    check(&["--no-pin"], |w| w.pin = false);
    check(&["--driver", "epoll"], |w| w.driver = DriverChoice::Epoll);
    check(&["--driver", "uring"], |w| w.driver = DriverChoice::Uring);
    check(&["--ring-entries", "64"], |w| w.rings.entries = 64);
}

#[test]
fn each_setting_of_tls_has_its_flag() {
    let time = Duration::from_millis(123);
    check(&["--tls-listen", "a:1", "--tls-listen", "unix:/b"], |w| {
        w.tls.listen = vec!["a:1".into(), "unix:/b".into()];
    });
    check(&["--tls-cert", "a", "--tls-key", "b", "--tls-cert", "c", "--tls-key", "d"], |w| {
        w.tls.certificates = vec!["a".into(), "c".into()];
        w.tls.keys = vec!["b".into(), "d".into()];
    });
    check(&["--tls-client-ca", "a"], |w| w.tls.client_ca = Some("a".into()));
    let auth = |mode| move |w: &mut Written| w.tls.client_auth = Some(mode);
    check(&["--tls-client-auth", "required"], auth(ClientAuth::Required));
    check(&["--tls-client-auth", "optional"], auth(ClientAuth::Optional));
    check(&["--tls-min-version", "1.2"], |_| {});
    check(&["--tls-min-version", "1.3"], |w| w.tls.min_version = MinVersion::Tls13);
    check(&["--tls-handshake-timeout", "123ms"], |w| w.tls.handshake_timeout = time);
    check(&["--tls-handshakes-waiting", "7"], |w| w.tls.handshakes_waiting = 7);
    check(&["--tls-watch-every", "123ms"], |w| w.tls.watch_every = time);
    check(&["--backend-ca", "a"], |w| w.tls.backend.ca = Some("a".into()));
    check(&["--backend-cert", "a"], |w| w.tls.backend.certificate = Some("a".into()));
    check(&["--backend-key", "a"], |w| w.tls.backend.key = Some("a".into()));
    check(&["--backend-tls-name", "a"], |w| w.tls.backend.name = Some("a".into()));
    let unverified = Verification::None;
    check(&["--danger-backend-no-verify"], |w| w.tls.backend.verification = unverified);
}

#[test]
fn each_setting_of_balancing_has_its_flag() {
    let time = Duration::from_millis(123);
    for policy in Policy::ALL {
        let name = policy.name();
        for word in [name.to_owned(), name.replace('_', "-")] {
            check(&["--policy", &word], |w| w.balancing.policy = policy);
        }
    }
    check(&["--session-headers", "a", "--session-headers", "b"], |w| {
        w.session_headers = vec!["a".into(), "b".into()];
    });
    check(&["--decode-slots", "7"], |w| w.balancing.decode_slots = 7);
    check(&["--affinity-percent", "170"], |w| w.balancing.affinity_percent = 170);
    check(&["--prefix-bytes", "1MiB"], |w| w.balancing.prefix_bytes = 1 << 20);
    check(&["--slow-start", "123ms"], |w| w.balancing.slow_start = time);
    check(&["--eject-after", "7"], |w| w.balancing.ejection.after = NonZeroU32::new(7));
    check(&["--eject-after", "0"], |w| w.balancing.ejection.after = None);
    check(&["--eject-below", "7"], |w| w.balancing.ejection.below_percent = NonZeroU8::new(7));
    check(&["--eject-below", "0"], |w| w.balancing.ejection.below_percent = None);
    check(&["--eject-pause", "123ms"], |w| w.balancing.ejection.pause = time);
    check(&["--eject-pause-max", "123ms"], |w| w.balancing.ejection.pause_max = time);
}

#[test]
fn each_setting_of_the_queue_has_its_flag() {
    let time = Duration::from_millis(123);
    check(&["--queue-length", "7"], |w| w.queue.length = 7);
    check(&["--queue-timeout", "123ms"], |w| w.queue.timeout = time);
    check(&["--queue-priorities"], |w| w.queue.priorities = true);
}

#[test]
fn each_deadline_has_its_flag() {
    let time = Duration::from_millis(123);
    check(&["--connect-timeout", "123ms"], |w| w.deadlines.connect = time);
    check(&["--head-timeout", "123ms"], |w| w.deadlines.head = time);
    check(&["--body-rate-min", "2KiB"], |w| w.deadlines.body_rate_min = 2048);
    check(&["--body-rate-grace", "123ms"], |w| w.deadlines.body_rate_grace = time);
    check(&["--first-byte-timeout", "123ms"], |w| w.deadlines.first_byte = time);
    check(&["--silence-timeout", "123ms"], |w| w.deadlines.idle_between_reads = time);
    check(&["--total-timeout", "123ms"], |w| w.deadlines.total = time);
    check(&["--client-write-timeout", "123ms"], |w| w.deadlines.client_write = time);
    check(&["--keep-alive-timeout", "123ms"], |w| w.deadlines.keep_alive = time);
    check(&["--drain", "123ms"], |w| w.drain = time);
}

#[test]
fn each_limit_has_its_flag() {
    check(&["--head-bytes", "7B"], |w| w.limits.head_bytes = 7);
    check(&["--header-count", "7"], |w| w.limits.headers = 7);
    check(&["--target-bytes", "7B"], |w| w.limits.target_bytes = 7);
    check(&["--body-bytes", "7B"], |w| w.limits.body_bytes = 7);
    check(&["--body-memory", "7B"], |w| w.limits.body_memory_total = 7);
    check(&["--connections", "7"], |w| w.connections = Some(7));
    check(&["--connections", "auto"], |w| w.connections = None);
    check(&["--connections-per-address", "7"], |w| {
        w.limits.connections_per_address = NonZeroUsize::new(7)
    });
    check(&["--requests-in-flight", "7"], |w| w.limits.requests_in_flight = NonZeroUsize::new(7));
    check(&["--requests-in-flight", "0"], |w| w.limits.requests_in_flight = None);
    check(&["--sse-event-bytes", "7B"], |w| w.limits.sse_event_bytes = 7);
}

#[test]
fn each_thing_kept_has_its_flag() {
    let time = Duration::from_millis(123);
    check(&["--pool-idle-per-backend", "7"], |w| w.pool.idle_per_backend = 7);
    check(&["--pool-idle-timeout", "123ms"], |w| w.pool.idle_timeout = time);
    check(&["--pool-buffers", "7"], |w| w.pool.buffers = 7);
    check(&["--pool-buffer-bytes", "7B"], |w| w.pool.buffer_bytes = 7);
    check(&["--rest-before-idle", "123ms"], |w| w.pool.rest_before_idle = time);
}

#[test]
fn a_flag_is_given_when_it_was_typed_also_with_its_default() {
    let given = |args: &[&str]| {
        let alone = Alone::try_parse_from(["serve"].iter().chain(args)).unwrap();
        let mut written = Written::default();
        alone.flags.write(&mut written);
        let flags = settings().filter_map(|setting| setting.flag);
        flags.filter(|flag| written.given.is_typed(flag)).collect::<Vec<_>>()
    };
    assert_eq!(given(&[]), [""; 0]);
    assert_eq!(given(&["--body-bytes", "32MiB"]), ["--body-bytes"]);
    assert_eq!(given(&["--no-via", "--backend=x"]), ["--backend", "--no-via"]);
}

#[test]
fn flags_of_other_routers_are_taken_as_they_are_typed_there() {
    let backends = |w: &mut Written| w.backends = vec!["http://a".into(), "http://b".into()];
    check(&["--worker-urls", "http://a", "http://b", "--no-via"], |w| {
        backends(w);
        w.headers.via = false;
    });
    check(&["--static-backends=http://a,http://b", "--service-discovery", "static"], backends);
    check(&["--max-concurrent-requests", "-1", "--port", "1"], |w| {
        w.listen = vec!["0.0.0.0:1".into()];
    });
    let refused = written(&["--static-model-labels", "prefill", "--pd-disaggregation"]);
    let flags: Vec<_> = refused.faults.iter().map(|fault| fault.id).collect();
    assert_eq!(flags, ["--static-model-labels", "--pd-disaggregation"]);
}

#[test]
fn credentials_are_passed_when_it_is_asked_for() {
    check(&["--pass-credentials"], |w| w.credentials = Credentials::Pass);
}

#[test]
fn a_file_is_named_beside_the_flags() {
    let alone = Alone::try_parse_from(["serve", "--config", "a.toml"]).unwrap();
    assert_eq!(alone.flags.config, Some("a.toml".into()));
}

#[test]
fn each_header_can_be_turned_off() {
    check(&["--no-via"], |w| w.headers.via = false);
    check(&["--no-forwarded"], |w| w.headers.forwarded = false);
    check(&["--no-request-id"], |w| w.headers.request_id = false);
    check(&["--no-own-headers"], |w| w.headers.own = false);
}
