//! The line a process says of itself once it listens.

use crate::base::units::Size;

use super::cores::CoreList;
use super::named::{BACKEND_CA, NO_VERIFY, Named};
use super::plan::{BackendPlan, Plan};
use crate::tls::Verification;

/// What runs, where and within which limits, in one line; with the demo a
/// second line shows a request to try.
///
/// `driver_in_force` says what was really obtained, with its ring flags;
/// `bound` holds the addresses as bound, written as for `--listen`: those of the
/// plan's plain listeners, then those that speak TLS; and that of the admin's
/// pages, whose port the kernel may have chosen as well.
#[must_use]
pub fn startup_line(
    plan: &Plan,
    driver_in_force: &str,
    version: &str,
    (bound, admin): (&[String], Option<&str>),
) -> String {
    let line = format!(
        "tokenring {version} listens on {}; {}{driver_in_force}; {}; {}; {}",
        listeners(plan, bound),
        admin.map(|address| format!("admin at {address}; ")).unwrap_or_default(),
        cores(plan),
        backends(plan),
        limits(plan),
    );
    match (&plan.demo, bound.first()) {
        (Some(_), Some(address)) => {
            let curl = curl(address, plan.listeners.is_empty());
            format!("{line}\ntry, in another terminal: {curl}")
        }
        _ => line,
    }
}

/// What weakens this process, one sentence each: said at every start, however
/// often it was said before.
#[must_use]
pub fn danger_lines(plan: &Plan) -> Vec<String> {
    let is_unverified = (0..plan.backends.len()).any(|place| is_unverified(plan, place));
    let [switch, authority] = [NO_VERIFY, Named::only(BACKEND_CA.id)].map(|n| plan.given.write(n));
    let unverified = format!(
        "DANGER: {switch}: whoever sits on the way to such a backend can read and change all that \
         is sent; give {authority} instead"
    );
    is_unverified.then_some(unverified).into_iter().collect()
}

/// The backend at this place is https, and may be anybody.
fn is_unverified(plan: &Plan, place: usize) -> bool {
    let tls = plan.tls.backends.get(place).and_then(Option::as_ref);
    tls.is_some_and(|tls| tls.verification == Verification::None)
}

fn listeners(plan: &Plan, bound: &[String]) -> String {
    let (plain, tls) = bound.split_at(plan.listeners.len().min(bound.len()));
    let tls = tls.iter().map(|address| format!("{address} (TLS)"));
    plain.iter().cloned().chain(tls).collect::<Vec<_>>().join(", ")
}

fn cores(plan: &Plan) -> String {
    let noun = if plan.cores.len() == 1 { "core" } else { "cores" };
    let bound = if plan.pin { "pinned" } else { "not pinned" };
    format!("{noun} {}, {bound}", CoreList(plan.cores.clone()))
}

fn backends(plan: &Plan) -> String {
    let shown = |(place, backend): (usize, &BackendPlan)| {
        let how = match backend.tls_name {
            Some(_) if is_unverified(plan, place) => " (https, NOT VERIFIED)",
            Some(_) => " (https)",
            None => "",
        };
        let each = if backend.each_address { " (each address)" } else { "" };
        format!("{}{how}{each}", backend.name)
    };
    let shown: Vec<_> = plan.backends.iter().enumerate().map(shown).collect();
    let file = plan.backends_file.as_ref();
    let file = file.map(|file| format!(", as {} says", file.display())).unwrap_or_default();
    format!("backends {}{file}", shown.join(", "))
}

fn limits(plan: &Plan) -> String {
    let limits = &plan.limits;
    format!(
        "at most {} connections, heads of {}, bodies of {} and {} in all",
        limits.connections,
        Size(limits.head_bytes),
        Size(limits.body_bytes),
        Size(limits.body_memory_total),
    )
}

/// A request that can be pasted into a shell. With TLS it takes any certificate,
/// as the one of the listener need not be for this address.
fn curl(address: &str, tls: bool) -> String {
    let scheme = if tls { "-k https" } else { "http" };
    let (socket, host) = match address.strip_prefix("unix:") {
        Some(path) => (format!("--unix-socket '{path}' "), "localhost".to_owned()),
        None => (String::new(), reachable(address)),
    };
    format!(
        "curl -N {socket}{scheme}://{host}{} -H 'content-type: application/json' -d \
         '{{\"model\":\"demo\",\"stream\":true,\
         \"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'",
        Plan::PROXY_PATH
    )
}

/// A client cannot ask "every interface".
fn reachable(address: &str) -> String {
    if let Some(port) = address.strip_prefix("0.0.0.0:") {
        format!("127.0.0.1:{port}")
    } else if let Some(port) = address.strip_prefix("[::]:") {
        format!("[::1]:{port}")
    } else {
        address.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Machine, Written, check};

    fn plan(change: impl FnOnce(&mut Written)) -> Plan {
        let mut written = Written::default();
        change(&mut written);
        let machine = Machine { allowed_cores: vec![0, 1, 2], open_files: Some(20_000) };
        check(&written, &machine).unwrap()
    }

    #[track_caller]
    fn check_line(change: impl FnOnce(&mut Written), bound: &[&str], expected: &str) {
        let bound: Vec<_> = bound.iter().map(|&address| address.to_owned()).collect();
        assert_eq!(
            startup_line(&plan(change), "io_uring (COOP_TASKRUN)", "1.2.3", (&bound, None)),
            expected
        );
    }

    #[test]
    fn says_what_runs_in_one_line() {
        check_line(
            |written| {
                written.listen.push("unix:/run/t.sock".into());
                written.backends = vec!["http://a:1".into(), "http://b:2/x".into()];
            },
            &["127.0.0.1:8080", "unix:/run/t.sock"],
            "tokenring 1.2.3 listens on 127.0.0.1:8080, unix:/run/t.sock; \
             io_uring (COOP_TASKRUN); cores 0-2, pinned; \
             backends a:1, b:2/x; \
             at most 9176 connections, heads of 32KiB, bodies of 32MiB and 1GiB in all",
        );
    }

    #[test]
    fn says_what_was_changed() {
        check_line(
            |written| {
                written.backends = vec!["http://a:1".into()];
                written.cores = "1".into();
                written.pin = false;
                written.connections = Some(7);
                written.limits.body_bytes = 1000;
            },
            &["[::1]:1"],
            "tokenring 1.2.3 listens on [::1]:1; io_uring (COOP_TASKRUN); \
             core 1, not pinned; backends a:1; \
             at most 7 connections, heads of 32KiB, bodies of 1kB and 1GiB in all",
        );
    }

    #[test]
    fn says_where_the_admins_pages_are() {
        let plan = plan(|written| {
            written.backends = vec!["http://a:1".into()];
            written.admin = Some("127.0.0.1:0".into());
        });
        let bound = ["127.0.0.1:1".to_owned()];
        let said = startup_line(&plan, "epoll", "1.2.3", (&bound, Some("127.0.0.1:2")));
        let begins = "tokenring 1.2.3 listens on 127.0.0.1:1; admin at 127.0.0.1:2; epoll; ";
        assert!(said.starts_with(begins), "{said}");
    }

    #[test]
    fn says_who_speaks_tls_and_who_is_not_verified() {
        let unverified = |written: &mut Written| {
            written.backends = vec!["http://a:1".into(), "https://b".into()];
            written.tls.backend.verification = Verification::None;
            written.listen = vec!["127.0.0.1:1".into()];
            written.tls.listen = vec!["127.0.0.1:2".into(), "unix:/a".into()];
            written.tls.certificates = vec!["c".into()];
            written.tls.keys = vec!["k".into()];
        };
        check_line(
            unverified,
            &["127.0.0.1:1", "127.0.0.1:2", "unix:/a"],
            "tokenring 1.2.3 listens on 127.0.0.1:1, 127.0.0.1:2 (TLS), unix:/a (TLS); \
             io_uring (COOP_TASKRUN); cores 0-2, pinned; \
             backends a:1, b (https, NOT VERIFIED); \
             at most 9176 connections, heads of 32KiB, bodies of 32MiB and 1GiB in all",
        );
        let [danger] = &danger_lines(&plan(unverified))[..] else { panic!("one danger") };
        assert!(danger.starts_with("DANGER: --danger-backend-no-verify: "), "{danger}");
    }

    #[test]
    fn says_nothing_of_danger_when_https_is_verified() {
        let verified = |written: &mut Written| written.backends = vec!["https://b".into()];
        assert_eq!(danger_lines(&plan(verified)), [""; 0]);
        let line = startup_line(&plan(verified), "epoll", "1.2.3", (&["127.0.0.1:1".into()], None));
        assert!(line.contains("; backends b (https); "), "{line}");
    }

    #[test]
    fn the_demo_shows_a_request_by_tls_when_there_is_nothing_else() {
        let plan = plan(|written| {
            written.demo = true;
            written.tls.listen = vec!["127.0.0.1:2".into()];
            written.tls.certificates = vec!["c".into()];
            written.tls.keys = vec!["k".into()];
        });
        let said = startup_line(&plan, "epoll", "1.2.3", (&["127.0.0.1:2".to_owned()], None));
        assert!(said.contains("listens on 127.0.0.1:2 (TLS); "), "{said}");
        assert!(said.contains(": curl -N -k https://127.0.0.1:2/v1/"), "{said}");
    }

    #[track_caller]
    fn check_curl(bound: &str, expected: &str) {
        let plan = plan(|written| written.demo = true);
        let said = startup_line(&plan, "epoll", "1.2.3", (&[bound.to_owned()], None));
        let (_, curl) = said.split_once("\ntry, in another terminal: ").unwrap();
        assert!(curl.starts_with(expected), "{curl}");
    }

    #[test]
    fn the_demo_shows_a_request_that_reaches_it() {
        check_curl("127.0.0.1:4711", "curl -N http://127.0.0.1:4711/v1/chat/completions -H ");
        check_curl("0.0.0.0:4711", "curl -N http://127.0.0.1:4711/v1/");
        check_curl("[::]:4711", "curl -N http://[::1]:4711/v1/");
        check_curl("unix:/a b", "curl -N --unix-socket '/a b' http://localhost/v1/");
    }
}
