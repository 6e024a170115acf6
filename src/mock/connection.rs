//! One client's connection: request after request, until one of us ends it.

use std::rc::Rc;

use crate::{
    http::{BodyDecoder, HeadFault, HeadSearch, Limits, RequestFault},
    llm::Dialect,
    rt::{Stream, World},
};

use super::{
    deliver::{linger, write_last_refusal},
    desk::Desk,
    inbox::{Ending, Inbox, receiving_beside},
    order::{Order, Route, read_order},
    outbox::{Gone, Outbox},
    perform::{Done, Performance},
    reply::Refusal,
};

/// The largest request body. The mock holds bodies, and must outdo every
/// limit of the proxies that are tested with it.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A body buffer that has grown beyond this is not kept for the next request.
const BODY_BYTES_KEPT: usize = 64 * 1024;

/// Serves one connection to its end.
pub async fn serve<W: World>(desk: Rc<Desk<W>>, stream: W::Stream) {
    let stream = Rc::new(stream);
    let _open = desk.open(&stream);
    let inbox = Inbox::default();
    let work = work(&desk, &stream, &inbox);
    receiving_beside(&desk.world, &*stream, &inbox, desk.counters(), work).await;
}

async fn work<W: World>(desk: &Desk<W>, stream: &W::Stream, inbox: &Inbox) -> Ending {
    let mut outbox = Outbox::new(stream, desk.counters());
    let mut body = Vec::new();
    let mut answers_left = desk.script.close_after.unwrap_or(u32::MAX);
    loop {
        let mut order = match next_order(desk, inbox).await {
            Ok(order) => order,
            Err(NoOrder::Ended) => return Ending::Close,
            Err(NoOrder::Fault(fault)) => {
                let refusal = Refusal::new(fault.status(), fault.reason());
                refuse(desk, stream, inbox, &mut outbox, None, &refusal).await;
                return Ending::Close;
            }
        };
        answers_left = answers_left.saturating_sub(1);
        order.keep_alive &= answers_left > 0;
        if let Some(status) = order.turn.early {
            let refusal = Refusal::on_command(status);
            refuse(desk, stream, inbox, &mut outbox, Some(&order), &refusal).await;
            return Ending::Close;
        }
        if let Err(fault) = read_body(inbox, &mut outbox, &order, &mut body).await {
            let refusal = match fault {
                BodyFault::Ended => return Ending::Close,
                BodyFault::TooLarge => Refusal::new(413, "The body is larger than the mock takes."),
                BodyFault::Framing(reason) => Refusal::new(400, reason),
            };
            refuse(desk, stream, inbox, &mut outbox, Some(&order), &refusal).await;
            return Ending::Close;
        }
        let done = Performance::new(desk, inbox, &mut outbox, &order, &body).answer().await;
        match done {
            Ok(Done::KeepAlive) => {}
            Ok(Done::Close) => return Ending::Close,
            Ok(Done::Reset) => return Ending::Reset,
            Err(Gone) => {
                desk.counters().count(|c| &c.clients_left, 1);
                return Ending::Close;
            }
        }
        body.clear();
        body.shrink_to(BODY_BYTES_KEPT);
        outbox.rest();
    }
}

enum NoOrder {
    Ended,
    Fault(RequestFault),
}

/// Waits for the next head.
async fn next_order<W: World>(desk: &Desk<W>, inbox: &Inbox) -> Result<Order, NoOrder> {
    let limits =
        Limits { head_bytes_max: 256 * 1024, headers_max: 256, target_bytes_max: 64 * 1024 };
    let mut search = HeadSearch::default();
    loop {
        let found = inbox.read(|unread| match search.find(unread) {
            Some(length) => {
                let head = unread.get(..length).unwrap_or_default();
                let remember = |id: &[u8]| {
                    desk.stats.lists.asked(id);
                    desk.stats.is_repeated(id)
                };
                let keeps_id = desk.stats.lists.has_answers();
                let turn = |route: &Route| desk.turn(route);
                let order = read_order(head, &limits, turn, remember, keeps_id);
                (length, Some(order))
            }
            None if unread.len() > limits.head_bytes_max => {
                (0, Some(Err(HeadFault::TooLarge.into())))
            }
            None => (0, None),
        });
        if let Some(order) = found {
            let order = order.map_err(NoOrder::Fault)?;
            desk.counters().count(|c| &c.requests, 1);
            desk.counters().count(|c| &c.requests_repeated, u64::from(order.is_repeated));
            return Ok(order);
        }
        if inbox.ended().is_some() {
            return Err(NoOrder::Ended);
        }
        inbox.more_than(inbox.unread()).await;
    }
}

enum BodyFault {
    Ended,
    TooLarge,
    Framing(&'static str),
}

/// Reads the order's body into `body`, which is empty.
async fn read_body<S: Stream>(
    inbox: &Inbox,
    outbox: &mut Outbox<'_, S>,
    order: &Order,
    body: &mut Vec<u8>,
) -> Result<(), BodyFault> {
    if order.expect_continue && inbox.unread() == 0 {
        outbox.unframed().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        outbox.flush().await.map_err(|Gone| BodyFault::Ended)?;
    }
    let mut decoder = BodyDecoder::new(order.framing);
    loop {
        let step = inbox.read(|unread| match decoder.decode(unread) {
            Ok(decoded) => {
                body.extend_from_slice(unread.get(decoded.data).unwrap_or_default());
                (decoded.consumed, Ok(decoded.done))
            }
            Err(fault) => (0, Err(BodyFault::Framing(fault.reason()))),
        });
        if step? {
            return Ok(());
        }
        if body.len() > BODY_BYTES_MAX {
            return Err(BodyFault::TooLarge);
        }
        if inbox.ended().is_some() {
            return Err(BodyFault::Ended);
        }
        inbox.more_than(inbox.unread()).await;
    }
}

/// Answers with an error and ends the connection. What the client is still
/// sending is taken in for a while: unread bytes at the close would make it a
/// reset, which can overtake the answer (RFC 9112, section 9.6).
async fn refuse<W: World>(
    desk: &Desk<W>,
    stream: &W::Stream,
    inbox: &Inbox,
    outbox: &mut Outbox<'_, W::Stream>,
    order: Option<&Order>,
    refusal: &Refusal,
) {
    let dialect = order.map_or(Dialect::OpenAi, |order| order.dialect);
    write_last_refusal(outbox, dialect, refusal);
    if outbox.flush().await.is_err() {
        return;
    }
    stream.finish();
    linger(desk, inbox).await;
}
