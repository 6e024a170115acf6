//! The loop: start what is due, receive what came, until all is over.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::args::Args;
use crate::client::{Client, Received, Start};
use crate::connection::Connection;
use crate::epoll::Epoll;
use crate::handshake::Handshake;
use crate::report;
use crate::schedule::Schedule;
use crate::tally::{Fault, Tally};
use crate::transport::Dialer;

const READ_BYTES: usize = 64 * 1024;
/// When a closed-loop request failed at once, the next one waits this long.
const RETRY: Duration = Duration::from_millis(1);

/// Sends at intended times, whatever the server does.
pub fn open(
    args: &Args,
    dialer: &Dialer,
    request: &[u8],
    schedule: Schedule,
) -> anyhow::Result<bool> {
    match args.handshakes {
        true => open_by::<Handshake>(args, dialer, request, schedule),
        false => open_by::<Connection>(args, dialer, request, schedule),
    }
}

fn open_by<C: Client>(
    args: &Args,
    dialer: &Dialer,
    request: &[u8],
    schedule: Schedule,
) -> anyhow::Result<bool> {
    let mut run = Run::<C>::new(args, dialer, request, args.connections, false)?;
    run.drive(schedule)?;
    report::print(args, &run.tally, run.seconds())
}

/// Keeps a number of requests under way: each that ends is followed by the
/// next one at once.
pub fn closed(
    args: &Args,
    dialer: &Dialer,
    request: &[u8],
    streams: usize,
) -> anyhow::Result<bool> {
    match args.handshakes {
        true => closed_by::<Handshake>(args, dialer, request, streams),
        false => closed_by::<Connection>(args, dialer, request, streams),
    }
}

fn closed_by<C: Client>(
    args: &Args,
    dialer: &Dialer,
    request: &[u8],
    streams: usize,
) -> anyhow::Result<bool> {
    let mut run = Run::<C>::new(args, dialer, request, streams, true)?;
    let step = args.stagger() / u32::try_from(streams).context("too many streams")?;
    run.drive((0..streams).map(|stream| step * u32::try_from(stream).unwrap_or(u32::MAX)))?;
    report::print(args, &run.tally, run.seconds())
}

struct Run<'a, C> {
    args: &'a Args,
    dialer: &'a Dialer,
    request: &'a [u8],
    /// Whether a finished request is followed by another on its connection.
    again: bool,
    epoll: Epoll,
    /// A place is empty while its connection waits to be opened again.
    connections: Vec<Option<C>>,
    /// Places without an exchange; the one that rested longest is first.
    free: VecDeque<usize>,
    tally: Tally,
    started: Instant,
    ended: Instant,
    buffer: Vec<u8>,
}

impl<'a, C: Client> Run<'a, C> {
    fn new(
        args: &'a Args,
        dialer: &'a Dialer,
        request: &'a [u8],
        connections: usize,
        again: bool,
    ) -> anyhow::Result<Run<'a, C>> {
        anyhow::ensure!(connections > 0, "at least one connection is needed");
        let now = crate::now();
        let mut run = Run {
            args,
            dialer,
            request,
            again,
            epoll: Epoll::new()?,
            connections: (0..connections).map(|_| None).collect(),
            free: (0..connections).collect(),
            tally: Tally::new()?,
            started: now,
            ended: now,
            buffer: vec![0; READ_BYTES],
        };
        if C::CONNECTS_EARLY {
            for place in 0..connections {
                run.connect(place)?;
            }
        }
        run.started = crate::now();
        Ok(run)
    }

    fn seconds(&self) -> f64 {
        (self.ended - self.started).as_secs_f64()
    }

    fn drive(&mut self, schedule: impl Iterator<Item = Duration>) -> anyhow::Result<()> {
        let mut schedule = schedule.peekable();
        let deadline = self.started + self.args.total() + self.args.drain();
        let mut tokens = Vec::new();
        loop {
            self.start_due(&mut schedule)?;
            let now = crate::now();
            let all_sent = schedule.peek().is_none() && !self.refills(now);
            if all_sent && self.free.len() == self.connections.len() || now >= deadline {
                self.finish(now, schedule.count());
                return Ok(());
            }
            let wait = self.until_next(&mut schedule, deadline, now);
            self.epoll.wait(wait, &mut tokens)?;
            for place in &tokens {
                self.receive(*place);
            }
        }
    }

    /// Whether a free place gets the next request at once.
    fn refills(&self, now: Instant) -> bool {
        self.again && now < self.started + self.args.total()
    }

    /// A request that finds no free connection waits, and its wait counts.
    fn start_due(
        &mut self,
        schedule: &mut Peekable<impl Iterator<Item = Duration>>,
    ) -> anyhow::Result<()> {
        // A request that fails at once frees its place again: that is for the
        // next turn.
        for _ in 0..self.free.len() {
            let now = crate::now();
            let intended = match schedule.peek() {
                Some(offset) if self.started + *offset <= now => self.started + *offset,
                None if self.refills(now) => now,
                _ => break,
            };
            schedule.next();
            if let Some(place) = self.free.pop_front() {
                self.start(place, intended, now)?;
            }
        }
        Ok(())
    }

    fn until_next(
        &self,
        schedule: &mut Peekable<impl Iterator<Item = Duration>>,
        deadline: Instant,
        now: Instant,
    ) -> Duration {
        if self.free.is_empty() {
            return deadline.saturating_duration_since(now);
        }
        match schedule.peek() {
            Some(offset) => (self.started + *offset).saturating_duration_since(now),
            None if self.refills(now) => RETRY,
            None => deadline.saturating_duration_since(now),
        }
    }

    fn connect(&mut self, place: usize) -> anyhow::Result<()> {
        let connection = C::open(self.dialer, &mut self.tally)
            .with_context(|| format!("cannot connect to {}", self.dialer.address))?;
        self.epoll.add(connection.socket(), place)?;
        if let Some(slot) = self.connections.get_mut(place) {
            *slot = Some(connection);
        }
        Ok(())
    }

    fn start(&mut self, place: usize, intended: Instant, now: Instant) -> anyhow::Result<()> {
        if self.connections.get(place).is_some_and(Option::is_none) {
            self.connect(place)?;
        }
        let start = Start {
            request: self.request,
            intended,
            now,
            measured: intended >= self.started + self.args.warm_up(),
            sse: self.args.sse,
        };
        if let Some(Some(connection)) = self.connections.get_mut(place)
            && let Err(fault) = connection.start(start, &mut self.tally)
        {
            self.tally.fault(fault);
            self.close(place);
            self.free.push_back(place);
        }
        Ok(())
    }

    fn receive(&mut self, place: usize) {
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        let was_busy = connection.is_busy();
        match connection.receive(&mut self.buffer, self.args.expect_events, &mut self.tally) {
            Ok(Received::Part) => return,
            Ok(Received::Whole) => {}
            Ok(Received::Closed) => {
                self.tally.reopened += 1;
                self.close(place);
            }
            Err(fault) => {
                self.tally.fault(fault);
                self.close(place);
            }
        }
        if was_busy {
            self.free.push_back(place);
        }
    }

    fn close(&mut self, place: usize) {
        if let Some(slot) = self.connections.get_mut(place) {
            *slot = None;
        }
    }

    /// Requests under way, and those never sent for want of a connection.
    fn finish(&mut self, now: Instant, unsent: usize) {
        self.ended = now;
        let busy = self.connections.iter().flatten().filter(|one| one.is_busy()).count();
        for _ in 0..busy + unsent {
            self.tally.fault(Fault::Unfinished);
        }
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tls_tests;
