//! What one request asks for, by its head alone.

use crate::{
    http::{
        BodyFraming, HeaderTable, Limits, Method, Request, RequestFault, Version, parse_request,
    },
    json::write_string,
    llm::{Dialect, Endpoint},
};

use super::script::{ScriptFault, Turn};

/// One request, its head read.
#[derive(Clone, Debug)]
pub struct Order {
    pub route: Route,
    /// The errors' dialect, and the model list's.
    pub dialect: Dialect,
    /// A HEAD request: the answer has no body.
    pub head_only: bool,
    pub version: Version,
    pub framing: BodyFraming,
    pub keep_alive: bool,
    pub expect_continue: bool,
    pub turn: Turn,
    /// The first of its `x-mock-` headers that was not understood.
    pub fault: Option<ScriptFault>,
    /// Its `x-request-id` had been seen before.
    pub is_repeated: bool,
    /// Its `x-request-id`, if that is to be kept.
    pub id: Option<Vec<u8>>,
    /// Of the body to be echoed, else empty.
    pub content_type: Vec<u8>,
}

/// What answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A POST that an LLM serves.
    Llm(Endpoint),
    Models,
    Model(Vec<u8>),
    /// `HEAD /`, which some clients probe, and GET.
    Root,
    Health,
    /// As an engine has them.
    Metrics,
    Stats,
    /// The head that came, told as JSON.
    EchoHead(Vec<u8>),
    MethodUnknown,
    PathUnknown,
}

/// Reads one whole head. `plain_turn` is what the script says to a request
/// for this endpoint; `is_repeated` remembers request ids, which are kept with
/// the order only if `keeps_id`.
pub fn read_order(
    head: &[u8],
    limits: &Limits,
    plain_turn: impl FnOnce(&Route) -> Turn,
    is_repeated: impl FnOnce(&[u8]) -> bool,
    keeps_id: bool,
) -> Result<Order, RequestFault> {
    let mut table = HeaderTable::new();
    let request = parse_request(head, limits, &mut table)?;
    let route = Route::of(&request);
    let mut turn = plain_turn(&route);
    let mut fault = None;
    let mut id = None;
    let mut speaks_anthropic = false;
    for (name, value) in request.fields.iter() {
        if let Err(misunderstood) = turn.obey(name, value) {
            fault = fault.or(Some(misunderstood));
        }
        if name.eq_ignore_ascii_case(b"x-request-id") {
            id = Some(value);
        }
        speaks_anthropic |= name.eq_ignore_ascii_case(b"anthropic-version");
    }
    let content_type = request.fields.get(b"content-type").filter(|_| turn.echo);
    let dialect = match &route {
        Route::Llm(endpoint) => endpoint.dialect(),
        _ if speaks_anthropic => Dialect::Anthropic,
        _ => Dialect::OpenAi,
    };
    Ok(Order {
        route,
        dialect,
        head_only: request.method == Method::Head,
        version: request.version,
        framing: request.framing,
        keep_alive: request.keep_alive,
        expect_continue: request.expect_continue,
        turn,
        fault,
        is_repeated: id.is_some_and(is_repeated),
        id: id.filter(|_| keeps_id).map(<[u8]>::to_vec),
        content_type: content_type.unwrap_or_default().to_vec(),
    })
}

impl Route {
    fn of(request: &Request<'_, '_>) -> Self {
        let is_read = matches!(request.method, Method::Get | Method::Head);
        match request.path {
            b"/" if is_read => return Self::Root,
            b"/health" if is_read => return Self::Health,
            b"/metrics" if is_read => return Self::Metrics,
            b"/mock/stats" if is_read => return Self::Stats,
            b"/mock/echo" => return Self::EchoHead(listing(request)),
            b"/" | b"/health" | b"/metrics" | b"/mock/stats" => return Self::MethodUnknown,
            _ => {}
        }
        let endpoint = Endpoint::of(request.path);
        match endpoint {
            Endpoint::Models if is_read => {
                let name = request.path.strip_prefix(b"/v1/models/").unwrap_or_default();
                if name.is_empty() { Self::Models } else { Self::Model(name.to_vec()) }
            }
            Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Embeddings
            | Endpoint::Responses
            | Endpoint::Messages
            | Endpoint::CountTokens => match request.method {
                Method::Post => Self::Llm(endpoint),
                _ => Self::MethodUnknown,
            },
            Endpoint::Models => Self::MethodUnknown,
            _ => Self::PathUnknown,
        }
    }
}

/// The head as JSON, its fields in the order in which they came. Bytes beyond
/// ASCII are shown as U+FFFD where they are not UTF-8.
fn listing(request: &Request<'_, '_>) -> Vec<u8> {
    let mut out = b"{\"method\":".to_vec();
    write_string(&mut out, &String::from_utf8_lossy(request.method.as_bytes()));
    out.extend_from_slice(b",\"target\":");
    write_string(&mut out, &String::from_utf8_lossy(request.target));
    out.extend_from_slice(b",\"headers\":[");
    for (index, (name, value)) in request.fields.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
        write_string(&mut out, &String::from_utf8_lossy(name));
        out.push(b',');
        write_string(&mut out, &String::from_utf8_lossy(value));
        out.push(b']');
    }
    out.push(b']');
    out
}
