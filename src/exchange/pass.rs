//! Verb six, with a client that is slow: what it has not taken at once goes out
//! while the next piece comes in.

use std::{
    future::{Future, poll_fn},
    ops::Range,
    pin::pin,
    task::Poll,
};

use super::{
    Client, Stage,
    send::SendFault,
    watch::{Interrupt, Wait},
};
use crate::rt::{Stream, Transfer, World};

/// Sends the rest of a piece, which a slow client has not taken at once, while
/// the next one is received already.
pub async fn pass_slowly<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    backend: &W::Stream,
    (piece, part): (Vec<u8>, Range<usize>),
    spare: Vec<u8>,
) -> ((Result<(), SendFault>, Vec<u8>), (Transfer, Option<Interrupt>)) {
    let mut sending = pin!(client.send_rest(stage, &client.stream, piece, part, Wait::ClientWrite));
    let mut receiving = pin!(client.guard(backend, backend.recv(spare)));
    let (mut sent, mut received) = (None, None);
    poll_fn(|cx| {
        let mut sent_now = false;
        if sent.is_none()
            && let Poll::Ready(result) = sending.as_mut().poll(cx)
        {
            if result.0.is_err() {
                backend.shutdown();
            }
            sent_now = true;
            sent = Some(result);
        }
        if received.is_none() {
            match receiving.as_mut().poll(cx) {
                Poll::Ready(result) => received = Some(result),
                Poll::Pending if sent_now => client.wait_for(stage, Wait::MoreAnswer),
                Poll::Pending => {}
            }
        }
        match (sent.take(), received.take()) {
            (Some(sent), Some(received)) => Poll::Ready((sent, received)),
            waiting => {
                (sent, received) = waiting;
                Poll::Pending
            }
        }
    })
    .await
}
