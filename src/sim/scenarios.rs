//! Eight backends of which one is bad, as whole shards and their clients see
//! them: every policy beside an oracle that knows all queues and needs no
//! proxy. `balance/scenario_tests.rs` asks the same of the choice alone.
#![allow(clippy::print_stdout, reason = "the table is for whoever asked for it")]

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use super::{
    client::front,
    executor::Owner,
    faults::{Faults, Odds},
    house::{House, Plan},
    message::{Framing, Pace, Reader, send_all},
    order::{Api, Order, chunk, named_in},
    stream::SimStream,
    world::{SimWorld, within},
};
use crate::{
    balance::{Balancing, Policy},
    base::{Chance, Instant},
    exchange::{Deadlines, Limits, PoolPlan},
    retry::RetryPlan,
    rt::{Listen, Stream, World},
};

const BACKENDS: usize = 8;
/// The bad one.
const BAD: usize = 3;
/// From here on the bad one is to be known.
const KNOWN_AFTER: Duration = Duration::from_secs(1);
/// How long a client waits for a first token, or for a whole answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What every first token takes, whatever waits.
const FLOOR: Duration = Duration::from_millis(20);
const PER_TOKEN: Duration = Duration::from_micros(100);
const PACE: Duration = Duration::from_millis(20);
const ANSWER_TOKENS: usize = 50;
/// Tokens that are written at once.
const BURST: u32 = 10;
const SHORT: usize = 100;
const LONG: usize = 30_000;
const BYTES_PER_TOKEN: usize = 4;

/// What is wrong with the bad one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scenario {
    /// It takes five times as long.
    Slow,
    /// It answers 500 at once.
    BlackHole,
    /// It takes requests and never answers.
    Stall,
    /// The same, and nobody asks for a stream.
    StallOfWhole,
    /// It has just come, and its first requests take ten times as long.
    Cold,
    /// Nothing; but one prompt in fifty is 300 times as long.
    TwoSizes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Chooser {
    /// With ejection.
    Ours(Policy),
    /// Without.
    Plain(Policy),
    /// Knows when each backend would have read the prompt.
    Oracle,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// Milliseconds to the first token (to the last of a whole answer).
    median: f64,
    p99: f64,
    /// Of all requests after the first second, in per cent.
    bad_share: f64,
    errors: usize,
}

/// One backend's engine: it reads one prompt after another.
#[derive(Clone, Copy, Debug, Default)]
struct Engine {
    free_at: Instant,
    served: u32,
}

/// What everybody in a scenario shares.
struct Scene {
    world: SimWorld,
    scenario: Scenario,
    chooser: Chooser,
    engines: RefCell<[Engine; BACKENDS]>,
    /// Client connections that are free, with where they lead.
    free: RefCell<Vec<(SocketAddr, Rc<SimStream>)>>,
    begins: Instant,
    waits: RefCell<Vec<Duration>>,
    errors: Cell<usize>,
    /// Requests after the first second, and those of them at the bad one.
    known: Cell<usize>,
    bad: Cell<usize>,
}

impl Scenario {
    /// Between two arrivals, on average: the well ones work 60 % of their time,
    /// or half of it where prompts differ so much.
    fn gap(self) -> Duration {
        if self == Self::TwoSizes {
            let mean = 0.98 * SHORT as f64 + 0.02 * LONG as f64;
            return PER_TOKEN.mul_f64(mean / (BACKENDS as f64 * 0.5));
        }
        PER_TOKEN.mul_f64(SHORT as f64 / ((BACKENDS - 1) as f64 * 0.6))
    }

    /// How long the arrivals last: as many requests in each.
    fn lasts(self) -> Duration {
        self.gap() * 8_000
    }

    fn streamed(self) -> bool {
        self != Self::StallOfWhole
    }

    fn never_answers(self, backend: usize) -> bool {
        backend == BAD && matches!(self, Self::Stall | Self::StallOfWhole)
    }

    /// How much longer than usual this backend takes to read, and to write.
    fn times(self, backend: usize, engine: &Engine) -> (u32, u32) {
        match self {
            Self::Slow if backend == BAD => (5, 5),
            Self::Cold if backend == BAD && engine.served < 20 => (10, 1),
            _ => (1, 1),
        }
    }

    /// When this backend would have read a prompt.
    fn read_at(self, backend: usize, engine: &Engine, tokens: usize, now: Instant) -> Instant {
        if self.never_answers(backend) || (self == Self::BlackHole && backend == BAD) {
            return Instant::NEVER;
        }
        engine.free_at.max(now).after(PER_TOKEN * tokens as u32 * self.times(backend, engine).0)
    }
}

impl Scene {
    fn is_known(&self) -> bool {
        self.world.now().since(self.begins) >= KNOWN_AFTER
    }

    /// Requests come by chance (Poisson), and every chooser meets the same.
    async fn arrive(self: Rc<Self>) {
        let mut chance = Chance::seeded(7);
        let mut at = self.begins;
        for id in 0.. {
            let uniform = (chance.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            at = at.after(self.scenario.gap().mul_f64(-(1.0 - uniform).ln()));
            if at.since(self.begins) > self.scenario.lasts() {
                return;
            }
            let is_long = self.scenario == Scenario::TwoSizes && chance.below(50) == 0;
            let tokens = if is_long { LONG } else { SHORT };
            let order = Order {
                id,
                api: Api::Chat,
                streamed: self.scenario.streamed(),
                tokens: ANSWER_TOKENS,
                gap: PACE,
                padding: tokens * BYTES_PER_TOKEN,
                chunked: false,
                old: false,
            };
            self.world.sleep_until(at).await;
            let scene = Rc::clone(&self);
            self.world.spawn(async move { scene.order(order).await });
        }
    }

    /// Where the order is sent: to the proxy, or where the oracle says.
    fn goes_to(&self, order: &Order) -> SocketAddr {
        if self.chooser != Chooser::Oracle {
            return front();
        }
        let (engines, now) = (self.engines.borrow(), self.world.now());
        let tokens = order.padding / BYTES_PER_TOKEN;
        let read_at =
            |&backend: &usize| self.scenario.read_at(backend, &engines[backend], tokens, now);
        address((0..BACKENDS).min_by_key(read_at).unwrap_or_default())
    }

    /// A connection that was used before. Those that lay idle until they were
    /// closed are not tried: the longest run is longer than they are kept.
    fn free_stream(&self, to: SocketAddr) -> Option<Rc<SimStream>> {
        let free = &mut *self.free.borrow_mut();
        free.retain(|(_, stream)| stream.is_quiet());
        let place = free.iter().rposition(|(leads_to, _)| *leads_to == to)?;
        Some(free.remove(place).1)
    }

    /// One request, from its client's side.
    async fn order(&self, order: Order) {
        let (came_at, is_known) = (self.world.now(), self.is_known());
        let to = self.goes_to(&order);
        let stream = match self.free_stream(to) {
            Some(stream) => stream,
            None => Rc::new(self.world.reach(to).await.expect("a front that listens")),
        };
        assert!(send_all(&stream, &order.request()).await, "nobody hangs up on a client here");
        let pace = Pace::drawn(Odds::default(), &mut Chance::seeded(0));
        let mut reader = Reader::new(&self.world, Rc::clone(&stream), pace);
        let first = within(&self.world, PATIENCE, self.first_token(&order, &mut reader)).await;
        let wait = self.world.now().since(came_at);
        let Some((status, framing)) = first.flatten() else {
            // It has waited long enough, or is told nothing.
            self.errors.set(self.errors.get() + 1);
            if is_known {
                self.waits.borrow_mut().push(wait);
            }
            stream.shutdown();
            return;
        };
        if status != 200 {
            self.errors.set(self.errors.get() + 1);
        } else if is_known {
            self.waits.borrow_mut().push(wait);
        }
        if reader.body(framing).await.is_whole {
            self.free.borrow_mut().push((to, stream));
        }
    }

    /// Waits for the first token of a stream, or for all of a whole answer.
    async fn first_token(&self, order: &Order, reader: &mut Reader) -> Option<(u16, Framing)> {
        let head = reader.head().await?;
        let framing = head.framing(Framing::UntilClose);
        let has_all = |held: &[u8]| match framing {
            Framing::Length(length) => held.len() >= length,
            _ => held.ends_with(b"0\r\n\r\n"),
        };
        let is_stream = order.streamed && head.status() == 200;
        while !(if is_stream { !named_in(&reader.held).is_empty() } else { has_all(&reader.held) })
        {
            if !reader.more().await {
                return None;
            }
        }
        Some((head.status(), framing))
    }

    /// One backend's connections.
    async fn accept_all(self: Rc<Self>, backend: usize) {
        let listener = self.world.of(Owner::Backend(backend)).listen(address(backend));
        loop {
            // It never fails, it only ends.
            let _ = listener.readable().await;
            while let Ok(Some(socket)) = listener.accept() {
                let stream = Rc::new(socket.into_stream());
                let scene = Rc::clone(&self);
                self.world.spawn(async move { scene.serve(backend, stream).await });
            }
        }
    }

    async fn serve(self: Rc<Self>, backend: usize, stream: Rc<SimStream>) {
        let pace = Pace::drawn(Odds::default(), &mut Chance::seeded(0));
        let mut reader = Reader::new(&self.world, Rc::clone(&stream), pace);
        while let Some(head) = reader.head().await {
            let body = reader.body(head.framing(Framing::Length(0))).await;
            let [id] = named_in(&body.bytes)[..] else { return };
            if self.is_known() {
                self.known.set(self.known.get() + 1);
                self.bad.set(self.bad.get() + usize::from(backend == BAD));
            }
            if self.scenario.never_answers(backend) {
                // Until its client has had enough.
                while reader.more().await {}
                return;
            }
            let padding = body.bytes.iter().filter(|byte| **byte == b'x').count();
            let order = Order {
                id,
                api: Api::Chat,
                streamed: self.scenario.streamed(),
                tokens: ANSWER_TOKENS,
                gap: PACE,
                padding,
                chunked: false,
                old: false,
            };
            if !self.answer(backend, &stream, &order).await {
                return;
            }
        }
    }

    async fn answer(&self, backend: usize, stream: &SimStream, order: &Order) -> bool {
        if self.scenario == Scenario::BlackHole && backend == BAD {
            self.world.sleep(Duration::from_millis(1)).await;
            let body = order.error_body(500);
            let head = format!(
                "HTTP/1.1 500 No\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            return send_all(stream, &[head.as_bytes(), &body].concat()).await;
        }
        let (read_at, slower) = {
            let (engine, now) = (&mut self.engines.borrow_mut()[backend], self.world.now());
            let slower = self.scenario.times(backend, engine).1;
            let tokens = order.padding / BYTES_PER_TOKEN;
            engine.free_at = self.scenario.read_at(backend, engine, tokens, now);
            engine.served += 1;
            (engine.free_at, slower)
        };
        self.world.sleep_until(read_at.after(FLOOR * slower)).await;
        let pieces = order.pieces();
        if !order.streamed {
            self.world.sleep(PACE * slower * (ANSWER_TOKENS as u32 - 1)).await;
            let body = pieces.concat();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            return send_all(stream, &[head.as_bytes(), &body].concat()).await;
        }
        let mut out = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                        transfer-encoding: chunked\r\n\r\n"
            .to_vec();
        // The first token by itself, the others as they gather.
        let (first, rest) = pieces.split_at(1);
        for burst in std::iter::once(first).chain(rest.chunks(BURST as usize)) {
            out.extend(chunk(&burst.concat()));
            if !send_all(stream, &out).await {
                return false;
            }
            out.clear();
            self.world.sleep(PACE * slower * BURST).await;
        }
        send_all(stream, b"0\r\n\r\n").await
    }
}

fn address(backend: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, backend as u8], 8000))
}

fn plan(chooser: Chooser, shards: usize) -> Plan {
    let balancing = match chooser {
        Chooser::Ours(policy) => Balancing { policy, ..Balancing::DEFAULT },
        Chooser::Plain(policy) => {
            let mut balancing = Balancing { policy, ..Balancing::DEFAULT };
            balancing.ejection.after = None;
            balancing.ejection.below_percent = None;
            balancing
        }
        Chooser::Oracle => Balancing::DEFAULT,
    };
    Plan {
        shards,
        backends: BACKENDS,
        balancing,
        deadlines: Deadlines::DEFAULT,
        limits: Limits::DEFAULT,
        pool: PoolPlan::DEFAULT,
        retry: RetryPlan::DEFAULT,
    }
}

fn run(scenario: Scenario, chooser: Chooser, shards: usize) -> Found {
    let world = SimWorld::new(7, Faults { ring: true, ..Faults::default() });
    let scene = Rc::new(Scene {
        world: world.of(Owner::Client),
        scenario,
        chooser,
        engines: RefCell::default(),
        free: RefCell::default(),
        begins: world.now(),
        waits: RefCell::default(),
        errors: Cell::default(),
        known: Cell::default(),
        bad: Cell::default(),
    });
    for backend in 0..BACKENDS {
        world.spawn(Rc::clone(&scene).accept_all(backend));
    }
    let house = House::open(&world, plan(chooser, shards), &mut Chance::seeded(11));
    world.of(Owner::Client).spawn(Rc::clone(&scene).arrive());
    let asleep = || house.sum("requests_in_flight") == 0;
    world.tasks.run(&world.core, scenario.lasts(), || false, || ());
    let is_over = world.tasks.run(&world.core, Duration::from_secs(600), asleep, || ());
    assert!(is_over, "{scenario:?} {chooser:?}: requests are still under way");
    world.core.with(|state| {
        assert_eq!(state.chronicle.breaches(), [] as [String; 0], "{scenario:?} {chooser:?}");
        state.house_ended = true;
    });
    world.tasks.end();
    found(&scene)
}

fn found(scene: &Scene) -> Found {
    let mut waits = scene.waits.borrow_mut();
    waits.sort_unstable();
    let quantile = |of: f64| waits[((waits.len() - 1) as f64 * of) as usize].as_secs_f64() * 1e3;
    Found {
        median: quantile(0.5),
        p99: quantile(0.99),
        bad_share: scene.bad.get() as f64 / scene.known.get() as f64 * 100.0,
        errors: scene.errors.get(),
    }
}

/// Runs everybody, and shows the rows.
fn show(scenario: Scenario) {
    let choosers = [
        Chooser::Plain(Policy::RoundRobin),
        Chooser::Plain(Policy::LeastInFlight),
        Chooser::Plain(Policy::PeakEwma),
        Chooser::Ours(Policy::LeastLatency),
    ];
    let mut rows = String::new();
    let mut row = |shards: &str, chooser: Chooser, found: Found| {
        let Found { median, p99, bad_share, errors } = found;
        writeln!(
            rows,
            "{:13} {shards:>2} shards  {:22} p50 {median:8.1} ms  p99 {p99:8.1} ms  \
             to the bad one {bad_share:6.2} %  errors {errors}",
            format!("{scenario:?}"),
            format!("{chooser:?}"),
        )
    };
    for shards in [1, 4, 16] {
        for chooser in choosers {
            let found = run(scenario, chooser, shards);
            row(&shards.to_string(), chooser, found).expect("room for a row");
        }
    }
    row("-", Chooser::Oracle, run(scenario, Chooser::Oracle, 1)).expect("room for a row");
    println!("\n{rows}");
}

macro_rules! scenarios {
    ($($name:ident: $scenario:ident;)+) => {
        $(#[test] #[ignore = "scripts/sim --scenarios shows it"]
        fn $name() { show(Scenario::$scenario); })+
    };
}

scenarios! {
    table_of_slow: Slow;
    table_of_black_hole: BlackHole;
    table_of_stall: Stall;
    table_of_stall_of_whole: StallOfWhole;
    table_of_cold: Cold;
    table_of_two_sizes: TwoSizes;
}

#[test]
fn whole_shards_leave_a_slow_backend_alone() {
    let ours = run(Scenario::Slow, Chooser::Ours(Policy::LeastLatency), 4);
    let oracle = run(Scenario::Slow, Chooser::Oracle, 4);
    assert!(ours.bad_share < 1.0 && ours.errors == 0, "{ours:?}");
    assert!(ours.p99 < oracle.p99 * 1.5, "{ours:?} {oracle:?}");
}

#[test]
fn whole_shards_leave_a_black_hole_alone() {
    let ours = run(Scenario::BlackHole, Chooser::Ours(Policy::LeastLatency), 4);
    assert!(ours.bad_share < 1.0 && ours.errors < 50, "{ours:?}");
}
