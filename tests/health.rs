//! Looking after backends, end to end: active health checks, and what their
//! engines say of themselves.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    cell::RefCell,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use support::{
    Client, PATIENCE, Proxy,
    backend::{Backend, Conn, deaf, nowhere},
    chat, driver, eventually, mock, mock_with, plan, streamed,
    tls::{VERSIONS, accept, authority::Authority, server_config},
};
use tokenring::{
    balance::{BackendId, EngineFigures, Probed},
    base::Instant,
    config::{HealthPlan, Policy, ProbePlan, Written},
    mock::MockHandle,
    probe::{Audience, Letter, Round, Target, keep},
    rt::{self, Clock, ConnectAddress, KernelWorld},
};

const CHAT: &str = "/v1/chat/completions";
/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);
const OFTEN: Duration = Duration::from_millis(10);

/// Asks whether they are well, so often; so many probes in a row decide.
fn asking(unhealthy_after: u32, healthy_after: u32) -> impl Fn(&mut Written) {
    move |written| {
        written.admin = Some("127.0.0.1:0".to_owned());
        written.balancing.policy = Policy::RoundRobin;
        let health = &mut written.probes.health;
        health.interval = Some(OFTEN);
        health.timeout = PATIENCE;
        (health.unhealthy_after, health.healthy_after) = (unhealthy_after, healthy_after);
    }
}

/// Asks engines how full they are, so often.
fn asking_engines(written: &mut Written) {
    written.admin = Some("127.0.0.1:0".to_owned());
    written.probes.engine.interval = Some(OFTEN);
}

/// What the metrics say of a backend.
fn metric(proxy: &Proxy, name: &str, backend: SocketAddr) -> Option<f64> {
    let page = proxy.admin().get("/metrics").text();
    let start = format!("{name}{{backend=\"{backend}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&start)).map(|value| value.parse().unwrap())
}

fn is_left_out(proxy: &Proxy, place: usize) -> bool {
    proxy.backends()[place].probed_unhealthy
}

/// How many of so many requests each backend has answered.
fn shares(proxy: &Proxy, times: usize, backends: &[SocketAddr]) -> Vec<usize> {
    let mut client = proxy.client();
    let mut shares = vec![0; backends.len()];
    for _ in 0..times {
        let answer = client.post(CHAT, "", chat(1));
        assert_eq!(answer.status, 200);
        let name = answer.field("x-tokenring-backend").unwrap();
        let place = backends.iter().position(|backend| backend.to_string() == name).unwrap();
        shares[place] += 1;
    }
    shares
}

/// Answers each probe with the next status of `.` (200) and `x` (500), and when
/// they are over with the last one; counts them.
fn answering(probes: &'static str) -> (Backend, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let backend = Backend::start(move |conn| {
        while conn.request().is_some() {
            let place = count.fetch_add(1, SeqCst).min(probes.len() - 1);
            let status = if &probes[place..=place] == "." { "200 OK" } else { "500 Oh" };
            conn.say(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
        }
    });
    (backend, asked)
}

#[test]
fn an_unhealthy_backend_gets_no_request_until_it_is_healthy() {
    let mocks = [mock(), mock()];
    let backends = mocks.each_ref().map(MockHandle::address);
    let proxy = Proxy::with(&backends, asking(2, 2));
    assert_eq!(shares(&proxy, 20, &backends), [10, 10]);
    mocks[0].set_health(503);
    eventually("it is left alone", || is_left_out(&proxy, 0));
    assert_eq!(shares(&proxy, 20, &backends), [0, 20]);
    assert_eq!(metric(&proxy, "tokenring_backend_healthy", backends[0]), Some(0.0));
    assert!(metric(&proxy, "tokenring_probe_failures_total", backends[0]) >= Some(2.0));
    assert_eq!(metric(&proxy, "tokenring_backend_healthy", backends[1]), Some(1.0));
    mocks[0].set_health(204);
    eventually("it is back", || !is_left_out(&proxy, 0));
    assert_eq!(metric(&proxy, "tokenring_backend_healthy", backends[0]), Some(1.0));
    eventually("it gets requests", || shares(&proxy, 4, &backends)[0] > 0);
}

#[test]
fn as_many_probes_in_a_row_decide_as_was_said() {
    // It would never come back from what comes too early.
    for (probes, unhealthy_after, healthy_after, ejected) in [
        ("xx.xx.xx.", 3, 1_000_000, false),
        ("xx.xxx.", 3, 1_000_000, true),
        ("x.", 1, 1, false),
        (".x", 1, 1, true),
        ("xx..x..x...", 2, 3, false),
        ("xx..x..x..x", 2, 3, true),
    ] {
        let (backend, asked) = answering(probes);
        let well = mock();
        let backends = [backend.address, well.address()];
        let proxy = Proxy::with(&backends, asking(unhealthy_after, healthy_after));
        eventually("all probes are over", || asked.load(SeqCst) > probes.len() + 3);
        assert_eq!(is_left_out(&proxy, 0), ejected, "{probes}");
    }
}

#[test]
fn the_last_half_is_asked_on_though_it_is_unhealthy() {
    let mocks = [mock(), mock()];
    mocks.iter().for_each(|mock| mock.set_health(500));
    let backends = mocks.each_ref().map(MockHandle::address);
    let proxy = Proxy::with(&backends, asking(1, 1));
    let failures = |backend| metric(&proxy, "tokenring_probe_failures_total", backend);
    eventually("both have failed", || backends.iter().all(|b| failures(*b) > Some(3.0)));
    let out = [is_left_out(&proxy, 0), is_left_out(&proxy, 1)];
    assert_ne!(out[0], out[1], "one of two");
    assert_eq!(shares(&proxy, 10, &backends)[usize::from(out[0])], 10);
    // When the one that serves is well again, nothing changes; when it is the
    // other one, they change places.
    mocks[usize::from(!out[0])].set_health(200);
    eventually("they change places", || {
        is_left_out(&proxy, 0) == out[1] && is_left_out(&proxy, 1) == out[0]
    });
}

#[test]
fn who_does_not_answer_is_unhealthy_and_asked_once_at_a_time() {
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opened, at_once) = (Arc::clone(&open), Arc::clone(&most));
    let silent = Backend::start(move |conn| {
        at_once.fetch_max(opened.fetch_add(1, SeqCst) + 1, SeqCst);
        conn.until_closed();
        opened.fetch_sub(1, SeqCst);
    });
    let deaf = deaf();
    let mocks = [mock(), mock(), mock()];
    let [a, b, c] = mocks.each_ref().map(MockHandle::address);
    let backends = [silent.address, deaf.address, nowhere(), a, b, c];
    let proxy = Proxy::with(&backends, |written| {
        asking(2, 1)(written);
        written.probes.health.timeout = Duration::from_millis(400);
    });
    eventually("they are left alone", || (0..3).all(|place| is_left_out(&proxy, place)));
    assert!((3..6).all(|place| !is_left_out(&proxy, place)));
    eventually("it is asked on", || silent.connections() > 3);
    // The next connection may have come before the last was seen to close.
    assert!(most.load(SeqCst) <= 2, "{most:?} at once");
}

/// Says this for ever; counts what was taken.
fn endless(start: &'static str, more: &'static str, taken: &Arc<AtomicUsize>) -> Backend {
    let taken = Arc::clone(taken);
    Backend::start(move |conn: &mut Conn| {
        if conn.request().is_none() {
            return;
        }
        let piece = more.repeat(16 * 1024 / more.len());
        let mut goes_on = conn.say(start);
        while goes_on {
            goes_on = conn.say(&piece);
            taken.fetch_add(piece.len(), SeqCst);
        }
    })
}

#[test]
fn an_endless_answer_has_an_end() {
    let taken: [Arc<AtomicUsize>; 4] = Default::default();
    let head = "HTTP/1.1 200 OK\r\n";
    let backends = [
        endless(head, "x-more: and more\r\n", &taken[0]),
        endless("", "HTTP/1.1 103 Early Hints\r\n\r\n", &taken[1]),
        // Its status is known before its body comes.
        endless("HTTP/1.1 200 OK\r\n\r\n", "body without an end\n", &taken[2]),
        endless("HTTP/1.1 503 No\r\n\r\n", "body without an end\n", &taken[3]),
    ];
    let well = [mock(), mock(), mock(), mock()];
    let mut addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    addresses.extend(well.iter().map(MockHandle::address));
    let proxy = Proxy::with(&addresses, |written| {
        asking(1, 1)(written);
        written.probes.health.interval = Some(LONG);
    });
    let healthy = |place: usize| metric(&proxy, "tokenring_backend_healthy", addresses[place]);
    for (place, expected) in [(0, 0.0), (1, 0.0), (2, 1.0), (3, 0.0), (4, 1.0)] {
        eventually("it is judged", || healthy(place).is_some());
        assert_eq!(healthy(place), Some(expected), "{place}");
        if place < 4 {
            // Far more than we take lies in the kernel's buffers.
            let taken = taken[place].load(SeqCst);
            assert!(taken < 64 * 1024 * 1024, "{taken} bytes taken of {place}");
        }
    }
}

#[test]
fn an_endless_page_of_metrics_has_an_end() {
    let taken = Arc::new(AtomicUsize::new(0));
    let page = endless("HTTP/1.1 200 OK\r\n\r\n", "tgi_queue_size 1\n", &taken);
    let line = endless("HTTP/1.1 200 OK\r\n\r\n", "tgi_queue_size{a=\"", &taken);
    let well = mock();
    let backends = [page.address, line.address, well.address()];
    let proxy = Proxy::with(&backends, asking_engines);
    let waiting = |backend| metric(&proxy, "tokenring_backend_engine_waiting", backend);
    eventually("they are asked again", || page.connections() > 2 && line.connections() > 2);
    eventually("others are asked", || waiting(backends[2]) == Some(0.0));
    assert_eq!((waiting(backends[0]), waiting(backends[1])), (None, None));
}

/// Answers every request by TLS.
fn secure(authority: &Authority, place: usize) -> SocketAddr {
    let leaf = authority.leaf("backend", &["localhost"]);
    let config = Arc::new(server_config(&leaf, VERSIONS[place]));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut stream) = accept(socket.unwrap(), &config) else { continue };
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok_and(|read| read > 0) {
                // The proxy may have heard enough.
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
        }
    });
    address
}

#[test]
fn a_tls_backend_is_probed_by_tls() {
    let (ours, others) = (Authority::new(), Authority::new());
    let trusted = [secure(&ours, 0), secure(&ours, 1)];
    let untrusted = secure(&others, 1);
    let plain = mock();
    let addresses = [trusted[0], trusted[1], untrusted, plain.address()];
    let urls = addresses.map(|address| format!("https://{address}"));
    let proxy = Proxy::of(plan(&urls, |written| {
        asking(1, 1)(written);
        written.tls.backend.ca = Some(ours.file().into());
        written.tls.backend.name = Some("localhost".to_owned());
    }));
    let healthy = |address| metric(&proxy, "tokenring_backend_healthy", address);
    for (address, expected) in addresses.into_iter().zip([1.0, 1.0, 0.0, 0.0]) {
        eventually("it is judged", || healthy(address).is_some());
        assert_eq!(healthy(address), Some(expected), "{address}");
    }
}

#[test]
fn an_engine_that_others_have_filled_gets_few_requests() {
    let slow = || mock_with(|script| script.first_token = LONG);
    let (filled, idle) = (slow(), mock());
    let others: Vec<Client> = (0..40)
        .map(|_| {
            let mut client = Client::tcp(filled.address());
            client.send_post(CHAT, "", streamed(1));
            client
        })
        .collect();
    let backends = [filled.address(), idle.address()];
    let proxy = Proxy::with(&backends, asking_engines);
    let engine = |what: &str, place: usize| {
        metric(&proxy, &format!("tokenring_backend_engine_{what}"), backends[place])
    };
    eventually("it tells of those that wait", || engine("waiting", 0) == Some(40.0));
    eventually("the other one tells too", || engine("running", 1) == Some(0.0));
    // One that came to the filled engine would not be answered.
    assert_eq!(shares(&proxy, 20, &backends), [0, 20]);
    drop(others);
    eventually("they have left", || engine("waiting", 0) == Some(0.0));
}

#[test]
fn who_offers_no_metrics_is_soon_asked_rarely() {
    let without = Backend::saying("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
    let page = Backend::saying("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>");
    let large = format!("HTTP/1.1 200 OK\r\nx-padding: {}\r\n\r\n", "x".repeat(200_000));
    let endless = Backend::saying(large);
    let starting = Backend::saying("HTTP/1.1 503 Not yet\r\ncontent-length: 0\r\n\r\n");
    let backends = [without.address, page.address, starting.address, endless.address];
    let _proxy = Proxy::with(&backends, asking_engines);
    eventually("one that is starting is asked on", || starting.connections() > 20);
    let others = || [&without, &page, &endless].map(|backend| backend.connections());
    eventually("the others were", || others().iter().all(|&times| times >= 3));
    assert_eq!(others(), [3; 3]);
}

#[test]
fn probes_go_below_the_path_of_the_url() {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let backend = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            let host = request.all("host").concat();
            // The test may have heard enough.
            let _ = tell.lock().unwrap().send((request.line, host));
            conn.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let url = format!("http://{}/base/", backend.address);
    let _proxy = Proxy::of(plan(&[url], |written| {
        asking(1, 1)(written);
        asking_engines(written);
        written.probes.health.path = "/up".to_owned();
        written.probes.engine.metrics_path = "/numbers".to_owned();
    }));
    let mut lines: Vec<_> = told.iter().take(8).collect();
    lines.sort();
    lines.dedup();
    let host = backend.address.to_string();
    let line = |path: &str| (format!("GET {path} HTTP/1.1"), host.clone());
    assert_eq!(lines, [line("/base/numbers"), line("/base/up")]);
}

#[test]
fn a_name_that_stands_for_another_address_is_probed_there() {
    let mocks = [mock(), mock()];
    mocks[1].set_health(500);
    let addresses = mocks.each_ref().map(MockHandle::address);
    let moved = Arc::new(AtomicUsize::new(0));
    let lookup = Arc::clone(&moved);
    let urls = ["http://name:80".to_owned()];
    let plan = plan(&urls, |written| {
        asking(1, 1)(written);
        written.resolve_every = OFTEN;
    });
    let proxy =
        Proxy::resolving(plan, Arc::new(move |_, _| Ok(vec![addresses[lookup.load(SeqCst)]])));
    let healthy = || {
        let page = proxy.admin().get("/metrics").text();
        let start = "tokenring_backend_healthy{backend=\"name:80\"} ";
        page.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned)
    };
    eventually("it is healthy", || healthy().as_deref() == Some("1"));
    moved.store(1, SeqCst);
    eventually("it is not", || healthy().as_deref() == Some("0"));
}

/// Tells what it hears, with the number of its round.
struct Told(u32, Sender<(u32, usize, Probed)>);

impl Audience for Told {
    fn hears_of_health(&self, backend: BackendId, probed: Probed, _: Instant) {
        // The test may have heard enough.
        let _ = self.1.send((self.0, backend.0, probed));
    }

    fn hears_of_engine(&self, _: BackendId, _: EngineFigures, _: Instant) {}
}

#[test]
fn another_round_goes_on_from_what_was_found_out() {
    let (sick, well) = (Backend::saying("HTTP/1.1 500 Oh\r\n\r\n"), mock());
    let (tell, told) = channel();
    let round = |number: u32, backends: &[SocketAddr], health| Round {
        number: number.into(),
        plan: ProbePlan { health, ..ProbePlan::default() },
        targets: (0..).zip(backends).map(|(place, address)| target(place, *address)).collect(),
        audience: Box::new(Told(number, tell.clone())),
    };
    let asking = |unhealthy_after| HealthPlan {
        interval: Some(OFTEN),
        timeout: PATIENCE,
        unhealthy_after,
        ..HealthPlan::default()
    };
    let (letters, letterbox) = rt::mailbox(8);
    let first = round(1, &[sick.address], asking(2));
    let keeper = std::thread::spawn(move || {
        let (mut runtime, _) = rt::build(driver(), 64).unwrap();
        runtime.block_on(keep(KernelWorld::new(Clock::start()), first, 1, letterbox));
    });
    let next = || told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), (1, 0, Probed::Unhealthy));
    // It has another place, and would not be found so again.
    let backends = [well.address(), sick.address];
    let second = Letter::Round(Box::new(round(2, &backends, asking(1_000_000))));
    assert!(letters.send(second).is_ok());
    let mut heard = [None, None];
    while heard.contains(&None) {
        let (round, place, probed) = next();
        assert!(round == 2 || heard == [None, None], "the first round is over");
        if round == 2 {
            heard[place] = Some(probed);
        }
    }
    assert_eq!(heard, [Some(Probed::Healthy), Some(Probed::Unhealthy)]);
    // Nobody is asked any more, and nobody left alone for what was said before.
    let third = Letter::Round(Box::new(round(3, &backends, HealthPlan::default())));
    assert!(letters.send(third).is_ok());
    let of_third: Vec<_> =
        std::iter::repeat_with(next).skip_while(|told| told.0 == 2).take(2).collect();
    assert_eq!(of_third, [(3, 0, Probed::Healthy), (3, 1, Probed::Healthy)]);
    assert!(letters.send(Letter::End).is_ok());
    keeper.join().unwrap();
    assert_eq!(told.try_iter().next(), None, "nobody is told any more");
}

fn target(place: usize, address: SocketAddr) -> Target<()> {
    Target {
        backend: BackendId(place),
        name: address.to_string(),
        host_header: address.to_string(),
        base_path: String::new(),
        security: (),
        addresses: RefCell::new(vec![ConnectAddress::Tcp(address)]),
        figures: Arc::default(),
    }
}
