//! Listening sockets. A shard waits for readiness with a poll, which may be
//! dropped, and accepts with a plain system call, which cannot lose a socket.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, Type};

use super::{
    Accepted, Listen,
    world::{count_operation, on_epoll},
};

/// Connections that wait in the kernel to be accepted.
const BACKLOG: i32 = 4096;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    Ip(IpAddr),
    /// A Unix socket: a process of this machine.
    Local,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // An IPv4 client of a dual-stack socket is shown as what it is.
            Self::Ip(ip) => ip.to_canonical().fmt(f),
            Self::Local => f.write_str("unix"),
        }
    }
}

/// An accepted socket, not yet any shard's.
#[derive(Debug)]
pub struct Socket {
    pub(super) fd: OwnedFd,
    peer: Peer,
}

/// One shard's listening socket.
pub struct Listener {
    poll: monoio::net::TcpListener,
    socket: RawSocket,
}

/// Binds `address` with `SO_REUSEPORT`, so that each shard has its own queue.
///
/// # Errors
/// The kernel's refusal: a port in use, an address that is not ours.
pub fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let domain = Domain::for_address(address);
    let socket = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it: answers leave as they are written.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Finds out whether `address` is free, as `SO_REUSEPORT` would let us share
/// it with another process of the same user without a word.
///
/// # Errors
/// The kernel's refusal.
pub fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(address))
}

impl Listener {
    /// Binds a Unix socket. A socket file that nobody listens on is removed
    /// first, any other file is not touched.
    ///
    /// # Errors
    /// The kernel's refusal, or `AddrInUse` when somebody listens there.
    pub fn bind_unix(path: &Path) -> io::Result<OwnedFd> {
        use std::os::unix::{fs::FileTypeExt, net::UnixStream};
        if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
            match UnixStream::connect(path) {
                Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
                Err(_) => std::fs::remove_file(path)?,
            }
        }
        let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }

    /// Makes a bound socket this shard's listener.
    ///
    /// # Errors
    /// When the driver cannot register it.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let polled = std::net::TcpListener::from(fd.try_clone()?);
        let poll = monoio::net::TcpListener::from_std(polled)?;
        Ok(Self { poll, socket: RawSocket::from(fd) })
    }

    /// Where it listens, as the kernel tells it (port 0 was a request).
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_address(fd: &impl AsFd) -> io::Result<Option<SocketAddr>> {
        Ok(SockRef::from(fd).local_addr()?.as_socket())
    }
}

impl Listen for Listener {
    type Socket = Socket;

    async fn readable(&self) -> io::Result<()> {
        count_operation();
        self.poll.readable(false).await
    }

    /// `EMFILE` and its like leave the connection waiting.
    fn accept(&self) -> io::Result<Option<Socket>> {
        loop {
            match self.socket.accept() {
                Ok((socket, address)) => {
                    let peer = address.as_socket().map_or(Peer::Local, |ip| Peer::Ip(ip.ip()));
                    return Ok(Some(Socket { fd: socket.into(), peer }));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    // The peer left while it waited (accept(2)): the next one.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

impl Accepted for Socket {
    fn peer(&self) -> Peer {
        self.peer
    }

    fn refuse(self, answer: &[u8]) {
        let socket = SockRef::from(&self.fd);
        // Whoever comes when there is no room is told if that costs nothing; if
        // any of it fails, the close that follows says it less well.
        let told = socket.set_nonblocking(true).and_then(|()| socket.send(answer));
        if told.is_ok() {
            let _ = socket.shutdown(std::net::Shutdown::Write); // as above
        }
    }
}

/// Prepares a socket for the driver that will use it: see
/// [`super::KernelStream`].
pub(super) fn set_blocking_for_driver(fd: &impl AsFd) -> io::Result<()> {
    SockRef::from(fd).set_nonblocking(on_epoll())
}
