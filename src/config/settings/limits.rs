//! How long, how much, and what is kept for later.

use super::{Group, Place, of_process};

pub(super) const DEADLINES: Group = Group {
    heading: "Deadlines (TIME is like 250ms, 10s, 1h30m)",
    settings: &[
        of_process(
            "deadlines.connect",
            "--connect-timeout",
            "2s",
            "To connect to one address of a backend",
            Place::Time(|w| &mut w.deadlines.connect),
        ),
        of_process(
            "deadlines.head",
            "--head-timeout",
            "5s",
            "For a request's whole head, from its first byte",
            Place::Time(|w| &mut w.deadlines.head),
        ),
        of_process(
            "deadlines.body_rate_min",
            "--body-rate-min",
            "4KiB",
            "Slowest request body that is borne, in bytes a second",
            Place::Size(|w| &mut w.deadlines.body_rate_min),
        ),
        of_process(
            "deadlines.body_rate_grace",
            "--body-rate-grace",
            "20s",
            "How long a body may run before its rate counts",
            Place::Time(|w| &mut w.deadlines.body_rate_grace),
        ),
        of_process(
            "deadlines.first_byte",
            "--first-byte-timeout",
            "30m",
            "From the request sent to the first byte of the answer",
            Place::Time(|w| &mut w.deadlines.first_byte),
        ),
        of_process(
            "deadlines.silence",
            "--silence-timeout",
            "90s",
            "For a backend that falls silent in mid answer",
            Place::Time(|w| &mut w.deadlines.idle_between_reads),
        ),
        of_process(
            "deadlines.total",
            "--total-timeout",
            "2h",
            "For one request, from its first byte to the answer's last",
            Place::Time(|w| &mut w.deadlines.total),
        ),
        of_process(
            "deadlines.client_write",
            "--client-write-timeout",
            "30s",
            "For a client that does not take its answer",
            Place::Time(|w| &mut w.deadlines.client_write),
        ),
        of_process(
            "deadlines.keep_alive",
            "--keep-alive-timeout",
            "2m",
            "For a client connection without a request",
            Place::Time(|w| &mut w.deadlines.keep_alive),
        ),
        of_process(
            "deadlines.drain",
            "--drain",
            "1m",
            "How long requests under way may go on after SIGTERM",
            Place::Time(|w| &mut w.drain),
        ),
    ],
};

pub(super) const LIMITS: Group = Group {
    heading: "Limits (SIZE is like 16KiB, 32MiB, 16kB)",
    settings: &[
        of_process(
            "limits.head_bytes",
            "--head-bytes",
            "64KiB",
            "Largest head, of a request or an answer",
            Place::Size(|w| &mut w.limits.head_bytes),
        ),
        of_process(
            "limits.header_count",
            "--header-count",
            "200",
            "Most headers in a head",
            Place::Count(|w| &mut w.limits.headers),
        ),
        of_process(
            "limits.target_bytes",
            "--target-bytes",
            "4KiB",
            "Longest target of a request",
            Place::Size(|w| &mut w.limits.target_bytes),
        ),
        of_process(
            "limits.body_bytes",
            "--body-bytes",
            "128MiB",
            "Largest body of a request, below 4GiB",
            Place::Size(|w| &mut w.limits.body_bytes),
        ),
        of_process(
            "limits.body_memory",
            "--body-memory",
            "4GiB",
            "Most memory for request bodies, and for large events under way, in all",
            Place::Size(|w| &mut w.limits.body_memory_total),
        ),
        of_process(
            "limits.connections",
            "--connections",
            "200",
            "Most client connections; auto is what open files bear, up to 100000",
            Place::CountOrAuto(|w| &mut w.connections),
        )
        .at_start_only(),
        of_process(
            "limits.connections_per_address",
            "--connections-per-address",
            "100",
            "Most client connections from one IP address; 0 is no limit",
            Place::Limit(|w| &mut w.limits.connections_per_address),
        )
        .at_start_only(),
        of_process(
            "limits.requests_in_flight",
            "--requests-in-flight",
            "1000",
            "Most requests under way; 0 is no limit",
            Place::Limit(|w| &mut w.limits.requests_in_flight),
        ),
        of_process(
            "limits.sse_event_bytes",
            "--sse-event-bytes",
            "4MiB",
            "Largest server-sent event that is looked into; a larger one passes unread",
            Place::Size(|w| &mut w.limits.sse_event_bytes),
        ),
    ],
};

pub(super) const KEPT: Group = Group {
    heading: "What each shard keeps",
    settings: &[
        of_process(
            "pool.idle_per_backend",
            "--pool-idle-per-backend",
            "64",
            "Most idle connections to each backend",
            Place::Count(|w| &mut w.pool.idle_per_backend),
        ),
        of_process(
            "pool.idle_timeout",
            "--pool-idle-timeout",
            "30s",
            "How long an idle backend connection is kept; below the backend's own",
            Place::Time(|w| &mut w.pool.idle_timeout),
        ),
        of_process(
            "pool.buffers",
            "--pool-buffers",
            "128",
            "Most free buffers kept for the next request",
            Place::Count(|w| &mut w.pool.buffers),
        )
        .at_start_only(),
        of_process(
            "pool.buffer_bytes",
            "--pool-buffer-bytes",
            "32KiB",
            "Size of one buffer",
            Place::Size(|w| &mut w.pool.buffer_bytes),
        )
        .at_start_only(),
        of_process(
            "pool.rest_before_idle",
            "--rest-before-idle",
            "500ms",
            "How long an idle client connection keeps its buffer",
            Place::Time(|w| &mut w.pool.rest_before_idle),
        ),
    ],
};
