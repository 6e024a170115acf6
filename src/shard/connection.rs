//! One client connection, from its first byte to its last.
//!
//! ```text
//!          bytes                     no request for a while
//! Resting ───────► Busy ──────────────────────────────────────► Resting
//! (a poll,         (a receive, always armed; one request        (the armed
//!  no buffer)       after another)                               receive is
//!                    │ closed by either side                     cancelled)
//!                    └─► end
//! ```
//!
//! What a request needs lives in a box of its own, which a resting connection
//! does not have: ten thousand of them are ten thousand small tasks.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use super::{
    Shard,
    greet::{greet, is_client_hello, note_tls_on_plain},
};
use crate::{
    base::TICK,
    exchange::{
        After, Client, Interrupt, Stage, Wait, asker_of, consume,
        inbound::{Armed, Inbound, fill},
        receive, refuse_head, tell, too_large,
    },
    http::HeadSearch,
    llm::Trouble,
    rt::{Stream, World},
};

/// What is thrown away of a client that still sends while it is being closed,
/// at most (RFC 9112, section 9.6).
const LINGER_BYTES: usize = 1 << 20;

/// Serves a connection to its end.
pub async fn serve<W: World>(shard: &Shard<W>, client: &Client<W::Stream>, admin: bool) {
    let ground = &shard.ground;
    client.belongs_to_this_task().await;
    ground.look_at_clock();
    // Large and over soon, so a resting connection does not carry it.
    if client.stream.is_secure() && !Box::pin(greet_by_plan(shard, client)).await {
        return;
    }
    client.is_idle_from(ground.now());
    while rest(shard, client).await {
        let mut requests = Box::pin(busy(shard, client, admin));
        let rests = poll_fn(|cx| {
            ground.look_at_clock();
            requests.as_mut().poll(cx)
        })
        .await;
        if !rests {
            return;
        }
        ground.look_at_clock();
    }
    // Nothing is under way, so its end is an orderly one.
    client.stream.finish();
}

async fn greet_by_plan<W: World>(shard: &Shard<W>, client: &Client<W::Stream>) -> bool {
    greet(&shard.stage(), client).await
}

/// Waits without a buffer for the first byte of a request; false when the
/// connection is to be closed. It may last for long, so it keeps no plan.
async fn rest<W: World>(shard: &Shard<W>, client: &Client<W::Stream>) -> bool {
    let ground = &shard.ground;
    ground.counters.connections_resting.increment();
    client.wait_for_request(&shard.stage());
    let mut readable = pin!(client.stream.readable());
    let has_bytes = poll_fn(|cx| {
        if ground.draining.get() {
            // A request that has come already is still answered.
            return Poll::Ready(!client.stream.is_quiet());
        }
        if client.interrupt().is_some() {
            return Poll::Ready(false);
        }
        readable.as_mut().poll(cx).map(|result| result.is_ok())
    })
    .await;
    ground.counters.connections_resting.subtract(1);
    has_bytes
}

/// Answers requests until there is none for a while (true) or the connection
/// is done with (false).
async fn busy<W: World>(shard: &Shard<W>, client: &Client<W::Stream>, admin: bool) -> bool {
    let arm = |buffer| client.stream.recv_cancelable(buffer);
    let mut inbound = pin!(Armed::new(arm, &shard.ground.buffers));
    let mut current = shard.stage();
    let rests = loop {
        let next = next_head(&current, client, inbound.as_mut()).await;
        // Each request is told by the plan that was in force when it had come.
        shard.renew(&mut current);
        let stage = &current;
        let after = match next {
            NextHead::Complete(bytes) => tell(stage, client, inbound.as_mut(), bytes, admin).await,
            NextHead::Refused(trouble) => {
                let asker = asker_of(stage, inbound.as_mut().held());
                refuse_head(stage, client, &trouble, asker).await
            }
            NextHead::NoneForAWhile => break true,
            NextHead::Gone => {
                // Nothing is under way, so who has said its end hears ours
                // (RFC 5246, section 7.2.1).
                client.stream.finish();
                After::Gone
            }
        };
        match after {
            After::NextRequest => client.is_idle_from(stage.now()),
            After::Gone => {
                client.stream.shutdown();
                break false;
            }
            // A shutdown would send an orderly end in front of the reset.
            After::Aborted => break false,
            After::LastAnswer => {
                linger(stage, client, inbound.as_mut()).await;
                client.stream.shutdown();
                break false;
            }
        }
    };
    // The armed receive owns the buffer; it has been shut down or is over.
    while inbound.is_armed() {
        // Whatever came is for nobody.
        let _ = fill(inbound.as_mut(), 0).await;
    }
    inbound.return_buffer();
    rests
}

enum NextHead {
    /// A head of so many bytes is held.
    Complete(usize),
    Refused(Trouble),
    /// Nothing has come since the last answer.
    NoneForAWhile,
    Gone,
}

/// Waits for the next complete head.
async fn next_head<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    mut inbound: Pin<&mut dyn Inbound>,
) -> NextHead {
    let head_bytes_max = stage.settings.limits.head_bytes;
    let mut search = HeadSearch::default();
    let mut head_began = false;
    loop {
        // Whatever is held is looked at, also when more is awaited already.
        let held = inbound.as_mut().held();
        if !held.is_empty() {
            // First: most hellos hold a byte that would end a line.
            if is_client_hello(held) {
                note_tls_on_plain(stage, client);
                let reason = "This port does not speak TLS; use http:// in the URL.";
                let trouble = Trouble::InvalidRequest { reason, param: None, offset: None };
                return NextHead::Refused(trouble);
            }
            if let Some(bytes) = search.find(held) {
                return NextHead::Complete(bytes);
            }
            if held.len() >= head_bytes_max {
                return NextHead::Refused(too_large(stage, held));
            }
            if !head_began {
                head_began = true;
                client.wait_for(stage, Wait::Head);
            }
        }
        if !head_began {
            // In a drain nothing is waited for, but what has come is taken: the
            // receive ends at the next tick, and `rest` finds out whether there
            // is anything.
            let draining = stage.draining.get();
            let patience = if draining { TICK } else { stage.settings.pool.rest_before_idle };
            client.wait_until(stage, Wait::Rest, stage.now().after(patience));
        }
        match receive(client, inbound.as_mut(), head_bytes_max).await {
            Ok(true) => {}
            Ok(false) => return NextHead::Gone,
            Err(Interrupt::Deadline(Wait::Rest)) => return NextHead::NoneForAWhile,
            Err(Interrupt::Deadline(_)) => return NextHead::Refused(Trouble::RequestTimeout),
            Err(Interrupt::ClientGone | Interrupt::Drained) => return NextHead::Gone,
        }
    }
}

/// Lets the client read the last answer before the connection is closed: a
/// close with unread bytes would be a reset, and could overtake the answer.
async fn linger<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    mut inbound: Pin<&mut dyn Inbound>,
) {
    client.stream.finish();
    client.wait_for(stage, Wait::Linger);
    let mut thrown_away = 0;
    while thrown_away < LINGER_BYTES {
        let held = inbound.as_mut().held();
        thrown_away += held.len();
        consume(held, usize::MAX);
        if !matches!(receive(client, inbound.as_mut(), 0).await, Ok(true)) {
            return;
        }
    }
}
