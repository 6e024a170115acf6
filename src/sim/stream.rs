//! One end of a connection, as [`rt::Stream`] wants it. Watches the rule that
//! no future is dropped while it owns an operation (`rt/mod.rs`).

use std::{
    future::{Future, poll_fn},
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    connection::Sending,
    core::{Core, State},
    executor::Owner,
};
use crate::rt::{Established, Stream, TAIL_ROOM, Transfer};

pub struct SimStream {
    core: Arc<Core>,
    connection: u64,
    side: usize,
}

impl SimStream {
    pub fn new(core: Arc<Core>, connection: u64, side: usize) -> Self {
        Self { core, connection, side }
    }

    fn with<R>(&self, act: impl FnOnce(&mut State, u64, usize) -> R) -> R {
        self.core.with(|state| act(state, self.connection, self.side))
    }

    /// Which of all sendings has sent this byte of what comes here.
    pub fn sending_of(&self, byte: usize) -> Sending {
        self.with(|state, id, side| state.sending_of(id, side, byte))
    }

    fn begin(&self, buffer: Vec<u8>, kind: Kind) -> Operation {
        let core = Arc::clone(&self.core);
        let (connection, side) = (self.connection, self.side);
        let mut operation =
            Operation { core, connection, side, buffer, kind, stage: Stage::Conceived };
        // On a ring an operation is submitted where it is made, on epoll where
        // it is first polled.
        if self.core.with(|state| state.faults.ring) {
            operation.start();
        }
        operation
    }
}

impl Stream for SimStream {
    fn recv(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer> {
        self.begin(buffer, Kind::Receive { cancelable: false })
    }

    fn recv_cancelable(&self, buffer: Vec<u8>) -> impl Future<Output = Transfer> {
        self.begin(buffer, Kind::Receive { cancelable: true })
    }

    fn cancel_recv(&self) {
        self.with(State::cancel_receive);
    }

    fn send(&self, buffer: Vec<u8>, part: Range<usize>) -> impl Future<Output = Transfer> {
        self.begin(buffer, Kind::Send(part))
    }

    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|state, id, side| state.try_send(id, side, bytes))
    }

    async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| {
            self.with(|state, id, side| {
                let connection = state.connection(id);
                if connection.is_readable(side) {
                    return Poll::Ready(Ok(()));
                }
                connection.ends[side].poller = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await
    }

    fn is_secure(&self) -> bool {
        false
    }

    fn establish(&self) -> impl Future<Output = io::Result<Established>> {
        std::future::ready(Ok(Established::default()))
    }

    fn shutdown(&self) {
        self.with(|state, id, side| {
            state.finish(id, side);
            state.turn_deaf(id, side);
        });
    }

    fn finish(&self) {
        self.with(State::finish);
    }

    fn stop_sending(&self) {
        self.finish();
    }

    fn abort(&self) {
        self.with(State::abort);
    }

    fn is_quiet(&self) -> bool {
        self.with(|state, id, side| state.connection(id).is_quiet(side))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.with(State::close);
    }
}

enum Kind {
    Receive { cancelable: bool },
    Send(Range<usize>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Conceived,
    /// The kernel has it, and its buffer.
    UnderWay,
    Over,
}

/// A receive or a send, from its beginning to its result.
struct Operation {
    core: Arc<Core>,
    connection: u64,
    side: usize,
    buffer: Vec<u8>,
    kind: Kind,
    stage: Stage,
}

impl Operation {
    fn start(&mut self) {
        self.stage = Stage::UnderWay;
        let (id, side) = (self.connection, self.side);
        match &self.kind {
            Kind::Receive { cancelable } => {
                let room = (self.buffer.capacity() - self.buffer.len()).saturating_sub(TAIL_ROOM);
                self.core.with(|state| {
                    if room == 0 {
                        let word = "a receive without room would read as the end".to_owned();
                        state.chronicle.breach(word);
                    }
                    state.start_receive(id, side, room, *cancelable);
                });
            }
            Kind::Send(part) => {
                let bytes = self.buffer.get(part.clone()).unwrap_or_default().to_vec();
                self.core.with(|state| {
                    if bytes.is_empty() {
                        state.chronicle.breach("a send of nothing".to_owned());
                    }
                    state.start_send(id, side, bytes);
                });
            }
        }
    }
}

impl Future for Operation {
    type Output = Transfer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Transfer> {
        if self.stage == Stage::Conceived {
            self.start();
        }
        let (id, side) = (self.connection, self.side);
        let result = match self.kind {
            Kind::Receive { .. } => {
                let done = self.core.with(|state| state.poll_receive(id, side, cx.waker()));
                done.map(|received| {
                    received.map(|bytes| {
                        self.buffer.extend_from_slice(&bytes);
                        bytes.len()
                    })
                })
            }
            Kind::Send(_) => self.core.with(|state| state.poll_send(id, side, cx.waker())),
        };
        let Some(result) = result else { return Poll::Pending };
        self.stage = Stage::Over;
        Poll::Ready((result, std::mem::take(&mut self.buffer)))
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.stage != Stage::UnderWay {
            return;
        }
        let (id, side) = (self.connection, self.side);
        let what = match self.kind {
            Kind::Receive { .. } => "receive",
            Kind::Send(_) => "send",
        };
        self.core.with(|state| {
            let Some(connection) = state.network.connections.get(&id) else {
                state.chronicle.breach(format!("a {what} outlived its stream, {id}"));
                return;
            };
            if connection.ends[side].owner == Owner::House && !state.house_ended {
                let word = format!("a {what} was dropped while it was under way, on {id}");
                state.chronicle.breach(word);
            }
            match self.kind {
                Kind::Receive { .. } => state.drop_receive(id, side),
                Kind::Send(_) => state.drop_send(id, side),
            }
        });
    }
}
