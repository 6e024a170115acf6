//! The configuration changes while the process runs, under clients that notice
//! nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use support::{Client, chat, eventually, mock, process::Process, streamed, url};
use tempfile::TempDir;
use tokenring::mock::MockHandle;

const CHAT: &str = "/v1/chat/completions";
const GENERATION: &str = "tokenring_config_generation";

/// A process by a file, which is looked at as often as `watch` says.
struct Served {
    process: Process,
    file: PathBuf,
    _folder: TempDir,
}

impl Served {
    fn by(text: &str, watch: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.toml");
        std::fs::write(&file, text).unwrap();
        let more = ["--config", file.to_str().unwrap(), "--config-watch-every", watch];
        Self { process: Process::serve(&[], &more), file, _folder: folder }
    }

    /// Moved over what was there, as tools do it.
    fn put(&self, text: &str) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &self.file).unwrap();
    }

    /// Returns once the file is taken.
    #[track_caller]
    fn change(&self, text: &str) {
        let mut admin = self.process.admin();
        let before = support::process::metric(&mut admin, GENERATION);
        self.put(text);
        eventually("it is taken", || support::process::metric(&mut admin, GENERATION) > before);
    }

    fn page(&self) -> String {
        let page = self.process.admin().get("/config");
        assert_eq!(page.status, 200);
        page.text()
    }
}

fn file(mocks: &[&MockHandle], more: &str) -> String {
    let backend = |mock: &&MockHandle| format!("[[backend]]\nurl = \"{}\"\n", url(mock.address()));
    format!("{more}{}", mocks.iter().map(backend).collect::<String>())
}

#[track_caller]
fn is_answered(client: &mut Client) {
    assert_eq!(client.post(CHAT, "", chat(1)).status, 200);
}

#[test]
fn a_backend_that_came_is_asked_and_one_that_went_is_not() {
    let (old, new) = (mock(), mock());
    let served = Served::by(&file(&[&old], ""), "10ms");
    let mut client = served.process.client();
    is_answered(&mut client);
    served.change(&file(&[&new], ""));
    let before = old.stats().requests;
    (0..10).for_each(|_| is_answered(&mut client));
    assert_eq!((old.stats().requests, new.stats().requests), (before, 10));
    assert!(served.page().contains("generation: 2\n"), "{}", served.page());
}

#[test]
fn a_stream_under_way_at_a_backend_that_went_ends_whole() {
    let (old, new) = (mock(), mock());
    let served = Served::by(&file(&[&old], ""), "10ms");
    let at_rest = served.process.descriptors_at_rest();
    let mut streams = served.process.client();
    streams.send_post(CHAT, "x-mock-token-gap: 20ms\r\n", streamed(50));
    assert_eq!(streams.head().status, 200);
    assert!(streams.event().is_some());
    served.change(&file(&[&new], ""));
    assert_eq!(served.process.metric("tokenring_requests_in_flight"), 1);
    let mut last = None;
    while let Some(event) = streams.event() {
        last = Some(event);
    }
    assert!(format!("{last:?}").contains("[DONE]"), "{last:?}");
    is_answered(&mut served.process.client());
    assert_eq!(new.stats().requests, 1);
    drop(streams);
    served.process.comes_to_rest(at_rest);
}

/// Renamed, or gone and come back: it bears as much as before, and works on what
/// it was given before.
#[test]
fn a_backend_is_not_given_twice_its_capacity_by_a_reload() {
    let (mock, other) = (mock(), mock());
    let backend = |mock: &MockHandle, name: &str| {
        let url = url(mock.address());
        format!("[[backend]]\nurl = \"{url}\"\nname = \"{name}\"\ncapacity = 1\n")
    };
    let as_g = backend(&mock, "g");
    let renamed = vec![backend(&mock, "h")];
    let gone_and_back = vec![backend(&other, "o"), as_g.clone()];
    for changes in [renamed, gone_and_back] {
        let served = Served::by(&as_g, "10ms");
        let mut stream = served.process.client();
        stream.send_post(CHAT, "x-mock-token-gap: 20ms\r\n", streamed(50));
        assert_eq!(stream.head().status, 200);
        changes.iter().for_each(|change| served.change(change));
        let mut second = served.process.client();
        second.send_post(CHAT, "", chat(1));
        let queued = || served.process.metric("tokenring_requests_queued");
        eventually("it waits for the place", || queued() == 1);
        while stream.event().is_some() {}
        assert_eq!(second.head().status, 200);
    }
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_with_its_line() {
    let mock = mock();
    let good = file(&[&mock], "");
    let served = Served::by(&good, "10ms");
    served.put(&format!("{good}\n[limits]\nbody_bites = 1\n"));
    eventually("it is told", || served.page().contains("last change: refused"));
    let fault = "t.toml:5: limits.body_bites: the key is not known; did you mean";
    assert!(served.page().contains(fault), "{}", served.page());
    eventually("the log tells it", || served.process.said().contains(fault));
    assert_eq!(served.process.said().matches(fault).count(), 1, "once");
    assert_eq!(served.process.metric(GENERATION), 1);
    assert_eq!(served.process.metric("tokenring_config_last_reload_ok"), 0);
    is_answered(&mut served.process.client());
    served.change(&format!("{good}# mended\n"));
    assert!(served.page().contains("last change: taken"), "{}", served.page());
    assert_eq!(served.process.metric("tokenring_config_last_reload_ok"), 1);
}

#[test]
fn what_needs_a_restart_is_told_and_the_rest_is_taken() {
    let mock = mock();
    let served = Served::by(&file(&[&mock], ""), "1h");
    let mut client = served.process.client();
    is_answered(&mut client);
    served.put(&file(&[&mock], "pool.buffers = 7\nlimits.body_bytes = \"10B\"\n"));
    served.process.signal("HUP");
    let told = "has changed, and these settings need a restart: pool.buffers";
    eventually("it is told", || served.process.said().contains(told));
    eventually("the rest is taken", || {
        served.process.client().post(CHAT, "", chat(1)).status == 413
    });
    assert!(served.page().contains("needs a restart: pool.buffers\n"), "{}", served.page());
    served.process.signal("HUP");
    let unchanged = "tokenring_config_reloads_total{result=\"unchanged\"}";
    eventually("it is unchanged", || served.process.metric(unchanged) == 1);
}

/// So many reloads, each with a backend that comes and one that goes, under
/// requests. Returns the memory before and after, in KiB.
fn reload_under_load(reloads: usize) -> (u64, u64) {
    let mocks = [mock(), mock(), mock()];
    let pair = |round: usize| file(&[&mocks[round % 3], &mocks[(round + 1) % 3]], "");
    let served = Served::by(&pair(0), "10ms");
    let at_rest = served.process.descriptors_at_rest();
    let (ended, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let memory = || served.process.memory_kib("VmRSS");
    let mut warm = 0;
    std::thread::scope(|scope| {
        // Set also when a check fails, or the load would never end.
        struct Ends<'a>(&'a AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let _ends = Ends(&ended);
        for body in [chat(1), streamed(3)] {
            let (served, ended, answered) = (&served, &ended, &answered);
            scope.spawn(move || {
                let mut client = served.process.client();
                while !ended.load(Ordering::SeqCst) {
                    assert_eq!(client.post(CHAT, "", body.clone()).status, 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 1..=reloads {
            if round == reloads / 4 {
                warm = memory();
            }
            served.change(&pair(round));
        }
    });
    assert!(answered.load(Ordering::SeqCst) > reloads as u64);
    for name in ["tokenring_responses_4xx_total", "tokenring_responses_5xx_total"] {
        assert_eq!(served.process.metric(name), 0, "{name}");
    }
    served.process.comes_to_rest(at_rest);
    (warm, memory())
}

#[test]
fn many_reloads_fail_no_request_and_keep_nothing() {
    let (warm, after) = reload_under_load(200);
    assert!(after < warm + 4096, "{warm} KiB became {after}");
}

#[test]
#[ignore = "takes a minute; its run is kept under perf/runs"]
#[allow(clippy::print_stdout, reason = "the figures are for whoever keeps the run")]
fn a_thousand_reloads_fail_no_request_and_keep_nothing() {
    let (warm, after) = reload_under_load(1000);
    println!("resident: {warm} KiB after 250 reloads, {after} KiB after 1000");
    assert!(after < warm + 4096, "{warm} KiB became {after}");
}

#[test]
fn health_checks_begin_and_end_with_the_file_that_asks_for_them() {
    const ASKING: &str = "health.interval = \"10ms\"\nhealth.unhealthy_after = 1\n";
    let (sick, well) = (mock(), mock());
    sick.set_health(503);
    let served = Served::by(&file(&[&sick, &well], ""), "10ms");
    let says = |name: &str, value: u8| {
        let line = format!("{name}{{backend=\"{}\"}} {value}\n", sick.address());
        served.process.admin().get("/metrics").text().contains(&line)
    };
    let is_left_out = || says("tokenring_backend_unhealthy", 1);
    assert!(!is_left_out());
    served.change(&file(&[&sick, &well], ASKING));
    eventually("it is left out", is_left_out);
    assert!(says("tokenring_backend_healthy", 0));
    // It stays so in the next plan, at another place.
    served.change(&file(&[&well, &sick], ASKING));
    assert!(is_left_out() && says("tokenring_backend_healthy", 0));
    served.change(&file(&[&well, &sick], ""));
    eventually("nobody says so any more", || !is_left_out());
    assert!(!says("tokenring_backend_healthy", 0));
}

#[test]
fn a_limit_that_comes_counts_the_requests_that_are_under_way_already() {
    let mock = mock();
    let served = Served::by(&file(&[&mock], ""), "10ms");
    let mut streams = served.process.client();
    streams.send_post(CHAT, "x-mock-token-gap: 20ms\r\n", streamed(50));
    assert_eq!(streams.head().status, 200);
    served.change(&file(&[&mock], "limits.requests_in_flight = 1\n"));
    let refused = served.process.client().post(CHAT, "", chat(1));
    assert!(refused.status == 503 || refused.status == 429, "{}", refused.status);
    while streams.event().is_some() {}
    eventually("there is room again", || {
        served.process.client().post(CHAT, "", chat(1)).status == 200
    });
}
