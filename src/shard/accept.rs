//! Accepting connections, and handing them to a less loaded shard.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use super::{Letter, Seat, Shard};
use crate::rt::{Accepted, Listen, Unsent, World};

/// Connections accepted in one turn, so that a flood of them leaves room for
/// the requests of others.
const BATCH: usize = 64;
/// How long to leave a listener alone that could not accept (no descriptors):
/// the connection waits in the kernel.
const REST: Duration = Duration::from_millis(100);
/// Told to who comes when the house is full. OpenAI's words: nothing is known
/// of the client yet.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/json\r\ncontent-length: 139\r\nretry-after: 1\r\nconnection: close\r\n\r\n\
{\"error\":{\"message\":\"There are too many connections; try again shortly.\",\
\"type\":\"server_error\",\"param\":null,\"code\":\"too_many_connections\"}}";

impl<W: World> Shard<W> {
    /// Accepts until the shard is told to stop.
    pub(super) async fn accept_all(self: Rc<Self>, listener: W::Listener, admin: bool) {
        let mut refused = false;
        let mut stopped = pin!(self.registry.stopped());
        while until_readable(&listener, stopped.as_mut()).await {
            let Err(error) = self.accept_some(&listener, admin) else {
                refused = false;
                continue;
            };
            self.ground.counters.accept_failures.increment();
            // Said once until it is over: the want may last for hours.
            if !refused {
                tracing::warn!(%error, "no connection can be accepted; raise the limit on \
                                        open files (ulimit -n) or lower --connections");
            }
            refused = true;
            let later = self.ground.world.now().after(REST);
            self.ground.world.sleep_until(later).await;
        }
        // Whoever has come until now is still answered, and told to close.
        while let Ok(Some(socket)) = listener.accept() {
            self.place(socket, admin);
        }
    }

    /// Accepts a batch, or what there is of it before the kernel refuses.
    fn accept_some(self: &Rc<Self>, listener: &W::Listener, admin: bool) -> io::Result<()> {
        for _ in 0..BATCH {
            let Some(socket) = listener.accept()? else { break };
            self.ground.counters.connections_accepted.increment();
            self.place(socket, admin);
        }
        Ok(())
    }

    /// Finds a seat for a connection: here, in another shard, or nowhere.
    fn place(self: &Rc<Self>, socket: W::Socket, admin: bool) {
        let shards = self.mailboxes.len();
        // In a drain the others may have ended, and nobody needs a better seat.
        let goes_to = if shards < 2 || admin || self.ground.draining.get() {
            self.index
        } else {
            let step = 1 + self.ground.chance.borrow_mut().below(shards - 1);
            self.house.better_of(self.index, (self.index + step) % shards)
        };
        let seat = if admin {
            self.house.take_admin_seat()
        } else {
            self.house.take_seat(goes_to, socket.peer(), self.connections_max)
        };
        match seat {
            Ok(seat) if goes_to == self.index => self.serve(socket, seat, admin),
            Ok(seat) => self.hand_over(goes_to, socket, seat),
            Err(_) => {
                self.ground.counters.connections_refused.increment();
                socket.refuse(FULL);
            }
        }
    }

    fn hand_over(self: &Rc<Self>, to: usize, socket: W::Socket, seat: Seat) {
        let letter = Letter::Socket { socket, seat };
        match self.mailboxes[to].send(letter) {
            Ok(()) => self.ground.counters.connections_handed_over.increment(),
            // That shard is not as idle as it seemed, or has ended. The seat is
            // counted there, which only makes it look a little busier.
            Err(Unsent::Full(letter) | Unsent::Ended(letter)) => self.read(letter),
        }
    }
}

/// Waits for somebody; false when the shard accepts no more.
async fn until_readable(
    listener: &impl Listen,
    mut stopped: Pin<&mut impl Future<Output = ()>>,
) -> bool {
    let mut readable = pin!(listener.readable());
    poll_fn(|cx| {
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        readable.as_mut().poll(cx).map(|_| true)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::FULL;

    #[test]
    fn the_canned_refusal_tells_its_own_length() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
