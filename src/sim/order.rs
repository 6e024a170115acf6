//! What one request asks, and what is answered to it. All of it follows from
//! the order, so both ends can tell whether every byte is right and nobody
//! else's: wherever an answer speaks, it names its order.

use std::time::Duration;

use super::faults::{Faults, Odds};
use crate::base::Chance;

/// What a backend says to make an order known, before the number.
const NAME: &str = "order ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Chat,
    Messages,
}

#[derive(Clone, Debug)]
pub struct Order {
    pub id: usize,
    pub api: Api,
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
        Self {
            id,
            api: if chance.below(3) == 0 { Api::Messages } else { Api::Chat },
            streamed: chance.below(3) > 0,
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

    pub fn request_body(&self) -> Vec<u8> {
        let (name, padding) = (self.name(), "x".repeat(self.padding));
        let limit = match self.api {
            Api::Chat => "",
            Api::Messages => "\"max_tokens\":99,",
        };
        let streamed = self.streamed;
        format!(
            "{{\"model\":\"m\",{limit}\"stream\":{streamed},\"messages\":[{{\"role\":\"user\",\
             \"content\":\"{name}{padding}\"}}]}}"
        )
        .into_bytes()
    }

    pub fn request(&self) -> Vec<u8> {
        let path = match self.api {
            Api::Chat => "/v1/chat/completions",
            Api::Messages => "/v1/messages",
        };
        let body = self.request_body();
        let version = if self.old { "1.0" } else { "1.1" };
        let mut request = format!(
            "POST {path} HTTP/{version}\r\nhost: sim\r\ncontent-type: application/json\r\n"
        );
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
        };
        if !self.streamed {
            return vec![whole(words.collect()).into_bytes()];
        }
        let mut pieces: Vec<String> = words.map(|word| self.event(&word)).collect();
        match self.api {
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
            Api::Chat => format!(
                "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":\
                 [{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n"
            ),
            Api::Messages => format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\
                 \"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{word}\"}}}}\n\n"
            ),
        }
    }

    pub fn prompt_tokens(&self) -> usize {
        1 + self.padding / 4
    }

    /// The body of a backend's own error.
    pub fn error_body(&self, status: u16) -> Vec<u8> {
        let name = self.name();
        match self.api {
            Api::Chat => format!(
                "{{\"error\":{{\"message\":\"{name} came to {status}\",\"type\":\"server_error\",\
                 \"param\":null,\"code\":null}}}}"
            ),
            Api::Messages => format!(
                "{{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\
                 \"message\":\"{name} came to {status}\"}}}}"
            ),
        }
        .into_bytes()
    }

    /// A stream that is nothing but the word that there is no room.
    pub fn overload_event(&self) -> Vec<u8> {
        let body = self.error_body(529);
        let name: &[u8] = match self.api {
            Api::Chat => b"data: ",
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
