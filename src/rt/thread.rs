//! Threads are started here, each with a name.

use std::{io, thread};

/// Starts a named thread (names are cut to 15 bytes by the kernel).
///
/// # Errors
/// The kernel's refusal, when a limit on threads or memory is reached.
pub fn spawn_thread<T: Send + 'static>(
    name: impl Into<String>,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<thread::JoinHandle<T>> {
    thread::Builder::new().name(name.into()).spawn(body)
}
