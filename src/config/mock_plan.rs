//! What the built-in mock listens on and how it answers and fails.

use std::path::PathBuf;
use std::time::Duration;

use super::{Address, DriverChoice};

/// A mock LLM, wholly described.
#[derive(Clone, Debug, PartialEq)]
pub struct MockPlan {
    /// Port 0 lets the kernel choose.
    pub listen: Address,
    /// Core ids in ascending order, one thread each; never empty.
    pub cores: Vec<usize>,
    /// Whether each thread is bound to its core.
    pub pin: bool,
    pub driver: DriverChoice,
    pub script: MockScript,
}

/// How the mock answers.
#[derive(Clone, Debug, PartialEq)]
pub struct MockScript {
    /// Names listed at `/v1/models`; another name is answered 404.
    /// Empty accepts every name.
    pub models: Vec<String>,
    /// How the engine reads prompts; no time by default.
    pub prefill: MockPrefill,
    /// From the prompt read to the first token.
    pub first_token: Duration,
    /// Between two tokens.
    pub token_gap: Duration,
    /// Tokens in an answer, unless the request's `max_tokens` is lower.
    pub tokens: u32,
    /// Bytes of text in a token.
    pub token_bytes: usize,
    /// Size of the whole body of an unstreamed answer, text padded to reach
    /// it; `None` is what the tokens amount to.
    pub body_bytes: Option<usize>,
    /// The status; other than 200 comes with an error body and no tokens.
    pub status: u16,
    /// The status of `/health`.
    pub health_status: u16,
    /// Sent as `retry-after` with a status other than 200.
    pub retry_after: Option<Duration>,
    /// Falls silent for ever before this token (the first is 0).
    pub stall_at: Option<u32>,
    /// Closes the connection before this token (the first is 0), with no end
    /// of the body.
    pub cut_at: Option<u32>,
    /// Sends an in-band error event before this token (the first is 0) and
    /// ends the stream, overload told inside a 200.
    pub error_at: Option<u32>,
    /// Ends streams cleanly but without `data: [DONE]`.
    pub omit_done: bool,
    /// Every n-th request meets the faults above, counted in each thread;
    /// 1 is every request.
    pub fault_every: u32,
    /// Closes each connection after this many answers; `None` is never.
    pub close_after: Option<u32>,
    /// Gets a line with the `x-request-id` of each request whose head has come;
    /// it outlives a mock that is killed.
    pub asked: Option<PathBuf>,
    /// The same for each answer that went out whole.
    pub answered: Option<PathBuf>,
}

/// How an engine reads prompts, of which a token is four bytes of the body:
/// what is under way there makes the next one wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MockPrefill {
    /// To read one token of a prompt; zero is no prefill at all.
    pub per_token: Duration,
    /// Prompts that are read at once; the others wait in their order.
    pub slots: u32,
    /// So many prompts are read while the engine is cold.
    pub cold_requests: u32,
    /// They take so many times as long.
    pub cold_times: u32,
}

impl MockPrefill {
    pub const SLOTS: u32 = 1;
    pub const COLD_TIMES: u32 = 10;
    pub const NONE: Self = Self {
        per_token: Duration::ZERO,
        slots: Self::SLOTS,
        cold_requests: 0,
        cold_times: Self::COLD_TIMES,
    };
}

impl MockScript {
    /// A quick model without faults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            models: Vec::new(),
            prefill: MockPrefill::NONE,
            first_token: Self::FIRST_TOKEN,
            token_gap: Self::TOKEN_GAP,
            tokens: Self::TOKENS,
            token_bytes: Self::TOKEN_BYTES,
            body_bytes: None,
            status: Self::STATUS,
            health_status: Self::STATUS,
            retry_after: None,
            stall_at: None,
            cut_at: None,
            error_at: None,
            omit_done: false,
            fault_every: Self::FAULT_EVERY,
            close_after: None,
            asked: None,
            answered: None,
        }
    }

    pub const FIRST_TOKEN: Duration = Duration::from_millis(200);
    pub const TOKEN_GAP: Duration = Duration::from_millis(20);
    pub const TOKENS: u32 = 128;
    /// About what a token of English text has.
    pub const TOKEN_BYTES: usize = 4;
    /// A token is made and sent in one piece, so its size is held in memory
    /// once for each connection.
    pub const TOKEN_BYTES_MAX: usize = 1024 * 1024;
    pub const STATUS: u16 = 200;
    pub const FAULT_EVERY: u32 = 1;
}

impl Default for MockScript {
    fn default() -> Self {
        Self::new()
    }
}
