//! Verb five, when no connection is idle: one is made, and proven to lead to
//! the backend where that is asked for.

use std::io;

use super::{
    Client, Stage,
    attempt::AttemptFault,
    client::{Interrupt, Wait},
};
use crate::{
    balance::BackendId,
    llm::Trouble,
    rt::{ConnectAddress, Established, Stream, World, is_exhaustion},
    tls::{SessionFault, SessionFaultKind},
};

/// Addresses of one name that are tried for one request.
const ADDRESSES_MAX: usize = 4;

/// Tries each address of the backend in turn, within one connect deadline
/// each, TLS handshake included.
pub async fn connect<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    backend: BackendId,
) -> Result<W::Stream, AttemptFault> {
    let mut trouble = Trouble::BackendUnreachable;
    let addresses = stage.addresses.borrow().get(backend.0).cloned().unwrap_or_default();
    for address in addresses.iter().take(ADDRESSES_MAX) {
        client.wait_for(stage, Wait::Connect);
        trouble = match client.unless_interrupted(reach(stage, backend, address)).await {
            Ok(Ok(stream)) => {
                stage.counters.backend_connects.increment();
                return Ok(stream);
            }
            Ok(Err(trouble)) => trouble,
            Err(Interrupt::Deadline(Wait::Connect)) => Trouble::BackendConnectTimeout,
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
/// asked for. Owns polls only.
async fn reach<W: World>(
    stage: &Stage<W>,
    backend: BackendId,
    address: &ConnectAddress,
) -> Result<W::Stream, Trouble> {
    let plain = W::Security::default();
    let security = stage.security.get(backend.0).unwrap_or(&plain);
    let stream = stage.world.connect(address, security).await.map_err(|error| {
        tracing::debug!(?address, %error, "no connection to a backend");
        let ours = is_exhaustion(&error);
        if ours { Trouble::Overloaded } else { Trouble::BackendUnreachable }
    })?;
    if stream.is_secure() {
        // Large and rare, so it is not kept in here.
        let result = Box::pin(stream.establish()).await;
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
    let mut faults = stage.handshake_faults.borrow_mut();
    let last = faults.get_mut(backend.0);
    let error = match result {
        Ok(known) => {
            counters.backend_handshakes.increment();
            counters.backend_handshakes_resumed.add(known.resumed.into());
            last.map(Option::take);
            return Ok(());
        }
        Err(error) => error,
    };
    let trouble = match SessionFault::of(&error).map(|fault| fault.kind) {
        Some(SessionFaultKind::Shed) => return Err(Trouble::Overloaded),
        Some(SessionFaultKind::Verification) => Trouble::BackendUnverified,
        _ => Trouble::BackendHandshake,
    };
    counters.backend_handshakes_failed.increment();
    let reason = Some(error.to_string());
    if let Some(last) = last
        && *last != reason
    {
        // Said once until it changes: every request would say it.
        let name = stage.settings.backends.get(backend.0).map(|backend| &*backend.name);
        tracing::warn!(backend = name, %error, "the TLS handshake with a backend failed");
        *last = reason;
    }
    Err(trouble)
}
