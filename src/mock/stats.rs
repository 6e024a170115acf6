//! What the mock has seen and done, served at `/mock/stats`.
//!
//! Each thread counts in a block of its own; whoever asks gets the sum.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{lists::Lists, text::digest};

/// A token made later than this after the client's end was seen is one that
/// an attentive server would not have made.
pub const LEAVE_GRACE: Duration = Duration::from_millis(100);

/// Request ids that are remembered; a power of two. A retry follows its first
/// attempt closely, so that what was forgotten long ago is not missed.
const IDS_MAX: usize = 1 << 16;

/// Defines the counters once: the block of a thread, and the sum of all.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One thread's counters. The alignment keeps two threads' blocks off
        /// one cache line and its neighbour, which is fetched along with it.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
            /// In milliseconds; the largest, where the others are summed.
            pub latest_token_after_leave_ms: AtomicU64,
        }

        /// The counters of all threads at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
            /// How long after its client's end was seen the latest token was
            /// made, in milliseconds.
            pub latest_token_after_leave_ms: u64,
        }

        impl Totals {
            fn add(&mut self, counters: &Counters) {
                $(self.$name = self.$name.wrapping_add(counters.$name.load(Relaxed));)*
                self.latest_token_after_leave_ms = self
                    .latest_token_after_leave_ms
                    .max(counters.latest_token_after_leave_ms.load(Relaxed));
            }

            fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [
                    $((stringify!($name), self.$name),)*
                    ("latest_token_after_leave_ms", self.latest_token_after_leave_ms),
                ]
                .into_iter()
            }
        }
    };
}

counters! {
    /// Heads that were understood, whatever they asked for.
    requests,
    /// Requests whose `x-request-id` had been seen before: retries.
    requests_repeated,
    /// Answers that were sent to their very end.
    answers,
    /// Accepted and not yet closed; falls as well as rises.
    connections_open,
    /// Streamed answers under way; falls as well as rises.
    streams_open,
    /// LLM requests, whatever became of them.
    llm_requests,
    /// LLM requests before their first token, and past it; both fall as well
    /// as rise.
    requests_waiting,
    requests_running,
    tokens_made,
    /// Tokens made more than 100 ms after the client's end was seen.
    tokens_after_client_left,
    /// Answers that were given up because the client had left.
    clients_left,
    bytes_in,
    bytes_out,
}

/// All threads' counters, and the ids seen by any of them.
#[derive(Debug)]
pub struct Stats {
    threads: Box<[Counters]>,
    /// The digest of an id, in the slot that its low bits name.
    ids: Box<[AtomicU64]>,
    pub lists: Lists,
    /// The status of `/health`.
    health: AtomicU16,
}

impl Stats {
    #[must_use]
    pub fn new(threads: usize, health: u16, lists: Lists) -> Self {
        Self {
            threads: (0..threads).map(|_| Counters::default()).collect(),
            ids: (0..IDS_MAX).map(|_| AtomicU64::new(0)).collect(),
            lists,
            health: AtomicU16::new(health),
        }
    }

    /// One thread's counters; there must be that many threads.
    #[must_use]
    pub fn of_thread(&self, index: usize) -> &Counters {
        &self.threads[index]
    }

    /// Remembers a request's id; true if it was known.
    pub fn is_repeated(&self, id: &[u8]) -> bool {
        let digest = digest(id).max(1); // 0 marks an empty slot
        let slot = &self.ids[digest as usize % IDS_MAX];
        slot.swap(digest, Relaxed) == digest
    }

    #[must_use]
    pub fn health(&self) -> u16 {
        self.health.load(Relaxed)
    }

    pub fn set_health(&self, status: u16) {
        self.health.store(status, Relaxed);
    }

    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.threads.iter().for_each(|counters| totals.add(counters));
        totals
    }
}

impl Counters {
    pub fn count(&self, counter: impl Fn(&Self) -> &AtomicU64, by: u64) {
        counter(self).fetch_add(by, Relaxed);
    }

    /// A token was made, `after_leave` after the client's end was seen.
    pub fn token(&self, after_leave: Option<Duration>) {
        self.tokens_made.fetch_add(1, Relaxed);
        if let Some(late) = after_leave {
            let millis = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            self.latest_token_after_leave_ms.fetch_max(millis, Relaxed);
            if late > LEAVE_GRACE {
                self.tokens_after_client_left.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Something that is open, counted as long as this is held.
pub struct Gauge<'c> {
    counter: &'c AtomicU64,
}

impl<'c> Gauge<'c> {
    pub fn raise(counter: &'c AtomicU64) -> Self {
        counter.fetch_add(1, Relaxed);
        Self { counter }
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Relaxed);
    }
}

/// One LLM request, from when it was understood to its end.
pub struct UnderWay<'c> {
    counters: &'c Counters,
    runs: Cell<bool>,
}

impl<'c> UnderWay<'c> {
    pub fn begin(counters: &'c Counters) -> Self {
        counters.llm_requests.fetch_add(1, Relaxed);
        counters.requests_waiting.fetch_add(1, Relaxed);
        Self { counters, runs: Cell::new(false) }
    }

    /// Its first token is made, or it fails in its place.
    pub fn runs(&self) {
        if !self.runs.replace(true) {
            self.counters.requests_waiting.fetch_sub(1, Relaxed);
            self.counters.requests_running.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let counter = if self.runs.get() {
            &self.counters.requests_running
        } else {
            &self.counters.requests_waiting
        };
        counter.fetch_sub(1, Relaxed);
    }
}

impl Totals {
    /// Appends an engine's metrics, in vLLM's names.
    pub fn write_metrics(&self, out: &mut Vec<u8>) {
        let gauges = [
            ("vllm:num_requests_running", "past their first token", self.requests_running),
            ("vllm:num_requests_waiting", "before their first token", self.requests_waiting),
        ];
        for (name, what, value) in gauges {
            let gauge = format!(
                "# HELP {name} Number of requests {what}.\n# TYPE {name} gauge\n\
                 {name}{{engine=\"0\",model_name=\"mock\"}} {value}.0\n"
            );
            out.extend_from_slice(gauge.as_bytes());
        }
    }

    /// Appends them as a JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (name, value)) in self.rows().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_summed_and_the_latest_is_the_largest() {
        let stats = Stats::new(2, 200, Lists::default());
        for (thread, late) in [(0, 50), (1, 150)] {
            let counters = stats.of_thread(thread);
            counters.count(|c| &c.requests, 2);
            counters.token(Some(Duration::from_millis(late)));
            counters.token(None);
        }
        let totals = stats.totals();
        assert_eq!((totals.requests, totals.tokens_made), (4, 4));
        assert_eq!((totals.tokens_after_client_left, totals.latest_token_after_leave_ms), (1, 150));
    }

    #[test]
    fn an_id_is_repeated_from_its_second_time_on() {
        let stats = Stats::new(1, 200, Lists::default());
        let seen = ["a", "b", "a", "a"].map(|id| stats.is_repeated(id.as_bytes()));
        assert_eq!(seen, [false, false, true, true]);
    }

    #[test]
    fn a_request_waits_and_then_runs_and_then_is_neither() {
        let stats = Stats::new(1, 200, Lists::default());
        let shown = || {
            let mut out = Vec::new();
            stats.totals().write_metrics(&mut out);
            let page = String::from_utf8(out).unwrap();
            let value = |name: &str| {
                let line = page.split('\n').find(|line| line.starts_with(name)).unwrap();
                line.rsplit_once(' ').unwrap().1.to_owned()
            };
            [value("vllm:num_requests_waiting"), value("vllm:num_requests_running")]
        };
        let request = UnderWay::begin(stats.of_thread(0));
        let early = UnderWay::begin(stats.of_thread(0));
        assert_eq!(shown(), ["2.0", "0.0"]);
        request.runs();
        request.runs();
        assert_eq!(shown(), ["1.0", "1.0"]);
        drop((request, early));
        assert_eq!(shown(), ["0.0", "0.0"]);
        assert_eq!(stats.totals().llm_requests, 2);
    }

    #[test]
    fn is_shown_as_json() {
        let mut out = Vec::new();
        Totals { requests: 3, ..Totals::default() }.write(&mut out);
        let shown: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&shown["requests"], &shown["bytes_out"]), (&3.into(), &0.into()));
    }
}
