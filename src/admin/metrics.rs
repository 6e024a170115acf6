//! The counters in Prometheus' text format, summed over the shards.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::{fmt::Write, sync::Arc};

use super::{Facts, backends, probes};
use crate::{
    base::Instant,
    exchange::{Counters, Kind},
};

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The whole page.
pub fn render(shards: &[Arc<Counters>], facts: &Facts, now: Instant) -> Vec<u8> {
    let mut figures: Vec<(&str, Kind, &str, u64)> = Vec::new();
    for shard in shards {
        let mut place = 0;
        shard.each(|name, kind, help, value| {
            match figures.get_mut(place) {
                // A gauge that one shard lowers and another raised may dip
                // below zero in one of them; the sum is right.
                Some(figure) => figure.3 = figure.3.wrapping_add(value),
                None => figures.push((name, kind, help, value)),
            }
            place += 1;
        });
    }
    if let Some(certificates) = &facts.certificates {
        certificates.each(|name, kind, help, value| figures.push((name, kind, help, value)));
    }
    let mut page = String::with_capacity(8 * 1024);
    for (name, kind, help, value) in figures {
        let (suffix, word) = match kind {
            Kind::Counter => ("_total", "counter"),
            Kind::Gauge => ("", "gauge"),
        };
        line(&mut page, &format!("tokenring_{name}{suffix}"), word, help, "", value);
    }
    backends::render(&mut page, facts, now);
    probes::render(&mut page, facts);
    facts.reloads.render(&mut page);
    let panics = (facts.panics)();
    line(&mut page, "tokenring_panics_total", "counter", "Tasks that panicked.", "", panics);
    let driver = facts.driver.get().map_or("", String::as_str);
    let labels = format!("{{version=\"{}\",driver=\"{driver}\"}}", facts.version);
    line(&mut page, "tokenring_info", "gauge", "What runs.", &labels, 1);
    page.into_bytes()
}

fn line(page: &mut String, name: &str, word: &str, help: &str, labels: &str, value: u64) {
    // Writing to memory does not fail.
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {word}\n{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::CertificateFigures;

    #[test]
    fn figures_are_summed_over_the_shards() {
        let shards = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        shards[0].requests.add(2);
        shards[1].requests.add(3);
        shards[0].connections_open.subtract(1);
        shards[1].connections_open.add(1);
        let facts = Facts {
            version: "1.2",
            driver: Arc::new("epoll".to_owned().into()),
            panics: || 4,
            ..Facts::of_no_backend()
        };
        let page = String::from_utf8(render(&shards, &facts, Instant::default())).unwrap();
        for expected in [
            "tokenring_requests_total 5\n",
            "tokenring_connections_open 0\n",
            "tokenring_panics_total 4\n",
            "tokenring_info{version=\"1.2\",driver=\"epoll\"} 1\n",
            "# TYPE tokenring_requests_total counter\n",
        ] {
            assert!(page.contains(expected), "{expected} is not in\n{page}");
        }
        assert!(!page.contains("certificate"), "nothing without TLS:\n{page}");
    }

    #[test]
    fn certificates_have_figures_of_the_process() {
        let shards = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        let certificates = Arc::new(CertificateFigures::default());
        certificates.reloads_refused.increment();
        let page = || {
            let certificates = Some(Arc::clone(&certificates));
            let facts = Facts { certificates, ..Facts::of_no_backend() };
            String::from_utf8(render(&shards, &facts, Instant::default())).unwrap()
        };
        let before = page();
        assert!(before.contains("\ntokenring_certificate_reloads_total 0\n"), "{before}");
        assert!(before.contains("\ntokenring_certificate_reloads_refused_total 1\n"), "{before}");
        assert!(!before.contains("not_after"), "no certificate of our own:\n{before}");
        certificates.not_after.set(1_811_808_000);
        let gauge = "\ntokenring_certificate_not_after_seconds 1811808000\n";
        assert!(page().contains(gauge), "{}", page());
    }
}
