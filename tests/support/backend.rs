//! A backend that does exactly what a test scripts, on plain sockets.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::PATIENCE;

/// Runs its script once for each connection, each on a thread of its own.
/// Dropping it closes the listener; connections end with their scripts.
pub struct Backend {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// One connection of the proxy's.
pub struct Conn {
    pub socket: TcpStream,
    /// Which connection of this backend it is, from 0.
    pub index: usize,
    ahead: Vec<u8>,
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

impl Backend {
    pub fn start(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub fn on(listener: TcpListener, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (connections, stopped) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, told) = (Arc::clone(&connections), Arc::clone(&stopped));
        let script = Arc::new(script);
        let acceptor = std::thread::spawn(move || {
            for socket in listener.incoming() {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let socket = socket.unwrap();
                socket.set_nodelay(true).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                socket.set_write_timeout(Some(PATIENCE)).unwrap();
                let index = counted.fetch_add(1, Ordering::SeqCst);
                let script = Arc::clone(&script);
                std::thread::spawn(move || script(&mut Conn { socket, index, ahead: Vec::new() }));
            }
        });
        Self { address, connections, stopped, acceptor: Some(acceptor) }
    }

    /// Runs its script for one connection; from then on nobody listens there.
    pub fn once(script: impl FnOnce(&mut Conn) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            drop(listener);
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            script(&mut Conn { socket, index: 0, ahead: Vec::new() });
        });
        address
    }

    /// Answers every request with these bytes and keeps the connection.
    pub fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |conn| {
            while conn.request().is_some() {
                if conn.socket.write_all(&answer).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers one request on each connection with these bytes, then closes.
    pub fn saying_once(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |conn| {
            if conn.request().is_some() {
                // The proxy may have heard enough.
                let _ = conn.socket.write_all(&answer);
                conn.close();
            }
        })
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor; when it is gone already, all the better.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            // A panic in it has been printed.
            let _ = acceptor.join();
        }
    }
}

/// Where nobody listens: a port that was free a moment ago.
pub fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A listener whose queue is full answers no SYN.
pub struct Deaf {
    pub address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

pub fn deaf() -> Deaf {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(waiting) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        queue.push(waiting);
    }
    Deaf { address, _listener: listener, _queue: queue }
}

impl Conn {
    /// The next request with its body; `None` when the proxy has closed.
    pub fn request(&mut self) -> Option<Request> {
        let mut request = self.head()?;
        let length = request.all("content-length").first().map_or(0, |v| v.parse().unwrap());
        assert!(request.all("transfer-encoding").is_empty(), "{request:?}");
        while self.ahead.len() < length {
            if !self.more() {
                return None;
            }
        }
        request.body = self.ahead.drain(..length).collect();
        Some(request)
    }

    /// The next head alone.
    pub fn head(&mut self) -> Option<Request> {
        let end = loop {
            if let Some(at) = self.ahead.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more() {
                return None;
            }
        };
        let head = String::from_utf8(self.ahead.drain(..end).collect()).unwrap();
        let mut lines = head.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        Some(Request { line, fields: fields.collect(), body: Vec::new() })
    }

    /// Reads so many bytes of a body and forgets them; false at the end.
    pub fn skip(&mut self, mut bytes: usize) -> bool {
        loop {
            let known = bytes.min(self.ahead.len());
            self.ahead.drain(..known);
            bytes -= known;
            if bytes == 0 {
                return true;
            }
            if !self.more() {
                return false;
            }
        }
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).is_ok()
    }

    /// Waits until the proxy ends the connection.
    pub fn until_closed(&mut self) {
        while self.more() {
            self.ahead.clear();
        }
    }

    pub fn close(&mut self) {
        // The proxy may have closed first.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn more(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        match self.socket.read(&mut piece) {
            Ok(0) => false,
            Ok(read) => {
                self.ahead.extend_from_slice(&piece[..read]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("the proxy neither sent nor closed")
            }
            Err(_) => false,
        }
    }
}
