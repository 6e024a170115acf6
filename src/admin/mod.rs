//! Pages that Token Ring serves itself: health, readiness, metrics.

mod backends;
mod certificates;
mod metrics;
mod probes;
mod reloads;

use std::sync::{Arc, OnceLock};

pub use certificates::CertificateFigures;
pub use reloads::Reloads;

use crate::{
    balance::Fleet,
    exchange::{
        Counters,
        pages::{Page, PageRequest, Pages},
    },
    probe::ProbeFigures,
};

/// What the pages show besides the counters.
#[derive(Clone, Debug)]
pub struct Facts {
    pub version: &'static str,
    /// Known once the first shard runs.
    pub driver: Arc<OnceLock<String>>,
    /// Tasks that panicked so far.
    pub panics: fn() -> u64,
    /// `None` without TLS.
    pub certificates: Option<Arc<CertificateFigures>>,
    pub reloads: Arc<Reloads>,
    /// What is known of the backends, and their names in the same order.
    pub fleet: Arc<Fleet>,
    pub backends: Vec<String>,
    /// What probes have found out, in the same order.
    pub probes: Arc<[Arc<ProbeFigures>]>,
}

/// The pages of one shard. `shards` are the counters of all of them.
#[must_use]
pub fn pages(shards: Arc<[Arc<Counters>]>, facts: Facts) -> Pages {
    Arc::new(move |request| page(&request, &shards, &facts))
}

fn page(request: &PageRequest<'_>, shards: &[Arc<Counters>], facts: &Facts) -> Option<Page> {
    let reads = matches!(request.method, b"GET" | b"HEAD");
    match request.path {
        // The process runs; whether it can answer is another question.
        b"/health" if reads => Some(text(200, "ok\n")),
        b"/ready" if reads && request.draining => Some(text(503, "draining\n")),
        b"/ready" if reads && request.ready => Some(text(200, "ready\n")),
        b"/ready" if reads => Some(text(503, "no backend can be reached\n")),
        // Figures are the operator's business, not every client's.
        b"/metrics" if reads && request.admin => Some(Page {
            status: 200,
            content_type: metrics::CONTENT_TYPE,
            body: metrics::render(shards, facts, request.now),
        }),
        b"/config" if reads && request.admin => Some(text(200, &facts.reloads.page())),
        // Nothing is proxied from the operator's door.
        _ if request.admin => Some(text(404, "pages: /health /ready /metrics /config\n")),
        _ => None,
    }
}

fn text(status: u16, body: &str) -> Page {
    Page { status, content_type: "text/plain; charset=utf-8", body: body.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{balance::Balancing, base::Instant};

    impl Facts {
        pub(super) fn of_no_backend() -> Self {
            Self {
                version: "",
                driver: Arc::default(),
                panics: || 0,
                certificates: None,
                reloads: Arc::default(),
                fleet: Arc::new(Fleet::new(0, Balancing::DEFAULT)),
                backends: Vec::new(),
                probes: [].into(),
            }
        }
    }

    fn status_of(method: &str, path: &str, admin: bool, ready: bool) -> Option<u16> {
        let shards: Arc<[Arc<Counters>]> = [Arc::new(Counters::default())].into();
        let facts = Facts::of_no_backend();
        let (method, path) = (method.as_bytes(), path.as_bytes());
        pages(shards, facts)(PageRequest {
            method,
            path,
            admin,
            ready,
            draining: false,
            now: Instant::default(),
        })
        .map(|page| page.status)
    }

    #[test]
    fn health_is_about_the_process_and_readiness_about_its_backends() {
        assert_eq!(status_of("GET", "/health", false, false), Some(200));
        assert_eq!(status_of("GET", "/ready", false, false), Some(503));
        assert_eq!(status_of("HEAD", "/ready", false, true), Some(200));
    }

    #[test]
    fn metrics_are_shown_to_the_operator_only() {
        assert_eq!(status_of("GET", "/metrics", false, true), None);
        assert_eq!(status_of("GET", "/metrics", true, true), Some(200));
    }

    #[test]
    fn nothing_is_proxied_from_the_admin_listener() {
        assert_eq!(status_of("POST", "/v1/chat/completions", true, true), Some(404));
        assert_eq!(status_of("POST", "/v1/chat/completions", false, true), None);
    }
}
