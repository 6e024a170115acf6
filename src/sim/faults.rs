//! Every fault that a world may have, each with a name and a knob. A seed draws
//! which of them are on (swarm testing: Groce et al., 2012): runs with few
//! faults reach what a run with all of them never lives to see.
//!
//! To add one: a field, a row of [`KNOBS`], and the place where it is asked.

use std::time::Duration;

use crate::base::Chance;

/// How often in a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odds(pub u16);

/// Who is to blame when a fault shows: what an answer other than a whole one
/// may be excused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blames {
    /// It must not show at all.
    Nobody,
    Wire,
    Client,
    Backend,
    Operator,
}

#[derive(Clone, Debug, Default)]
pub struct Faults {
    // How the kernel and the event loop behave.
    /// Operations are done at once, as by io_uring; else when they are polled.
    pub ring: bool,
    /// Tasks that are ready go on in any order.
    pub any_order: bool,
    pub short_reads: Odds,
    pub short_writes: Odds,
    /// A plain send takes little or nothing, though there is room.
    pub shy_sends: Odds,
    /// A cancel comes late, and bytes may come before it.
    pub late_cancels: bool,
    /// No descriptor for an accepted connection.
    pub accept_fails: Odds,

    // The wire.
    pub delay: Duration,
    pub jitter: Duration,
    /// What was sent at once arrives in pieces.
    pub pieces: Odds,
    /// What a pipe holds; zero is plenty.
    pub pipe_bytes: usize,
    /// A connection is torn at some moment.
    pub tears: Odds,
    /// A reset overtakes what was sent before it.
    pub resets_overtake: bool,
    /// Nothing arrives for a while.
    pub hiccups: Odds,

    // Connects.
    pub refusals: Odds,
    pub hanging_connects: Odds,
    pub no_descriptors: Odds,

    // Clients.
    /// One leaves in the midst of a request or an answer.
    pub leaving: Odds,
    pub slow_clients: Odds,
    pub pipelining: bool,
    /// All come at once, and none pauses between orders.
    pub rush: bool,
    /// One ends its sending direction behind its request.
    pub half_closes: Odds,
    /// One takes nothing of an answer for longer than that is borne.
    pub stuck_clients: Odds,
    /// One sends its request in pieces, with pauses.
    pub dripping: Odds,
    pub old_clients: Odds,
    pub large_bodies: Odds,
    /// Some ask for what must not be done twice.
    pub effects: bool,
    /// A request's task panics.
    pub panics: bool,
    /// One sends what is no request.
    pub babble: Odds,

    // Backends.
    pub failing: Odds,
    pub overloaded: Odds,
    pub stalls: Odds,
    pub cuts: Odds,
    /// One falls silent in the midst of an answer.
    pub halts: Odds,
    /// One takes requests in pieces, with pauses.
    pub slow_backends: Odds,
    /// A 200 whose first event is an error.
    pub overload_events: Odds,
    pub closes_idle: Odds,
    /// Errors of which another model may be free, and others of the request.
    pub complaints: Odds,
    /// Bytes behind an answer.
    pub late_bytes: Odds,
    /// It answers before it has read the request.
    pub hasty: Odds,
    /// Answers end with the connection.
    pub until_close: Odds,
    /// It says that it is unwell for a while, and answers all the same.
    pub ills: bool,
    /// What it says of its health or its engine is late, cut, or nothing.
    pub odd_probes: Odds,
    pub interim: Odds,
    /// Backends die and come back.
    pub deaths: bool,

    // The operator.
    pub moves: bool,
    pub drains: bool,
    pub reloads: bool,
    pub retry_plans: bool,
    /// Who is late is not waited for alone.
    pub hedges: bool,
    /// Backends are asked how they are.
    pub probes: bool,
    pub models: bool,
    pub policies: bool,
    pub keys: bool,
    /// Backends bear only a few requests, and there is a queue.
    pub capacities: bool,
    /// The queue is short, and waiting in it.
    pub short_queue: bool,
    pub tight_limits: bool,
    pub tight_deadlines: bool,
}

/// Sets one knob by chance.
type Turned = fn(&mut Faults, &mut Chance);

/// Every knob: its name, who is to blame, and how it is turned.
pub const KNOBS: &[(&str, Blames, Turned)] = &[
    ("any order", Blames::Nobody, |f, _| f.any_order = true),
    ("short reads", Blames::Nobody, |f, c| f.short_reads = often(c)),
    ("short writes", Blames::Nobody, |f, c| f.short_writes = often(c)),
    ("shy sends", Blames::Nobody, |f, c| f.shy_sends = often(c)),
    ("late cancels", Blames::Nobody, |f, _| f.late_cancels = true),
    ("accept fails", Blames::Nobody, |f, c| f.accept_fails = often(c)),
    ("delay", Blames::Nobody, |f, c| f.delay = micros(c, 30_000)),
    ("jitter", Blames::Nobody, |f, c| f.jitter = micros(c, 30_000)),
    ("pieces", Blames::Nobody, |f, c| f.pieces = often(c)),
    ("small pipes", Blames::Nobody, |f, c| f.pipe_bytes = 16 + c.below(4096)),
    ("tears", Blames::Wire, |f, c| f.tears = seldom(c)),
    ("resets overtake", Blames::Wire, |f, _| f.resets_overtake = true),
    ("hiccups", Blames::Nobody, |f, c| f.hiccups = seldom(c)),
    ("refusals", Blames::Wire, |f, c| f.refusals = often(c)),
    ("hanging connects", Blames::Wire, |f, c| f.hanging_connects = seldom(c)),
    ("no descriptors", Blames::Wire, |f, c| f.no_descriptors = seldom(c)),
    ("leaving", Blames::Client, |f, c| f.leaving = often(c)),
    ("slow clients", Blames::Nobody, |f, c| f.slow_clients = often(c)),
    ("pipelining", Blames::Nobody, |f, _| f.pipelining = true),
    ("rush", Blames::Nobody, |f, _| f.rush = true),
    ("half closes", Blames::Client, |f, c| f.half_closes = seldom(c)),
    ("stuck clients", Blames::Client, |f, c| {
        // Else all of an answer may be on its way.
        (f.stuck_clients, f.pipe_bytes) = (seldom(c), 16 + c.below(4096));
    }),
    ("dripping", Blames::Nobody, |f, c| f.dripping = often(c)),
    ("old clients", Blames::Nobody, |f, c| f.old_clients = often(c)),
    ("large bodies", Blames::Nobody, |f, c| f.large_bodies = often(c)),
    ("babble", Blames::Client, |f, c| f.babble = seldom(c)),
    ("failing", Blames::Backend, |f, c| f.failing = often(c)),
    ("overloaded", Blames::Backend, |f, c| f.overloaded = often(c)),
    ("stalls", Blames::Backend, |f, c| f.stalls = seldom(c)),
    ("cuts", Blames::Backend, |f, c| f.cuts = often(c)),
    ("halts", Blames::Backend, |f, c| f.halts = seldom(c)),
    ("slow backends", Blames::Nobody, |f, c| f.slow_backends = often(c)),
    ("overload events", Blames::Backend, |f, c| f.overload_events = often(c)),
    ("closes idle", Blames::Nobody, |f, c| f.closes_idle = often(c)),
    ("late bytes", Blames::Nobody, |f, c| f.late_bytes = often(c)),
    ("hasty", Blames::Backend, |f, c| f.hasty = seldom(c)),
    ("until close", Blames::Nobody, |f, c| f.until_close = often(c)),
    ("interim", Blames::Nobody, |f, c| f.interim = often(c)),
    ("deaths", Blames::Backend, |f, _| f.deaths = true),
    ("moves", Blames::Nobody, |f, _| f.moves = true),
    ("drains", Blames::Operator, |f, _| f.drains = true),
    ("reloads", Blames::Nobody, |f, _| f.reloads = true),
    ("retry plans", Blames::Nobody, |f, _| f.retry_plans = true),
    ("hedges", Blames::Nobody, |f, _| f.hedges = true),
    ("probes", Blames::Nobody, |f, _| f.probes = true),
    ("ills", Blames::Nobody, |f, _| (f.probes, f.ills) = (true, true)),
    ("odd probes", Blames::Nobody, |f, c| {
        f.probes = true;
        f.odd_probes = often(c);
    }),
    ("models", Blames::Nobody, |f, _| f.models = true),
    ("policies", Blames::Nobody, |f, _| f.policies = true),
    ("keys", Blames::Nobody, |f, _| f.keys = true),
    ("capacities", Blames::Nobody, |f, _| f.capacities = true),
    ("short queue", Blames::Operator, |f, _| f.short_queue = true),
    ("effects", Blames::Nobody, |f, _| f.effects = true),
    ("panics", Blames::Client, |f, c| {
        f.panics = true;
        f.babble = seldom(c);
    }),
    ("complaints", Blames::Backend, |f, c| f.complaints = often(c)),
    ("tight limits", Blames::Operator, |f, _| f.tight_limits = true),
    ("tight deadlines", Blames::Operator, |f, _| f.tight_deadlines = true),
];

/// What a seed has drawn.
#[derive(Clone, Debug)]
pub struct Swarm {
    pub faults: Faults,
    /// The knobs that are turned, by their places.
    on: Vec<usize>,
}

impl Swarm {
    /// A world with these faults.
    pub fn of(names: &[&str], chance: &mut Chance) -> Self {
        let mut faults = Faults { ring: chance.below(2) == 0, ..Faults::default() };
        let mut on = Vec::new();
        for name in names {
            let found = KNOBS.iter().position(|(knob, ..)| knob == name);
            let place = found.unwrap_or_else(|| panic!("there is no knob called {name}"));
            KNOBS[place].2(&mut faults, chance);
            on.push(place);
        }
        Self { faults, on }
    }

    pub fn drawn(chance: &mut Chance) -> Self {
        let mut faults = Faults { ring: chance.below(2) == 0, ..Faults::default() };
        // One run in eight is calm; most have a few faults, some nearly all.
        let odds = Odds([0, 100, 100, 200, 200, 300, 500, 800][chance.below(8)]);
        let mut on = Vec::new();
        for (place, (_, _, turn)) in KNOBS.iter().enumerate() {
            if chance.happens(odds) {
                turn(&mut faults, chance);
                on.push(place);
            }
        }
        Self { faults, on }
    }

    /// The names of what is on.
    pub fn names(&self) -> Vec<&'static str> {
        self.on.iter().map(|&place| KNOBS[place].0).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.names().contains(&name)
    }

    /// Whether any fault is on whose blame somebody bears.
    pub fn blames(&self, whom: Blames) -> bool {
        self.on.iter().any(|&place| KNOBS[place].1 == whom)
    }

    /// Nothing is on that may keep a request from being answered whole.
    pub fn is_harmless(&self) -> bool {
        self.on.iter().all(|&place| KNOBS[place].1 == Blames::Nobody)
    }
}

impl Chance {
    pub(super) fn happens(&mut self, odds: Odds) -> bool {
        odds.0 > 0 && self.below(1000) < usize::from(odds.0)
    }

    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        let nanos = super::executor::nanos(most) as usize;
        Duration::from_nanos(self.below(nanos + 1) as u64)
    }
}

fn often(chance: &mut Chance) -> Odds {
    Odds(50 + chance.below(500) as u16)
}

fn seldom(chance: &mut Chance) -> Odds {
    Odds(10 + chance.below(120) as u16)
}

fn micros(chance: &mut Chance, most: usize) -> Duration {
    Duration::from_micros(1 + chance.below(most) as u64)
}
