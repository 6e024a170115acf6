//! A simulated client: it orders, reads what comes, and says what it saw. How
//! patient, how fast and how well-mannered it is follows from its seed.

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use super::{
    executor::Owner,
    faults::{Faults, Odds},
    ledger::{Seen, SharedLedger},
    message::{Framing, Head, Pace, Reader, send_all},
    order::{Order, named_in},
    stream::SimStream,
    world::SimWorld,
};
use crate::{
    base::Chance,
    llm::Complaint,
    rt::{Stream, World},
};

/// Where the proxy listens.
pub fn front() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 2], 80))
}

/// Connects that may fail before a client gives up: the house is closing.
const CONNECTS_MAX: usize = 20;
/// Requests sent without waiting for the answers between them.
const AHEAD_MAX: usize = 3;
/// Longer than any deadline for a client that takes nothing.
const STUCK: Duration = Duration::from_secs(30);
const HALF: Odds = Odds(500);

/// Orders once, on a connection of its own, and reads all of the answer. Returns
/// its status; zero, if it has not come whole.
pub async fn order_once(world: &SimWorld, order: &Order) -> u16 {
    let stream = Rc::new(world.reach(front()).await.expect("a front that listens"));
    assert!(send_all(&stream, &order.request()).await);
    let pace = Pace::drawn(Odds::default(), &mut Chance::seeded(0));
    let mut reader = Reader::new(world, stream, pace);
    let head = reader.head().await.expect("an answer");
    let is_whole = reader.body(head.framing(Framing::UntilClose)).await.is_whole;
    if is_whole { head.status() } else { 0 }
}

pub struct Client {
    world: SimWorld,
    ledger: SharedLedger,
    faults: Faults,
    chance: Chance,
    /// Orders that it still has to make.
    orders: usize,
}

/// How one stays on a connection.
struct Stay {
    stream: Rc<SimStream>,
    reader: Reader,
    /// The writing task is to stop.
    over: Rc<Cell<bool>>,
    /// It has not sent everything yet.
    writes: Rc<Cell<bool>>,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Stays,
    Ends,
}

impl Client {
    pub fn new(world: &SimWorld, ledger: &SharedLedger, orders: usize, seed: u64) -> Self {
        Self {
            world: world.of(Owner::Client),
            ledger: Rc::clone(ledger),
            faults: world.core.with(|state| state.faults.clone()),
            chance: Chance::seeded(seed),
            orders,
        }
    }

    pub fn start(self) {
        let world = self.world.clone();
        world.spawn(async move { self.live().await });
    }

    async fn live(mut self) {
        let start = self.pause_up_to(Duration::from_secs(2));
        self.world.sleep(start).await;
        let mut failures = 0;
        while self.orders > 0 && failures < CONNECTS_MAX {
            let Ok(stream) = self.world.reach(front()).await else {
                failures += 1;
                self.world.sleep(Duration::from_millis(200)).await;
                continue;
            };
            let stream = Rc::new(stream);
            let pace = Pace::drawn(self.faults.slow_clients, &mut self.chance);
            let reader = Reader::new(&self.world, Rc::clone(&stream), pace);
            let (over, writes) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
            let stay = Stay { stream, reader, over, writes };
            failures = if self.stay(stay).await { 0 } else { failures + 1 };
        }
    }

    fn pause_up_to(&mut self, most: Duration) -> Duration {
        self.chance.up_to(if self.faults.rush { most / 50 } else { most })
    }

    /// Orders on one connection until it ends; whether anything was answered.
    async fn stay(&mut self, mut stay: Stay) -> bool {
        let mut answered = false;
        while self.orders > 0 {
            if self.chance.happens(self.faults.babble) {
                self.babble(&mut stay).await;
                return true;
            }
            let ahead = if self.faults.pipelining { 1 + self.chance.below(AHEAD_MAX) } else { 1 };
            let batch = self.draw_orders(ahead.min(self.orders));
            self.orders -= batch.len();
            let leaves = self.chance.happens(self.faults.leaving);
            self.write(&stay, &batch, leaves);
            stay.reader.leaves_after = None;
            if leaves {
                self.own_fault(&batch);
                // Anywhere in the answers, and before them.
                let bytes = self.chance.below(6000);
                stay.reader.leaves_after =
                    Some(stay.reader.came + bytes * usize::from(self.chance.happens(HALF)));
            }
            if self.chance.happens(self.faults.stuck_clients) {
                self.own_fault(&batch);
                self.world.sleep(STUCK).await;
            }
            let mut then = Then::Stays;
            for (place, order) in batch.iter().enumerate() {
                let seen;
                (seen, then) = self.read(&mut stay, order).await;
                answered |= !matches!(seen, Seen::Nothing | Seen::Left);
                self.ledger.borrow_mut().saw(order.id, seen);
                if then == Then::Ends {
                    // Those behind it will not be answered here, and whoever
                    // sends ahead must reckon with that.
                    self.forgo(&batch[place + 1..]);
                    break;
                }
            }
            // Whoever is answered before it has asked does not ask again here.
            if then == Then::Ends || stay.writes.get() {
                stay.over.set(true);
                if stay.reader.leaves() && self.chance.happens(HALF) {
                    stay.stream.abort();
                } else {
                    stay.stream.shutdown();
                }
                return answered;
            }
            let pause = self.pause_up_to(Duration::from_millis(1500));
            self.world.sleep(pause).await;
        }
        stay.stream.finish();
        answered
    }

    fn draw_orders(&mut self, many: usize) -> Vec<Order> {
        let mut ledger = self.ledger.borrow_mut();
        let orders = (0..many).map(|_| {
            let order = Order::drawn(ledger.entries.len(), &self.faults, &mut self.chance);
            ledger.begin(order.clone());
            order
        });
        orders.collect()
    }

    fn own_fault(&self, orders: &[Order]) {
        let mut ledger = self.ledger.borrow_mut();
        for order in orders {
            ledger.entries[order.id].own_fault = true;
        }
    }

    fn forgo(&self, orders: &[Order]) {
        self.own_fault(orders);
        for order in orders {
            self.ledger.borrow_mut().saw(order.id, Seen::Nothing);
        }
    }

    /// Sends the requests, beside whoever reads the answers.
    fn write(&mut self, stay: &Stay, batch: &[Order], leaves: bool) {
        let mut bytes: Vec<u8> = batch.iter().flat_map(Order::request).collect();
        if leaves && self.chance.happens(HALF) {
            bytes.truncate(self.chance.below(bytes.len()));
        }
        let drips = self.chance.happens(self.faults.dripping);
        let half_closes = self.chance.happens(self.faults.half_closes);
        if half_closes {
            self.own_fault(batch);
        }
        let (stream, over) = (Rc::clone(&stay.stream), Rc::clone(&stay.over));
        let mut chance = Chance::seeded(self.chance.next_u64());
        let (world, writes) = (self.world.clone(), Rc::clone(&stay.writes));
        writes.set(true);
        self.world.spawn(async move {
            let piece_max = if drips { bytes.len() / 4 + 1 } else { bytes.len().max(1) };
            let mut rest = &bytes[..];
            while !rest.is_empty() && !over.get() {
                let (piece, behind) = rest.split_at((1 + chance.below(piece_max)).min(rest.len()));
                let piece = if drips { piece } else { rest };
                if !send_all(&stream, piece).await {
                    return;
                }
                rest = if drips { behind } else { &[] };
                if drips {
                    let pause = chance.up_to(Duration::from_millis(400));
                    world.sleep(pause).await;
                }
            }
            writes.set(false);
            if half_closes {
                stream.finish();
            }
        });
    }

    /// Sends what is no request, and hears what is said to that.
    async fn babble(&mut self, stay: &mut Stay) {
        const WORDS: [&[u8]; 5] = [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n[]",
            b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nz\r\n",
            b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        ];
        const PANICS: &[u8] = b"GET /panics HTTP/1.1\r\nhost: a\r\n\r\n";
        let words = match self.faults.panics && self.chance.happens(HALF) {
            true => PANICS,
            false => WORDS[self.chance.below(WORDS.len())],
        };
        if words.starts_with(b"GET /health") {
            self.ledger.borrow_mut().pages += 1;
        }
        if send_all(&stay.stream, words).await && self.chance.happens(HALF) {
            while stay.reader.more().await {}
            let heard = &stay.reader.held;
            if !heard.is_empty() && !heard.starts_with(b"HTTP/1.1 ") {
                self.breach(format!(
                    "babble was answered with {:?}",
                    String::from_utf8_lossy(heard)
                ));
            }
        }
        stay.stream.shutdown();
    }

    fn breach(&self, word: String) {
        self.world.core.with(|state| state.chronicle.breach(word));
    }

    /// Reads the answer to an order, and judges it.
    async fn read(&self, stay: &mut Stay, order: &Order) -> (Seen, Then) {
        let reader = &mut stay.reader;
        let head = loop {
            match reader.head().await {
                Some(head) if (100..200).contains(&head.status()) => {}
                Some(head) => break head,
                None if reader.leaves() => return (Seen::Left, Then::Ends),
                None if reader.held.is_empty() => return (Seen::Nothing, Then::Ends),
                None => return (Seen::Cut, Then::Ends),
            }
        };
        self.note_beginning(order, &head);
        let body = reader.body(head.framing(Framing::UntilClose)).await;
        let status = head.status();
        if let Some(foreign) = named_in(&body.bytes).into_iter().find(|&id| id != order.id) {
            self.breach(format!("order {} was answered with words for {foreign}", order.id));
        }
        let seen = match status {
            _ if body.is_whole => self.judge_whole(order, status, &body.bytes),
            200 => self.judge_part(order, &body.bytes),
            _ => Seen::Cut,
        };
        let seen = if seen == Seen::Cut && reader.leaves() { Seen::Left } else { seen };
        // One that has not asked for more than one answer gets one.
        let closes = order.old || head.closes() || !body.is_whole;
        (seen, if closes || reader.leaves() { Then::Ends } else { Then::Stays })
    }

    fn note_beginning(&self, order: &Order, head: &Head) {
        if head.has("key-of-backend") {
            self.breach(format!("a client was shown a key: {head:?}"));
        }
        let entry = &mut self.ledger.borrow_mut().entries[order.id];
        entry.answer_began = Some(head.sending);
        let told = head.field("x-tokenring-attempts").and_then(|told| told.parse().ok());
        entry.attempts_told = told;
    }

    /// An answer that says it is whole is exactly what some backend was to say.
    fn judge_whole(&self, order: &Order, status: u16, body: &[u8]) -> Seen {
        if status == 200 {
            if body == order.pieces().concat() {
                return Seen::Whole;
            }
            if body == order.overload_event() {
                return Seen::TheirError(status);
            }
            let text = String::from_utf8_lossy(body);
            self.breach(format!("order {} looks whole and is not: {text:?}", order.id));
            return Seen::Cut;
        }
        const COMPLAINTS: [Complaint; 3] =
            [Complaint::ContextWindow, Complaint::ContentPolicy, Complaint::OfRequest];
        let complains = || COMPLAINTS.iter().any(|&about| body == order.complaint_body(about));
        if body == order.error_body(status) || (status == 400 && complains()) {
            return Seen::TheirError(status);
        }
        let parsed: Result<serde_json::Value, _> = serde_json::from_slice(body);
        if !parsed.is_ok_and(|error| error["error"]["message"].is_string()) {
            let text = String::from_utf8_lossy(body);
            self.breach(format!("order {} was refused ({status}) with {text:?}", order.id));
        }
        Seen::OurError(status)
    }

    /// A part of an answer is its beginning, and then the word that there is no
    /// more, if anything.
    fn judge_part(&self, order: &Order, body: &[u8]) -> Seen {
        let expected = [order.pieces().concat(), order.overload_event()];
        let same = |whole: &Vec<u8>| whole.iter().zip(body).take_while(|(a, b)| a == b).count();
        let begins = expected.iter().map(same).max().unwrap_or(0);
        let tells = |end| tells_of_the_cut(&body[end..]);
        if begins < body.len() && !(order.streamed && (0..=begins).rev().any(tells)) {
            let text = String::from_utf8_lossy(&body[begins..]);
            self.breach(format!("order {} goes on with {text:?}", order.id));
        }
        Seen::Cut
    }
}

/// Nothing, or as much as came of the event that tells of a cut, behind what
/// ends a torn event.
fn tells_of_the_cut(behind: &[u8]) -> bool {
    const EVENTS: [&[u8]; 2] = [b"data: {\"error\":", b"event: error\ndata: {\"type\":\"error\","];
    let torn: [&[u8]; 3] = [b"", b"\n", b"\n\n"];
    let begins = |fill: &[u8], event: &[u8]| {
        let told = [fill, event].concat();
        behind.starts_with(&told) || told.starts_with(behind)
    };
    behind.is_empty() || torn.iter().any(|fill| EVENTS.iter().any(|event| begins(fill, event)))
}
