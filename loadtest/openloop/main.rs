//! openloop: a load generator that keeps its own clock.
//!
//! In open-loop mode every request has an *intended* send time, fixed before
//! the run, and its latency counts from that time. A server that stalls is
//! therefore charged for every request that should have been sent meanwhile;
//! a closed-loop generator such as wrk stops asking and hides the stall.
//!
//! It is one thread over epoll and uses none of the product's code, neither
//! its HTTP nor its runtime, so that a fault of ours cannot excuse itself; TLS
//! is rustls, as in the product. It sends to loopback addresses only.
//!
//! ```text
//! args       words from the operator
//! schedule   when requests are meant to be sent
//! run        the loop: start what is due, receive what came
//! client     what the loop asks of a client
//! connection one keep-alive connection and the exchange under way on it
//! handshake  a client that only wants a handshake
//! transport  the bytes of one connection: in clear, or under TLS
//! trust      how the generator is a TLS client
//! sessions   what it may resume
//! response   HTTP/1.1 answers, byte by byte (pure)
//! events     server-sent events in them (pure)
//! tally      histograms and counts
//! report     the table and the JSON
//! hold       idle connections and slow readers, for memory measurements
//! epoll      the three system calls that std lacks
//! ```

mod args;
mod client;
mod connection;
mod epoll;
mod events;
mod handshake;
mod hold;
mod report;
mod response;
mod run;
mod schedule;
mod sessions;
mod tally;
mod transport;
mod trust;

use std::process::ExitCode;
use std::time::Instant;

use args::{Args, Mode};
use clap::Parser;
use transport::{Dialer, Tls};

/// The one place that reads the clock.
#[expect(clippy::disallowed_methods, reason = "the generator is a world of its own")]
fn now() -> Instant {
    Instant::now()
}

fn main() -> ExitCode {
    match perform(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1), // requests went wrong; the report says which
        Err(error) => {
            report::complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Whether every request went well.
fn perform(args: &Args) -> anyhow::Result<bool> {
    let target = args::Target::parse(&args.url)?;
    if let Some(core) = args.core {
        pin(core)?;
    }
    epoll::exact_timers()?;
    let request = args.request(&target)?;
    let dialer = dialer(args, &target)?;
    match args.mode()? {
        Mode::Open { rate } => {
            let schedule = schedule::Schedule::new(rate, args.arrivals, args.seed, args.total());
            run::open(args, &dialer, &request, schedule)
        }
        Mode::Closed { streams } => run::closed(args, &dialer, &request, streams),
        Mode::Idle { connections } => hold::idle(args, &dialer, &request, connections),
        Mode::Slow { bytes_per_second } => {
            hold::slow_readers(args, &dialer, &request, bytes_per_second)
        }
    }
}

fn dialer(args: &Args, target: &args::Target) -> anyhow::Result<Dialer> {
    let tls = match target.secure {
        true => Some(Tls { config: trust::client_config(args)?, name: args.server_name()? }),
        false => None,
    };
    Ok(Dialer { address: target.address, tls })
}

fn pin(core: usize) -> anyhow::Result<()> {
    let pinned = core_affinity::set_for_current(core_affinity::CoreId { id: core });
    anyhow::ensure!(pinned, "cannot run on core {core}: this process may not use it");
    Ok(())
}
