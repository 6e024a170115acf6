//! Facts about flags of other routers: what each makes of what is written, and
//! how it is refused.

use std::time::Duration;

use super::super::quick_table::{THEIRS, Takes};
use super::*;
use crate::config::{ConfigFile, Given, Machine, Plan, Policy, check_file_and_flags, settings};
use crate::tls::UnixTime;

/// As if these had been typed, each with its words.
fn typed(flags: &[(&str, &[&str])]) -> Typed {
    let words = |flag: &str| {
        let typed = flags.iter().find(|(typed, _)| *typed == flag);
        typed.map(|(_, words)| words.iter().map(|word| (*word).to_owned()).collect())
    };
    let found: Typed =
        THEIRS.iter().filter_map(|theirs| Some((theirs, words(theirs.flag)?))).collect();
    assert_eq!(found.len(), flags.len(), "{flags:?}");
    found
}

/// The flags change what was written as `change` does, and nothing else.
#[track_caller]
fn check(flags: &[(&str, &[&str])], change: impl FnOnce(&mut Written)) {
    let (mut written, mut expected) = (Written::default(), Written::default());
    change(&mut expected);
    write_typed(&typed(flags), &mut written);
    assert_eq!(Written { given: Given::default(), ..written }, expected, "{flags:?}");
}

fn read(flags: &[(&str, &[&str])], ours: &[(&'static str, &str)]) -> Result<Plan, Vec<String>> {
    read_with(None, flags, ours)
}

fn read_with(
    file: Option<&str>,
    flags: &[(&str, &[&str])],
    ours: &[(&'static str, &str)],
) -> Result<Plan, Vec<String>> {
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1));
    let write = |written: &mut Written| {
        for (flag, word) in ours {
            by_id(flag).unwrap().read(written, &[word]).unwrap();
            written.given.by_flag(flag);
        }
        write_typed(&typed(flags), written);
    };
    let file = file.map(|text| ConfigFile { name: "t.toml".to_owned(), text: text.to_owned() });
    check_file_and_flags(file.as_ref(), write, &machine, now).map(|(_, plan)| plan)
}

/// Beside one backend, refused with exactly these.
#[track_caller]
fn check_refused(flags: &[(&str, &[&str])], expected: &[&str]) {
    let told = read(flags, &[("--backend", "http://a")]).err().unwrap_or_default();
    assert_eq!(told, expected, "{flags:?}");
}

#[test]
fn backends_are_named_in_either_way() {
    let two = |w: &mut Written| w.backends = vec!["http://a".into(), "http://b".into()];
    check(&[("--worker-urls", &["http://a", "http://b"])], two);
    check(&[("--static-backends", &["http://a,http://b"])], two);
    check(
        &[
            ("--service-discovery", &["static"]),
            ("--static-backends", &["http://a,http://b"]),
            ("--static-models", &["x,y"]),
        ],
        |w| {
            two(w);
            w.backends[0].models = vec!["x".into()];
            w.backends[1].models = vec!["y".into()];
        },
    );
}

#[test]
fn aliases_are_names_of_their_models() {
    let models = |w: &mut Written| {
        let model = |name: &str, aliases: &[&str]| ModelWritten {
            name: Some(name.into()),
            leaves_others: true,
            aliases: aliases.iter().map(|&alias| alias.into()).collect(),
            ..ModelWritten::default()
        };
        w.models = vec![model("llama", &["gpt-4", "gpt-5"]), model("qwen:7b", &["small"])];
    };
    check(&[("--static-aliases", &["gpt-4:llama,small:qwen:7b,gpt-5:llama"])], models);
    check(&[("--model-alias", &["gpt-4:llama", "small:qwen:7b", "gpt-5:llama"])], models);
}

/// As in the routers whose flag it is.
#[test]
fn an_alias_hides_no_other_name() {
    let (url, alias) = (("--worker-urls", &["http://a"][..]), ("--model-alias", &["x:a"][..]));
    let table = |flags: &[(&str, &[&str])], file: Option<&str>| {
        crate::route::RouteTable::new(&read_with(file, flags, &[]).unwrap().routes)
    };
    assert!(!table(&[url, alias], None).names_are_known());
    assert!(table(&[url, alias], Some("[[model]]\nname = \"b\"\n")).names_are_known());
    assert!(table(&[url, alias], Some("[[model]]\nname = \"a\"\n")).names_are_known());
    let listed = [
        ("--static-backends", &["http://a"][..]),
        ("--static-models", &["a"]),
        ("--static-aliases", &["x:a"]),
    ];
    assert!(table(&listed, None).names_are_known());
}

#[test]
fn a_host_and_a_port_are_one_address() {
    check(&[("--host", &["0.0.0.0"]), ("--port", &["30000"])], |w| {
        w.listen = vec!["0.0.0.0:30000".into()];
    });
    check(&[("--host", &["::1"])], |w| w.listen = vec!["[::1]:8080".into()]);
    check(&[("--port", &["1"])], |w| w.listen = vec!["0.0.0.0:1".into()]);
    check(&[("--prometheus-port", &["1"])], |w| w.admin = Some("127.0.0.1:1".into()));
}

#[test]
fn numbers_are_put_into_our_units() {
    let seconds = Duration::from_secs(7);
    check(&[("--max-concurrent-requests", &["7"])], |w| {
        w.limits.requests_in_flight = std::num::NonZeroUsize::new(7);
    });
    check(&[("--max-concurrent-requests", &["-1"])], |w| w.limits.requests_in_flight = None);
    check(&[("--request-timeout-secs", &["7"])], |w| w.deadlines.total = seconds);
    check(&[("--shutdown-grace-period-secs", &["7"])], |w| w.drain = seconds);
    check(&[("--client-cert-path", &["c"]), ("--client-key-path", &["k"])], |w| {
        w.tls.backend.certificate = Some("c".into());
        w.tls.backend.key = Some("k".into());
    });
    check(&[("--ca-cert-paths", &["ca"])], |w| w.tls.backend.ca = Some("ca".into()));
    check(&[("--history-backend", &["none"])], |_| ());
    check(&[("--max-payload-size", &["7"])], |w| w.limits.body_bytes = 7);
    check(&[("--cb-failure-threshold", &["7"])], |w| {
        w.balancing.ejection.after = std::num::NonZeroU32::new(7);
    });
    check(&[("--cb-timeout-duration-secs", &["7"])], |w| {
        w.balancing.ejection.pause = seconds;
        w.balancing.ejection.pause_max = seconds;
    });
    check(&[("--disable-circuit-breaker", &[])], |w| {
        w.balancing.ejection.after = None;
        w.balancing.ejection.below_percent = None;
    });
}

#[test]
fn ways_to_choose_are_known_by_their_names() {
    for (word, policy) in [
        ("roundrobin", Policy::RoundRobin),
        ("session", Policy::SessionHash),
        ("prefixaware", Policy::Prefix),
    ] {
        check(&[("--routing-logic", &[word])], |w| w.balancing.policy = policy);
    }
    let mut written = Written::default();
    for (word, policy) in [
        ("cache_aware", Policy::Prefix),
        ("prefix-hash", Policy::Prefix),
        ("consistent_hash", Policy::SessionHash),
        ("consistent-hashing", Policy::SessionHash),
        ("manual", Policy::SessionHash),
    ] {
        by_id("--policy").unwrap().read(&mut written, &[word]).unwrap();
        assert_eq!(written.balancing.policy, policy, "{word}");
    }
    check(&[("--max-tree-size", &["4096"])], |w| w.balancing.prefix_bytes = 4096);
    let session = ("--routing-logic", &["session"][..]);
    check(&[session, ("--session-key", &["X-Session-Id"])], |w| {
        w.balancing.policy = Policy::SessionHash;
    });
    check(&[session, ("--session-key", &["x-user-id"])], |w| {
        w.balancing.policy = Policy::SessionHash;
        w.session_headers = vec!["x-user-id".into()];
    });
    check_refused(
        &[session, ("--session-key", &["user id"])],
        &["--session-key user id: a header's name is letters, digits and signs like - and _; \
           write it without others"],
    );
    check_refused(
        &[("--session-key", &["x-session-id"])],
        &["--session-key: no session is looked at without --routing-logic session; add that, or \
           leave this out"],
    );
    check_refused(
        &[("--routing-logic", &["kvaware"])],
        &["--routing-logic kvaware: no controller of caches is asked; write prefixaware"],
    );
}

#[test]
fn a_failed_request_is_asked_again_as_often_and_as_patiently() {
    let milliseconds = Duration::from_millis(7);
    check(&[("--retry-max-retries", &["7"])], |w| w.retry.attempts = 7);
    check(&[("--retry-max-retries", &["0"])], |w| w.retry.attempts = 1);
    check(&[("--disable-retries", &[])], |w| w.retry.attempts = 1);
    check(&[("--retry-initial-backoff-ms", &["7"])], |w| w.retry.backoff = milliseconds);
    check(&[("--retry-max-backoff-ms", &["7"])], |w| w.retry.backoff_max = milliseconds);
    check(&[("--retry-backoff-multiplier", &["2.0"])], |_| ());
    check_refused(
        &[("--retry-backoff-multiplier", &["1.5"]), ("--retry-max-backoff-ms", &["1s"])],
        &[
            "--retry-max-backoff-ms 1s: this is no whole number of milliseconds; write digits \
             only, like 50",
            "--retry-backoff-multiplier 1.5: a pause doubles each time; write 2, or leave it out",
        ],
    );
    check_refused(
        &[("--retry-max-retries", &["7"]), ("--disable-retries", &[])],
        &["--disable-retries: --retry-max-retries says the same; leave one of the two out"],
    );
    check_refused(
        &[("--retry-max-retries", &["11"])],
        &[
            "--retry-max-retries 11: the value must be at most 10, as more would be a loop; lower it",
        ],
    );
}

#[test]
fn a_queue_is_for_backends_with_a_capacity() {
    let flags = [("--queue-size", &["7"][..]), ("--queue-timeout-secs", &["7"])];
    let backend = BackendWritten { capacity: Some(1), ..BackendWritten::from("http://a") };
    let mut written = Written { backends: vec![backend], ..Written::default() };
    write_typed(&typed(&flags), &mut written);
    assert_eq!(written.faults, []);
    assert_eq!((written.queue.length, written.queue.timeout.as_secs()), (7, 7));
    check(&[("--queue-size", &["0"])], |w| w.queue.length = 0);
    check_refused(
        &[("--queue-size", &["7"])],
        &["--queue-size 7: a request waits for a backend that has a capacity, and none has; what \
           is over --max-concurrent-requests is refused at once; write capacity = COUNT at a \
           backend in the file, or leave this out"],
    );
}

#[test]
fn backends_are_asked_as_often_and_as_patiently() {
    let seconds = Duration::from_secs(7);
    let minute = Duration::from_secs(60);
    let health = |w: &mut Written| w.probes.health.interval = Some(seconds);
    check(&[("--health-check-interval-secs", &["7"])], health);
    check(&[("--health-check-timeout-secs", &["7"])], |w| w.probes.health.timeout = seconds);
    check(&[("--backend-health-check-timeout-seconds", &["7"])], |w| {
        w.probes.health.timeout = seconds;
    });
    check(&[("--health-check-endpoint", &["/x"])], |w| w.probes.health.path = "/x".into());
    check(&[("--health-failure-threshold", &["7"])], |w| w.probes.health.unhealthy_after = 7);
    check(&[("--health-success-threshold", &["7"])], |w| w.probes.health.healthy_after = 7);
    check(&[("--static-backend-health-checks", &[])], |w| {
        w.probes.health.interval = Some(minute);
    });
    check(&[("--engine-stats-interval", &["7"])], |w| w.probes.engine.interval = Some(seconds));
    check(&[("--disable-health-check", &[])], |w| w.probes.health.interval = None);
}

#[test]
fn a_fault_names_what_was_typed() {
    check_refused(
        &[("--request-timeout-secs", &["0"]), ("--max-payload-size", &["2147483648"])],
        &[
            "--request-timeout-secs 0s: the value must be at least 10ms; raise it",
            "--max-payload-size 2GiB: this is more than --body-memory allows (1GiB); \
             lower it or raise --body-memory",
        ],
    );
    check_refused(
        &[("--disable-circuit-breaker", &[]), ("--cb-timeout-duration-secs", &["7"])],
        &["--cb-timeout-duration-secs 7s: no backend is ever ejected, so this has no effect; \
           leave it out, or give --disable-circuit-breaker"],
    );
    check_refused(
        &[("--request-timeout-secs", &["1m"]), ("--max-concurrent-requests", &["0"])],
        &[
            "--max-concurrent-requests 0: this lets no request in; write a count, or -1 for no \
             limit",
            "--request-timeout-secs 1m: this is no whole number of seconds; write digits only, \
             like 600",
        ],
    );
    check_refused(
        &[("--cb-failure-threshold", &["x"])],
        &["--cb-failure-threshold x: this is no whole number, or one that is too large; write \
           digits only, like 16"],
    );
    check_refused(
        &[("--host", &["example.com"]), ("--port", &["1"])],
        &["--host example.com:1: listening needs an IP address, and names are not looked up; \
           write the address of example.com, or 0.0.0.0 for every IPv4 interface"],
    );
}

/// Theirs is the engine that runs at all backends.
#[test]
fn the_engine_of_all_backends_is_no_backend() {
    for engine in ["sglang", "vllm", "openai"] {
        let told = read(&[("--worker-urls", &["http://b"])], &[("--backend", engine)]);
        let expected = format!(
            "--backend {engine}: requests go on as they are, whatever engine runs there; leave \
             this word out, and name each server, as with --backend http://HOST:PORT"
        );
        assert_eq!(told.unwrap_err(), [expected]);
    }
}

#[test]
fn what_is_said_twice_is_refused() {
    check_refused(
        &[("--worker-urls", &["http://b"])],
        &["--worker-urls: --backend says the same; leave one of the two out"],
    );
    let told = read(&[("--worker-urls", &["http://b"]), ("--static-backends", &["http://c"])], &[]);
    let expected = "--static-backends: --worker-urls says the same; leave one of the two out";
    assert_eq!(told.unwrap_err(), [expected]);
}

/// What is said of a flag does not come of a setting that it only speaks of.
#[test]
fn a_flag_is_refused_beside_a_setting_that_is_not_understood() {
    let file = "backend = [{ url = \"http://a\" }]\nretry.backoff = \"1 parsec\"\n";
    let told = read_with(Some(file), &[("--retry-jitter-factor", &["0.1"])], &[]).unwrap_err();
    let starts: Vec<_> = told.iter().map(|told| told.split(": ").next().unwrap()).collect();
    assert_eq!(starts, ["t.toml:2", "--retry-jitter-factor"], "{told:#?}");
}

#[test]
fn models_and_aliases_lead_somewhere() {
    let backends = ("--static-backends", &["http://a,http://b"][..]);
    let uneven = read(&[backends, ("--static-models", &["x"])], &[]).unwrap_err();
    assert_eq!(
        uneven,
        ["--static-models: 1 models are named for 2 backends, in order; name one for each"]
    );
    let flags = [backends, ("--static-models", &["x,y"]), ("--static-aliases", &["a:z,b"])];
    assert_eq!(
        read(&flags, &[]).unwrap_err(),
        [
            "--static-aliases b: this is no alias and model; write ALIAS:MODEL, and commas \
             between several",
            "--static-aliases: no backend serves z; add the name to the --static-models of one",
        ]
    );
    check_refused(
        &[("--static-models", &["x"])],
        &[
            "--static-models: these name the models of --static-backends; add that, with as many URLs",
        ],
    );
    check_refused(
        &[("--worker-urls", &[])],
        &["--worker-urls: no server is named; write one or several URLs"],
    );
}

#[test]
fn what_cannot_be_done_is_refused_with_its_mend_and_without_its_words() {
    for theirs in THEIRS {
        let Becomes::Refused(why) = theirs.becomes else { continue };
        let words: &[&str] = if theirs.takes == Takes::Any { &["sk-secret"] } else { &[] };
        let told = read(&[(theirs.flag, words)], &[("--backend", "http://a")]).unwrap_err();
        assert_eq!(told, [format!("{}: {why}", theirs.flag)]);
        let mends = ["leave", "write", "set ", "send", "name ", "like "];
        assert!(mends.iter().any(|mend| why.contains(mend)), "{}: {why}", theirs.flag);
    }
    for word in ["k8s", "x"] {
        let told = read(&[("--service-discovery", &[word])], &[("--backend", "http://a")]);
        assert!(told.unwrap_err().concat().contains("Kubernetes"), "{word}");
    }
}

#[test]
fn every_flag_is_written_once_and_is_none_of_ours() {
    for (at, theirs) in THEIRS.iter().enumerate() {
        assert!(THEIRS[at + 1..].iter().all(|other| other.flag != theirs.flag), "{}", theirs.flag);
        assert!(settings().all(|setting| setting.flag != Some(theirs.flag)), "{}", theirs.flag);
        let ours: Vec<_> = match theirs.becomes {
            Becomes::Settings(ours, _) => ours.to_vec(),
            Becomes::Words(ours) => ours.iter().map(|[ours, _]| *ours).collect(),
            Becomes::Waits(ours, _) => vec![ours],
            _ => Vec::new(),
        };
        assert!(ours.iter().all(|ours| by_id(ours).is_some()), "{}", theirs.flag);
    }
}
