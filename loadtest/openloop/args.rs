//! Words from the operator: the command line, the target, the request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{ArgGroup, Parser, ValueEnum};
use rustls::pki_types::ServerName;

use crate::schedule::Arrivals;

const PLAIN_BODY: &[u8] = include_bytes!("../chat.json");
const STREAM_BODY: &[u8] = include_bytes!("../chat-stream.json");

/// Loads an HTTP/1.1 server on loopback and measures from intended send times.
#[derive(Parser)]
#[command(name = "openloop", group = ArgGroup::new("mode").required(true))]
pub struct Args {
    /// Where to send: http://127.0.0.1:PORT/path or https://…, loopback only.
    #[arg(long)]
    pub url: String,

    /// Open loop: requests per second, whether or not answers come.
    #[arg(long, group = "mode")]
    rate: Option<f64>,
    /// Closed loop: this many requests are kept under way all the time.
    #[arg(long, group = "mode")]
    streams: Option<usize>,
    /// Open this many connections, one request each, and hold them idle.
    #[arg(long, group = "mode")]
    idle: Option<usize>,
    /// Read every answer at no more than this many bytes a second.
    #[arg(long, group = "mode", value_name = "BYTES")]
    slow_reader: Option<u64>,

    /// Ask for streamed answers and judge their events.
    #[arg(long)]
    pub sse: bool,
    /// Data events that every whole stream must hold, without the end mark.
    #[arg(long, value_name = "N")]
    pub expect_events: Option<u64>,
    /// Connections of the open loop and of slow readers.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5.0)]
    duration: f64,
    /// Seconds of load before that, counted but not measured.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Seconds to wait at the end for answers under way.
    #[arg(long, default_value_t = 10.0)]
    drain: f64,
    /// How intended send times are spread.
    #[arg(long, value_enum, default_value = "constant")]
    pub arrivals: Arrivals,
    /// Seed of Poisson arrivals: the same seed, the same send times.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Closed loop: spread the first requests over this many milliseconds, so
    /// that the streams do not tick together.
    #[arg(long, default_value_t = 0.0, value_name = "MS")]
    stagger: f64,
    /// Run on this core alone.
    #[arg(long)]
    pub core: Option<usize>,
    /// Only TLS handshakes: each client connects, agrees and leaves.
    #[arg(long)]
    pub handshakes: bool,
    /// Resume sessions; without it, every handshake is a full one.
    #[arg(long)]
    pub resume: bool,
    /// The one version that is offered.
    #[arg(long, value_enum, default_value = "1.3")]
    pub tls_version: TlsVersion,
    /// The authority (PEM) that must have signed the server's certificate.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Take any certificate and signature unseen, which spares the generator.
    #[arg(long, conflicts_with = "ca")]
    danger_no_verify: bool,
    /// The name that is asked for and verified.
    #[arg(long, default_value = "localhost")]
    server_name: String,
    /// A further header line, "Name: value".
    #[arg(long, value_name = "LINE")]
    header: Vec<String>,
    /// Send this file instead of the built-in 1 kB chat request.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Write raw figures to this file, or to standard output with "-".
    #[arg(long, value_name = "FILE")]
    pub json: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TlsVersion {
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

/// Whose certificates are taken.
pub enum Trust<'a> {
    Authority(&'a Path),
    Anyone,
}

pub enum Mode {
    Open { rate: f64 },
    Closed { streams: usize },
    Idle { connections: usize },
    Slow { bytes_per_second: u64 },
}

impl Args {
    pub fn mode(&self) -> anyhow::Result<Mode> {
        Ok(match (self.rate, self.streams, self.idle, self.slow_reader) {
            (Some(rate), ..) if rate > 0.0 && rate.is_finite() => Mode::Open { rate },
            (_, Some(streams), ..) if streams > 0 => Mode::Closed { streams },
            (_, _, Some(connections), _) if connections > 0 => Mode::Idle { connections },
            (.., Some(bytes)) if bytes >= 10 => Mode::Slow { bytes_per_second: bytes },
            _ => bail!("the rate or number given must be above zero (slow readers: ten)"),
        })
    }

    pub fn trust(&self) -> anyhow::Result<Trust<'_>> {
        match (&self.ca, self.danger_no_verify) {
            (Some(file), _) => Ok(Trust::Authority(file)),
            (None, true) => Ok(Trust::Anyone),
            (None, false) => bail!("https needs --ca FILE, or --danger-no-verify"),
        }
    }

    pub fn server_name(&self) -> anyhow::Result<ServerName<'static>> {
        Ok(ServerName::try_from(self.server_name.clone())?)
    }

    pub fn duration(&self) -> Duration {
        seconds(self.duration)
    }

    pub fn warm_up(&self) -> Duration {
        seconds(self.warm_up)
    }

    pub fn drain(&self) -> Duration {
        seconds(self.drain)
    }

    pub fn stagger(&self) -> Duration {
        seconds(self.stagger / 1e3)
    }

    pub fn total(&self) -> Duration {
        self.warm_up() + self.duration()
    }

    /// The bytes of every request.
    pub fn request(&self, target: &Target) -> anyhow::Result<Vec<u8>> {
        let body = match &self.body {
            Some(path) => std::fs::read(path).with_context(|| format!("{}", path.display()))?,
            None if self.sse => STREAM_BODY.to_vec(),
            None => PLAIN_BODY.to_vec(),
        };
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            target.path,
            target.address,
            body.len()
        );
        for line in &self.header {
            ensure!(line.contains(':') && !line.contains(['\r', '\n']), "not a header: {line:?}");
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(&body);
        Ok(request)
    }
}

/// An operator's negative or absent number of seconds is none at all.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::ZERO)
}

#[derive(Debug, PartialEq)]
pub struct Target {
    pub secure: bool,
    pub address: SocketAddr,
    pub path: String,
}

impl Target {
    pub fn parse(url: &str) -> anyhow::Result<Target> {
        let (secure, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => bail!("the URL must begin with http:// or https://"),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        ensure!(path.bytes().all(|byte| byte.is_ascii_graphic()), "the path has blanks: {path:?}");
        let address = match authority.strip_prefix("localhost:") {
            Some(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse()?),
            None => authority
                .parse()
                .with_context(|| format!("{authority:?} is not an address and a port"))?,
        };
        ensure!(
            address.ip().is_loopback(),
            "openloop sends to loopback addresses only, and {} is not one",
            address.ip()
        );
        Ok(Target { secure, address, path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<(&str, &str)>) {
        let target = Target::parse(url).ok();
        let expected = expected.map(|(address, path)| Target {
            secure: url.starts_with("https"),
            address: address.parse().unwrap(),
            path: path.to_owned(),
        });
        assert_eq!(target, expected, "{url}");
    }

    #[test]
    fn takes_loopback_addresses_only() {
        check("http://127.0.0.1:80/v1/x", Some(("127.0.0.1:80", "/v1/x")));
        check("http://127.9.9.9:80", Some(("127.9.9.9:80", "/")));
        check("http://localhost:8080/", Some(("127.0.0.1:8080", "/")));
        check("http://[::1]:8080/", Some(("[::1]:8080", "/")));
        check("http://10.0.0.1:80/", None);
        check("http://0.0.0.0:80/", None);
        check("http://[2001:db8::1]:80/", None);
        check("http://example.org:80/", None);
        check("http://localhost.example.org:80/", None);
        check("https://127.0.0.1:80/v1/x", Some(("127.0.0.1:80", "/v1/x")));
        check("https://10.0.0.1:80/", None);
        check("ftp://127.0.0.1:80/", None);
        check("http://127.0.0.1/", None);
        check("http://127.0.0.1:80/a b", None);
    }
}
