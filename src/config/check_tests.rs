//! Facts about what makes a plan, and what does not.

use super::*;

fn machine(allowed_cores: &[usize], open_files: Option<usize>) -> Machine {
    Machine { allowed_cores: allowed_cores.to_vec(), open_files }
}

/// One backend on a machine of two cores without a limit of open files.
fn plan_of(change: impl FnOnce(&mut Written)) -> Result<Plan, Vec<String>> {
    let mut written = Written { backends: vec!["http://a:1".into()], ..Written::default() };
    change(&mut written);
    check(&written, &machine(&[0, 1], None)).map_err(said)
}

fn said(errors: Vec<PlanError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Each of the changed settings is refused with exactly these sentences.
#[track_caller]
fn check_refused(change: impl FnOnce(&mut Written), expected: &[&str]) {
    assert_eq!(plan_of(change).unwrap_err(), expected);
}

#[track_caller]
fn check_connections(written: Option<usize>, files: Option<usize>, expected: Result<usize, &str>) {
    let written =
        Written { backends: vec!["http://a:1".into()], connections: written, ..Written::default() };
    let plan = check(&written, &machine(&[0, 1], files));
    let connections = plan.map(|plan| plan.limits.connections).map_err(|e| said(e).join("\n"));
    assert_eq!(connections, expected.map_err(str::to_owned));
}

#[test]
fn the_defaults_and_one_backend_make_a_plan() {
    let plan = plan_of(|_| {}).unwrap();
    assert_eq!(plan.listeners, [read_listen(Written::LISTEN).unwrap()]);
    assert_eq!(plan.cores, [0, 1]);
    assert_eq!(plan.limits, Limits::DEFAULT);
    assert_eq!(plan.deadlines, Deadlines::DEFAULT);
    assert_eq!(plan.pool, PoolPlan::DEFAULT);
    assert_eq!(plan.demo, None);
}

#[test]
fn what_was_written_is_in_the_plan() {
    let plan = plan_of(|written| {
        written.admin = Some("[::1]:9000".into());
        written.cores = "1".into();
        written.pin = false;
        written.limits.body_bytes = 5;
        written.drain = Duration::ZERO;
        written.proxy_path = "/v1/x".into();
        written.headers.via = false;
    })
    .unwrap();
    assert_eq!(plan.admin, Some(read_listen("[::1]:9000").unwrap()));
    assert_eq!((plan.cores.as_slice(), plan.pin), (&[1][..], false));
    assert_eq!((plan.limits.body_bytes, plan.drain), (5, Duration::ZERO));
    assert_eq!((plan.proxy_path.as_str(), plan.headers.via), ("/v1/x", false));
}

#[test]
fn the_demo_needs_no_backend_and_brings_its_mock() {
    let plan = plan_of(|written| {
        written.backends.clear();
        written.demo = true;
    })
    .unwrap();
    let mock = plan.demo.unwrap();
    assert_eq!(mock.listen.to_string(), "127.0.0.1:0");
    assert_eq!(mock.cores, [1]);
}

#[test]
fn no_backend_and_no_demo_names_both_mends() {
    check_refused(
        |written| written.backends.clear(),
        &["--backend: no backend is given; name one with --backend http://HOST:PORT, \
           or add --demo to use the built-in mock"],
    );
}

#[test]
fn all_faults_are_reported_at_once() {
    let errors = plan_of(|written| {
        written.listen = vec!["x".into(), "y".into()];
        written.backends = vec!["htp://x".into()];
        written.cores = "0-9".into();
        written.limits.body_bytes = 0;
    })
    .unwrap_err();
    let flags: Vec<_> = errors.iter().map(|error| error.split(' ').next().unwrap()).collect();
    assert_eq!(flags, ["--listen", "--listen", "--backend", "--cores", "--body-bytes"]);
}

#[test]
fn a_forbidden_core_is_told_with_what_is_allowed() {
    check_refused(
        |written| written.cores = "0-9".into(),
        &["--cores 0-9: core 9 may not be used: this process is allowed cores 0-1; \
           give --cores a subset of them"],
    );
}

#[test]
fn a_proxy_listens_somewhere() {
    check_refused(
        |written| written.listen.clear(),
        &["--listen: no address to listen on is given; \
           write HOST:PORT, [::1]:PORT or unix:/PATH"],
    );
}

#[test]
fn two_listeners_never_share_an_address() {
    check_refused(
        |written| written.listen = vec!["127.0.0.1:1".into(), "localhost:1".into()],
        &["--listen localhost:1: this address is already listened on by --listen; \
           give each listener its own"],
    );
    check_refused(
        |written| written.admin = Some(Written::LISTEN.into()),
        &["--admin 127.0.0.1:8080: this address is already listened on by --listen; \
           give each listener its own"],
    );
}

#[test]
fn ports_of_the_kernels_choice_are_never_the_same() {
    let zero = || "127.0.0.1:0".to_owned();
    plan_of(|written| {
        written.listen = vec![zero(), zero()];
        written.admin = Some(zero());
    })
    .unwrap();
}

#[test]
fn a_backend_is_listed_once_and_is_not_ourselves() {
    check_refused(
        |written| written.backends.push("http://a:1/".into()),
        &["--backend http://a:1/: this backend is listed twice; list each one once"],
    );
    check_refused(
        |written| written.backends.push("http://127.0.0.1:8080".into()),
        &["--backend http://127.0.0.1:8080: this backend is our own listener, \
           requests would go round for ever; name another"],
    );
}

#[test]
fn a_ring_has_a_power_of_two_of_entries() {
    let entries = |entries| move |written: &mut Written| written.rings.entries = entries;
    check_refused(
        entries(1000),
        &["--ring-entries 1000: the number must be a power of two; try 1024"],
    );
    check_refused(entries(4), &["--ring-entries 4: the value must be at least 8; raise it"]);
    check_refused(
        entries(65_536),
        &["--ring-entries 65536: the value must be at most 32768, \
           as the kernel takes no larger ring; lower it"],
    );
    plan_of(entries(8)).unwrap();
    plan_of(entries(32_768)).unwrap();
}

#[test]
fn a_deadline_is_neither_shorter_than_a_tick_nor_endless() {
    check_refused(
        |written| written.deadlines.connect = Duration::from_millis(9),
        &["--connect-timeout 9ms: the value must be at least 10ms; raise it"],
    );
    check_refused(
        |written| written.deadlines.keep_alive = Duration::from_secs(86_401),
        &["--keep-alive-timeout 86401s: the value must be at most 1d, \
           as longer is as good as no end; lower it"],
    );
    check_refused(
        |written| written.deadlines.body_rate_min = 0,
        &["--body-rate-min 0B: the value must be at least 1B; raise it"],
    );
    check_refused(
        |written| written.resolve_every = Duration::ZERO,
        &["--resolve-every 0s: the value must be at least 10ms; raise it"],
    );
}

#[test]
fn no_step_of_a_request_outlasts_the_request() {
    check_refused(
        |written| written.deadlines.first_byte = Duration::from_secs(7200),
        &["--first-byte-timeout 2h: this is more than --total-timeout allows (1h); \
           lower it or raise --total-timeout"],
    );
}

#[test]
fn a_default_gives_way_to_what_was_set_elsewhere() {
    let minute = Duration::from_secs(60);
    let plan = plan_of(|written| {
        written.deadlines.total = minute;
        written.deadlines.keep_alive = Duration::from_millis(500);
        written.limits.head_bytes = 4096;
        written.limits.body_memory_total = 1 << 20;
    })
    .unwrap();
    assert_eq!((plan.deadlines.first_byte, plan.deadlines.idle_between_reads), (minute, minute));
    assert_eq!(plan.deadlines.connect, Deadlines::DEFAULT.connect);
    assert_eq!(plan.pool.rest_before_idle, Duration::from_millis(500));
    assert_eq!((plan.limits.target_bytes, plan.limits.body_bytes), (4096, 1 << 20));
}

#[test]
fn a_value_that_was_asked_for_does_not_give_way_though_it_is_the_default() {
    check_refused(
        |written| {
            written.limits.body_memory_total = 1 << 20;
            written.given.by_flag("--body-bytes");
        },
        &["--body-bytes 32MiB: this is more than --body-memory allows (1MiB); \
           lower it or raise --body-memory"],
    );
}

#[test]
fn a_head_fits_into_a_few_buffers_and_a_target_into_a_head() {
    check_refused(
        |written| written.limits.head_bytes = 129 * 1024,
        &["--head-bytes 129KiB: this is more than --pool-buffer-bytes allows (128KiB); \
           lower it or raise --pool-buffer-bytes"],
    );
    check_refused(
        |written| written.limits.target_bytes = 33 * 1024,
        &["--target-bytes 33KiB: this is more than --head-bytes allows (32KiB); \
           lower it or raise --head-bytes"],
    );
    check_refused(
        |written| written.limits.headers = 257,
        &["--header-count 257: the value must be at most 256, \
           as the table of a head's headers has no more rows; lower it"],
    );
}

#[test]
fn a_body_is_below_4_gib_and_within_the_memory_for_bodies() {
    check_refused(
        |written| written.limits.body_bytes = 2 << 30,
        &["--body-bytes 2GiB: this is more than --body-memory allows (1GiB); \
           lower it or raise --body-memory"],
    );
    check_refused(
        |written| {
            written.limits.body_bytes = 4 << 30;
            written.limits.body_memory_total = 8 << 30;
        },
        &["--body-bytes 4GiB: the value must be at most 4294967295B, \
           as places in it are counted in 32 bits; lower it"],
    );
}

#[test]
fn a_client_rests_before_it_is_closed() {
    check_refused(
        |written| written.pool.rest_before_idle = Duration::from_secs(76),
        &["--rest-before-idle 76s: this is more than --keep-alive-timeout allows (75s); \
           lower it or raise --keep-alive-timeout"],
    );
}

#[test]
fn the_proxied_path_is_a_path() {
    for path in ["", "v1", "/v1?x", "/v 1", "/v1#x"] {
        let sentence = "the path must start with / and hold no space, ?, # or control byte; \
                        write it like /v1/chat/completions";
        let errors = plan_of(|written| written.proxy_path = path.into()).unwrap_err();
        assert!(errors.len() == 1 && errors[0].ends_with(sentence), "{errors:?}");
    }
}

#[test]
fn connections_are_what_the_open_files_bear() {
    check_connections(None, None, Ok(100_000));
    check_connections(None, Some(1_048_576), Ok(100_000));
    // 1024 less 64 for the process, 16 for each shard, 256 idle in each shard.
    check_connections(None, Some(1024), Ok((1024 - 64 - 2 * 16 - 2 * 256) / 2));
    check_connections(Some(200_000), None, Ok(200_000));
    // Told so, as many as there are descriptors: most connections rest.
    check_connections(Some(928), Some(1024), Ok(928));
}

#[test]
fn the_demo_needs_a_third_open_file_for_each_connection() {
    let written = Written { demo: true, ..Written::default() };
    let plan = check(&written, &machine(&[0, 1], Some(1024))).unwrap();
    // One more thread than shards, and the mock is the one backend.
    assert_eq!(plan.limits.connections, (1024 - 64 - 3 * 16 - 2 * 256) / 3);
}

#[test]
fn more_connections_than_open_files_are_refused() {
    check_connections(
        Some(929),
        Some(1024),
        Err("--connections 929: 929 connections may need 1025 open files and this process may \
             have 1024; lower --connections to 928 or raise the limit (ulimit -n)"),
    );
    check_connections(
        None,
        Some(609),
        Err("--connections: the process may have 609 open files, and shards and idle backend \
             connections already need 608; lower --pool-idle-per-backend or raise the limit \
             (ulimit -n)"),
    );
    check_connections(
        Some(0),
        None,
        Err("--connections 0: the value must be at least 1; raise it"),
    );
}

#[test]
fn one_address_gets_no_more_than_all() {
    check_refused(
        |written| {
            written.connections = Some(10);
            written.limits.connections_per_address = NonZeroUsize::new(11);
        },
        &["--connections-per-address 11: this is more than --connections allows (10); \
           lower it or raise --connections"],
    );
}
