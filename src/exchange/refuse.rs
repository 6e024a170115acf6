//! Verb eight, and the only room where a fault becomes an answer, in the
//! client's dialect. Pages of our own leave by the same door.

use super::{
    Client, Stage, answer::write_connection, own_fields::id_field, pages::Page,
    request_id::RequestId, understand::Asker, watch::Wait,
};
use crate::{
    http::write,
    llm::{Dialect, Trouble, write_error_body},
    rt::World,
};

/// To whom, and how, an answer of our own is given.
#[derive(Clone, Copy, Debug)]
pub struct Addressee<'a> {
    pub dialect: Dialect,
    pub request_id: &'a [u8],
    pub to_head: bool,
    pub client_speaks_11: bool,
    /// Whether the connection can carry another request after it.
    pub client_lives: bool,
}

impl Addressee<'_> {
    /// Somebody of whom we know no more than how to refuse it.
    pub fn stranger(Asker { dialect, to_head }: Asker) -> Self {
        Self { dialect, request_id: b"", to_head, client_speaks_11: true, client_lives: false }
    }
}

/// Tells the client what went wrong. Says whether it could be told.
pub async fn refuse<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    to: Addressee<'_>,
    trouble: &Trouble,
) -> bool {
    stage.counters.refusals.increment();
    client.last_words();
    // What was refused by its head has no id yet, and an error is asked about by
    // its id.
    let made;
    let to = if to.request_id.is_empty() {
        made = RequestId::new(&mut stage.chance.borrow_mut());
        Addressee { request_id: made.as_bytes(), ..to }
    } else {
        to
    };
    let mut body = stage.lend_buffer();
    let id = std::str::from_utf8(to.request_id).unwrap_or_default();
    write_error_body(&mut body, to.dialect, trouble, id);
    let advice = trouble.advice();
    let mut out = begin(stage, to, trouble.status(), "application/json");
    if let Some(should) = advice.should_retry {
        let word: &[u8] = if should { b"true" } else { b"false" };
        write::field(&mut out, b"x-should-retry", word);
    }
    if let Some(seconds) = advice.retry_after_seconds {
        write::field_number(&mut out, b"retry-after", u64::from(seconds));
    }
    if matches!(trouble, Trouble::MethodNotAllowed { .. }) {
        // RFC 9110, section 15.5.6: a 405 says what is allowed.
        write::field(&mut out, b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    if matches!(trouble, Trouble::UpgradeRequired) {
        // RFC 9110, section 15.5.22: a 426 says to what; SDKs fall back.
        write::field(&mut out, b"upgrade", b"HTTP/1.1");
    }
    let told = finish(stage, client, to, trouble.status(), out, &body).await;
    stage.return_buffer(body);
    told
}

/// Gives the client a page of our own.
pub async fn show<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    to: Addressee<'_>,
    page: &Page,
) -> bool {
    let mut out = begin(stage, to, page.status, page.content_type);
    write::field(&mut out, b"cache-control", b"no-store");
    finish(stage, client, to, page.status, out, &page.body).await
}

fn begin<W: World>(
    stage: &Stage<W>,
    to: Addressee<'_>,
    status: u16,
    content_type: &str,
) -> Vec<u8> {
    let mut out = stage.lend_buffer();
    write::status_line(&mut out, status);
    write::field(&mut out, b"content-type", content_type.as_bytes());
    if stage.settings.headers.request_id && !to.request_id.is_empty() {
        write::field(&mut out, id_field(to.dialect), to.request_id);
    }
    out
}

async fn finish<W: World>(
    stage: &Stage<W>,
    client: &Client<W::Stream>,
    to: Addressee<'_>,
    status: u16,
    mut out: Vec<u8>,
    body: &[u8],
) -> bool {
    write::field_number(&mut out, b"content-length", body.len() as u64);
    if status == 426 {
        // RFC 9110, section 7.8: whoever sends Upgrade lists it there. A head
        // that is refused is its connection's last.
        write::field(&mut out, b"connection", b"close, upgrade");
    } else {
        write_connection(to.client_speaks_11, to.client_lives, &mut out);
    }
    write::end_of_head(&mut out);
    if !to.to_head {
        out.extend_from_slice(body);
    }
    count_answer(stage, status);
    let whole = 0..out.len();
    stage.counters.bytes_to_clients.add(whole.len() as u64);
    let (sent, out) = client.send_rest(stage, &client.stream, out, whole, Wait::ClientWrite).await;
    stage.return_buffer(out);
    sent.is_ok()
}

/// Counts an answer that begins.
pub fn count_answer<W: World>(stage: &Stage<W>, status: u16) {
    let counters = &stage.counters;
    counters.responses.increment();
    match status {
        400..=499 => counters.responses_4xx.increment(),
        500..=599 => counters.responses_5xx.increment(),
        _ => {}
    }
}
