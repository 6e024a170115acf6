//! The flags of `mock`, each with its help and default, gathered into
//! [`MockWritten`].

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help, where brackets are brackets"
)]

use std::path::PathBuf;

use clap::Args;

use crate::base::units::{Size, Time};
use crate::config::{DriverChoice, MockPrefill, MockScript, MockWritten, Written, count};

use super::values::DriverWord;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct MockFlags {
    #[command(flatten, next_help_heading = "Place and cores")]
    place: PlaceFlags,
    #[command(flatten, next_help_heading = "Answers")]
    answers: AnswerFlags,
    #[command(flatten, next_help_heading = "The engine's queue of prompts (a token is 4 bytes)")]
    prefill: PrefillFlags,
    #[command(flatten, next_help_heading = "Faults (TOKEN counts from 0)")]
    faults: FaultFlags,
}

const EXAMPLES: &str = "\
Examples:
  tokenring mock --listen 127.0.0.1:8000 --first-token 50ms --tokens 64
      A quick model.
  tokenring mock --first-token 0s --token-gap 0s --body-bytes 512B
      As fast as it goes, with answers of 512 bytes, to measure a proxy.
  tokenring mock --cores 0 --prefill-per-token 100us --first-token 20ms
      An engine: it reads one prompt after another, and the next one waits.
  tokenring mock --cut-at 10 --fault-every 4
      Every fourth answer breaks off before its eleventh token.
  tokenring mock --status 429 --retry-after 2s
      A model that is full.";

#[derive(Debug, Args)]
struct PlaceFlags {
    /// Address: HOST:PORT (port 0 is a free one), [::1]:PORT or unix:/PATH
    #[arg(long, value_name = "ADDR", default_value = MockWritten::LISTEN)]
    listen: String,
    /// Cores that get a thread: auto (all that are allowed) or a list like 0-1,3
    #[arg(long, value_name = "CORES", default_value = Written::CORES)]
    cores: String,
    /// Do not bind each thread to its core
    #[arg(long)]
    no_pin: bool,
    /// Way into the kernel; auto is io_uring where it is granted, else epoll
    #[arg(long, value_enum, default_value_t = DriverWord(DriverChoice::Auto))]
    driver: DriverWord,
}

#[derive(Debug, Args)]
struct AnswerFlags {
    /// Models served, with commas between [default: every name]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    models: Vec<String>,
    /// From the request, or its prompt read, to the first token
    #[arg(long, value_name = "TIME", default_value_t = Time(MockScript::FIRST_TOKEN))]
    first_token: Time,
    /// Between two tokens
    #[arg(long, value_name = "TIME", default_value_t = Time(MockScript::TOKEN_GAP))]
    token_gap: Time,
    /// Tokens in an answer, or fewer when the request says so
    #[arg(
        long, value_name = "COUNT", value_parser = count::<u32>,
        default_value_t = MockScript::TOKENS
    )]
    tokens: u32,
    /// Text in a token
    #[arg(long, value_name = "SIZE", default_value_t = Size(MockScript::TOKEN_BYTES))]
    token_bytes: Size,
    /// Pad an unstreamed answer's body to this size [default: as it comes]
    #[arg(long, value_name = "SIZE")]
    body_bytes: Option<Size>,
    /// Add the x-request-id of each request whose head has come to this file [default: none]
    #[arg(long, value_name = "FILE")]
    asked: Option<PathBuf>,
    /// Add the x-request-id of each answer that went out whole to this file [default: none]
    #[arg(long, value_name = "FILE")]
    answered: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct PrefillFlags {
    /// To read one token of a prompt, while others wait; wants one core
    #[arg(
        long, value_name = "TIME", default_value_t = Time(MockPrefill::NONE.per_token)
    )]
    prefill_per_token: Time,
    /// Prompts that are read at once
    #[arg(
        long, value_name = "COUNT", value_parser = count::<u32>,
        default_value_t = MockPrefill::SLOTS
    )]
    prefill_slots: u32,
    /// So many prompts are read before the engine is warm
    #[arg(
        long, value_name = "COUNT", value_parser = count::<u32>,
        default_value_t = MockPrefill::NONE.cold_requests
    )]
    cold_requests: u32,
    /// How many times as long they take
    #[arg(
        long, value_name = "COUNT", value_parser = count::<u32>,
        default_value_t = MockPrefill::COLD_TIMES
    )]
    cold_times: u32,
}

#[derive(Debug, Args)]
struct FaultFlags {
    /// Answer with this status; other than 200 has an error for a body
    #[arg(
        long, value_name = "CODE", value_parser = count::<u16>,
        default_value_t = MockScript::STATUS
    )]
    status: u16,
    /// Answer /health with this status; --fault-every does not concern it
    #[arg(
        long, value_name = "CODE", value_parser = count::<u16>,
        default_value_t = MockScript::STATUS
    )]
    health_status: u16,
    /// Send retry-after with the --status, which is other than 200 [default: none]
    #[arg(long, value_name = "TIME")]
    retry_after: Option<Time>,
    /// Fall silent for ever before this token [default: never]
    #[arg(long, value_name = "TOKEN", value_parser = count::<u32>)]
    stall_at: Option<u32>,
    /// Break the connection before this token [default: never]
    #[arg(long, value_name = "TOKEN", value_parser = count::<u32>)]
    cut_at: Option<u32>,
    /// Send an error inside the stream before this token [default: never]
    #[arg(long, value_name = "TOKEN", value_parser = count::<u32>)]
    error_at: Option<u32>,
    /// End streams without [DONE]
    #[arg(long)]
    omit_done: bool,
    /// Only every n-th request meets the faults above; 1 is every one
    #[arg(
        long, value_name = "COUNT", value_parser = count::<u32>,
        default_value_t = MockScript::FAULT_EVERY
    )]
    fault_every: u32,
    /// Close each connection after this many answers [default: never]
    #[arg(long, value_name = "COUNT", value_parser = count::<u32>)]
    close_after: Option<u32>,
}

impl MockFlags {
    pub(super) fn into_written(self) -> MockWritten {
        let Self { place, answers, prefill, faults } = self;
        MockWritten {
            listen: place.listen,
            cores: place.cores,
            pin: !place.no_pin,
            driver: place.driver.0,
            script: MockScript {
                models: answers.models,
                prefill: MockPrefill {
                    per_token: prefill.prefill_per_token.0,
                    slots: prefill.prefill_slots,
                    cold_requests: prefill.cold_requests,
                    cold_times: prefill.cold_times,
                },
                first_token: answers.first_token.0,
                token_gap: answers.token_gap.0,
                tokens: answers.tokens,
                token_bytes: answers.token_bytes.0,
                body_bytes: answers.body_bytes.map(|size| size.0),
                status: faults.status,
                health_status: faults.health_status,
                retry_after: faults.retry_after.map(|time| time.0),
                stall_at: faults.stall_at,
                cut_at: faults.cut_at,
                error_at: faults.error_at,
                omit_done: faults.omit_done,
                fault_every: faults.fault_every,
                close_after: faults.close_after,
                asked: answers.asked,
                answered: answers.answered,
            },
        }
    }
}

#[cfg(test)]
#[path = "mock_flags_tests.rs"]
mod tests;
