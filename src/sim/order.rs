//! What one request asks, and what is answered to it. All of it follows from
//! the order, so both ends can tell whether every byte is right and nobody
//! else's: wherever an answer speaks, it names its order.

use std::time::Duration;

use super::{
    faults::{Faults, Odds},
    models,
};
use crate::{base::Chance, llm::Complaint};

/// What a backend says to make an order known, before the number.
const NAME: &str = "order ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Chat,
    Messages,
    /// No work of a model's: who asks twice has it done twice.
    Batches,
}

/// How a client writes the model's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wording {
    /// Behind everything that it says.
    pub last: bool,
    /// With its first letter escaped.
    pub escaped: bool,
}

#[derive(Clone, Debug)]
pub struct Order {
    pub id: usize,
    pub api: Api,
    pub model: &'static str,
    pub wording: Wording,
    pub priority: Option<&'static str>,
    pub streamed: bool,
    pub tokens: usize,
    /// From one token to the next.
    pub gap: Duration,
    /// Bytes of prompt beside the name.
    pub padding: usize,
    /// It is sent in chunks.
    pub chunked: bool,
    /// By a client of HTTP/1.0.
    pub old: bool,
}

impl Order {
    pub fn drawn(id: usize, faults: &Faults, chance: &mut Chance) -> Self {
        let large = chance.happens(faults.large_bodies);
        let old = chance.happens(faults.old_clients);
        let api = match chance.below(10) {
            0..=2 if faults.effects => Api::Batches,
            0..=3 => Api::Messages,
            _ => Api::Chat,
        };
        let urgency = [None, Some("high"), Some("low")];
        Self {
            id,
            api,
            model: models::drawn_name(faults, chance),
            wording: Wording { last: chance.below(3) == 0, escaped: chance.below(8) == 0 },
            priority: urgency[chance.below(urgency.len())],
            streamed: api != Api::Batches && chance.below(3) > 0,
            tokens: 1 + chance.below(40),
            gap: chance.up_to(Duration::from_millis(30)),
            padding: if large { chance.below(100_000) } else { chance.below(1000) },
            chunked: !old && chance.happens(Odds(150)),
            old,
        }
    }

    fn name(&self) -> String {
        format!("{NAME}{};", self.id)
    }

    /// As its client writes it.
    pub fn request_body(&self) -> Vec<u8> {
        let model = match (self.wording.escaped, self.model.as_bytes()) {
            (true, [first, ..]) => format!("\\u{first:04x}{}", &self.model[1..]),
            _ => self.model.to_owned(),
        };
        self.body_with(&model)
    }

    /// With the model called so.
    pub fn body_called(&self, model: &str) -> Vec<u8> {
        self.body_with(model)
    }

    fn body_with(&self, model: &str) -> Vec<u8> {
        let (name, padding) = (self.name(), "x".repeat(self.padding));
        let limit = match self.api {
            Api::Chat => "",
            Api::Messages => "\"max_tokens\":99,",
            Api::Batches => return format!("{{\"input\":\"{name}{padding}\"}}").into_bytes(),
        };
        let streamed = self.streamed;
        let rest = format!(
            "{limit}\"stream\":{streamed},\"messages\":[{{\"role\":\"user\",\
             \"content\":\"{name}{padding}\"}}]"
        );
        let body = if self.wording.last {
            format!("{{{rest},\"model\":\"{model}\"}}")
        } else {
            format!("{{\"model\":\"{model}\",{rest}}}")
        };
        body.into_bytes()
    }

    pub fn request(&self) -> Vec<u8> {
        let path = match self.api {
            Api::Chat => "/v1/chat/completions",
            Api::Messages => "/v1/messages",
            Api::Batches => "/v1/batches",
        };
        let body = self.request_body();
        let version = if self.old { "1.0" } else { "1.1" };
        let mut request = format!(
            "POST {path} HTTP/{version}\r\nhost: sim\r\ncontent-type: application/json\r\n\
             authorization: Bearer {}\r\n",
            self.secret()
        );
        if let Some(priority) = self.priority {
            request += &format!("x-tokenring-priority: {priority}\r\n");
        }
        if !self.chunked {
            request += &format!("content-length: {}\r\n\r\n", body.len());
            return [request.into_bytes(), body].concat();
        }
        request += "transfer-encoding: chunked\r\n\r\n";
        let mut bytes = request.into_bytes();
        for piece in body.chunks(1 + body.len() / 3) {
            bytes.extend(chunk(piece));
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }

    /// It asks for a model that nobody has.
    pub fn is_unknown(&self) -> bool {
        self.model == models::UNKNOWN && self.api != Api::Batches
    }

    /// What its client is known by.
    pub fn secret(&self) -> String {
        format!("secret-of-client-{}", self.id)
    }

    fn word(&self, place: usize) -> String {
        format!("{}.{place} ", self.name())
    }

    /// The good answer, in the pieces in which a backend writes it.
    pub fn pieces(&self) -> Vec<Vec<u8>> {
        let words = (0..self.tokens).map(|place| self.word(place));
        let (prompt, tokens) = (self.prompt_tokens(), self.tokens);
        let whole = |text: String| match self.api {
            Api::Chat => format!(
                "{{\"id\":\"c\",\"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\
                 \"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\
                 \"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":{prompt},\
                 \"completion_tokens\":{tokens},\"total_tokens\":{}}}}}",
                prompt + tokens
            ),
            Api::Messages => format!(
                "{{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"content\":\
                 [{{\"type\":\"text\",\"text\":\"{text}\"}}],\"stop_reason\":\"end_turn\",\
                 \"usage\":{{\"input_tokens\":{prompt},\"output_tokens\":{tokens}}}}}"
            ),
            Api::Batches => format!("{{\"object\":\"batch\",\"text\":\"{text}\"}}"),
        };
        if !self.streamed {
            return vec![whole(words.collect()).into_bytes()];
        }
        let mut pieces: Vec<String> = words.map(|word| self.event(&word)).collect();
        match self.api {
            Api::Batches => {}
            Api::Chat => {
                pieces.push(format!(
                    "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[],\
                     \"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":{tokens},\
                     \"total_tokens\":{}}}}}\n\n",
                    prompt + tokens
                ));
                pieces.push("data: [DONE]\n\n".to_owned());
            }
            Api::Messages => {
                pieces.insert(
                    0,
                    format!(
                        "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":\
                         {{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\
                         \"usage\":{{\"input_tokens\":{prompt},\"output_tokens\":1}}}}}}\n\n"
                    ),
                );
                pieces.push(format!(
                    "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":\
                     {{\"stop_reason\":\"end_turn\"}},\"usage\":{{\"output_tokens\":{tokens}}}}}\n\n"
                ));
                pieces
                    .push("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned());
            }
        }
        pieces.into_iter().map(String::into_bytes).collect()
    }

    fn event(&self, word: &str) -> String {
        match self.api {
            Api::Chat | Api::Batches => format!(
                "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":\
                 [{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n"
            ),
            Api::Messages => format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\
                 \"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{word}\"}}}}\n\n"
            ),
        }
    }

    /// That the proxy counts of its answer.
    pub fn tokens_counted(&self) -> usize {
        if self.api == Api::Batches { 0 } else { self.tokens }
    }

    pub fn prompt_tokens(&self) -> usize {
        1 + self.padding / 4
    }

    /// The body of a backend's own error.
    pub fn error_body(&self, status: u16) -> Vec<u8> {
        self.error_with(&format!("came to {status}"))
    }

    /// The same, of one that is about what was asked.
    pub fn complaint_body(&self, complaint: Complaint) -> Vec<u8> {
        self.error_with(match complaint {
            Complaint::ContextWindow => "prompt is too long for the maximum context length",
            Complaint::ContentPolicy => "goes against the content management policy",
            Complaint::OfRequest | Complaint::OfBackend => "has a fault",
        })
    }

    fn error_with(&self, word: &str) -> Vec<u8> {
        let name = self.name();
        match self.api {
            Api::Chat | Api::Batches => format!(
                "{{\"error\":{{\"message\":\"{name} {word}\",\"type\":\"server_error\",\
                 \"param\":null,\"code\":null}}}}"
            ),
            Api::Messages => format!(
                "{{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\
                 \"message\":\"{name} {word}\"}}}}"
            ),
        }
        .into_bytes()
    }

    /// A stream that is nothing but the word that there is no room.
    pub fn overload_event(&self) -> Vec<u8> {
        let body = self.error_body(529);
        let name: &[u8] = match self.api {
            Api::Chat | Api::Batches => b"data: ",
            Api::Messages => b"event: error\ndata: ",
        };
        [name, &body, b"\n\n"].concat()
    }
}

/// One chunk of a body.
pub fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// Every order that a text names.
pub fn named_in(text: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(text);
    let behind = text.split(NAME).skip(1);
    // A name that is cut off names nobody.
    behind.filter_map(|rest| rest.split_once(';')?.0.parse().ok()).collect()
}
