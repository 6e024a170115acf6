//! A simulated backend: an LLM server that is well, slow, full, broken or dead,
//! as the faults and its own chance will have it.

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use super::{
    answer::{Answer, AtWork},
    executor::Owner,
    faults::Faults,
    ledger::{Asked, Fate, SharedLedger},
    message::{Framing, Head, Pace, Reader},
    network::SimListener,
    order::{Api, Order, named_in},
    stream::SimStream,
    world::{SimWorld, within},
};
use crate::{
    base::Chance,
    llm::Complaint,
    rt::{Listen, World},
};

/// Prompt bytes read in a millisecond.
const PROMPT_BYTES_A_MILLI: u64 = 2_000;
/// The end mark of the longest stream, and more: a cut never comes in it.
const END_MARK_BYTES: usize = 64;

#[derive(Clone)]
pub struct Backend {
    pub world: SimWorld,
    pub ledger: SharedLedger,
    pub index: usize,
    /// It says so to whoever asks.
    pub is_ill: Rc<Cell<bool>>,
}

/// Where a backend listens, before and after it has moved.
pub fn address(index: usize, moved: bool) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, index as u8], if moved { 8001 } else { 8000 }))
}

impl Backend {
    pub fn new(world: &SimWorld, ledger: &SharedLedger, index: usize) -> Self {
        let world = world.of(Owner::Backend(index));
        Self { world, ledger: Rc::clone(ledger), index, is_ill: Rc::default() }
    }

    /// Listens at both of its addresses from now on.
    pub fn start(&self, chance: &mut Chance) {
        for moved in [false, true] {
            let listener = self.world.listen(address(self.index, moved));
            let (backend, chance) = (self.clone(), Chance::seeded(chance.next_u64()));
            self.world.spawn(async move { backend.accept_all(listener, chance).await });
        }
    }

    /// Dies; whoever was connected hears of it, or not.
    pub fn die(&self, silently: bool) {
        self.world.core.with(|state| {
            let owner = Owner::Backend(self.index);
            state.stop_listening(owner);
            state.kill(owner, silently);
        });
    }

    async fn accept_all(self, listener: SimListener, mut chance: Chance) {
        while listener.is_open() {
            // It never fails, it only ends.
            let _ = listener.readable().await;
            while let Ok(Some(socket)) = listener.accept() {
                let stream = Rc::new(socket.into_stream());
                let (backend, chance) = (self.clone(), Chance::seeded(chance.next_u64()));
                self.world.spawn(async move { backend.serve(stream, chance).await });
            }
        }
    }

    fn faults(&self) -> Faults {
        self.world.core.with(|state| state.faults.clone())
    }

    /// Serves a connection, one order after another.
    async fn serve(self, stream: Rc<SimStream>, mut chance: Chance) {
        let faults = self.faults();
        let pace = Pace::drawn(faults.slow_backends, &mut chance);
        let mut reader = Reader::new(&self.world, Rc::clone(&stream), pace);
        for served in 0_usize.. {
            if served > 0 && chance.happens(faults.closes_idle) {
                let most = [20, 60, 300][chance.below(3)];
                let patience = chance.up_to(Duration::from_millis(most));
                let head = within(&self.world, patience, reader.more()).await;
                if head.is_none() {
                    return;
                }
            }
            let Some(head) = reader.head().await else { return };
            if head.first_line.starts_with("GET ") {
                return self.tell_how_it_is(&head, &stream, &mut chance).await;
            }
            let hasty = chance.happens(faults.hasty);
            let body = if hasty {
                None
            } else {
                let body = reader.body(head.framing(Framing::Length(0))).await;
                if !body.is_whole {
                    return;
                }
                Some(body.bytes)
            };
            let Some((order, model)) = self.understand(&head, body, &mut reader).await else {
                return;
            };
            let fate =
                if hasty { Fate::Error(400) } else { drawn_fate(&order, &faults, &mut chance) };
            let asked = Asked {
                backend: self.index,
                model,
                sending: head.sending,
                fate,
                answered_at: None,
                done_at: None,
            };
            let work = AtWork::new(&self, order.id, asked);
            self.think(&order, &mut chance).await;
            let answer = Answer { backend: &self, stream: &stream, order: &order, faults: &faults };
            if !answer.give(fate, hasty, work, &mut chance).await {
                return;
            }
        }
    }

    /// The order that a request is, which must be byte for byte what its
    /// client has sent. One that answers in haste only looks for its name.
    async fn understand(
        &self,
        head: &Head,
        body: Option<Vec<u8>>,
        reader: &mut Reader,
    ) -> Option<(Order, String)> {
        let named = match &body {
            Some(body) => named_in(body),
            None => loop {
                let named = named_in(&reader.held);
                if !named.is_empty() {
                    break named;
                }
                if !reader.more().await {
                    return None;
                }
            },
        };
        let breach = |word: String| self.world.core.with(|state| state.chronicle.breach(word));
        let [id] = named[..] else {
            if head.first_line.starts_with("POST /v1/") {
                breach(format!("a backend was sent {named:?} in one request: {head:?}"));
            }
            self.ledger.borrow_mut().babble_heard += 1;
            return None;
        };
        let order = self.ledger.borrow().entries.get(id)?.order.clone();
        self.look_at_credentials(head, &order);
        let Some(body) = body else { return Some((order, String::new())) };
        if body == order.request_body() {
            let model = order.model.to_owned();
            return Some((order, model));
        }
        let model = model_in(&body);
        if body != order.body_called(&model) {
            breach(format!("order {id} came to a backend with another body"));
        }
        Some((order, model))
    }

    /// A backend sees its own key or none, and a client's only where the
    /// operator passes them on.
    fn look_at_credentials(&self, head: &Head, order: &Order) {
        let name = if order.api == Api::Messages { "x-api-key" } else { "authorization" };
        let own = key_of(self.index, &self.faults());
        let expected = own.as_ref().map(|key| match order.api {
            Api::Messages => key.clone(),
            _ => format!("Bearer {key}"),
        });
        let shown = head.field(name).map(str::to_owned);
        let others = if name == "x-api-key" { "authorization" } else { "x-api-key" };
        if shown != expected || head.field(others).is_some() || head.has(&order.secret()) {
            let word = format!("backend {} was shown {head:?}", self.index);
            self.world.core.with(|state| state.chronicle.breach(word));
        }
        self.look_at_host(head);
    }

    pub fn look_at_host(&self, head: &Head) {
        let host = format!("b{}", self.index);
        if head.field("host") != Some(&host) {
            let word = format!("backend {} was called {:?}", self.index, head.field("host"));
            self.world.core.with(|state| state.chronicle.breach(word));
        }
    }

    /// The prompt is read.
    async fn think(&self, order: &Order, chance: &mut Chance) {
        let reading = Duration::from_millis(order.padding as u64 / PROMPT_BYTES_A_MILLI);
        let more = chance.up_to(Duration::from_millis(50));
        self.world.sleep(reading + more).await;
    }
}

/// The key of a backend, if it has one.
pub fn key_of(backend: usize, faults: &Faults) -> Option<String> {
    (faults.keys && backend % 3 != 2).then(|| format!("key-of-backend-{backend}"))
}

fn model_in(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    body["model"].as_str().unwrap_or_default().to_owned()
}

fn drawn_fate(order: &Order, faults: &Faults, chance: &mut Chance) -> Fate {
    let whole: usize = order.pieces().iter().map(Vec::len).sum();
    if chance.happens(faults.failing) {
        Fate::Error(500)
    } else if chance.happens(faults.overloaded) {
        Fate::Error([429, 503, 529][chance.below(3)])
    } else if order.streamed && chance.happens(faults.overload_events) {
        Fate::OverloadEvent
    } else if chance.happens(faults.complaints) {
        const KINDS: [Complaint; 3] =
            [Complaint::ContextWindow, Complaint::ContentPolicy, Complaint::OfRequest];
        Fate::Complains(KINDS[chance.below(KINDS.len())])
    } else if chance.happens(faults.stalls) {
        Fate::Stalls
    } else if chance.happens(faults.cuts) && whole > END_MARK_BYTES {
        let at = chance.below(whole - END_MARK_BYTES);
        Fate::Cut { at, by_reset: chance.below(2) == 0 }
    } else if chance.happens(faults.halts) && whole > END_MARK_BYTES {
        Fate::Halts { at: chance.below(whole - END_MARK_BYTES) }
    } else {
        Fate::Good
    }
}
