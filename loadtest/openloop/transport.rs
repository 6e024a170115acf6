//! The bytes of one connection: in clear, or under TLS.
//!
//! TLS is rustls' session over the same socket. It reads once for each report
//! of epoll, as in clear, so that events for each read mean the same.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// A server that does not finish a connection for this long has failed.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Where to connect, and how.
pub struct Dialer {
    pub address: SocketAddr,
    pub tls: Option<Tls>,
}

pub struct Tls {
    pub config: Arc<ClientConfig>,
    /// Asked for (SNI), and verified.
    pub name: ServerName<'static>,
}

impl Dialer {
    /// A connection that takes a request, so after the handshake. Blocking.
    pub fn open(&self) -> io::Result<Transport> {
        let socket = self.connect()?;
        match &self.tls {
            None => Ok(Transport::Plain(socket)),
            Some(tls) => {
                socket.set_read_timeout(Some(OPEN_TIMEOUT))?;
                let mut secured = Secured::new(socket, tls)?;
                secured.flush()?;
                while secured.is_handshaking() {
                    secured.take_records()?;
                }
                secured.socket.set_read_timeout(None)?;
                Ok(Transport::Tls(Box::new(secured)))
            }
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpStream::connect_timeout(&self.address, OPEN_TIMEOUT)?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    /// A connection without a handshake yet, which does not block from here on.
    pub fn begin(&self) -> io::Result<Secured> {
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("the URL is not https"))?;
        let socket = self.connect()?;
        socket.set_nonblocking(true)?;
        Secured::new(socket, tls)
    }
}

pub enum Transport {
    Plain(TcpStream),
    Tls(Box<Secured>),
}

impl Transport {
    pub fn socket(&self) -> &TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(secured) => &secured.socket,
        }
    }

    /// Protocol, cipher suite, group and kind of the handshake; none in clear.
    pub fn negotiated(&self) -> Option<String> {
        match self {
            Transport::Plain(_) => None,
            Transport::Tls(secured) => Some(secured.negotiated()),
        }
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(buffer),
            Transport::Tls(secured) => secured.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write(bytes),
            Transport::Tls(secured) => {
                secured.session.writer().write_all(bytes)?;
                secured.flush()?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // every write goes out at once
    }
}

pub struct Secured {
    socket: TcpStream,
    session: ClientConnection,
}

impl Secured {
    fn new(socket: TcpStream, tls: &Tls) -> io::Result<Secured> {
        let session = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone())
            .map_err(io::Error::other)?;
        Ok(Secured { socket, session })
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    pub fn negotiated(&self) -> String {
        let session = &self.session;
        let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
        let group = session.negotiated_key_exchange_group().map(|group| group.name());
        let words = [
            session.protocol_version().map(|version| format!("{version:?}")),
            suite.map(|suite| format!("{suite:?}")),
            group.map(|group| format!("{group:?}")),
            session.handshake_kind().map(|kind| format!("{kind:?}")),
        ];
        words.map(|word| word.unwrap_or_else(|| "-".to_owned())).join(" ")
    }

    /// Sends the records that wait. They are few and small, so an idle
    /// connection's send buffer takes them whole.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Reads once and goes on with the handshake, or makes plain bytes of what
    /// came. An end without `close_notify` is an end in the middle.
    pub fn take_records(&mut self) -> io::Result<()> {
        if self.session.read_tls(&mut self.socket)? == 0 && self.is_handshaking() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let processed = self.session.process_new_packets();
        // Also the alert that says why it was not to our liking.
        let flushed = self.flush();
        processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        flushed
    }

    /// As a socket reads: 0 is the end that the server announced.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.take_records()?,
                other => return other,
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn close(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.flush()?;
        self.socket.shutdown(Shutdown::Write)
    }
}
