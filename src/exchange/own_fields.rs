//! The fields that we add to every request and every answer, written once at
//! the start: a head then costs a copy or two and not a dozen.

use super::settings::{HeaderPlan, Settings};
use crate::{http::write, llm::Dialect};

/// How we are named in `Via` (RFC 9110, section 7.6.3).
const VIA: &[u8] = b"1.1 tokenring";

pub const ROUTE: &[u8] = b"x-tokenring-route";
const ATTEMPTS: &[u8] = b"x-tokenring-attempts";

/// Whole lines, ready to be copied into a head.
#[derive(Debug)]
pub struct OwnFields {
    /// Behind the fields of every request.
    pub request: Vec<u8>,
    /// The same of a request whose answer we read.
    pub read_request: Vec<u8>,
    /// Behind the fields of every answer, for each backend; the value of the
    /// last line, how often backends were asked, is missing.
    pub answers: Vec<Vec<u8>>,
    /// Some backends have credentials of their own.
    pub has_credentials: bool,
}

impl OwnFields {
    pub fn new(settings: &Settings) -> Self {
        let ours = &settings.headers;
        let mut request = Vec::new();
        if ours.via {
            write::field(&mut request, b"via", VIA);
        }
        // We look into the answer (usage, the end of the stream), so it must
        // come as it is.
        let mut read_request = request.clone();
        write::field(&mut read_request, b"accept-encoding", b"identity");
        let answers = settings.backends.iter().map(|backend| answer(ours, &backend.name)).collect();
        let has_credentials = settings.backends.iter().any(|one| one.credential.is_some());
        Self { request, read_request, answers, has_credentials }
    }
}

/// Where the clients of an API look for the id of a request.
pub fn id_field(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::OpenAi => b"x-request-id",
        Dialect::Anthropic => b"request-id",
    }
}

fn answer(ours: &HeaderPlan, backend: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    if ours.via {
        write::field(&mut lines, b"via", VIA);
    }
    if ours.own {
        write::field(&mut lines, b"x-tokenring-backend", backend.as_bytes());
        lines.extend_from_slice(ATTEMPTS);
        lines.extend_from_slice(b": ");
    }
    lines
}

/// The lines of an answer of our own: how often backends were asked for it, and
/// where it was decided to go, where anything was.
pub fn of_refusal(attempts: u32, route: Option<&[u8]>) -> Vec<u8> {
    let mut lines = Vec::new();
    write::field_number(&mut lines, ATTEMPTS, u64::from(attempts));
    if let Some(route) = route {
        write::field(&mut lines, ROUTE, route);
    }
    lines
}
