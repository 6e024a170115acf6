//! What the operator of a simulated house says, but for models (`models`): how
//! much of everything, how long, how often. A seed draws it.

use std::{num::NonZeroU32, time::Duration};

use super::{
    backend,
    faults::Faults,
    models::{Models, drawn_capacity, drawn_policy},
    world::SimWorld,
};
use crate::{
    balance::{Balancing, Seat},
    base::Chance,
    exchange::{
        BackendSettings, Credential, Credentials, Deadlines, HeaderPlan, Host, Limits, PoolPlan,
        QueuePlan, Settings,
    },
    probe::ProbePlan,
    retry::{Class, Classes, HedgeAfter, RetryPlan},
};

/// What the operator of this house has said.
#[derive(Clone, Debug)]
pub struct Plan {
    pub shards: usize,
    pub backends: usize,
    pub balancing: Balancing,
    pub deadlines: Deadlines,
    pub limits: Limits,
    pub pool: PoolPlan,
    pub retry: RetryPlan,
    pub queue: QueuePlan,
    /// What is said of backends and models, which a reload may change.
    pub says: Says,
    pub panics_at: Option<String>,
    pub probes: ProbePlan,
}

/// What the operator says of backends and models.
#[derive(Clone, Debug, Default)]
pub struct Says {
    pub models: Models,
    /// By the backends' numbers; none has any without them.
    pub capacities: Vec<Option<NonZeroU32>>,
}

impl Says {
    pub fn drawn(faults: &Faults, backends: usize, chance: &mut Chance) -> Self {
        let capacities = if faults.capacities { backends } else { 0 };
        Self {
            models: Models::drawn(faults, backends, chance),
            capacities: (0..capacities).map(|_| drawn_capacity(chance)).collect(),
        }
    }

    pub fn capacity(&self, backend: usize) -> Option<NonZeroU32> {
        self.capacities.get(backend).copied().flatten()
    }

    pub fn seats(&self, set: &[usize]) -> Vec<Seat> {
        let seat =
            |&index: &usize| Seat { capacity: self.capacity(index), ..Seat::of(&name_of(index)) };
        set.iter().map(seat).collect()
    }
}

impl Plan {
    pub fn drawn(world: &SimWorld, chance: &mut Chance) -> Self {
        let faults = world.core.with(|state| state.faults.clone());
        let seconds = Duration::from_secs;
        let mut deadlines = Deadlines {
            connect: seconds(2),
            first_byte: seconds(30),
            idle_between_reads: seconds(20),
            client_write: seconds(20),
            ..Deadlines::DEFAULT
        };
        if faults.tight_deadlines {
            deadlines.first_byte = Duration::from_millis(20 + chance.below(500) as u64);
            deadlines.total = Duration::from_millis(50 + chance.below(2000) as u64);
            deadlines.head = Duration::from_millis(50 + chance.below(500) as u64);
            deadlines.keep_alive = Duration::from_millis(50 + chance.below(500) as u64);
            deadlines.client_write = Duration::from_millis(50 + chance.below(500) as u64);
        }
        let mut limits = Limits::DEFAULT;
        if faults.tight_limits {
            limits.requests_in_flight = std::num::NonZero::new(1 + chance.below(3));
            limits.connections = 2 + chance.below(8);
            limits.body_memory_total = 4096 + chance.below(60_000);
            limits.body_bytes = 4096 + chance.below(60_000);
        }
        let pool = PoolPlan {
            idle_per_backend: 1 + chance.below(8),
            buffers: chance.below(32),
            buffer_bytes: PoolPlan::BUFFER_BYTES_MIN << chance.below(3),
            rest_before_idle: Duration::from_millis(10 + chance.below(1500) as u64),
            ..PoolPlan::DEFAULT
        };
        // The relation that `config/` keeps (`exchange/settings.rs`).
        limits.head_bytes = limits.head_bytes.min(Limits::HEAD_BUFFERS_MAX * pool.buffer_bytes);
        let mut queue = QueuePlan { timeout: seconds(600), priorities: true, ..QueuePlan::DEFAULT };
        if faults.short_queue {
            queue.length = chance.below(4);
            queue.timeout = Duration::from_millis(10 + chance.below(300) as u64);
        }
        let (shards, backends) = (1 + chance.below(4), 1 + chance.below(5));
        let mut balancing = Balancing::DEFAULT;
        if faults.policies {
            balancing.policy = drawn_policy(chance);
        }
        Self {
            shards,
            backends,
            balancing,
            queue,
            says: Says::drawn(&faults, backends, chance),
            panics_at: faults.panics.then(|| "/panics".to_owned()),
            deadlines,
            limits,
            pool,
            probes: if faults.probes { drawn_probes(chance) } else { ProbePlan::default() },
            retry: drawn_retries(&faults, chance),
        }
    }

    pub fn settings(&self, set: &[usize], says: &Says, faults: &Faults) -> Settings {
        let backend = |index: &usize| BackendSettings {
            name: name_of(*index),
            host: Host::new(&name_of(*index)),
            base_path: String::new(),
            credential: backend::key_of(*index, faults).map(|key| Credential::new(key.as_bytes())),
        };
        Settings {
            deadlines: self.deadlines,
            limits: self.limits,
            pool: self.pool,
            queue: self.queue,
            headers: HeaderPlan::DEFAULT,
            credentials: Credentials::Drop,
            retry: self.retry,
            policies: says.models.policies(),
            proxy_path: "/v1/chat/completions".to_owned(),
            backends: set.iter().map(backend).collect(),
            panics_at: self.panics_at.clone(),
        }
    }
}

fn drawn_probes(chance: &mut Chance) -> ProbePlan {
    let mut interval = || Some(Duration::from_millis(30 + chance.below(1000) as u64));
    let mut plan = ProbePlan::default();
    (plan.health.interval, plan.engine.interval) = (interval(), interval());
    plan.health.timeout = Duration::from_millis(100 + chance.below(1000) as u64);
    plan.health.unhealthy_after = 1 + chance.below(3) as u32;
    plan.health.healthy_after = 1 + chance.below(3) as u32;
    plan
}

fn drawn_retries(faults: &Faults, chance: &mut Chance) -> RetryPlan {
    let mut retry = if faults.retry_plans { any_retries(chance) } else { RetryPlan::DEFAULT };
    if faults.hedges {
        retry.hedge_after = match chance.below(2) {
            0 => HedgeAfter::Time(Duration::from_millis(10 + chance.below(60) as u64)),
            _ => HedgeAfter::Expected { percent: 100 + chance.below(200) as u32 },
        };
        retry.hedge_percent_max = [5, 50, 100][chance.below(3)];
        // Without a second attempt `config/` has none of it.
        retry.attempts = retry.attempts.max(2);
    }
    retry
}

fn any_retries(chance: &mut Chance) -> RetryPlan {
    let some = Class::ALL.into_iter().filter(|_| chance.below(4) > 0);
    let on = some.fold(Classes::NONE, Classes::and);
    RetryPlan {
        attempts: 1 + chance.below(5) as u32,
        on,
        budget_percent: [0, 20, 100][chance.below(3)],
        backoff: Duration::from_millis(chance.below(200) as u64),
        ..RetryPlan::DEFAULT
    }
}

pub fn name_of(backend: usize) -> String {
    format!("b{backend}")
}
