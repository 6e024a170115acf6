//! Puts an answer on the wire: waits for its moments, frames it, and strikes
//! with the faults that the turn demands.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use crate::{
    base::Instant,
    http::{Version, write},
    llm::Dialect,
    rt::{Stream, World},
};

use super::{
    desk::Desk,
    inbox::Inbox,
    outbox::{FULL, Gone, Outbox},
    perform::{Done, JSON, Performance},
    reply::{Answer, Events, Form, Message, Refusal, Whole, write_refusal},
    script::{Fault, Framing, Place},
    stats::{Gauge, UnderWay},
    text::digest,
};

const EVENT_STREAM: &[u8] = b"text/event-stream";

/// How long a refused client may go on sending before we close on it.
const LINGER: Duration = Duration::from_secs(1);

impl<W: World> Performance<'_, '_, W> {
    /// A body that is ready now.
    pub(super) async fn page(
        &mut self,
        status: u16,
        content_type: &[u8],
        page: &[u8],
    ) -> Result<Done, Gone> {
        let close = self.begin(status, content_type, Framing::Length, Some(page.len() as u64));
        if has_body(status) && !self.order.head_only {
            self.outbox.body(page);
        }
        self.finish(close).await
    }

    pub(super) async fn refusal(&mut self, refusal: Refusal) -> Result<Done, Gone> {
        let mut page = Vec::new();
        write_refusal(&mut page, self.order.dialect, &refusal, digest(self.body));
        self.page(refusal.status, JSON, &page).await
    }

    /// An answer in one body, once its last token is due.
    pub(super) async fn whole(
        &mut self,
        mut whole: Whole,
        answer: &Answer<'_>,
    ) -> Result<Done, Gone> {
        whole.pad_to(self.turn.body_bytes.unwrap_or(0));
        // An error event has no place in here.
        let struck = self.turn.fault().and_then(|(place, fault)| match place {
            Place::Token(index) if index <= answer.tokens && fault != Fault::Error => {
                Some((index, fault))
            }
            _ => None,
        });
        let last = answer.tokens.saturating_sub(1);
        self.read_prompt(answer).await?;
        self.wait(0).await?;
        self.wait(struck.map_or(last, |(index, _)| index)).await?;
        let close = self.begin(200, JSON, Framing::Length, Some(whole.length()));
        if self.order.head_only {
            return self.finish(close).await;
        }
        self.outbox.body(&whole.before);
        if let Some((index, fault)) = struck {
            self.text(answer, answer.text_before(index)).await?;
            return self.strike(fault).await;
        }
        self.text(answer, whole.text_bytes).await?;
        self.desk.counters().count(|c| &c.tokens_made, u64::from(answer.tokens));
        self.outbox.body(&whole.after);
        self.finish(close).await
    }

    /// The first `length` bytes of an answer's text, in memory that does not
    /// grow with them.
    async fn text(&mut self, answer: &Answer<'_>, length: u64) -> Result<(), Gone> {
        let mut written = 0;
        while written < length {
            let piece = (length - written).min(FULL as u64) as usize;
            self.outbox.body_of(piece, |out| answer.text().write(out, written, piece));
            written += piece as u64;
            if written < length {
                self.outbox.flush().await?;
            }
        }
        Ok(())
    }

    /// An answer token by token, each in a send of its own.
    pub(super) async fn stream(
        &mut self,
        form: &'static Form,
        answer: Answer<'_>,
    ) -> Result<Done, Gone> {
        let _open = Gauge::raise(&self.desk.counters().streams_open);
        let with_end = !self.turn.omit_done;
        let length = (self.turn.framing == Some(Framing::Length))
            .then(|| Events::length(form, answer, with_end));
        let close = self.begin(200, EVENT_STREAM, Framing::Chunked, length);
        if !self.turn.first_token.is_zero() || self.desk.prefill.is_some() {
            self.outbox.flush().await?;
        }
        self.read_prompt(&answer).await?;
        let mut events = Events::new(form, answer);
        let mut event = Message::default();
        // One round more than tokens: the end comes along with the last one.
        for index in 0..=answer.tokens {
            self.wait(index.min(answer.tokens.saturating_sub(1))).await?;
            match self.struck(Place::Token(index)) {
                None => {}
                Some(Fault::Error) => {
                    events.error(&mut event);
                    self.message(&event, &answer).await?;
                    return self.finish(close).await;
                }
                Some(fault) => return self.strike(fault).await,
            }
            if index == 0 {
                events.opening(&mut event);
            }
            if index == answer.tokens {
                break;
            }
            events.token(&mut event.bytes, index);
            self.message(&event, &answer).await?;
            event.clear();
            self.count_token();
            self.outbox.flush().await?;
        }
        events.closing(&mut event);
        if with_end {
            events.end(&mut event);
        }
        self.message(&event, &answer).await?;
        self.finish(close).await
    }

    async fn message(&mut self, message: &Message, answer: &Answer<'_>) -> Result<(), Gone> {
        for (literal, is_text_next) in message.pieces() {
            self.outbox.body(literal);
            if is_text_next {
                self.text(answer, answer.text_bytes()).await?;
            }
        }
        Ok(())
    }

    fn count_token(&self) {
        let ended = self.inbox.ended();
        let after_leave = ended.map(|ended| self.desk.world.now().since(ended));
        self.desk.counters().token(after_leave);
    }

    /// Waits until token `index` is due, unless the client leaves first.
    async fn wait(&self, index: u32) -> Result<(), Gone> {
        self.until(self.start.after(self.turn.due(index))).await?;
        self.under_way.iter().for_each(UnderWay::runs);
        Ok(())
    }

    /// Reads the prompt as an engine does, in its turn. The answer's tokens
    /// are due from then on.
    async fn read_prompt(&mut self, answer: &Answer<'_>) -> Result<(), Gone> {
        let desk = self.desk;
        let Some(prefill) = &desk.prefill else { return Ok(()) };
        let mut slot = prefill.slot();
        self.unless_gone(&mut slot).await?;
        self.start = slot.begin(answer.prompt_tokens, desk.world.now());
        self.until(self.start).await
    }

    async fn until(&self, due: Instant) -> Result<(), Gone> {
        if self.has_left() {
            return Err(Gone);
        }
        if self.desk.world.now() >= due {
            return Ok(());
        }
        self.unless_gone(self.desk.pace.wait(due)).await
    }

    async fn unless_gone(&self, wait: impl Future<Output = ()>) -> Result<(), Gone> {
        let mut wait = pin!(wait);
        poll_fn(|cx| {
            if self.has_left() {
                return Poll::Ready(Err(Gone));
            }
            wait.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    fn has_left(&self) -> bool {
        self.inbox.ended().is_some() && !self.turn.deaf
    }

    /// The fault that strikes here, if any.
    pub(super) fn struck(&self, here: Place) -> Option<Fault> {
        self.turn.fault().filter(|(place, _)| *place == here).map(|(_, fault)| fault)
    }

    /// Stalls until the client has left, or cuts it off.
    pub(super) async fn strike(&mut self, fault: Fault) -> Result<Done, Gone> {
        self.outbox.flush().await?;
        match fault {
            Fault::Stall => {
                self.inbox.more_than(usize::MAX).await;
                Err(Gone)
            }
            Fault::Cut | Fault::Error if self.turn.reset => Ok(Done::Reset),
            Fault::Cut | Fault::Error => Ok(Done::Close),
        }
    }

    /// Interim answers (RFC 9110, section 15.2: not to HTTP/1.0).
    pub(super) async fn interim(&mut self) -> Result<(), Gone> {
        self.outbox.begin(self.turn.split, false);
        let Some(interim) = self.turn.interim else { return Ok(()) };
        if self.order.version == Version::Http10 {
            return Ok(());
        }
        for _ in 0..interim.times {
            write::status_line(self.outbox.unframed(), interim.status);
            write::end_of_head(self.outbox.unframed());
        }
        self.outbox.flush().await
    }

    /// Writes the head; true if the connection closes behind the body.
    fn begin(
        &mut self,
        status: u16,
        content_type: &[u8],
        usual: Framing,
        length: Option<u64>,
    ) -> bool {
        let framing = match (self.turn.framing.unwrap_or(usual), length) {
            (Framing::Length, Some(length)) => BodyEnd::Length(length),
            // RFC 9112, section 6.1: no chunks to HTTP/1.0.
            (Framing::Chunked, _) if self.order.version == Version::Http11 => BodyEnd::Chunked,
            _ => BodyEnd::Close,
        };
        let framing = if has_body(status) { framing } else { BodyEnd::None };
        let close = !self.order.keep_alive || self.turn.close || framing == BodyEnd::Close;
        self.outbox.begin(self.turn.split, framing == BodyEnd::Chunked && !self.order.head_only);
        let out = self.outbox.unframed();
        write::status_line(out, status);
        if !content_type.is_empty() {
            write::field(out, b"content-type", content_type);
        }
        if content_type == EVENT_STREAM {
            write::field(out, b"cache-control", b"no-cache");
        }
        match framing {
            BodyEnd::Length(length) => write::field_number(out, b"content-length", length),
            BodyEnd::Chunked => write::field(out, b"transfer-encoding", b"chunked"),
            BodyEnd::Close | BodyEnd::None => {}
        }
        if close {
            write::field(out, b"connection", b"close");
        } else if self.order.version == Version::Http10 {
            write::field(out, b"connection", b"keep-alive");
        }
        if let Some(delay) = self.turn.retry_after.filter(|_| status != 200) {
            write_retry_after(out, delay);
        }
        for index in 0..self.turn.extra_headers {
            let name = format!("x-mock-extra-{index}");
            write::field(out, name.as_bytes(), b"as was asked for");
        }
        write::end_of_head(out);
        close
    }

    async fn finish(&mut self, close: bool) -> Result<Done, Gone> {
        self.outbox.end_of_body();
        self.outbox.flush().await?;
        self.desk.counters().count(|c| &c.answers, 1);
        if let Some(id) = &self.order.id {
            self.desk.stats.lists.answered(id);
        }
        Ok(if close { Done::Close } else { Done::KeepAlive })
    }
}

/// How an answer's head tells the end of its body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyEnd {
    None,
    Length(u64),
    Chunked,
    Close,
}

/// RFC 9112, section 6.3: these never have one.
fn has_body(status: u16) -> bool {
    !matches!(status, 204 | 304)
}

/// Whole seconds, rounded up (RFC 9110, section 10.2.3), and beside them the
/// milliseconds that OpenAI's clients understand.
fn write_retry_after(out: &mut Vec<u8>, delay: Duration) {
    let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    write::field_number(out, b"retry-after", millis.div_ceil(1000));
    if !millis.is_multiple_of(1000) {
        write::field_number(out, b"retry-after-ms", millis);
    }
}

/// Writes the last answer of a connection, a refusal of what was not, or not
/// wholly, read.
pub(super) fn write_last_refusal<S: Stream>(
    outbox: &mut Outbox<'_, S>,
    dialect: Dialect,
    refusal: &Refusal,
) {
    outbox.begin(None, false);
    let mut page = Vec::new();
    write_refusal(&mut page, dialect, refusal, 0);
    let out = outbox.unframed();
    write::status_line(out, refusal.status);
    write::field(out, b"content-type", JSON);
    write::field_number(out, b"content-length", page.len() as u64);
    write::field(out, b"connection", b"close");
    write::end_of_head(out);
    outbox.body(&page);
}

/// Takes in and forgets what the client sends, until it ends or for a while.
pub(super) async fn linger<W: World>(desk: &Desk<W>, inbox: &Inbox) {
    let until = desk.world.now().after(LINGER);
    let mut wait = pin!(desk.pace.wait(until));
    poll_fn(|cx| {
        inbox.read(|unread| (unread.len(), ()));
        if inbox.ended().is_some() {
            return Poll::Ready(());
        }
        wait.as_mut().poll(cx)
    })
    .await;
}
