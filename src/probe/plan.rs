//! What the operator may say about asking backends how they are. Only data and
//! its defaults; `config/` fills it from what was written.

use std::time::Duration;

/// How backends are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbePlan {
    pub health: HealthPlan,
    pub engine: EnginePlan,
}

/// Whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthPlan {
    /// What is asked for, below the path of the backend's URL.
    pub path: String,
    /// `None` is never.
    pub interval: Option<Duration>,
    /// For the whole of one probe: connection, handshake and answer.
    pub timeout: Duration,
    /// So many failures in a row make a backend unhealthy, at least one, …
    pub unhealthy_after: u32,
    /// … and so many successes healthy again, at least one.
    pub healthy_after: u32,
}

/// How full the engines behind them are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnginePlan {
    /// Where they serve Prometheus' text format, below the path of the
    /// backend's URL.
    pub metrics_path: String,
    /// `None` is never.
    pub interval: Option<Duration>,
}

impl ProbePlan {
    /// Whether anybody is asked anything.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.health.interval.is_some() || self.engine.interval.is_some()
    }
}

impl HealthPlan {
    /// What vLLM, SGLang, llama.cpp and TGI answer.
    pub const PATH: &str = "/health";
    pub const TIMEOUT: Duration = Duration::from_secs(2);
    /// One or two may be lost on the way.
    pub const UNHEALTHY_AFTER: u32 = 3;
    pub const HEALTHY_AFTER: u32 = 2;
}

/// Nobody is asked: a backend may be a provider that bars such requests.
impl Default for HealthPlan {
    fn default() -> Self {
        Self {
            path: Self::PATH.to_owned(),
            interval: None,
            timeout: Self::TIMEOUT,
            unhealthy_after: Self::UNHEALTHY_AFTER,
            healthy_after: Self::HEALTHY_AFTER,
        }
    }
}

impl EnginePlan {
    pub const METRICS_PATH: &str = "/metrics";
    /// For the whole of one question. An engine that takes longer says what
    /// was true a while ago.
    pub const TIMEOUT: Duration = Duration::from_secs(2);
}

impl Default for EnginePlan {
    fn default() -> Self {
        Self { metrics_path: Self::METRICS_PATH.to_owned(), interval: None }
    }
}
