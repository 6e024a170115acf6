//! Signals, taken on a thread of their own.

use std::io;

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::spawn_thread;

/// What an operator tells a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: finish what is under way, then end.
    Stop,
    /// SIGHUP.
    Reload,
}

/// Calls `act` for every signal, on a thread of its own.
///
/// # Errors
/// The kernel's refusal to register the handlers or start the thread.
pub fn on_signals(mut act: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    spawn_thread("tr-signals", move || {
        for signal in signals.forever() {
            act(if signal == SIGHUP { Signal::Reload } else { Signal::Stop });
        }
    })?;
    Ok(())
}
