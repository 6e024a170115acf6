//! What one shard counts. Each counter has one writer, its shard, so a count
//! is a plain load and store; readers of other threads see it a moment later.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::retry::{Class, Reason};

/// A number that one shard writes and anybody may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub fn increment(&self) {
        self.add(1);
    }

    pub fn subtract(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(n), Ordering::Relaxed);
    }

    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a number only grows, or goes up and down and must come back to
/// zero when the process is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $kind:ident $name:ident;)+) => {
        /// The figures of one shard. On a cache line of its own, so that one
        /// shard's counting does not slow another's.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Counters {
            $($(#[doc = $help])+ pub $name: Counter,)+
            /// Further attempts, in the order of [`Class::ALL`].
            retries: [Counter; Class::ALL.len()],
            /// Other models asked, in the order of [`Reason::ALL`].
            fallbacks: [Counter; Reason::ALL.len()],
        }

        impl Counters {
            /// Every figure: name, kind, help and value.
            pub fn each(&self, mut show: impl FnMut(&'static str, Kind, &'static str, u64)) {
                $(show(stringify!($name), Kind::$kind, concat!($($help),+).trim_ascii(), self.$name.read());)+
            }
        }
    };
}

counters! {
    /// Client connections accepted by this shard's listeners.
    Counter connections_accepted;
    /// Client connections handed over to a less loaded shard.
    Counter connections_handed_over;
    /// Client connections refused for want of room.
    Counter connections_refused;
    /// Attempts to accept that the kernel refused, for want of descriptors.
    Counter accept_failures;
    /// TLS handshakes with clients that succeeded.
    Counter handshakes;
    /// Those among them that resumed an earlier connection.
    Counter handshakes_resumed;
    /// TLS handshakes with clients that failed, or took too long.
    Counter handshakes_failed;
    /// TLS handshakes with clients that were given up, as too many waited.
    Counter handshakes_shed;
    /// TLS handshakes with clients under way.
    Gauge handshakes_under_way;
    /// Clients that spoke plain HTTP where TLS is spoken.
    Counter plain_on_tls_listeners;
    /// Clients that spoke TLS where it is not spoken.
    Counter tls_on_plain_listeners;
    /// Client connections open.
    Gauge connections_open;
    /// Client connections that wait without a buffer.
    Gauge connections_resting;
    /// Requests whose head was understood.
    Counter requests;
    /// Requests under way.
    Gauge requests_in_flight;
    /// Requests that wait for a place at a backend.
    Gauge requests_queued;
    /// Requests that had to wait for a place at a backend.
    Counter queue_waits;
    /// Milliseconds that they have waited, all together.
    Counter queue_wait_milliseconds;
    /// Requests that were refused for want of a place in the queue.
    Counter queue_refusals;
    /// Requests that waited for a place until their time was over.
    Counter queue_timeouts;
    /// Copies of requests sent to another model, whose answers nobody sees.
    Counter mirrored_requests;
    /// Copies that were not sent, for want of room here or there.
    Counter mirrored_requests_skipped;
    /// Copies of requests under way.
    Gauge mirrored_requests_in_flight;
    /// Bytes of request bodies held, and of copies of requests.
    Gauge request_body_bytes_held;
    /// Bytes held for events that have not come whole yet.
    Gauge event_bytes_held;
    /// Answers begun, of any status.
    Counter responses;
    /// Answers with a status of 400 to 499.
    Counter responses_4xx;
    /// Answers with a status of 500 to 599.
    Counter responses_5xx;
    /// Answers that Token Ring gave itself because of a fault.
    Counter refusals;
    /// Clients that left before their answer was complete.
    Counter clients_gone;
    /// Answers that a backend, a deadline or a drain cut short.
    Counter answers_cut;
    /// Deadlines that ended a request.
    Counter deadlines_passed;
    /// Connections made to backends.
    Counter backend_connects;
    /// Connections to backends that could not be made.
    Counter backend_connect_failures;
    /// TLS handshakes with backends that succeeded.
    Counter backend_handshakes;
    /// Those among them that resumed an earlier connection.
    Counter backend_handshakes_resumed;
    /// TLS handshakes with backends that failed.
    Counter backend_handshakes_failed;
    /// Requests sent on a connection that had served before.
    Counter backend_reuses;
    /// Requests sent again after a connection failed before any answer.
    Counter backend_retries;
    /// Attempts that were not made, as there were too many for the traffic.
    Counter retry_budget_exhausted;
    /// Second backends asked beside one that was late.
    Counter hedges;
    /// Those among them that began to answer first.
    Counter hedges_won;
    /// Estimated prompt tokens of the one of both that was left for the other.
    Counter hedges_lost_prompt_tokens;
    /// Milliseconds for which those had run.
    Counter hedges_lost_milliseconds;
    /// Late backends that were waited for alone, as there were too many.
    Counter hedges_capped;
    /// Backend connections carrying a request.
    Gauge backend_connections_busy;
    /// Backend connections waiting in the pool.
    Gauge backend_connections_idle;
    /// Server-sent events relayed.
    Counter events;
    /// Prompt tokens that backends reported.
    Counter prompt_tokens;
    /// Completion tokens that backends reported.
    Counter completion_tokens;
    /// Bytes sent to clients.
    Counter bytes_to_clients;
    /// Bytes of bodies received from backends, framing included.
    Counter bytes_from_backends;
    /// Ring operations started (transfers, on epoll).
    Gauge operations;
}

impl Counters {
    /// Another attempt is made after such a failure.
    pub fn count_retry(&self, class: Class) {
        if let Some(counter) = self.retries.get(class as usize) {
            counter.increment();
        }
    }

    /// Another model is asked for this reason.
    pub fn count_fallback(&self, reason: Reason) {
        if let Some(counter) = self.fallbacks.get(reason as usize) {
            counter.increment();
        }
    }

    /// Further attempts after each class of failure.
    pub fn retries(&self) -> impl Iterator<Item = (Class, u64)> {
        Class::ALL.into_iter().zip(self.retries.iter().map(Counter::read))
    }

    /// Other models asked for each reason.
    pub fn fallbacks(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.fallbacks.iter().map(Counter::read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labelled_counts_stand_where_they_were_counted() {
        let counters = Counters::default();
        for class in Class::ALL {
            counters.count_retry(class);
        }
        counters.count_retry(Class::Cut);
        counters.count_fallback(Reason::ContentPolicy);
        assert!(counters.retries().all(|(class, n)| n == 1 + u64::from(class == Class::Cut)));
        let asked: Vec<_> = counters.fallbacks().filter(|(_, n)| *n > 0).collect();
        assert_eq!(asked, [(Reason::ContentPolicy, 1)]);
    }

    #[test]
    fn a_gauge_comes_back_to_zero() {
        let gauge = Counter::default();
        gauge.add(3);
        gauge.subtract(3);
        assert_eq!(gauge.read(), 0);
    }

    #[test]
    fn every_figure_has_a_help_sentence() {
        Counters::default().each(|name, _, help, value| {
            assert!(help.ends_with('.') && !help.is_empty(), "{name}: {help}");
            assert_eq!(value, 0);
        });
    }
}
