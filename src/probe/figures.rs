//! What probes have found out, for the pages.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::balance::{EngineFigures, Probed};

/// Of one backend.
#[derive(Debug, Default)]
pub struct ProbeFigures {
    failures: AtomicU64,
    state: AtomicU8,
    has_engine: AtomicBool,
    waiting: AtomicU32,
    running: AtomicU32,
    /// The bits of a number.
    kv_usage: AtomicU32,
}

const HEALTHY: u8 = 1;
const UNHEALTHY: u8 = 2;

impl ProbeFigures {
    pub fn count_failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// Probes of its health that have failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    pub fn set(&self, state: Probed) {
        let state = match state {
            Probed::Healthy => HEALTHY,
            Probed::Unhealthy => UNHEALTHY,
        };
        self.state.store(state, Relaxed);
    }

    /// `None` before it is known.
    #[must_use]
    pub fn state(&self) -> Option<Probed> {
        match self.state.load(Relaxed) {
            HEALTHY => Some(Probed::Healthy),
            UNHEALTHY => Some(Probed::Unhealthy),
            _ => None,
        }
    }

    pub fn note(&self, engine: EngineFigures) {
        self.waiting.store(engine.waiting, Relaxed);
        self.running.store(engine.running, Relaxed);
        self.kv_usage.store(engine.kv_usage.to_bits(), Relaxed);
        self.has_engine.store(true, Relaxed);
    }

    /// What its engine has said last, if it ever has. Each number is of its own
    /// moment.
    #[must_use]
    pub fn engine(&self) -> Option<EngineFigures> {
        self.has_engine.load(Relaxed).then(|| EngineFigures {
            waiting: self.waiting.load(Relaxed),
            running: self.running.load(Relaxed),
            kv_usage: f32::from_bits(self.kv_usage.load(Relaxed)),
        })
    }
}
