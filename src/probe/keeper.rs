//! The loop that looks after the backends: begins what is due, and reads its
//! letters.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use super::desk::{Desk, Round};
use crate::{
    balance::BackendId,
    base::Instant,
    rt::{ConnectAddress, Letterbox, World},
};

/// News for the loop.
pub enum Letter<S> {
    /// Other backends, or other questions, from now on.
    Round(Box<Round<S>>),
    /// Where a backend of this round is reached now.
    Addresses {
        round: u64,
        backend: BackendId,
        addresses: Vec<ConnectAddress>,
    },
    End,
}

/// Runs until it is told to end. `seed` is for the moments at which each
/// backend is asked.
pub async fn keep<W: World>(
    world: W,
    round: Round<W::Security>,
    seed: u64,
    letterbox: Letterbox<Letter<W::Security>>,
) {
    let mut desk = Desk::open(world.clone(), round, seed, None);
    loop {
        desk.send_out();
        match next(&world, &desk, &letterbox).await {
            Some(Letter::Addresses { round, backend, addresses }) if round == desk.number => {
                desk.moved(backend, &addresses);
            }
            // The place of that backend may be another's by now.
            None | Some(Letter::Addresses { .. }) => {}
            Some(Letter::Round(round)) => {
                desk.close();
                desk = Desk::open(world.clone(), *round, seed, Some(&desk));
            }
            Some(Letter::End) => return desk.close(),
        }
    }
}

/// The next letter; `None` when there may be something to begin.
async fn next<W: World>(
    world: &W,
    desk: &Rc<Desk<W>>,
    letterbox: &Letterbox<Letter<W::Security>>,
) -> Option<Letter<W::Security>> {
    let mut letter = pin!(letterbox.recv());
    // Until when we sleep is known when the task is polled.
    let at = poll_fn(|cx| Poll::Ready(desk.next_due(cx.waker()))).await;
    let mut alarm = pin!(sleep(world, at));
    poll_fn(|cx| {
        if let Poll::Ready(letter) = letter.as_mut().poll(cx) {
            return Poll::Ready(Some(letter));
        }
        let is_earlier = desk.next_due(cx.waker()) < at;
        if is_earlier || alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

async fn sleep(world: &impl World, until: Instant) {
    if until == Instant::NEVER {
        return std::future::pending().await;
    }
    world.sleep_until(until).await;
}
