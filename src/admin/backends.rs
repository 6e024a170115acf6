//! What is told about each backend, labelled with its name. There are as many
//! labels as backends in the plan, and no more.

use std::fmt::{Display, Write};

use super::Facts;
use crate::{
    balance::{BackendId, Figures},
    base::Instant,
};

/// Appends the figures of every backend.
pub fn render(page: &mut String, facts: &Facts, now: Instant) {
    let name = "tokenring_backends";
    let (help, count) = ("Backends of the plan in force.", facts.backends.len());
    // Writing to memory does not fail.
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {count}");
    let fleet = &facts.fleet;
    let figures = facts.backends.iter().enumerate();
    let figures: Vec<(String, Figures)> = figures
        .filter_map(|(place, name)| Some((escaped(name), fleet.figures(BackendId(place), now)?)))
        .collect();
    let mut family = |name: &str, word: &str, help: &str, show: &dyn Fn(&Figures) -> Shown| {
        // Writing to memory does not fail.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {word}");
        for (backend, figures) in &figures {
            if let Some(value) = show(figures) {
                // Writing to memory does not fail.
                let _ = writeln!(page, "{name}{{backend=\"{backend}\"}} {value}");
            }
        }
    };
    let gauge = "gauge";
    let help = "Requests that wait for their first byte.";
    family("tokenring_backend_waiting", gauge, help, &|f| shown(f.waiting));
    let help = "Answers past their first byte.";
    family("tokenring_backend_streams", gauge, help, &|f| shown(f.streams));
    let help = "Whether it is left alone for its failures.";
    family("tokenring_backend_ejected", gauge, help, &|f| shown(u8::from(f.ejected)));
    let help = "Models that leave it alone, as it has no room for them.";
    family("tokenring_backend_ejected_models", gauge, help, &|f| shown(f.ejected_models));
    let help = "Whether active checks have found it unhealthy, and it is left out.";
    let is_unhealthy = |f: &Figures| shown(u8::from(f.probed_unhealthy));
    family("tokenring_backend_unhealthy", gauge, help, &is_unhealthy);
    let help = "The part of its share that it is given since it came, or came back.";
    family("tokenring_backend_share", gauge, help, &|f| shown(f.share));
    let help = "Requests of others that wait in its engine, as it has last said.";
    family("tokenring_backend_others_waiting", gauge, help, &|f| shown(f.engine_waiting));
    let help = "Requests of others that its engine works on, as it has last said.";
    family("tokenring_backend_others_running", gauge, help, &|f| shown(f.engine_running));
    let help = "The part of its engine's cache that is in use, as it has last said.";
    family("tokenring_backend_kv_usage", gauge, help, &|f| shown(f.kv_usage));
    let help = "Estimated time to the first token of a prompt of 1,000 tokens when nothing waits.";
    family("tokenring_backend_ttft_seconds", gauge, help, &|f| f.first_token.and_then(shown));
    let help = "Estimated time for each token of an answer.";
    family("tokenring_backend_tpot_seconds", gauge, help, &|f| f.pace.and_then(shown));
    let help = "Tokens of prompts that were sent to it by what they begin with, estimated.";
    let prompt_tokens = |f: &Figures| shown(f.prompt_tokens);
    family("tokenring_backend_prefix_tokens_total", "counter", help, &prompt_tokens);
    let help = "Those of them that it is thought to have read before.";
    let read = |f: &Figures| shown(f.prompt_tokens_read);
    family("tokenring_backend_prefix_tokens_read_total", "counter", help, &read);
    let help = "Requests sent to it, attempts included.";
    family("tokenring_backend_picks_total", "counter", help, &|f| shown(f.picks));
    let help = "Requests at which it failed.";
    family("tokenring_backend_failures_total", "counter", help, &|f| shown(f.failures));
}

/// A value as it is written, if there is one.
type Shown = Option<String>;

fn shown(value: impl Display) -> Shown {
    Some(value.to_string())
}

/// A label's value in the text format: three bytes are written otherwise.
pub(super) fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        balance::{Ask, Balancing, EngineFigures, Fleet, Probed, Shape, Turn, Work},
        base::Chance,
    };

    #[test]
    fn each_backend_has_its_figures() {
        let fleet = Arc::new(Fleet::new(2, Balancing::DEFAULT));
        let (mut turn, mut chance) = (Turn::new(&fleet, 0), Chance::seeded(1));
        let now = Instant::from_nanos(1);
        let work = Work { prompt_bytes: 400, shape: Shape::Streamed };
        let mut pick = |tried: &[BackendId]| {
            let ask = Ask { tried, ..Ask::new(fleet.everyone(), fleet.policy(), work) };
            fleet.pick(&mut turn, &ask, now, &mut chance).unwrap()
        };
        pick(&[BackendId(0)]).failed(None, now);
        fleet.set_probed(BackendId(1), Probed::Unhealthy, now);
        let told = EngineFigures { waiting: 5, running: 2, kv_usage: 0.5 };
        fleet.note_engine(BackendId(0), told, now);
        let (_waits, mut streams) = (pick(&[BackendId(1)]), pick(&[BackendId(1)]));
        streams.first_byte(Instant::from_nanos(1_000_000_001));
        let mut page = String::new();
        let facts = Facts {
            fleet: Arc::clone(&fleet),
            backends: vec!["a:1".to_owned(), "unix:/x\"\\y".to_owned()],
            ..Facts::of_no_backend()
        };
        render(&mut page, &facts, now);
        for expected in [
            "# TYPE tokenring_backend_waiting gauge\n",
            "tokenring_backend_waiting{backend=\"a:1\"} 1\n",
            "tokenring_backend_streams{backend=\"a:1\"} 1\n",
            "tokenring_backend_ejected{backend=\"a:1\"} 0\n",
            "tokenring_backend_unhealthy{backend=\"a:1\"} 0\n",
            "tokenring_backend_unhealthy{backend=\"unix:/x\\\"\\\\y\"} 1\n",
            "tokenring_backend_share{backend=\"a:1\"} 1\n",
            "tokenring_backend_others_waiting{backend=\"a:1\"} 5\n",
            "tokenring_backend_others_running{backend=\"a:1\"} 2\n",
            "tokenring_backend_kv_usage{backend=\"a:1\"} 0.5\n",
            "tokenring_backend_picks_total{backend=\"a:1\"} 2\n",
            "tokenring_backend_failures_total{backend=\"unix:/x\\\"\\\\y\"} 1\n",
            "tokenring_backend_ttft_seconds{backend=\"a:1\"} ",
        ] {
            assert!(page.contains(expected), "{expected} is not in\n{page}");
        }
        assert!(!page.contains("ttft_seconds{backend=\"unix"), "nothing was seen of it:\n{page}");
    }
}
