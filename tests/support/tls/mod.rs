//! TLS as others speak it: an authority made for the run, clients on rustls,
//! and beneath them peers that send any record whatever (`forge`) or stop in
//! the middle of one (`steps`).

pub mod authority;
pub mod forge;
pub mod steps;

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::ServerName,
    version::{TLS12, TLS13},
};

use super::{Client, PATIENCE, client::Socket};
use authority::{Authority, Leaf};

pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Trusts this authority and speaks this version; its sessions are kept for
/// resumption, and its secrets may be taken out for forging.
pub fn client_config(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    own: Option<&Leaf>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        Some(leaf) => config.with_client_auth_cert(leaf.chain(), leaf.private_key()).unwrap(),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.enable_secret_extraction = true;
    config
}

/// A backend's side.
pub fn server_config(leaf: &Leaf, version: &'static SupportedProtocolVersion) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(leaf.chain(), leaf.private_key())
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.enable_secret_extraction = true;
    config
}

pub fn connection(config: &Arc<ClientConfig>, name: &str) -> ClientConnection {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    ClientConnection::new(Arc::clone(config), name).unwrap()
}

pub fn tcp(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A connection after its handshake. An end without `close_notify` reads as an
/// error, so whoever asks for an orderly end has checked for one.
pub struct TlsSocket(pub StreamOwned<ClientConnection, TcpStream>);

impl TlsSocket {
    /// # Errors
    /// What ended the handshake.
    pub fn connect(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<Self> {
        let mut stream = StreamOwned::new(connection(config, name), tcp(address));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    pub fn handshake(&self) -> HandshakeKind {
        self.0.conn.handshake_kind().unwrap()
    }

    /// The certificate that the server has shown.
    pub fn shown(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub fn client(self) -> Client {
        Client::of(Box::new(self))
    }

    /// A request, and the status of its answer, which is read whole.
    #[track_caller]
    pub fn get(&mut self) -> u16 {
        self.write_all(GET).unwrap();
        let mut answer = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let read = self.read(&mut piece).unwrap();
            assert_ne!(read, 0, "an answer");
            answer.extend_from_slice(&piece[..read]);
            if let Some(status) = whole_answer(&answer) {
                return status;
            }
        }
    }
}

/// A request that any of our listeners answers by itself.
pub const GET: &[u8] = b"GET /health HTTP/1.1\r\nhost: p\r\n\r\n";

/// The status of an answer of known length that has come whole.
pub fn whole_answer(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let is_whole = body.len() >= length.expect("a length").parse::<usize>().unwrap();
    is_whole.then(|| head["http/1.1 ".len()..][..3].parse().unwrap())
}

impl Read for TlsSocket {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.read(to)
    }
}

impl Write for TlsSocket {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Socket for TlsSocket {
    fn finish(&self) {
        // The other side may have closed already.
        let _ = self.0.sock.shutdown(Shutdown::Write);
    }

    fn wait_at_most(&self, time: Duration) {
        self.0.sock.set_read_timeout(Some(time)).unwrap();
    }
}

/// A backend's connection after the handshake that it has answered.
///
/// # Errors
/// What ended the handshake.
pub fn accept(
    socket: TcpStream,
    config: &Arc<ServerConfig>,
) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}
