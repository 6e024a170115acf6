//! The built binary as a process: its addresses, memory, descriptors, signals.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use tokenring::config::DriverChoice;

use super::{Client, PATIENCE, driver, eventually, tls::authority::Leaf, url};

const OPEN: &str = "tokenring_connections_open";
/// Descriptors that a process opens once, when it first needs them.
const OWN_FILES: usize = 3;
/// What is zero when nobody is there.
const GAUGES: [&str; 6] = [
    OPEN,
    "tokenring_handshakes_under_way",
    "tokenring_requests_in_flight",
    "tokenring_request_body_bytes_held",
    "tokenring_event_bytes_held",
    "tokenring_backend_connections_busy",
];

pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// Where it speaks TLS.
    tls: Option<SocketAddr>,
    /// All that it has said so far.
    said: Arc<Mutex<Vec<String>>>,
    admin: tempfile::TempDir,
}

impl Process {
    /// `tokenring serve` with one shard on a free port and the admin's pages
    /// on a Unix socket, before `backends`.
    pub fn serve(backends: &[SocketAddr], more: &[&str]) -> Self {
        let backends: Vec<_> = backends.iter().copied().map(url).collect();
        let tokenring = Command::new(env!("CARGO_BIN_EXE_tokenring"));
        Self::serve_by(tokenring, &backends, more)
    }

    /// The same with a second listener, for TLS, and backends by their URLs.
    pub fn serve_tls(leaf: &Leaf, backends: &[String], more: &[&str]) -> Self {
        let pair = leaf.flags();
        let mut flags = vec!["--tls-listen", "127.0.0.1:0"];
        flags.extend(pair.iter().map(String::as_str));
        flags.extend(more);
        let tokenring = Command::new(env!("CARGO_BIN_EXE_tokenring"));
        Self::serve_by(tokenring, backends, &flags)
    }

    /// The same with a plain listener alone.
    pub fn serve_urls(backends: &[String], more: &[&str]) -> Self {
        Self::serve_by(Command::new(env!("CARGO_BIN_EXE_tokenring")), backends, more)
    }

    /// The same, in a process that a shell prepares: its words run first.
    /// `command` starts the shell.
    pub fn serve_after(command: &[&str], words: &str, backends: &[String], more: &[&str]) -> Self {
        let mut shell = Command::new(command[0]);
        shell.args(&command[1..]).args(["-ec", &format!("{words}\nexec \"$0\" \"$@\"")]);
        shell.arg(env!("CARGO_BIN_EXE_tokenring"));
        Self::serve_by(shell, backends, more)
    }

    fn serve_by(mut command: Command, backends: &[String], more: &[&str]) -> Self {
        let admin = tempfile::tempdir().unwrap();
        command.args(["serve", "--listen", "127.0.0.1:0", "--cores", "0", "--no-pin"]);
        command.args(["--driver", driver_word(), "--admin"]);
        command.arg(format!("unix:{}", socket_in(admin.path())));
        for backend in backends {
            command.args(["--backend", backend]);
        }
        command.args(more).env_remove("TOKENRING_LOG").stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (bound, bounds) = mpsc::channel();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let addresses = line.split_once(" listens on ").map(|(_, after)| listeners(after));
                heard.lock().unwrap().push(line);
                if let Some(addresses) = addresses {
                    // Only the first such line is waited for.
                    let _ = bound.send(addresses);
                }
            }
        });
        let addresses = bounds.recv_timeout(PATIENCE);
        let addresses = addresses.unwrap_or_else(|_| panic!("not up: {:?}", said.lock().unwrap()));
        Self { child, address: addresses[0], tls: addresses.get(1).copied(), said, admin }
    }

    pub fn client(&self) -> Client {
        Client::tcp(self.address)
    }

    pub fn tls_address(&self) -> SocketAddr {
        self.tls.expect("a listener for TLS")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Open descriptors once it has served, with one connection to the admin's
    /// pages among them.
    pub fn descriptors_at_rest(&self) -> usize {
        assert_eq!(self.client().get("/health").status, 200);
        let mut admin = self.admin();
        eventually("only we are there", || metric(&mut admin, OPEN) == 1);
        self.descriptors()
    }

    /// Nobody is there, and nothing of those who were is left: no request, no
    /// byte, no panic, and no descriptors but those there were `at rest`.
    #[track_caller]
    pub fn comes_to_rest(&self, descriptors: usize) {
        let mut admin = self.admin();
        let mut left = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            left.clear();
            for gauge in GAUGES {
                left.push((gauge, metric(&mut admin, gauge)));
            }
            // The connection to the admin's pages is there.
            left.retain(|(name, value)| *value != u64::from(*name == OPEN));
            let open = self.descriptors();
            if left.is_empty() && open <= descriptors + OWN_FILES {
                break;
            }
            assert!(Instant::now() < deadline, "left: {left:?}, {open} of {descriptors} files");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(metric(&mut admin, "tokenring_panics_total"), 0, "{}", self.said());
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// One figure of the metrics page.
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        metric(&mut self.admin(), name)
    }

    /// A connection to the admin's pages.
    pub fn admin(&self) -> Client {
        Client::unix(Path::new(&socket_in(self.admin.path())))
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// A line of `/proc/PID/status`, in KiB.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &id]).status();
        assert!(sent.unwrap().success(), "SIG{name} to {id}");
    }

    /// Stops it until it is sent SIGCONT.
    #[track_caller]
    pub fn stands_still(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.child.id());
        eventually("no thread of it runs", || {
            std::fs::read_dir(&tasks).unwrap().all(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
                // The state stands behind the name, which is in brackets.
                stat.is_ok_and(|stat| {
                    stat.rsplit_once(") ").is_some_and(|(_, s)| s.starts_with('T'))
                })
            })
        });
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    #[track_caller]
    pub fn exit(&mut self) -> ExitStatus {
        eventually("the process ends", || self.child.try_wait().unwrap().is_some());
        self.child.try_wait().unwrap().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait(); // as above
    }
}

/// One figure of the metrics page, asked for on a connection to the admin's
/// pages.
#[track_caller]
pub fn metric(admin: &mut Client, name: &str) -> u64 {
    let page = admin.get("/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{page}")).parse().unwrap()
}

/// The addresses of the line that a process says at its start, in its order:
/// plain listeners, then those for TLS.
fn listeners(line: &str) -> Vec<SocketAddr> {
    let list = line.split(';').next().unwrap_or_default();
    let words = list.split(", ").map(|item| item.split(' ').next().unwrap_or_default());
    words.map(|word| word.trim_start_matches("https://").parse().unwrap()).collect()
}

pub fn driver_word() -> &'static str {
    match driver() {
        DriverChoice::Auto => "auto",
        DriverChoice::Uring => "uring",
        DriverChoice::Epoll => "epoll",
    }
}

fn socket_in(folder: &Path) -> String {
    folder.join("admin.sock").display().to_string()
}
