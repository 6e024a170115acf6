//! Asking backends how they are.

use super::{Group, Number, Place, of_process};
use crate::config::words::count;

pub(super) const PROBES: Group = Group {
    heading: "Looking after backends",
    settings: &[
        of_process(
            "health.interval",
            "--health-interval",
            "10s",
            "How often each backend is asked whether it is well; 0s is never",
            Place::TimeOrNever(|w| &mut w.probes.health.interval),
        ),
        of_process(
            "health.path",
            "--health-path",
            "/healthz",
            "What it is asked for, below its URL's path; well is a status of 2xx",
            Place::Text("PATH", |w| &mut w.probes.health.path),
        ),
        of_process(
            "health.timeout",
            "--health-timeout",
            "500ms",
            "For the whole of one such probe; the next one waits for its end",
            Place::Time(|w| &mut w.probes.health.timeout),
        ),
        of_process(
            "health.unhealthy_after",
            "--health-unhealthy-after",
            "2",
            "Failed probes in a row that make a backend unhealthy: it is left alone",
            Place::Number(Number {
                read: |w, word| count(word).map(|n| w.probes.health.unhealthy_after = n),
                show: |w| w.probes.health.unhealthy_after.to_string(),
            }),
        ),
        of_process(
            "health.healthy_after",
            "--health-healthy-after",
            "1",
            "Successful probes in a row that make it healthy again",
            Place::Number(Number {
                read: |w, word| count(word).map(|n| w.probes.health.healthy_after = n),
                show: |w| w.probes.health.healthy_after.to_string(),
            }),
        ),
        of_process(
            "engine.interval",
            "--engine-interval",
            "1s",
            "How often each backend is asked how full its engine is; 0s is never",
            Place::TimeOrNever(|w| &mut w.probes.engine.interval),
        ),
        of_process(
            "engine.metrics_path",
            "--engine-metrics-path",
            "/prometheus",
            "Where engines serve metrics as text (Prometheus), below the URL's path",
            Place::Text("PATH", |w| &mut w.probes.engine.metrics_path),
        ),
    ],
};
