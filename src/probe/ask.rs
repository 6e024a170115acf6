//! One question to one backend, on a connection of its own, with one deadline
//! for all of it.
//!
//! The connection is not kept: a probe is to find out whether a backend takes
//! new ones, and a few a minute cost nothing.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use super::{
    ProbeFault,
    reading::{HEAD_BYTES_MAX, Reading, Wanted},
};
use crate::{
    base::Instant,
    http::write,
    rt::{ConnectAddress, Stream, TAIL_ROOM, World},
};

/// Addresses of one name that are tried; as many as for a request.
const ADDRESSES_MAX: usize = 4;

/// Whom to ask what.
pub struct Question<'q, S> {
    pub addresses: &'q [ConnectAddress],
    pub security: &'q S,
    pub request: Vec<u8>,
    pub wanted: Wanted,
    /// When the answer must have come.
    pub until: Instant,
}

/// The request for a page. `accept` is what it should be in.
pub fn request(path: &[&str], host_header: &str, accept: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write::request_line(&mut out, b"GET", path.concat().as_bytes());
    write::field(&mut out, b"host", host_header.as_bytes());
    write::field(&mut out, b"user-agent", b"tokenring-probe");
    write::field(&mut out, b"accept", accept.as_bytes());
    write::field(&mut out, b"connection", b"close");
    write::end_of_head(&mut out);
    out
}

/// Asks, and returns the status of the answer; its body goes to `sink`.
///
/// To be awaited to its end, as it owns operations.
pub async fn ask<W: World>(
    world: &W,
    question: Question<'_, W::Security>,
    sink: impl FnMut(&[u8]),
) -> Result<u16, ProbeFault> {
    let stream = connect(world, &question).await?;
    let mut alarm = pin!(world.sleep_until(question.until));
    let mut work = pin!(converse(&stream, question.request, question.wanted, sink));
    let mut is_late = false;
    poll_fn(|cx| {
        if !is_late && alarm.as_mut().poll(cx).is_ready() {
            is_late = true;
            // What is under way ends by it.
            stream.shutdown();
        }
        let said = work.as_mut().poll(cx);
        said.map(|said| if is_late { Err(ProbeFault::TimedOut) } else { said })
    })
    .await
}

/// Tries each address in turn, in an even share of the time that is left.
async fn connect<W: World>(
    world: &W,
    question: &Question<'_, W::Security>,
) -> Result<W::Stream, ProbeFault> {
    let mut fault = ProbeFault::NoAddress;
    let mut left = question.addresses.len().min(ADDRESSES_MAX) as u32;
    for address in question.addresses.iter().take(ADDRESSES_MAX) {
        let now = world.now();
        let until = now.after(question.until.since(now) / left);
        left -= 1;
        match before(world, until, reach(world, address, question.security)).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(reason)) => fault = reason,
            None => fault = ProbeFault::TimedOut,
        }
    }
    Err(fault)
}

/// Owns polls only.
async fn reach<W: World>(
    world: &W,
    address: &ConnectAddress,
    security: &W::Security,
) -> Result<W::Stream, ProbeFault> {
    let stream = world.connect(address, security).await;
    let stream = stream.map_err(|error| ProbeFault::Unreachable(error.to_string()))?;
    if stream.is_secure() {
        let known = stream.establish().await;
        known.map_err(|error| ProbeFault::Handshake(error.to_string()))?;
    }
    Ok(stream)
}

/// What comes of `work`, which may be dropped, if it comes in time.
async fn before<T>(world: &impl World, until: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut alarm = pin!(world.sleep_until(until));
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
    })
    .await
}

async fn converse<S: Stream>(
    stream: &S,
    request: Vec<u8>,
    wanted: Wanted,
    mut sink: impl FnMut(&[u8]),
) -> Result<u16, ProbeFault> {
    let broken = |error: std::io::Error| ProbeFault::Broken(error.to_string());
    let mut request = request;
    let (mut sent, whole) = (0, request.len());
    while sent < whole {
        let result;
        (result, request) = stream.send(request, sent..whole).await;
        sent += result.map_err(broken)?;
    }
    let mut reading = Reading::new(wanted);
    let mut received = Vec::with_capacity(HEAD_BYTES_MAX + TAIL_ROOM);
    loop {
        let result;
        (result, received) = stream.recv(received).await;
        if result.map_err(broken)? == 0 {
            return reading.close().map(|()| reading.status());
        }
        if reading.take(&mut received, &mut sink)? {
            return Ok(reading.status());
        }
    }
}
