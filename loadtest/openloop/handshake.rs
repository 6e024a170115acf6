//! A client that only wants a handshake: it connects, agrees, and leaves.
//!
//! It has ended well when the server has closed in its turn, which shows that
//! the server too has gone through the handshake to its end.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::client::{Client, Received, Start};
use crate::connection::fault_of;
use crate::tally::{Fault, Tally};
use crate::transport::{Dialer, Secured};

pub struct Handshake {
    secured: Secured,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Connected, and nothing sent.
    New,
    Agreeing {
        intended: Instant,
        measured: bool,
    },
    /// Agreed and said good-bye; tickets may come, then the server's end.
    Leaving {
        measured: bool,
    },
}

impl Client for Handshake {
    const CONNECTS_EARLY: bool = false;

    fn open(dialer: &Dialer, _tally: &mut Tally) -> io::Result<Handshake> {
        Ok(Handshake { secured: dialer.begin()?, state: State::New })
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.secured.socket().as_fd()
    }

    fn is_busy(&self) -> bool {
        !matches!(self.state, State::New)
    }

    fn start(&mut self, start: Start<'_>, tally: &mut Tally) -> Result<(), Fault> {
        tally.start(start.intended, start.measured, start.now);
        self.state = State::Agreeing { intended: start.intended, measured: start.measured };
        self.secured.flush().map_err(|error| fault_of(&error))
    }

    fn receive(
        &mut self,
        buffer: &mut [u8],
        _expect_events: Option<u64>,
        tally: &mut Tally,
    ) -> Result<Received, Fault> {
        if let State::Agreeing { intended, measured } = self.state {
            self.agree(intended, measured, tally)?;
        }
        match self.state {
            State::New | State::Agreeing { .. } => Ok(Received::Part),
            State::Leaving { measured } => self.leave(measured, buffer, tally),
        }
    }
}

impl Handshake {
    fn agree(&mut self, intended: Instant, measured: bool, tally: &mut Tally) -> Result<(), Fault> {
        match self.secured.take_records() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            other => other.map_err(|error| fault_of(&error))?,
        }
        if self.secured.is_handshaking() {
            return Ok(());
        }
        if measured {
            tally.latency.record(crate::now() - intended);
        }
        tally.negotiated(self.secured.negotiated());
        self.secured.close().map_err(|error| fault_of(&error))?;
        self.state = State::Leaving { measured };
        Ok(())
    }

    fn leave(
        &mut self,
        measured: bool,
        buffer: &mut [u8],
        tally: &mut Tally,
    ) -> Result<Received, Fault> {
        match self.secured.read(buffer) {
            Ok(0) => {}
            Ok(_) => return Err(Fault::Surplus),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Ok(Received::Part),
                // Both sides have agreed; some servers leave without a word.
                ErrorKind::UnexpectedEof => {}
                _ => return Err(fault_of(&error)),
            },
        }
        tally.completed += 1;
        tally.measured += u64::from(measured);
        Ok(Received::Closed)
    }
}
