//! A simulated backend's answer: at the pace of a model, in whatever framing,
//! and whole or not.

use std::{rc::Rc, time::Duration};

use super::{
    backend::Backend,
    faults::Faults,
    ledger::{Asked, Fate, SharedLedger},
    message::{Framing, send_all},
    order::{Order, chunk},
    stream::SimStream,
    world::SimWorld,
};
use crate::{
    base::Chance,
    rt::{Stream, World},
};

/// How long one that stalls is silent: longer than any deadline of a run.
const STALL: Duration = Duration::from_secs(3600);

/// An order that is worked on.
pub struct AtWork {
    world: SimWorld,
    ledger: SharedLedger,
    order: usize,
    place: usize,
}

impl AtWork {
    pub fn new(backend: &Backend, order: usize, asked: Asked) -> Self {
        let place = backend.ledger.borrow_mut().begins_work(order, asked);
        let (world, ledger) = (backend.world.clone(), Rc::clone(&backend.ledger));
        Self { world, ledger, order, place }
    }

    /// The answer begins.
    fn answers(&self) {
        let asked = &mut self.ledger.borrow_mut().entries[self.order].asked[self.place];
        asked.answered_at = Some(self.world.now());
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.ledger.borrow_mut().ends_work(self.order, self.place, self.world.now());
    }
}

/// How an answer stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    End,
    Reset,
    Silence,
}

/// One answer on its way out.
pub struct Answer<'a> {
    pub backend: &'a Backend,
    pub stream: &'a SimStream,
    pub order: &'a Order,
    pub faults: &'a Faults,
}

impl Answer<'_> {
    /// Gives the answer; false when the connection is over.
    pub async fn give(&self, fate: Fate, hasty: bool, work: AtWork, chance: &mut Chance) -> bool {
        if fate == Fate::Stalls {
            self.backend.world.sleep(STALL).await;
            return false;
        }
        if chance.happens(self.faults.interim)
            && !send_all(self.stream, b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await
        {
            return false;
        }
        work.answers();
        let given = match fate {
            Fate::Error(status) => {
                drop(work);
                self.give_error(status, &self.order.error_body(status), hasty).await
            }
            Fate::Complains(complaint) => {
                drop(work);
                self.give_error(400, &self.order.complaint_body(complaint), false).await
            }
            Fate::OverloadEvent => {
                self.give_pieces(vec![self.order.overload_event()], None, work, chance).await
            }
            Fate::Cut { at, by_reset } => {
                let how = if by_reset { Stop::Reset } else { Stop::End };
                self.give_pieces(self.order.pieces(), Some((at, how)), work, chance).await
            }
            Fate::Halts { at } => {
                let stops = Some((at, Stop::Silence));
                self.give_pieces(self.order.pieces(), stops, work, chance).await
            }
            Fate::Good | Fate::Stalls => {
                self.give_pieces(self.order.pieces(), None, work, chance).await
            }
        };
        if given && chance.happens(self.faults.late_bytes) {
            self.backend.ledger.borrow_mut().late_bytes += 1;
            return send_all(self.stream, b"\0late").await;
        }
        given
    }

    async fn give_error(&self, status: u16, body: &[u8], closes: bool) -> bool {
        let mut head = format!(
            "HTTP/1.1 {status} Some Error\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n",
            body.len()
        );
        if matches!(status, 429 | 503 | 529) {
            head += &format!("retry-after: {}\r\n", self.order.id % 3);
        }
        if closes {
            head += "connection: close\r\n";
        }
        head += "\r\n";
        let sent = send_all(self.stream, &[head.as_bytes(), body].concat()).await;
        sent && !closes
    }

    /// A good answer's head and pieces, at the pace of a model, and perhaps not
    /// all of them.
    async fn give_pieces(
        &self,
        pieces: Vec<Vec<u8>>,
        stops: Option<(usize, Stop)>,
        work: AtWork,
        chance: &mut Chance,
    ) -> bool {
        let mut work = Some(work);
        let last = pieces.len() - 1;
        let framing = self.framing(&pieces, stops, chance);
        let kind = if self.order.streamed { "text/event-stream" } else { "application/json" };
        let mut out = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n").into_bytes();
        out.extend_from_slice(match framing {
            Framing::Chunked => b"transfer-encoding: chunked\r\n",
            Framing::UntilClose => b"connection: close\r\n",
            Framing::Length(_) => b"",
        });
        if let Framing::Length(length) = framing {
            out.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        let mut left = stops.map_or(usize::MAX, |(at, _)| at);
        for (place, mut piece) in pieces.into_iter().enumerate() {
            if place == last {
                // The proxy may be done with it before we are.
                work.take();
            }
            let is_over = piece.len() > left;
            piece.truncate(left);
            left -= piece.len();
            match framing {
                Framing::Chunked if piece.is_empty() => {}
                Framing::Chunked => out.extend(chunk(&piece)),
                _ => out.append(&mut piece),
            }
            if !out.is_empty() && !send_all(self.stream, &out).await {
                return false;
            }
            out.clear();
            if is_over {
                match stops {
                    Some((_, Stop::Reset)) => self.stream.abort(),
                    Some((_, Stop::Silence)) => self.backend.world.sleep(STALL).await,
                    Some((_, Stop::End)) | None => {}
                }
                return false;
            }
            self.backend.world.sleep(self.order.gap).await;
        }
        match framing {
            Framing::Chunked => send_all(self.stream, b"0\r\n\r\n").await,
            Framing::Length(_) => true,
            Framing::UntilClose => false,
        }
    }

    /// An answer of JSON whose end is the connection's is not cut by an orderly
    /// end: nobody could tell.
    fn framing(
        &self,
        pieces: &[Vec<u8>],
        stops: Option<(usize, Stop)>,
        chance: &mut Chance,
    ) -> Framing {
        let can_be_told = self.order.streamed || stops.is_none_or(|(_, how)| how != Stop::End);
        if can_be_told && chance.happens(self.faults.until_close) {
            Framing::UntilClose
        } else if self.order.streamed || chance.below(4) == 0 {
            Framing::Chunked
        } else {
            Framing::Length(pieces.iter().map(Vec::len).sum())
        }
    }
}
