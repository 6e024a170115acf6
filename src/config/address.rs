//! Addresses to listen on and URLs of backends, read from the operator's
//! words. Nothing is resolved here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::error::Fault;
use super::plan::{Address, BackendAddress, BackendPlan, Host};
use crate::tls::ServerName;

/// `sun_path` has 108 bytes, the last is the final zero (unix(7)).
const UNIX_PATH_BYTES_MAX: usize = 107;
/// RFC 1035, section 2.3.4, as text.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// RFC 9110, sections 4.2.1 and 4.2.2.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Reads `host:port`, `[::1]:port` or `unix:/path`.
///
/// `localhost` is 127.0.0.1 (RFC 6761, section 6.3); no other name is taken,
/// as a listener must not depend on a resolver.
pub(super) fn read_listen(written: &str) -> Result<Address, Fault> {
    if let Some(path) = written.strip_prefix("unix:") {
        return read_unix_path(path).map(Address::Unix);
    }
    if let Ok(address) = written.parse::<SocketAddr>() {
        return Ok(Address::Tcp(address));
    }
    let (host, port) = written.rsplit_once(':').ok_or(Fault::ListenMalformed)?;
    let port = read_port(port).ok_or(Fault::ListenMalformed)?;
    match read_name(host) {
        Some(name) if name.eq_ignore_ascii_case("localhost") => {
            Ok(Address::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)))
        }
        Some(name) => Err(Fault::ListenName(name.to_owned())),
        None => Err(Fault::ListenMalformed),
    }
}

/// Before a scheme: each address of the name is meant.
pub(super) const EACH_ADDRESS: &str = "dns+";

/// Reads `http://host[:port][/base]`, the same with `https`, either of them
/// behind `dns+`, or `unix:/path`.
pub(super) fn read_backend(written: &str) -> Result<BackendPlan, Fault> {
    if let Some(path) = written.strip_prefix("unix:") {
        let address = BackendAddress::Unix(read_unix_path(path)?);
        let names = (written.to_owned(), "localhost".to_owned());
        return Ok(BackendPlan::new(names, address));
    }
    let (scheme, rest) = written.split_once("://").ok_or_else(|| match is_runtime(written) {
        true => Fault::BackendRuntime,
        false => Fault::BackendNoScheme,
    })?;
    let (each_address, scheme) = match scheme.get(..EACH_ADDRESS.len()) {
        Some(each) if each.eq_ignore_ascii_case(EACH_ADDRESS) => {
            (true, &scheme[EACH_ADDRESS.len()..])
        }
        _ => (false, scheme),
    };
    let tls = scheme.eq_ignore_ascii_case("https");
    if !tls && !scheme.eq_ignore_ascii_case("http") {
        return Err(Fault::BackendScheme);
    }
    if rest.contains(['?', '#']) {
        return Err(Fault::BackendQuery);
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = read_authority(authority, if tls { HTTPS_PORT } else { HTTP_PORT })?;
    if each_address && matches!(host, Host::Ip(_)) {
        return Err(Fault::BackendNoName);
    }
    let tls_name = if tls { Some(server_name(&host)?) } else { None };
    let base_path = path.trim_end_matches('/');
    if !is_path(base_path) {
        return Err(Fault::BackendPath);
    }
    let names = (format!("{authority}{base_path}"), authority.to_owned());
    let plan = BackendPlan::new(names, BackendAddress::Tcp { host, port });
    Ok(BackendPlan { base_path: base_path.to_owned(), each_address, tls_name, ..plan })
}

/// What the SGLang gateway calls its backends: the engine that runs there.
pub(super) fn is_runtime(written: &str) -> bool {
    const RUNTIMES: [&str; 6] = ["sglang", "vllm", "trtllm", "mlx", "openai", "anthropic"];
    RUNTIMES.contains(&written)
}

/// `authority = host [ ":" port ]` (RFC 3986, section 3.2, without userinfo,
/// which RFC 9110, section 4.2.4 forbids).
fn read_authority(authority: &str, default_port: u16) -> Result<(Host, u16), Fault> {
    if authority.contains('@') {
        return Err(Fault::BackendUser);
    }
    let port_at = match authority.strip_prefix('[') {
        Some(_) => authority.find(']').map(|at| at + 1).ok_or(Fault::BackendHost)?,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(port_at);
    let host = read_host(host).ok_or(Fault::BackendHost)?;
    let port = match port.strip_prefix(':') {
        Some(digits) => read_port(digits).filter(|port| *port != 0).ok_or(Fault::BackendPort)?,
        None if port.is_empty() => default_port,
        None => return Err(Fault::BackendPort),
    };
    Ok((host, port))
}

/// What a certificate must be for.
fn server_name(host: &Host) -> Result<ServerName<'static>, Fault> {
    match host {
        Host::Ip(ip) => Ok(ServerName::from(*ip)),
        Host::Name(name) => read_server_name(name).ok_or(Fault::BackendHostUnverifiable),
    }
}

/// A DNS name or an IP address.
pub(super) fn read_server_name(written: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(written.to_owned()).ok()
}

fn read_host(host: &str) -> Option<Host> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().ok().map(|ip| Host::Ip(ip.into()));
    }
    match host.parse::<Ipv4Addr>() {
        Ok(ip) => Some(Host::Ip(ip.into())),
        Err(_) => read_name(host).map(|name| Host::Name(name.to_owned())),
    }
}

/// A host name (RFC 1123, section 2.1, and `_`, which container networks use).
///
/// A last label of digits only would be an IPv4 address to some resolvers
/// (`010.0.0.1`, `127.1`) and is refused.
fn read_name(host: &str) -> Option<&str> {
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.bytes().all(fits)
    };
    let absolute = host.strip_suffix('.').unwrap_or(host);
    let last = absolute.rsplit('.').next().unwrap_or_default();
    let named = !last.bytes().all(|byte| byte.is_ascii_digit());
    (named && absolute.len() <= NAME_BYTES_MAX && absolute.split('.').all(is_label)).then_some(host)
}

fn read_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// The path is shown in the log, the metrics and a backend's in a header of
/// every answer; nowhere must it break the line (RFC 9110, section 5.5).
fn read_unix_path(path: &str) -> Result<PathBuf, Fault> {
    match path.len() {
        0 => Err(Fault::UnixPathEmpty),
        _ if path.contains(char::is_control) => Err(Fault::UnixPathControl),
        1..=UNIX_PATH_BYTES_MAX => Ok(PathBuf::from(path)),
        bytes => Err(Fault::UnixPathLong(bytes)),
    }
}

/// Bytes that may stand in a request target's path as they are (RFC 3986,
/// section 3.3, read loosely: visible ASCII without the delimiters after it).
pub(super) fn is_path(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
}

/// Whether a request to the backend would come in at the listener again.
pub(super) fn is_same_place(backend: &BackendAddress, listener: &Address) -> bool {
    match (backend, listener) {
        (BackendAddress::Unix(path), Address::Unix(listened)) => path == listened,
        (BackendAddress::Tcp { host, port }, Address::Tcp(listened)) => {
            let loopback = match host {
                Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
                Host::Ip(ip) => ip.is_loopback(),
            };
            let same_ip = *host == Host::Ip(listened.ip());
            let reaches = if listened.ip().is_unspecified() {
                loopback
            } else {
                loopback && matches!(host, Host::Name(_)) && listened.ip().is_loopback()
            };
            *port == listened.port() && (same_ip || reaches)
        }
        _ => false,
    }
}

impl Address {
    /// An address that a second listener cannot share. Port 0 is no such
    /// address: the kernel chooses another one each time.
    pub(super) fn is_fixed(&self) -> bool {
        !matches!(self, Self::Tcp(address) if address.port() == 0)
    }
}

/// As it is written for `--listen`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => show_unix(path, f),
        }
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: Host::Name(name), port } => write!(f, "{name}:{port}"),
            Self::Tcp { host: Host::Ip(IpAddr::V4(ip)), port } => write!(f, "{ip}:{port}"),
            Self::Tcp { host: Host::Ip(IpAddr::V6(ip)), port } => write!(f, "[{ip}]:{port}"),
            Self::Unix(path) => show_unix(path, f),
        }
    }
}

fn show_unix(path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "unix:{}", path.display())
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
