//! Which driver runs a shard: the ladder from the best ring down to epoll.

use std::{fmt, future::Future, io};

use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder, time::TimeDriver};

use super::world::set_on_epoll;

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// The best that this kernel and container allow.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    Epoll,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverInForce {
    /// Completions are worked off when the shard asks (kernel 6.1): fewest
    /// interruptions, best figures (`runtime.md`).
    UringDeferTaskrun,
    /// Completions wait for the next system call (kernel 6.0).
    UringCoopTaskrun,
    /// Plain flags: older kernels. Slower than a good epoll proxy.
    UringPlain,
    Epoll,
}

impl fmt::Display for DriverInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UringDeferTaskrun => "io_uring (SINGLE_ISSUER, DEFER_TASKRUN)",
            Self::UringCoopTaskrun => "io_uring (SINGLE_ISSUER, COOP_TASKRUN)",
            Self::UringPlain => "io_uring (plain flags)",
            Self::Epoll => "epoll",
        })
    }
}

/// A shard's event loop. Built and run on the shard's own thread, which
/// SINGLE_ISSUER demands.
pub enum Runtime {
    Uring(monoio::Runtime<TimeDriver<IoUringDriver>>),
    Epoll(monoio::Runtime<TimeDriver<LegacyDriver>>),
}

impl Runtime {
    /// Runs `main` and whatever it spawns until `main` is done.
    pub fn block_on<F: Future>(&mut self, main: F) -> F::Output {
        match self {
            Self::Uring(runtime) => runtime.block_on(main),
            Self::Epoll(runtime) => runtime.block_on(main),
        }
    }
}

/// Climbs down the ladder until a rung holds. `entries` sizes the submission
/// queue; the completion queue is four times as long.
///
/// # Errors
/// The last rung's refusal, or at once one that no other rung would mend (no
/// descriptors, no memory).
pub fn build(choice: DriverChoice, entries: u32) -> io::Result<(Runtime, DriverInForce)> {
    let rungs: &[DriverInForce] = match choice {
        DriverChoice::Auto => &[
            DriverInForce::UringDeferTaskrun,
            DriverInForce::UringCoopTaskrun,
            DriverInForce::UringPlain,
            DriverInForce::Epoll,
        ],
        DriverChoice::Uring => &[
            DriverInForce::UringDeferTaskrun,
            DriverInForce::UringCoopTaskrun,
            DriverInForce::UringPlain,
        ],
        DriverChoice::Epoll => &[DriverInForce::Epoll],
    };
    let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
    for &rung in rungs {
        match build_rung(rung, entries) {
            Ok(runtime) => {
                set_on_epoll(rung == DriverInForce::Epoll);
                return Ok((runtime, rung));
            }
            Err(error) if is_exhaustion(&error) => return Err(error),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

fn build_rung(rung: DriverInForce, entries: u32) -> io::Result<Runtime> {
    let mut ring = io_uring::IoUring::builder();
    ring.setup_cqsize(entries.saturating_mul(4)).setup_clamp();
    match rung {
        DriverInForce::UringDeferTaskrun => {
            ring.setup_single_issuer().setup_defer_taskrun();
        }
        DriverInForce::UringCoopTaskrun => {
            ring.setup_single_issuer().setup_coop_taskrun();
        }
        DriverInForce::UringPlain => {}
        DriverInForce::Epoll => {
            let builder = RuntimeBuilder::<LegacyDriver>::new().with_entries(entries);
            return Ok(Runtime::Epoll(builder.enable_timer().build()?));
        }
    }
    let builder = RuntimeBuilder::<IoUringDriver>::new().uring_builder(ring).with_entries(entries);
    Ok(Runtime::Uring(builder.enable_timer().build()?))
}

/// Whether this process or this machine has run out of something, whatever it
/// was asked for: a rung further down would meet the same want, and a backend
/// is not to blame. `ENOMEM` is also how kernels before 5.12 tell that
/// RLIMIT_MEMLOCK is too small for a ring.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    let wants = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
    error.raw_os_error().is_some_and(|code| wants.contains(&code))
}
