//! What the operator may say about the choice of a backend.

use std::{
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

/// How a backend is chosen among those that are well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The one that would answer soonest (`cost`), of a few drawn at random.
    #[default]
    LeastLatency,
    /// Each in its turn.
    RoundRobin,
    /// The one with the fewest requests under way, of all.
    LeastInFlight,
    /// The smaller product of the time to first byte and the requests under
    /// way, of two drawn at random.
    PeakEwma,
    /// Anyone.
    Random,
    /// The one with fewer requests under way, of two drawn at random.
    PowerOfTwo,
    /// The one that a conversation's key and the backends' names agree on.
    SessionHash,
    /// The one that has read most of the conversation.
    Prefix,
}

impl Policy {
    pub const ALL: [Self; 8] = [
        Self::LeastLatency,
        Self::RoundRobin,
        Self::LeastInFlight,
        Self::PeakEwma,
        Self::Random,
        Self::PowerOfTwo,
        Self::SessionHash,
        Self::Prefix,
    ];

    /// As the operator writes it, and other routers do for theirs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeastLatency => "least_latency",
            Self::RoundRobin => "round_robin",
            Self::LeastInFlight => "least_in_flight",
            Self::PeakEwma => "peak_ewma",
            Self::Random => "random",
            Self::PowerOfTwo => "power_of_two",
            Self::SessionHash => "session_hash",
            Self::Prefix => "prefix",
        }
    }

    /// Whether it keeps conversations where they were.
    #[must_use]
    pub const fn is_affine(self) -> bool {
        matches!(self, Self::SessionHash | Self::Prefix)
    }

    /// Whether it asks how soon a backend would answer.
    #[must_use]
    pub const fn asks_cost(self) -> bool {
        matches!(self, Self::LeastLatency | Self::SessionHash | Self::Prefix)
    }
}

/// Everything the choice of a backend may ask about its operator's wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balancing {
    pub policy: Policy,
    /// Answers that a backend works on at once before each of them slows; at
    /// least one. It bounds nothing.
    pub decode_slots: u32,
    /// How long the share of a backend grows that has come, or come back; zero
    /// is not at all.
    pub slow_start: Duration,
    /// What the backend of a conversation may cost, in hundredths of the
    /// soonest's cost, before it is let go; at least a hundred.
    pub affinity_percent: u32,
    /// Bytes of text that a backend's cache of keys and values holds.
    pub prefix_bytes: usize,
    pub ejection: Ejection,
}

/// When a backend that fails is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// So many failures in a row; `None` is never.
    pub after: Option<NonZeroU32>,
    /// Fewer successes in a hundred, of the last answers; `None` is never.
    pub below_percent: Option<NonZeroU8>,
    /// The first pause. Each that follows a failed probation is twice as long.
    pub pause: Duration,
    /// No pause is longer, also where a backend asks for one.
    pub pause_max: Duration,
}

impl Balancing {
    pub const DEFAULT: Self = Self {
        policy: Policy::LeastLatency,
        // What vLLM runs at once by default (`--max-num-seqs`).
        decode_slots: 256,
        // As long as an engine takes to warm its caches.
        slow_start: Duration::from_secs(10),
        affinity_percent: 200,
        // A million tokens: a model of 8 billion weights on one large card.
        prefix_bytes: 4 << 20,
        ejection: Ejection::DEFAULT,
    };
}

impl Default for Balancing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Ejection {
    pub const DEFAULT: Self = Self {
        after: NonZeroU32::new(5),
        below_percent: NonZeroU8::new(50),
        pause: Duration::from_secs(5),
        pause_max: Duration::from_secs(60),
    };
    /// Answers that are remembered of each backend.
    pub const WINDOW: u32 = 32;
    /// A share of fewer answers says nothing.
    pub const WINDOW_MIN: u32 = 16;
}

const _: () = assert!(Ejection::WINDOW_MIN <= Ejection::WINDOW);
