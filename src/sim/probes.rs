//! Backends are asked how they are: by the proxy's own loop (`probe/`), in the
//! simulated world, and what it finds is the fleet's to judge.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use super::{
    backend::{self, Backend},
    house::InForce,
    message::{Head, send_all},
    plan::name_of,
    stream::SimStream,
    world::SimWorld,
};
use crate::{
    balance::BackendId,
    base::Chance,
    probe::{Letter, ProbePlan, Round, Target, keep},
    rt::{ConnectAddress, Mailbox, World, mailbox},
};

/// Letters that may wait.
const MAILBOX_LETTERS: usize = 64;

/// Who asks, until it is told to end.
pub struct Probes(Option<Mailbox<Letter<()>>>);

impl Probes {
    pub fn start(world: &SimWorld, plan: &ProbePlan, now: &InForce, seed: u64) -> Self {
        if !plan.asks() {
            return Self(None);
        }
        let (letters, letterbox) = mailbox(MAILBOX_LETTERS);
        world.spawn(keep(world.clone(), round(plan, now), seed, letterbox));
        Self(Some(letters))
    }

    pub fn follow(&self, plan: &ProbePlan, now: &InForce) {
        self.tell(|| Letter::Round(Box::new(round(plan, now))));
    }

    pub fn moved(&self, round: u64, backend: BackendId, addresses: &[ConnectAddress]) {
        let addresses = addresses.to_vec();
        self.tell(|| Letter::Addresses { round, backend, addresses });
    }

    pub fn end(&self) {
        self.tell(|| Letter::End);
    }

    fn tell(&self, letter: impl FnOnce() -> Letter<()>) {
        if let Some(letters) = &self.0 {
            // One that has ended has nothing to do with it.
            let _ = letters.send(letter());
        }
    }
}

fn round(plan: &ProbePlan, now: &InForce) -> Round<()> {
    let target = |(place, index): (usize, &usize)| Target {
        backend: BackendId(place),
        name: name_of(*index),
        host_header: name_of(*index),
        base_path: String::new(),
        security: (),
        addresses: RefCell::new(vec![ConnectAddress::Tcp(backend::address(*index, false))]),
        figures: Arc::default(),
    };
    Round {
        number: now.number,
        plan: plan.clone(),
        targets: now.set.iter().enumerate().map(target).collect(),
        audience: Box::new(Arc::clone(&now.fleet)),
    }
}

impl Backend {
    /// Answers a probe, if it does.
    pub async fn tell_how_it_is(&self, head: &Head, stream: &Rc<SimStream>, chance: &mut Chance) {
        self.look_at_host(head);
        if head.has("key-of-backend") || head.has("secret-of-client") {
            let word = format!("a probe of backend {} has shown {head:?}", self.index);
            self.world.core.with(|state| state.chronicle.breach(word));
        }
        let odds = self.world.core.with(|state| state.faults.odd_probes);
        let page = if head.first_line.starts_with("GET /metrics ") {
            let (waiting, usage) = (chance.below(50), chance.below(100));
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n\
                 vllm:num_requests_waiting {waiting}\nvllm:kv_cache_usage_perc 0.{usage:02}\n"
            )
        } else {
            let word = if self.is_ill.get() { "503 Unwell" } else { "200 OK" };
            format!("HTTP/1.1 {word}\r\ncontent-length: 0\r\n\r\n")
        };
        let mut page = page.into_bytes();
        if chance.happens(odds) {
            match chance.below(4) {
                0 => self.world.sleep(chance.up_to(Duration::from_secs(5))).await,
                1 => page.truncate(chance.below(page.len())),
                2 => page.insert(chance.below(page.len()), 0),
                _ => page = b"HTTP/1.1 500 No\r\n\r\nvllm:num_requests_waiting 1e9999".to_vec(),
            }
        }
        // Who asks may be gone.
        let _ = page.is_empty() || send_all(stream, &page).await;
    }
}
