//! A plain client for the mock's tests: reads what it must and no more.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use tokenring::{
    config::{Address, DriverChoice, MockPlan, MockScript},
    mock::{self, MockHandle},
};

/// A mock that answers at once.
pub fn start() -> MockHandle {
    start_with(|_| ())
}

pub fn start_with(change: impl FnOnce(&mut MockScript)) -> MockHandle {
    start_at(Address::Tcp(([127, 0, 0, 1], 0).into()), change)
}

/// One that reads prompts one after another.
pub fn start_engine(per_token: Duration) -> MockHandle {
    start_on(vec![0], Address::Tcp(([127, 0, 0, 1], 0).into()), |script| {
        script.prefill.per_token = per_token;
    })
}

pub fn start_at(listen: Address, change: impl FnOnce(&mut MockScript)) -> MockHandle {
    start_on(vec![0, 1], listen, change)
}

fn start_on(
    cores: Vec<usize>,
    listen: Address,
    change: impl FnOnce(&mut MockScript),
) -> MockHandle {
    let driver = match std::env::var("TOKENRING_TEST_DRIVER").as_deref() {
        Ok("uring") => DriverChoice::Uring,
        Ok("epoll") => DriverChoice::Epoll,
        _ => DriverChoice::Auto,
    };
    let mut script =
        MockScript { first_token: Duration::ZERO, token_gap: Duration::ZERO, ..MockScript::new() };
    change(&mut script);
    mock::start(MockPlan { listen, cores, pin: false, driver, script }).unwrap()
}

pub struct Client {
    pub socket: TcpStream,
    /// Received and not yet looked at.
    ahead: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub fn connect(mock: &MockHandle) -> Self {
        let socket = TcpStream::connect(mock.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket, ahead: Vec::new() }
    }

    pub fn post(&mut self, path: &str, headers: &str, body: &str) -> Answer {
        self.post_bytes(path, headers, body.as_bytes())
    }

    pub fn post_bytes(&mut self, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.send(path, headers, body);
        self.answer()
    }

    pub fn send_post(&mut self, path: &str, headers: &str, body: &str) {
        self.send(path, headers, body.as_bytes());
    }

    fn send(&mut self, path: &str, headers: &str, body: &[u8]) {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: m\r\ncontent-length: {length}\r\n{headers}\r\n");
        self.socket.write_all(&[head.as_bytes(), body].concat()).unwrap();
    }

    /// The next head: status and fields.
    pub fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let head = String::from_utf8(self.until(b"\r\n\r\n")).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines.filter_map(|line| line.split_once(": "));
        (status, fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The next answer, its body freed of its framing.
    pub fn answer(&mut self) -> Answer {
        let (status, fields) = self.head();
        let mut answer = Answer { status, fields, body: Vec::new() };
        if answer.field("transfer-encoding") == Some("chunked") {
            loop {
                let line = String::from_utf8(self.until(b"\r\n")).unwrap();
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                let chunk = self.exactly(size + 2);
                assert!(chunk.ends_with(b"\r\n"));
                if size == 0 {
                    return answer;
                }
                answer.body.extend_from_slice(&chunk[..size]);
            }
        }
        answer.body = match answer.field("content-length") {
            Some(length) => self.exactly(length.parse().unwrap()),
            None => {
                assert_eq!(answer.field("connection"), Some("close"));
                self.rest().unwrap().into_bytes()
            }
        };
        answer
    }

    /// All that comes until the mock closes.
    pub fn rest(&mut self) -> io::Result<String> {
        let mut rest = std::mem::take(&mut self.ahead);
        self.socket.read_to_end(&mut rest)?;
        Ok(String::from_utf8(rest).unwrap())
    }

    fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.ahead.windows(mark.len()).position(|bytes| bytes == mark) {
                return self.ahead.drain(..at + mark.len()).collect();
            }
            self.more();
        }
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.ahead.len() < length {
            self.more();
        }
        self.ahead.drain(..length).collect()
    }

    fn more(&mut self) {
        let mut piece = [0; 16 * 1024];
        let read = self.socket.read(&mut piece).unwrap();
        assert!(read > 0, "the mock closed; so far: {:?}", String::from_utf8_lossy(&self.ahead));
        self.ahead.extend_from_slice(&piece[..read]);
    }
}

/// A chat request for so many tokens.
pub fn chat(tokens: u32) -> String {
    format!(r#"{{"model":"m","max_tokens":{tokens},"messages":[]}}"#)
}

/// Whether the mock falls silent without closing.
pub fn stalled(client: &mut Client) -> bool {
    client.socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut piece = [0; 4096];
    loop {
        match client.socket.read(&mut piece) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// Lets time pass in which nothing must happen.
pub fn pass(time: Duration) {
    std::thread::sleep(time);
}

pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_so() {
        assert!(Instant::now() < deadline, "in five seconds not so: {what}");
        pass(Duration::from_millis(2));
    }
}

/// What this process holds in memory now.
pub fn kib_of_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
