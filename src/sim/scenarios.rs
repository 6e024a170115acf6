//! Eight backends of which one is bad, as whole shards and their clients see
//! them: every policy beside an oracle that knows all queues and needs no
//! proxy. `balance/scenario_tests.rs` asks the same of the choice alone.
#![allow(clippy::print_stdout, reason = "the table is for whoever asked for it")]

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use super::{
    client::front,
    executor::Owner,
    faults::{Faults, Odds},
    house::House,
    message::{Framing, Pace, Reader, send_all},
    models,
    order::{Api, Order, Wording, chunk, named_in},
    plan::{Plan, Says},
    stream::SimStream,
    world::{SimWorld, within},
};
use crate::{
    balance::{
        Policy,
        scenario::{
            ANSWER_TOKENS, BACKENDS, BAD, Chooser, Engine, FLOOR, Found, KNOWN_AFTER, PACE,
            PATIENCE, Scenario,
        },
    },
    base::{Chance, Instant},
    exchange::{Deadlines, Limits, PoolPlan, QueuePlan},
    probe::ProbePlan,
    retry::RetryPlan,
    rt::{Listen, Stream, World},
};

/// Tokens that are written at once.
const BURST: usize = 10;
const BYTES_PER_TOKEN: usize = 4;
/// As many requests in each scenario.
const REQUESTS: f64 = 8_000.0;

/// What everybody in a scenario shares.
struct Scene {
    world: SimWorld,
    scenario: Scenario,
    chooser: Chooser,
    engines: RefCell<[Engine; BACKENDS]>,
    /// Client connections that are free, with where they lead.
    free: RefCell<Vec<(SocketAddr, Rc<SimStream>)>>,
    begins: Instant,
    /// Seconds.
    waits: RefCell<Vec<f64>>,
    errors: Cell<usize>,
    /// Requests after the first second, and those of them at the bad one.
    known: Cell<usize>,
    bad: Cell<usize>,
}

impl Scene {
    /// Seconds since it began.
    fn now(&self) -> f64 {
        self.world.now().since(self.begins).as_secs_f64()
    }

    fn at(&self, seconds: f64) -> Instant {
        self.begins.after(Duration::from_secs_f64(seconds))
    }

    fn is_known(&self) -> bool {
        self.now() >= KNOWN_AFTER
    }

    /// An order of this scenario's kind.
    fn order_of(&self, id: usize, padding: usize) -> Order {
        Order {
            id,
            api: Api::Chat,
            model: models::ONLY,
            wording: Wording { last: false, escaped: false },
            priority: None,
            streamed: self.scenario.streamed(),
            tokens: ANSWER_TOKENS,
            gap: Duration::from_secs_f64(PACE),
            padding,
            chunked: false,
            old: false,
        }
    }

    async fn arrive(self: Rc<Self>) {
        let mut chance = Chance::seeded(7);
        let mut at = 0.0;
        for id in 0.. {
            at += self.scenario.pause(&mut chance);
            if at > lasts(self.scenario) {
                return;
            }
            let tokens = self.scenario.tokens(&mut chance);
            let order = self.order_of(id, tokens * BYTES_PER_TOKEN);
            self.world.sleep_until(self.at(at)).await;
            let scene = Rc::clone(&self);
            self.world.spawn(async move { scene.order(order).await });
        }
    }

    /// Where the order is sent: to the proxy, or where the oracle says.
    fn goes_to(&self, order: &Order) -> SocketAddr {
        if self.chooser != Chooser::Oracle {
            return front();
        }
        let tokens = order.padding / BYTES_PER_TOKEN;
        address(self.scenario.soonest(&self.engines.borrow(), tokens, self.now()))
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
        let (came_at, is_known) = (self.now(), self.is_known());
        let to = self.goes_to(&order);
        let stream = match self.free_stream(to) {
            Some(stream) => stream,
            None => Rc::new(self.world.reach(to).await.expect("a front that listens")),
        };
        assert!(send_all(&stream, &order.request()).await, "nobody hangs up on a client here");
        let pace = Pace::drawn(Odds::default(), &mut Chance::seeded(0));
        let mut reader = Reader::new(&self.world, Rc::clone(&stream), pace);
        let patience = Duration::from_secs_f64(PATIENCE);
        let first = within(&self.world, patience, self.first_token(&order, &mut reader)).await;
        let wait = self.now() - came_at;
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
            let order = self.order_of(id, padding);
            if !self.answer(backend, &stream, &order).await {
                return;
            }
        }
    }

    async fn answer(&self, backend: usize, stream: &SimStream, order: &Order) -> bool {
        if self.scenario.fails_at_once(backend) {
            self.world.sleep(Duration::from_millis(1)).await;
            let body = order.error_body(500);
            let head = format!(
                "HTTP/1.1 500 No\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            return send_all(stream, &[head.as_bytes(), &body].concat()).await;
        }
        let slower = self.scenario.slower(backend);
        let read_at = {
            let engine = &mut self.engines.borrow_mut()[backend];
            let tokens = order.padding / BYTES_PER_TOKEN;
            engine.free_at = self.scenario.read_at(backend, engine, tokens, self.now());
            engine.served += 1;
            engine.free_at
        };
        let writing = |tokens: usize| Duration::from_secs_f64(PACE * slower * tokens as f64);
        self.world.sleep_until(self.at(read_at + FLOOR * slower)).await;
        let pieces = order.pieces();
        if !order.streamed {
            self.world.sleep(writing(ANSWER_TOKENS - 1)).await;
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
        for burst in std::iter::once(first).chain(rest.chunks(BURST)) {
            out.extend(chunk(&burst.concat()));
            if !send_all(stream, &out).await {
                return false;
            }
            out.clear();
            self.world.sleep(writing(BURST)).await;
        }
        send_all(stream, b"0\r\n\r\n").await
    }
}

fn address(backend: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, backend as u8], 8000))
}

fn plan(chooser: Chooser, shards: usize) -> Plan {
    Plan {
        shards,
        backends: BACKENDS,
        balancing: chooser.balancing(),
        deadlines: Deadlines::DEFAULT,
        limits: Limits::DEFAULT,
        pool: PoolPlan::DEFAULT,
        retry: RetryPlan::DEFAULT,
        queue: QueuePlan::DEFAULT,
        says: Says::default(),
        panics_at: None,
        probes: ProbePlan::default(),
    }
}

/// Seconds of arrivals.
fn lasts(scenario: Scenario) -> f64 {
    scenario.gap() * REQUESTS
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
    let lasts = Duration::from_secs_f64(lasts(scenario));
    world.tasks.run(&world.core, lasts, || false, || ());
    let is_over = world.tasks.run(&world.core, Duration::from_secs(600), asleep, || ());
    assert!(is_over, "{scenario:?} {chooser:?}: requests are still under way");
    world.core.with(|state| {
        assert_eq!(state.chronicle.breaches(), [] as [String; 0], "{scenario:?} {chooser:?}");
        state.house_ended = true;
    });
    world.tasks.end();
    let bad_share = scene.bad.get() as f64 / scene.known.get() as f64;
    Found::of(&mut scene.waits.borrow_mut(), scene.errors.get(), bad_share)
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
    for shards in [1, 4, 16] {
        for chooser in choosers {
            rows += &(run(scenario, chooser, shards).row(scenario, shards, chooser) + "\n");
        }
    }
    // It needs none.
    rows += &run(scenario, Chooser::Oracle, 1).row(scenario, 0, Chooser::Oracle);
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
