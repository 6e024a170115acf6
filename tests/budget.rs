//! What one request may cost (`perf/budget.md`): heap allocations on the
//! shard's thread, counted by this binary's own allocator, and operations.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test drives the real clock, fails in its functions, and shows what it measured"
)]

mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use support::{
    Client, Proxy, chat, eventually, mock, plan, streamed,
    tls::{TlsSocket, VERSIONS, authority::Authority, client_config},
    url,
};

/// Counts the allocations of each thread in a slot of its own.
struct Counting;

const THREADS_MAX: usize = 256;
static SLOTS: AtomicUsize = AtomicUsize::new(0);
static THREADS: [AtomicI32; THREADS_MAX] = [const { AtomicI32::new(0) }; THREADS_MAX];
static ALLOCATIONS: [AtomicU64; THREADS_MAX] = [const { AtomicU64::new(0) }; THREADS_MAX];

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn count() {
    // A thread that is ending has no slot any more, and is no shard at work.
    let _ = SLOT.try_with(|slot| {
        if slot.get() == usize::MAX {
            slot.set(SLOTS.fetch_add(1, Relaxed).min(THREADS_MAX - 1));
            // SAFETY: it takes nothing and cannot fail.
            THREADS[slot.get()].store(unsafe { libc::gettid() }, Relaxed);
        }
        ALLOCATIONS[slot.get()].fetch_add(1, Relaxed);
    });
}

// SAFETY: every call goes on to the system's allocator as it came; counting
// allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of the one shard's thread so far.
fn allocations_of_shard() -> u64 {
    let shard = std::fs::read_dir("/proc/self/task").unwrap().find_map(|task| {
        let path = task.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap();
        (name.trim_end() == "tr-shard-0").then(|| path.file_name().unwrap().to_owned())
    });
    let shard: i32 = shard.expect("a shard runs").into_string().unwrap().parse().unwrap();
    let slot = THREADS.iter().position(|thread| thread.load(Relaxed) == shard).unwrap();
    ALLOCATIONS[slot].load(Relaxed)
}

/// The operations counter once it has caught up: it is refreshed twice a
/// second, so it has when it stands still for longer.
fn operations(proxy: &Proxy) -> u64 {
    let (mut last, mut since) = (0, Instant::now());
    eventually("the counter stands still", || {
        let now = proxy.sum(|c| &c.operations);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(750)
    });
    last
}

/// Does `act` so often, warmed up, and returns allocations and operations for
/// each time.
fn cost(proxy: &Proxy, times: u64, mut act: impl FnMut()) -> (f64, f64) {
    for _ in 0..200 {
        act();
    }
    let operations_before = operations(proxy);
    let allocations_before = allocations_of_shard();
    for _ in 0..times {
        act();
    }
    let allocations = allocations_of_shard() - allocations_before;
    let operations = operations(proxy) - operations_before;
    (allocations as f64 / times as f64, operations as f64 / times as f64)
}

#[track_caller]
fn check(what: &str, (allocations, operations): (f64, f64), most: (f64, f64)) {
    println!("{what}: {allocations:.3} allocations, {operations:.3} operations");
    assert!(allocations <= most.0, "{what}: {allocations} allocations");
    assert!(operations <= most.1, "{what}: {operations} operations");
}

/// One test, so that there is one shard in this process at a time.
#[test]
fn a_steady_request_costs_two_allocations_and_four_operations_at_most() {
    let mock = mock();
    let proxy = Proxy::of(plan(&[url(mock.address())], |written| {
        // No connection goes to rest while it is measured.
        written.pool.rest_before_idle = Duration::from_secs(60);
        written.pool.idle_timeout = Duration::from_secs(60);
    }));
    let mut client = proxy.client();

    let body = format!("{{\"model\":\"m\",\"max_tokens\":1,\"x\":\"{}\"}}", "y".repeat(1000));
    let whole = cost(&proxy, 2000, || {
        assert_eq!(client.post("/v1/chat/completions", "", &body).status, 200);
    });
    // The sweep and the odd short send are in it as well.
    check("a whole answer", whole, (2.0, 4.02));
    assert!(whole.1 >= 4.0, "the counter does not count");

    // The tee of a stream is one; operations depend on how events are cut.
    let stream = cost(&proxy, 500, || {
        assert_eq!(client.post("/v1/chat/completions", "", streamed(10)).status, 200);
    });
    check("a stream of ten events", stream, (4.0, f64::INFINITY));

    // Twenty thousand events cost no more allocations than ten.
    let before = allocations_of_shard();
    long_stream(&mut client);
    let allocations = allocations_of_shard() - before;
    println!("a stream of twenty thousand events: {allocations} allocations");
    assert!(allocations <= 20, "{allocations}");
    check_connections(&proxy);
    drop(client);
    drop(proxy);
    check_tls(&url(mock.address()));
}

/// Over TLS, rustls makes a piece of memory for each record that it opens or
/// seals; nothing else is added.
fn check_tls(backend: &str) {
    let authority = Authority::new();
    let leaf = authority.leaf("server", &["localhost"]);
    let [_, certificate, _, key] = leaf.flags();
    let proxy = Proxy::of(plan(&[backend.to_owned()], |written| {
        written.listen = Vec::new();
        written.tls.listen = vec!["127.0.0.1:0".to_owned()];
        written.tls.certificates = vec![certificate.into()];
        written.tls.keys = vec![key.into()];
        written.pool.rest_before_idle = Duration::from_secs(60);
        written.pool.idle_timeout = Duration::from_secs(60);
    }));
    let config = Arc::new(client_config(&authority, VERSIONS[1], None));
    let mut client = TlsSocket::connect(proxy.address, &config, "localhost").unwrap().client();
    let whole = cost(&proxy, 2000, || {
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    });
    check("a whole answer over TLS", whole, (4.0, 4.02));
    let before = allocations_of_shard();
    long_stream(&mut client);
    let allocations = allocations_of_shard() - before;
    println!("a stream of twenty thousand events over TLS: {allocations} allocations");
    // No more than a record for each event.
    assert!(allocations <= 20_100, "{allocations}");
}

/// Streams twenty thousand events.
#[track_caller]
fn long_stream(client: &mut Client) {
    const EVENTS: usize = 20_000;
    let tokens = format!("x-mock-tokens: {EVENTS}\r\n");
    let answer = client.post("/v1/chat/completions", &tokens, streamed(EVENTS as u32));
    assert!(answer.body.ends_with(b"data: [DONE]\n\n"));
    let events = answer.body.windows(2).filter(|pair| pair == b"\n\n").count();
    assert!(events > EVENTS, "{events} events");
}

/// A connection of its own for each request is dearer, and bounded as well.
fn check_connections(proxy: &Proxy) {
    let cost = cost(proxy, 300, || {
        let mut client = Client::tcp(proxy.address);
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    });
    check("a connection with one request", cost, (40.0, 12.0));
}
