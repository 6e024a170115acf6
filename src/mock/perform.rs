//! Gives one answer: decides what it is. `deliver` waits and writes.

use crate::{
    base::Instant,
    llm::{Endpoint, MODEL_BYTES_MAX, peek},
    rt::World,
};

use super::{
    desk::Desk,
    inbox::Inbox,
    order::{Order, Route},
    outbox::{Gone, Outbox},
    reply::{
        Answer, Embeddings, Form, Refusal, Whole, write_model, write_models, write_token_count,
    },
    script::{Place, Turn},
    stats::UnderWay,
    text::digest,
};

pub(super) const JSON: &[u8] = b"application/json";
const PROMETHEUS: &[u8] = b"text/plain; version=0.0.4; charset=utf-8";

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    KeepAlive,
    Close,
    Reset,
}

/// One answer on its way.
pub struct Performance<'a, 'c, W: World> {
    pub(super) desk: &'a Desk<W>,
    pub(super) inbox: &'a Inbox,
    pub(super) outbox: &'a mut Outbox<'c, W::Stream>,
    pub(super) order: &'a Order,
    pub(super) body: &'a [u8],
    pub(super) turn: Turn,
    /// When the request had been read.
    pub(super) start: Instant,
    /// An LLM request, as long as it is one.
    pub(super) under_way: Option<UnderWay<'a>>,
}

impl<'a, 'c, W: World> Performance<'a, 'c, W> {
    pub fn new(
        desk: &'a Desk<W>,
        inbox: &'a Inbox,
        outbox: &'a mut Outbox<'c, W::Stream>,
        order: &'a Order,
        body: &'a [u8],
    ) -> Self {
        let start = desk.world.now();
        Self { desk, inbox, outbox, order, body, turn: order.turn, start, under_way: None }
    }

    /// # Errors
    /// When the client has left before the answer was out.
    pub async fn answer(&mut self) -> Result<Done, Gone> {
        if let Some(fault) = self.order.fault {
            return self.refusal(Refusal::new(400, fault.to_string())).await;
        }
        if let Some(fault) = self.struck(Place::Head) {
            return self.strike(fault).await;
        }
        self.interim().await?;
        if self.turn.echo {
            return self.page(self.turn.status, &self.order.content_type, self.body).await;
        }
        self.route().await
    }

    async fn route(&mut self) -> Result<Done, Gone> {
        let mut page = Vec::new();
        match &self.order.route {
            Route::Llm(endpoint) => return self.llm(*endpoint).await,
            Route::Models => {
                write_models(&mut page, self.order.dialect, &self.desk.script.models);
            }
            Route::Model(name) => match std::str::from_utf8(name) {
                Ok(name) if self.desk.has_model(name.as_bytes()) => {
                    write_model(&mut page, self.order.dialect, name);
                }
                _ => return self.refusal(model_unknown()).await,
            },
            Route::Root => page.extend_from_slice(b"{\"server\":\"tokenring mock\"}"),
            Route::Health => match self.desk.stats.health() {
                200..=299 => page.extend_from_slice(b"{\"status\":\"ok\"}"),
                status => return self.refusal(Refusal::on_command(status)).await,
            },
            Route::Metrics => {
                self.desk.stats.totals().write_metrics(&mut page);
                return self.page(200, PROMETHEUS, &page).await;
            }
            Route::Stats => self.desk.stats.totals().write(&mut page),
            Route::EchoHead(listing) => {
                page.extend_from_slice(listing);
                page.extend_from_slice(b",\"body_bytes\":");
                page.extend_from_slice(itoa::Buffer::new().format(self.body.len()).as_bytes());
                page.push(b'}');
            }
            Route::MethodUnknown => {
                return self.refusal(Refusal::new(405, "The method is not served here.")).await;
            }
            Route::PathUnknown => {
                let mut refusal = Refusal::new(404, "The mock serves nothing at this path.");
                refusal.code = Some("unknown_url");
                return self.refusal(refusal).await;
            }
        }
        self.page(200, JSON, &page).await
    }

    async fn llm(&mut self, endpoint: Endpoint) -> Result<Done, Gone> {
        self.under_way = Some(UnderWay::begin(self.desk.counters()));
        if self.turn.status != 200 {
            return self.refusal(Refusal::on_command(self.turn.status)).await;
        }
        let body = self.body;
        let asked = match peek(body, endpoint) {
            Ok(asked) => asked,
            Err(fault) => return self.refusal(Refusal::new(400, fault.reason())).await,
        };
        let mut room = [0; MODEL_BYTES_MAX];
        if !self.desk.has_model(asked.model.map_or(b"", |model| model.name(body, &mut room))) {
            return self.refusal(model_unknown()).await;
        }
        let tokens_max = asked.max_tokens.unwrap_or(u64::MAX);
        let tokens_max = u32::try_from(tokens_max).unwrap_or(u32::MAX);
        let answer = Answer {
            digest: digest(body),
            model: asked.model.map_or(b"", |model| model.written(body)),
            prompt_tokens: body.len() as u64 / 4,
            tokens: self.turn.tokens.min(tokens_max),
            token_bytes: self.turn.token_bytes,
            cut_short: tokens_max < self.turn.tokens,
            include_usage: asked.include_usage.unwrap_or(false),
        };
        match Form::of(endpoint) {
            Some(form) if asked.stream => self.stream(form, answer).await,
            Some(form) => self.whole(Whole::new(form, &answer), &answer).await,
            None => self.without_text(endpoint, Answer { tokens: 0, ..answer }).await,
        }
    }

    async fn without_text(&mut self, endpoint: Endpoint, answer: Answer<'_>) -> Result<Done, Gone> {
        if endpoint == Endpoint::Embeddings {
            return match Embeddings::read(self.body) {
                Ok(asked) => self.whole(asked.whole(self.body, &answer), &answer).await,
                Err(fault) => self.refusal(Refusal::new(400, fault.reason())).await,
            };
        }
        let mut page = Vec::new();
        write_token_count(&mut page, answer.prompt_tokens);
        self.page(200, JSON, &page).await
    }
}

fn model_unknown() -> Refusal {
    Refusal::new(404, "The mock has no model of this name.")
}
