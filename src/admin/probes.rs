//! What probes have found out about each backend, labelled with its name.
//! Nothing where nobody was asked.

use std::fmt::{Display, Write};

use super::{Facts, backends::escaped};
use crate::{
    balance::{EngineFigures, Probed},
    probe::ProbeFigures,
};

/// Appends the figures of every backend that was asked.
pub fn render(page: &mut String, facts: &Facts) {
    let backends: Vec<(String, &ProbeFigures)> = facts
        .backends
        .iter()
        .zip(&*facts.probes)
        .map(|(name, figures)| (escaped(name), &**figures))
        .collect();
    let mut family = |name: &str, word: &str, help: &str, show: &dyn Fn(&ProbeFigures) -> Shown| {
        let mut rows = backends.iter().filter_map(|(name, figures)| Some((name, show(figures)?)));
        let Some(first) = rows.next() else { return };
        // Writing to memory does not fail.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {word}");
        for (backend, value) in std::iter::once(first).chain(rows) {
            // Writing to memory does not fail.
            let _ = writeln!(page, "{name}{{backend=\"{backend}\"}} {value}");
        }
    };
    let help = "Whether its last probes found it healthy.";
    family("tokenring_backend_healthy", "gauge", help, &|figures| {
        figures.state().map(|state| u8::from(state == Probed::Healthy).to_string())
    });
    let help = "Probes of its health that failed.";
    family("tokenring_probe_failures_total", "counter", help, &|figures| {
        let was_asked = figures.state().is_some() || figures.failures() > 0;
        was_asked.then(|| figures.failures().to_string())
    });
    let engine =
        |figures: &ProbeFigures, show: &dyn Fn(EngineFigures) -> String| figures.engine().map(show);
    let help = "Requests in the queue of its engine, whoever sent them.";
    family("tokenring_backend_engine_waiting", "gauge", help, &|f| engine(f, &|e| text(e.waiting)));
    let help = "Requests that its engine works on, whoever sent them.";
    family("tokenring_backend_engine_running", "gauge", help, &|f| engine(f, &|e| text(e.running)));
}

/// A value as it is written, if there is one.
type Shown = Option<String>;

fn text(value: impl Display) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(change: impl FnOnce(&[std::sync::Arc<ProbeFigures>])) -> String {
        let probes: std::sync::Arc<[_]> = [Default::default(), Default::default()].into();
        change(&probes);
        let backends = vec!["a:1".to_owned(), "b\"".to_owned()];
        let facts = Facts { backends, probes, ..Facts::of_no_backend() };
        let mut page = String::new();
        render(&mut page, &facts);
        page
    }

    #[test]
    fn nothing_is_told_of_who_was_not_asked() {
        assert_eq!(page(|_| ()), "");
    }

    #[test]
    fn what_was_found_out_is_told() {
        let page = page(|probes| {
            probes[0].set(Probed::Healthy);
            probes[1].set(Probed::Unhealthy);
            probes[1].count_failure();
            probes[0].note(EngineFigures { waiting: 3, running: 12, kv_usage: 0.5 });
        });
        for expected in [
            "# TYPE tokenring_backend_healthy gauge\n",
            "tokenring_backend_healthy{backend=\"a:1\"} 1\n",
            "tokenring_backend_healthy{backend=\"b\\\"\"} 0\n",
            "# TYPE tokenring_probe_failures_total counter\n",
            "tokenring_probe_failures_total{backend=\"a:1\"} 0\n",
            "tokenring_probe_failures_total{backend=\"b\\\"\"} 1\n",
            "tokenring_backend_engine_waiting{backend=\"a:1\"} 3\n",
            "tokenring_backend_engine_running{backend=\"a:1\"} 12\n",
        ] {
            assert!(page.contains(expected), "{expected} is not in\n{page}");
        }
        assert!(!page.contains("engine_waiting{backend=\"b"), "it has said nothing:\n{page}");
    }
}
