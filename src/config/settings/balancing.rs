//! Which backend answers.

use std::num::{NonZeroU8, NonZeroU32};

use super::{Choice, Group, Number, Place, Switch, of_process};
use crate::config::Policy;
use crate::config::words::count;

/// `-` stands for `_` as well: the names as they are shown, then the others,
/// and what routers for SGLang and vLLM call the same.
pub(super) const POLICY_WORDS: [&str; 23] = [
    Policy::LeastLatency.name(),
    Policy::RoundRobin.name(),
    Policy::LeastInFlight.name(),
    Policy::PeakEwma.name(),
    Policy::Random.name(),
    Policy::PowerOfTwo.name(),
    Policy::SessionHash.name(),
    Policy::Prefix.name(),
    "least-latency",
    "round-robin",
    "least-in-flight",
    "peak-ewma",
    "power-of-two",
    "session-hash",
    "cache_aware",
    "cache-aware",
    "prefix_hash",
    "prefix-hash",
    "consistent_hash",
    "consistent-hash",
    "consistent_hashing",
    "consistent-hashing",
    "manual",
];

/// In the order of the words.
pub(super) const POLICIES: [Policy; POLICY_WORDS.len()] = [
    Policy::LeastLatency,
    Policy::RoundRobin,
    Policy::LeastInFlight,
    Policy::PeakEwma,
    Policy::Random,
    Policy::PowerOfTwo,
    Policy::SessionHash,
    Policy::Prefix,
    Policy::LeastLatency,
    Policy::RoundRobin,
    Policy::LeastInFlight,
    Policy::PeakEwma,
    Policy::PowerOfTwo,
    Policy::SessionHash,
    Policy::Prefix,
    Policy::Prefix,
    Policy::Prefix,
    Policy::Prefix,
    Policy::SessionHash,
    Policy::SessionHash,
    Policy::SessionHash,
    Policy::SessionHash,
    Policy::SessionHash,
];

pub(super) const QUEUE: Group = Group {
    heading: "Requests that wait because every backend is full",
    settings: &[
        of_process(
            "queue.length",
            "--queue-length",
            "200",
            "Requests that may wait at a time, in all shards (429); 0 is that none waits",
            Place::Count(|w| &mut w.queue.length),
        ),
        of_process(
            "queue.timeout",
            "--queue-timeout",
            "5s",
            "How long a request waits for a place at a backend (503)",
            Place::Time(|w| &mut w.queue.timeout),
        ),
        of_process(
            "queue.priorities",
            "--queue-priorities",
            "true",
            "Let clients say how urgent a request is, by x-tokenring-priority: low, normal or high",
            Place::Switch(Switch {
                flag_says: true,
                is_on: |w| w.queue.priorities,
                turn: |w, on| w.queue.priorities = on,
            }),
        ),
    ],
};

pub(super) const BALANCING: Group = Group {
    heading: "Which backend answers",
    settings: &[
        of_process(
            "balancing.policy",
            "--policy",
            "round_robin",
            "How a backend is chosen: by default the one that would answer soonest. session_hash \
             goes by the head's x-session-id, x-claude-code-session-id, x-conversation-id or \
             x-smg-routing-key, else by the body's prompt_cache_key, metadata.user_id or user, else by the texts of its \
             instructions and its messages up to the first user's (8KiB of each), or by the first \
             1KiB of a prompt that is no messages",
            Place::Choice(Choice {
                unit: "POLICY",
                words: &POLICY_WORDS,
                unset: "",
                at: |w| POLICIES.iter().position(|policy| *policy == w.balancing.policy),
                choose: |w, index| w.balancing.policy = POLICIES[index],
            }),
        ),
        of_process(
            "balancing.session_headers",
            "--session-headers",
            "x-user-id x-thread-id",
            "Further headers that name a conversation, looked for before x-session-id and the \
             others",
            Place::Texts("NAME", |w| &mut w.session_headers),
        ),
        of_process(
            "balancing.decode_slots",
            "--decode-slots",
            "128",
            "Answers that a backend writes at once before each of them slows; it is asked for more all the \
             same, unlike with backend.capacity",
            Place::Number(Number {
                read: |w, word| count(word).map(|count| w.balancing.decode_slots = count),
                show: |w| w.balancing.decode_slots.to_string(),
            }),
        ),
        of_process(
            "balancing.affinity_percent",
            "--affinity-percent",
            "150",
            "What the backend of a conversation may cost, of the soonest's cost, before it is let go",
            Place::Number(Number {
                read: |w, word| count(word).map(|count| w.balancing.affinity_percent = count),
                show: |w| w.balancing.affinity_percent.to_string(),
            }),
        ),
        of_process(
            "balancing.prefix_bytes",
            "--prefix-bytes",
            "1MiB",
            "Text that a backend's cache of keys and values holds, as far as prefix counts on it",
            Place::Size(|w| &mut w.balancing.prefix_bytes),
        ),
        of_process(
            "balancing.slow_start",
            "--slow-start",
            "30s",
            "How long the share of a backend grows that has come, or come back; 0s is not at all",
            Place::Time(|w| &mut w.balancing.slow_start),
        ),
        of_process(
            "balancing.eject_after",
            "--eject-after",
            "3",
            "Failures in a row for which a backend is left alone; 0 is never",
            Place::Number(Number {
                read: |w, word| {
                    count(word).map(|count| w.balancing.ejection.after = NonZeroU32::new(count))
                },
                show: |w| w.balancing.ejection.after.map_or(0, NonZeroU32::get).to_string(),
            }),
        ),
        of_process(
            "balancing.eject_below",
            "--eject-below",
            "80",
            "The same for fewer successes in a hundred, of its last answers; 0 is never",
            Place::Number(Number {
                read: |w, word| {
                    let ejection = &mut w.balancing.ejection;
                    count(word).map(|count| ejection.below_percent = NonZeroU8::new(count))
                },
                show: |w| w.balancing.ejection.below_percent.map_or(0, NonZeroU8::get).to_string(),
            }),
        ),
        of_process(
            "balancing.eject_pause",
            "--eject-pause",
            "2s",
            "How long it is left alone at first; twice as long each time it fails again",
            Place::Time(|w| &mut w.balancing.ejection.pause),
        ),
        of_process(
            "balancing.eject_pause_max",
            "--eject-pause-max",
            "30s",
            "The longest that it is left alone, also where it asks for more (retry-after)",
            Place::Time(|w| &mut w.balancing.ejection.pause_max),
        ),
    ],
};
