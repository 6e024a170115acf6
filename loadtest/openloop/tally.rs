//! What a run has seen: histograms in nanoseconds, and counts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Longer than any run; what is longer still is recorded as this.
const LONGEST: Duration = Duration::from_secs(600);
const SIGNIFICANT_DIGITS: u8 = 3;

/// Why a request did not go well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An answer other than 200.
    Status(u16),
    /// Not HTTP/1.1, or ambiguous.
    Malformed,
    /// Bytes after the end of the answer, or events after the end mark.
    Surplus,
    /// The connection ended inside an answer, a record or a handshake.
    Cut,
    /// An alert, or records that the TLS session did not take.
    Tls,
    /// The socket failed.
    Reset,
    /// The request did not fit into an idle connection's send buffer.
    NotSent,
    /// A stream ended without `[DONE]`.
    NoEndMark,
    /// A stream held an error event.
    ErrorEvent,
    /// A stream held another number of events than it should.
    WrongCount,
    /// Still under way when the drain time was over.
    Unfinished,
}

pub struct Tally {
    /// From the intended send time to the end of the answer.
    pub latency: Times,
    /// From the intended send time to the first event.
    pub first_event: Times,
    /// Between an event and the one before; events that came in one read are 0 apart.
    pub gap: Times,
    /// The largest gap of each stream.
    pub largest_gap: Times,
    /// From the intended to the actual send: how late the generator itself was.
    pub send_delay: Times,
    /// Events per second within each stream.
    pub pace: Pace,
    pub started: u64,
    pub completed: u64,
    /// Completed ones that were measured, so not of the warm-up.
    pub measured: u64,
    pub events: u64,
    /// Reads that completed at least one event.
    pub event_reads: u64,
    pub body_bytes: u64,
    /// Connections that had to be opened again, though nothing was wrong.
    pub reopened: u64,
    /// What TLS connections agreed on, and how many of them did.
    pub agreements: BTreeMap<String, u64>,
    pub faults: BTreeMap<Fault, u64>,
}

impl Tally {
    pub fn new() -> anyhow::Result<Tally> {
        Ok(Tally {
            latency: Times::new()?,
            first_event: Times::new()?,
            gap: Times::new()?,
            largest_gap: Times::new()?,
            send_delay: Times::new()?,
            pace: Pace::default(),
            started: 0,
            completed: 0,
            measured: 0,
            events: 0,
            event_reads: 0,
            body_bytes: 0,
            reopened: 0,
            agreements: BTreeMap::new(),
            faults: BTreeMap::new(),
        })
    }

    pub fn start(&mut self, intended: Instant, measured: bool, now: Instant) {
        self.started += 1;
        if measured {
            self.send_delay.record(now.saturating_duration_since(intended));
        }
    }

    pub fn negotiated(&mut self, agreement: String) {
        *self.agreements.entry(agreement).or_default() += 1;
    }

    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }
}

pub struct Times(Histogram<u64>);

impl Times {
    fn new() -> anyhow::Result<Times> {
        Ok(Times(Histogram::new_with_max(nanoseconds(LONGEST), SIGNIFICANT_DIGITS)?))
    }

    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(nanoseconds(time));
    }

    pub fn record_many(&mut self, time: Duration, count: u64) {
        self.0.saturating_record_n(nanoseconds(time), count);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    pub fn percentile_us(&self, percentile: f64) -> f64 {
        self.0.value_at_percentile(percentile) as f64 / 1e3
    }

    pub fn mean_us(&self) -> f64 {
        self.0.mean() / 1e3
    }

    pub fn max_us(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }
}

/// A running mean, as the spread of the pace is already told by the gaps.
#[derive(Default)]
pub struct Pace {
    sum: f64,
    count: u64,
}

impl Pace {
    pub fn push(&mut self, events_per_second: f64) {
        self.sum += events_per_second;
        self.count += 1;
    }

    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
