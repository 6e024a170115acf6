//! A client on plain sockets. It reads no byte more than it is asked for, and
//! tells a whole answer from a cut one.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use super::PATIENCE;

/// A connected socket of either kind.
pub trait Socket: Read + Write + Send {
    fn finish(&self);

    fn wait_at_most(&self, time: Duration);
}

impl Socket for TcpStream {
    fn finish(&self) {
        // The other side may have closed already.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

impl Socket for UnixStream {
    fn finish(&self) {
        // The other side may have closed already.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

pub struct Client {
    pub socket: Box<dyn Socket>,
    /// Received and not yet looked at.
    ahead: Vec<u8>,
    /// Body data freed of its chunks, for `event`.
    decoded: Vec<u8>,
}

/// How an answer's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing promised; the end of the connection for a body that is
    /// framed by it.
    Whole,
    /// The connection ended before.
    Cut,
    /// The connection was reset.
    Reset,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub version: String,
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub end: End,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice in {:?}", self.fields);
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The events of a stream, each without its blank line.
    pub fn events(&self) -> Vec<String> {
        self.text().split_terminator("\n\n").map(str::to_owned).collect()
    }
}

impl Client {
    pub fn of(socket: Box<dyn Socket>) -> Self {
        Self { socket, ahead: Vec::new(), decoded: Vec::new() }
    }

    pub fn tcp(address: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::of(Box::new(socket))
    }

    pub fn unix(path: &Path) -> Self {
        let socket = UnixStream::connect(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::of(Box::new(socket))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a POST of known length; `headers` are lines with their ends.
    pub fn send_post(&mut self, path: &str, headers: &str, body: impl AsRef<[u8]>) {
        self.send_whole("POST", path, headers, body.as_ref());
    }

    fn send_whole(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) {
        let length = body.len();
        let start = format!("{method} {path} HTTP/1.1\r\nhost: p\r\n");
        let head = format!("{start}content-length: {length}\r\n{headers}\r\n");
        self.send([head.as_bytes(), body].concat());
    }

    pub fn post(&mut self, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send_post(path, headers, body);
        self.answer()
    }

    /// A request that may be sent twice, so that it goes on a connection that
    /// was used before.
    pub fn put(&mut self, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send_whole("PUT", path, headers, body.as_ref());
        self.answer()
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: p\r\n\r\n"));
        self.answer()
    }

    /// The next head, interim or final, with an empty body.
    #[track_caller]
    pub fn head(&mut self) -> Answer {
        self.try_head().expect("a head")
    }

    /// The same; `None` when the connection ends before its first byte.
    #[track_caller]
    pub fn try_head(&mut self) -> Option<Answer> {
        let head = match self.until(b"\r\n\r\n") {
            Ok(head) => head,
            Err(error) => {
                end_of(error);
                assert!(self.ahead.is_empty(), "torn: {:?}", String::from_utf8_lossy(&self.ahead));
                return None;
            }
        };
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
        let mut start = lines.next().unwrap().splitn(3, ' ');
        let version = start.next().unwrap().to_owned();
        assert!(version.starts_with("HTTP/1."), "{head}");
        let status = start.next().unwrap().parse().unwrap();
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.to_owned())
        });
        let fields = fields.collect();
        Some(Answer { version, status, fields, body: Vec::new(), end: End::Whole })
    }

    /// The next answer to anything but HEAD, its body freed of its framing.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    #[track_caller]
    pub fn try_answer(&mut self) -> Option<Answer> {
        let mut answer = self.try_head()?;
        while answer.status < 200 {
            answer = self.try_head()?;
        }
        self.body_of(&mut answer);
        Some(answer)
    }

    /// The status of the next answer, which stays to be read, if it begins
    /// within this time.
    pub fn status_within(&mut self, time: Duration) -> Option<u16> {
        self.socket.wait_at_most(time);
        let came = self.at_least("HTTP/1.1 200".len());
        self.socket.wait_at_most(PATIENCE);
        match came {
            Ok(()) => Some(std::str::from_utf8(&self.ahead[9..12]).unwrap().parse().unwrap()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("the connection ended without an answer: {error}"),
        }
    }

    /// Reads the body that a head has announced.
    #[track_caller]
    pub fn body_of(&mut self, answer: &mut Answer) {
        let chunked = answer.field("transfer-encoding") == Some("chunked");
        let length = answer.field("content-length").map(|length| length.parse().unwrap());
        answer.end = match (chunked, length) {
            _ if matches!(answer.status, 204 | 304) => End::Whole,
            (true, None) => self.chunks(&mut answer.body),
            (false, Some(length)) => {
                let ended = self.at_least(length);
                let length = length.min(self.ahead.len());
                answer.body = self.ahead.drain(..length).collect();
                ended.map_or_else(end_of, |()| End::Whole)
            }
            (false, None) => {
                // Not even HTTP/1.1 tells such an end from a cut.
                let ended = self.socket.read_to_end(&mut self.ahead);
                answer.body = std::mem::take(&mut self.ahead);
                ended.map_or_else(end_of, |_| End::Whole)
            }
            (true, Some(_)) => panic!("two framings: {answer:?}"),
        };
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> End {
        loop {
            match self.chunk() {
                Ok(chunk) if chunk.is_empty() => return End::Whole,
                Ok(chunk) => body.extend_from_slice(&chunk),
                Err(error) => return end_of(error),
            }
        }
    }

    /// The data of the next chunk; none of the last.
    fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = String::from_utf8(self.until(b"\r\n")?).unwrap();
        let digits = line.strip_suffix("\r\n").unwrap();
        assert!(digits.bytes().all(|b| b.is_ascii_hexdigit()), "no canonical size: {digits:?}");
        let size = usize::from_str_radix(digits, 16).unwrap();
        self.at_least(size + 2)?;
        let mut chunk: Vec<u8> = self.ahead.drain(..size + 2).collect();
        assert_eq!(chunk.split_off(size), b"\r\n");
        Ok(chunk)
    }

    /// The next event of a chunked stream, without its blank line, as soon as
    /// it has come; `None` at the end of the body.
    #[track_caller]
    pub fn event(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.decoded.windows(2).position(|bytes| bytes == b"\n\n") {
                let mut event: Vec<u8> = self.decoded.drain(..at + 2).collect();
                event.truncate(at);
                return Some(String::from_utf8(event).unwrap());
            }
            let chunk = self.chunk().expect("an event or the end of the body");
            if chunk.is_empty() {
                assert!(self.decoded.is_empty(), "half an event: {:?}", self.decoded);
                return None;
            }
            self.decoded.extend_from_slice(&chunk);
        }
    }

    /// All that comes until the other side closes.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.ahead);
        self.socket.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// The other side has closed, in order, and sent no more.
    #[track_caller]
    pub fn is_closed(&mut self) {
        let rest = self.rest().expect("an orderly end");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    fn until(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(mark.len()).position(|bytes| bytes == mark) {
                return Ok(self.ahead.drain(..at + mark.len()).collect());
            }
            self.more()?;
        }
    }

    fn at_least(&mut self, length: usize) -> io::Result<()> {
        while self.ahead.len() < length {
            self.more()?;
        }
        Ok(())
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        match self.socket.read(&mut piece)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.ahead.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }
}

#[track_caller]
fn end_of(error: io::Error) -> End {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => End::Cut,
        io::ErrorKind::ConnectionReset => End::Reset,
        _ => panic!("neither an answer nor an end: {error}"),
    }
}
