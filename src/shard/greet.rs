//! A client's TLS handshake, and what it came to.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
};

use crate::{
    exchange::{Client, Interrupt, Stage, Wait},
    rt::{Established, Stream, World},
    tls::{SessionFault, SessionFaultKind},
};

/// Shakes hands; false when the connection is to be closed.
pub(super) async fn greet<W: World>(stage: &Stage<W>, client: &Client<W::Stream>) -> bool {
    let counters = &stage.counters;
    counters.handshakes_under_way.increment();
    client.wait_for(stage, Wait::Handshake);
    let result = unless_drained(stage, client, client.stream.establish()).await;
    counters.handshakes_under_way.subtract(1);
    match result {
        Ok(Ok(known)) => {
            counters.handshakes.increment();
            counters.handshakes_resumed.add(known.resumed.into());
            if let Some(name) = known.name {
                tracing::debug!(name, "a client has proven its name");
                client.has_proven(name);
            }
            true
        }
        Ok(Err(error)) => {
            count_fault(stage, &error);
            false
        }
        Err(interrupt) => {
            if let Interrupt::Deadline(_) = interrupt {
                counters.handshakes_failed.increment();
                counters.deadlines_passed.increment();
            }
            false
        }
    }
}

/// In a drain nobody is waited for who has not asked for anything yet.
async fn unless_drained<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    establishing: impl Future<Output = io::Result<Established>>,
) -> Result<io::Result<Established>, Interrupt> {
    let mut establishing = pin!(client.unless_interrupted(establishing));
    poll_fn(|cx| {
        if stage.draining.get() {
            return Poll::Ready(Err(Interrupt::Drained));
        }
        stage.look_at_clock();
        establishing.as_mut().poll(cx)
    })
    .await
}

fn count_fault<W: World>(stage: &Stage<W>, error: &io::Error) {
    let counters = &stage.counters;
    match SessionFault::of(error).map(|fault| fault.kind) {
        // It has not failed, it was not let in.
        Some(SessionFaultKind::Shed) => {
            if stage.shed_note.may(stage.now()) {
                tracing::warn!(
                    "more TLS handshakes wait than may; those that come are turned away \
                     (--tls-handshakes-waiting)"
                );
            }
            counters.handshakes_shed.increment();
            return;
        }
        Some(SessionFaultKind::PlainHttp) => counters.plain_on_tls_listeners.increment(),
        _ => {}
    }
    counters.handshakes_failed.increment();
    // Anybody can cause it, so it is not said to everybody.
    tracing::debug!(%error, "a TLS handshake with a client failed");
}

/// What is held may be the beginning of TLS: a handshake record of any version
/// (RFC 8446, section 5.1). No request begins like it.
pub(super) fn is_client_hello(held: &[u8]) -> bool {
    matches!(held, [0x16, 0x03, ..])
}

/// A client speaks TLS to a listener that does not. Said once in a while: a
/// client that is set up wrongly comes again and again.
#[cold]
pub(super) fn note_tls_on_plain<W: World>(stage: &Stage<W>, client: &Client<W::Stream>) {
    if stage.plain_note.may(stage.now()) {
        tracing::warn!(
            client = %client.peer,
            "a client speaks TLS to a plain listener: its URL should begin with http://, or \
             it should use an address of --tls-listen"
        );
    }
    stage.counters.tls_on_plain_listeners.increment();
}
