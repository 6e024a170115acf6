//! One keep-alive connection and the exchange under way on it.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::client::{Client, Received, Start};
use crate::events::Events;
use crate::response::Response;
use crate::tally::{Fault, Tally};
use crate::transport::{Dialer, Transport};

pub struct Connection {
    transport: Transport,
    exchange: Option<Exchange>,
}

struct Exchange {
    intended: Instant,
    /// Not of the warm-up.
    measured: bool,
    response: Response,
    /// Absent for plain answers.
    events: Option<Events>,
    first_event: Option<Instant>,
    last_event: Option<Instant>,
    largest_gap: Duration,
}

impl Client for Connection {
    const CONNECTS_EARLY: bool = true;

    fn open(dialer: &Dialer, tally: &mut Tally) -> io::Result<Connection> {
        let transport = dialer.open()?;
        transport.socket().set_nonblocking(true)?;
        if let Some(negotiated) = transport.negotiated() {
            tally.negotiated(negotiated);
        }
        Ok(Connection { transport, exchange: None })
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.transport.as_fd()
    }

    /// Whether an answer is awaited.
    fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }

    /// Sends a request. The connection is idle, so its send buffer is empty and
    /// takes a request of this size whole.
    fn start(&mut self, start: Start<'_>, tally: &mut Tally) -> Result<(), Fault> {
        tally.start(start.intended, start.measured, start.now);
        self.exchange = Some(Exchange {
            intended: start.intended,
            measured: start.measured,
            response: Response::default(),
            events: start.sse.then(Events::default),
            first_event: None,
            last_event: None,
            largest_gap: Duration::ZERO,
        });
        match self.transport.write(start.request) {
            Ok(written) if written == start.request.len() => Ok(()),
            Ok(_) => Err(Fault::NotSent),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Fault::NotSent),
            Err(error) => Err(fault_of(&error)),
        }
    }

    /// Reads once; epoll reports again when more is there.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        expect_events: Option<u64>,
        tally: &mut Tally,
    ) -> Result<Received, Fault> {
        let count = match self.transport.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Part),
            Err(error) => return Err(fault_of(&error)),
        };
        let now = crate::now();
        let Some(exchange) = &mut self.exchange else {
            return if count == 0 { Ok(Received::Closed) } else { Err(Fault::Surplus) };
        };
        match buffer.get(..count) {
            None | Some([]) => exchange.response.end_of_stream()?,
            Some(bytes) => exchange.take(bytes, now, tally)?,
        }
        if !exchange.response.is_done() {
            return Ok(Received::Part);
        }
        let closes = exchange.response.closes;
        exchange.finish(expect_events, now, tally)?;
        self.exchange = None;
        Ok(if closes { Received::Closed } else { Received::Whole })
    }
}

/// What a failed socket or session means. Under TLS an end that the server did
/// not announce is a cut, even of a body that ends with the connection.
pub fn fault_of(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::UnexpectedEof => Fault::Cut,
        ErrorKind::InvalidData => Fault::Tls,
        _ => Fault::Reset,
    }
}

impl Exchange {
    fn take(&mut self, bytes: &[u8], now: Instant, tally: &mut Tally) -> Result<(), Fault> {
        let (mut completed, mut body_bytes) = (0, 0);
        let events = &mut self.events;
        let taken = self.response.feed(bytes, |part| {
            body_bytes += part.len() as u64;
            completed += events.as_mut().map_or(0, |events| events.feed(part));
        });
        tally.body_bytes += body_bytes;
        if completed > 0 {
            self.take_events(completed, now, tally);
        }
        taken
    }

    fn take_events(&mut self, completed: u64, now: Instant, tally: &mut Tally) {
        tally.events += completed;
        tally.event_reads += 1;
        let gap = self.last_event.map(|last| now - last);
        self.first_event.get_or_insert(now);
        self.last_event = Some(now);
        if let Some(gap) = gap {
            self.largest_gap = self.largest_gap.max(gap);
        }
        if self.measured {
            tally.gap.record_many(Duration::ZERO, completed - 1);
            if let Some(gap) = gap {
                tally.gap.record(gap);
            }
        }
    }

    /// Judges a whole answer and records it.
    fn finish(&self, expect: Option<u64>, now: Instant, tally: &mut Tally) -> Result<(), Fault> {
        if let Some(events) = &self.events {
            judge(events, expect)?;
        }
        tally.completed += 1;
        if !self.measured {
            return Ok(());
        }
        tally.measured += 1;
        tally.latency.record(now - self.intended);
        if let (Some(events), Some(first), Some(last)) =
            (&self.events, self.first_event, self.last_event)
        {
            tally.first_event.record(first - self.intended);
            tally.largest_gap.record(self.largest_gap);
            if events.count > 1 && last > first {
                tally.pace.push((events.count - 1) as f64 / (last - first).as_secs_f64());
            }
        }
        Ok(())
    }
}

/// A stream that was cut must not look whole, and a whole one must say so.
fn judge(events: &Events, expect: Option<u64>) -> Result<(), Fault> {
    if events.failed {
        return Err(Fault::ErrorEvent);
    }
    if !events.done {
        return Err(Fault::NoEndMark);
    }
    if events.trailing {
        return Err(Fault::Surplus);
    }
    match expect {
        Some(count) if count != events.count => Err(Fault::WrongCount),
        _ => Ok(()),
    }
}
