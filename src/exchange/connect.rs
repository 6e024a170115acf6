//! Verb five, when no connection is idle: one is made, and proven to lead to
//! the backend where that is asked for.

use std::{cell::Cell, io};

use super::{
    Stage,
    ask::AttemptFault,
    watch::{Interrupt, Wait, Watch},
};
use crate::{
    balance::BackendId,
    llm::Trouble,
    rt::{ConnectAddress, Established, Stream, World, is_exhaustion},
    tls::{SessionFault, SessionFaultKind},
};

/// Addresses of one name that are tried for one request.
pub const ADDRESSES_MAX: usize = 4;

/// Tries each address of the backend in turn, within one connect deadline
/// each, TLS handshake included.
pub async fn connect<W: World>(
    stage: &Stage<W>,
    watch: &Watch,
    backend: BackendId,
) -> Result<W::Stream, AttemptFault> {
    let mut trouble = Trouble::BackendUnreachable;
    let addresses = stage.addresses.borrow().get(backend.0).cloned().unwrap_or_default();
    for address in addresses.iter().take(ADDRESSES_MAX) {
        watch.wait_for(stage, Wait::Connect);
        let shakes = Cell::new(false);
        let reaching = reach(stage, backend, address, &shakes);
        trouble = match watch.unless_interrupted(reaching).await {
            Ok(Ok(stream)) => {
                stage.counters.backend_connects.increment();
                return Ok(stream);
            }
            Ok(Err(trouble)) => trouble,
            Err(Interrupt::Deadline(Wait::Connect)) => {
                if shakes.get() {
                    stage.counters.backend_handshakes_failed.increment();
                    note(stage, backend, "the backend did not answer in time (--connect-timeout)");
                }
                Trouble::BackendConnectTimeout
            }
            Err(interrupt) => return Err(interrupt.into()),
        };
        stage.counters.backend_connect_failures.increment();
        if trouble == Trouble::Overloaded {
            break; // No other address is reached without descriptors either.
        }
    }
    Err(trouble.into())
}

/// Connects to one address, and proves that it is the backend where that is
/// asked for; `shakes` says whether it has come to that. Owns polls only.
pub async fn reach<W: World>(
    stage: &Stage<W>,
    backend: BackendId,
    address: &ConnectAddress,
    shakes: &Cell<bool>,
) -> Result<W::Stream, Trouble> {
    let plain = W::Security::default();
    let security = stage.security.get(backend.0).unwrap_or(&plain);
    let stream = stage.world.connect(address, security).await.map_err(|error| {
        tracing::debug!(?address, %error, "no connection to a backend");
        let ours = is_exhaustion(&error);
        if ours { Trouble::Overloaded } else { Trouble::BackendUnreachable }
    })?;
    if stream.is_secure() {
        shakes.set(true);
        let result = stream.establish().await;
        greeted(stage, backend, result)?;
    }
    Ok(stream)
}

/// What the TLS handshake with a backend has come to.
fn greeted<W: World>(
    stage: &Stage<W>,
    backend: BackendId,
    result: io::Result<Established>,
) -> Result<(), Trouble> {
    let counters = &stage.counters;
    let error = match result {
        Ok(known) => {
            counters.backend_handshakes.increment();
            counters.backend_handshakes_resumed.add(known.resumed.into());
            return Ok(());
        }
        Err(error) => error,
    };
    counters.backend_handshakes_failed.increment();
    Err(fault_of(stage, backend, &error).unwrap_or_else(|| {
        note(stage, backend, &error.to_string());
        Trouble::BackendHandshake
    }))
}

/// The trouble that TLS has made of an I/O error, if it has; the reason is for
/// the log alone. A backend may also refuse our certificate so late that it
/// looks like the end of an idle connection (RFC 8446, section 4.4.2.4).
pub fn fault_of<W: World>(
    stage: &Stage<W>,
    backend: BackendId,
    error: &io::Error,
) -> Option<Trouble> {
    let fault = SessionFault::of(error)?;
    note(stage, backend, &fault.reason);
    Some(match fault.kind {
        SessionFaultKind::Verification => Trouble::BackendUnverified,
        _ => Trouble::BackendHandshake,
    })
}

/// Says what is wrong with TLS to a backend, but not for every request.
#[cold]
fn note<W: World>(stage: &Stage<W>, backend: BackendId, reason: &str) {
    let mut notes = stage.tls_notes.borrow_mut();
    if notes.get_mut(backend.0).is_some_and(|note| note.may(stage.now())) {
        let name = stage.settings.backends.get(backend.0).map(|backend| &*backend.name);
        tracing::warn!(backend = name, reason, "TLS with a backend failed");
    }
}
