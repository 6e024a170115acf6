//! Connections that cost memory: idle ones, and readers that take their time.
//!
//! Whoever measures waits for the line that begins with `holding`, and looks at
//! the server's memory before and after.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::args::Args;
use crate::epoll::Epoll;
use crate::report;
use crate::response::Response;
use crate::transport::{Dialer, Transport};

/// A server that says nothing for this long has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Slow readers read at this interval.
const TICK: Duration = Duration::from_millis(100);
/// The kernel's buffer of a slow reader is small, so that it is the server that
/// feels the slowness.
const SLOW_RECEIVE_BUFFER_BYTES: usize = 8 * 1024;

/// One request on each connection, then silence until the duration is over.
pub fn idle(
    args: &Args,
    dialer: &Dialer,
    request: &[u8],
    connections: usize,
) -> anyhow::Result<bool> {
    let mut held = Vec::with_capacity(connections);
    for number in 1..=connections {
        let socket = one_exchange(dialer, request).with_context(|| {
            format!("connection {number} of {connections} (is `ulimit -n` above that?)")
        })?;
        held.push(socket);
    }
    announce(connections)?;
    let closed = watch(args.duration(), held)?;
    let json = json!({ "connections": connections, "closed_by_server": closed });
    report::write(args, &json, || format!("{connections} held, {closed} closed by the server\n"))?;
    Ok(closed == 0)
}

fn one_exchange(dialer: &Dialer, request: &[u8]) -> anyhow::Result<Transport> {
    let mut transport = dialer.open()?;
    transport.socket().set_read_timeout(Some(ANSWER_TIMEOUT))?;
    transport.write_all(request)?;
    let mut response = Response::default();
    let mut buffer = [0; 4096];
    while !response.is_done() {
        let count = transport.read(&mut buffer)?;
        if count == 0 {
            bail!("the server closed instead of answering");
        }
        response
            .feed(buffer.get(..count).unwrap_or_default(), |_| {})
            .map_err(|fault| anyhow::anyhow!("a bad answer: {fault:?}"))?;
    }
    if response.closes {
        bail!("the server does not keep connections alive");
    }
    Ok(transport)
}

/// How many of the connections the server closed meanwhile.
fn watch(duration: Duration, connections: Vec<Transport>) -> anyhow::Result<usize> {
    let mut epoll = Epoll::new()?;
    for (place, connection) in connections.iter().enumerate() {
        epoll.add(connection.as_fd(), place)?;
    }
    let mut connections: Vec<_> = connections.into_iter().map(Some).collect();
    let end = crate::now() + duration;
    let (mut closed, mut tokens) = (0, Vec::new());
    loop {
        let left = end.saturating_duration_since(crate::now());
        if left.is_zero() {
            return Ok(closed);
        }
        epoll.wait(left, &mut tokens)?;
        for place in &tokens {
            // Nothing was asked, so whatever came is the end, or as bad.
            if connections.get_mut(*place).and_then(Option::take).is_some() {
                closed += 1;
            }
        }
    }
}

/// Reads answers at a fixed rate until the duration is over.
pub fn slow_readers(
    args: &Args,
    dialer: &Dialer,
    request: &[u8],
    bytes_per_second: u64,
) -> anyhow::Result<bool> {
    let mut readers = Vec::with_capacity(args.connections);
    for _ in 0..args.connections {
        readers.push(slow_reader(dialer, request)?);
    }
    announce(readers.len())?;
    let bytes_per_tick = usize::try_from(bytes_per_second / 10)?;
    let mut buffer = vec![0; bytes_per_tick];
    let mut epoll = Epoll::new()?; // empty: a clock that waits
    let end = crate::now() + args.duration();
    let (mut bytes_read, mut ended) = (0_u64, 0);
    while crate::now() < end {
        epoll.wait(TICK, &mut Vec::new())?;
        readers.retain_mut(|socket| match socket.read(&mut buffer) {
            Ok(count) => {
                bytes_read += count as u64;
                ended += usize::from(count == 0);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Err(_) => {
                ended += 1;
                false
            }
        });
    }
    let json = json!({ "bytes_read": bytes_read, "ended_by_server": ended });
    report::write(args, &json, || format!("{bytes_read} bytes read, {ended} ended\n"))?;
    Ok(true)
}

fn slow_reader(dialer: &Dialer, request: &[u8]) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(dialer.address), Type::STREAM, None)?;
    // Before connecting, as the window is agreed upon then.
    socket.set_recv_buffer_size(SLOW_RECEIVE_BUFFER_BYTES)?;
    socket.set_tcp_nodelay(true)?;
    socket.connect_timeout(&dialer.address.into(), ANSWER_TIMEOUT)?;
    let mut socket = TcpStream::from(socket);
    socket.write_all(request)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Written to standard error, as standard output may carry the JSON.
fn announce(connections: usize) -> io::Result<()> {
    writeln!(io::stderr(), "holding {connections} connections")
}
