//! Verb two, first half: what is asked. The head is parsed once; everything
//! that must be known later is taken out of it or written into the outgoing
//! request. Nothing here waits.

use std::time::Duration;

use memchr::{memchr, memmem};
use smallvec::SmallVec;

use super::{
    Stage,
    conversation::Conversation,
    outgoing::Outgoing,
    pages::{Page, PageRequest},
    permit::Permit,
    request_id::RequestId,
    settings::{Credentials, Settings},
};
use crate::{
    balance::{Priority, Shape, Work},
    base::Instant,
    http::{
        BodyFraming, HeadFault, HeaderTable, Name, Request, RequestFault, Version,
        names_other_charset, parse_request,
    },
    llm::{Dialect, Endpoint, Trouble, is_json, peek},
    rt::World,
};

/// The path of the small proxy that most people write first.
const PROXY: &[u8] = b"/proxy";
const PRIORITY: &[u8] = b"x-tokenring-priority";
const ANTHROPIC_VERSION: &[u8] = b"anthropic-version";
/// Below this path there are no pages of our own.
const API: &[u8] = b"/v1/";

/// What a client asks, and the request that will ask it of a backend.
pub struct Asked<'s> {
    pub endpoint: Endpoint,
    /// In whose words an error is told.
    pub dialect: Dialect,
    /// `POST /proxy`: any JSON, and a failure is always answered in JSON.
    pub is_proxy: bool,
    pub is_post: bool,
    /// The answer has no body, whatever its head says.
    pub to_head: bool,
    pub client_speaks_11: bool,
    pub keep_alive: bool,
    pub expects_continue: bool,
    /// Its Content-Type names a charset other than UTF-8.
    pub in_other_charset: bool,
    pub framing: BodyFraming,
    pub request_id: RequestId,
    /// When its head was complete.
    pub arrived: Instant,
    /// How long it has been in our hands, waiting for nobody.
    pub ours: Duration,
    pub outgoing: Outgoing,
    /// How urgent it is, where the client may say so.
    pub priority: Priority,
    pub conversation: Conversation,
    /// What it asks of a backend, once its body has been read.
    pub work: Work,
    /// Held as long as the body is.
    pub body_permit: Option<Permit<'s>>,
}

/// What a head turns out to be.
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one, and lives on")]
pub enum Head<'s> {
    Asked(Asked<'s>),
    Page {
        page: Page,
        to_head: bool,
        client_speaks_11: bool,
        keep_alive: bool,
        framing: BodyFraming,
    },
}

/// Why a head is refused, and how to say so.
pub struct HeadRefused {
    pub trouble: Trouble,
    pub asker: Asker,
}

/// What a refusal depends on, made out from as much of a head as has come.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    pub dialect: Dialect,
    /// The answer to HEAD has no body (RFC 9110, section 9.3.2).
    pub to_head: bool,
}

/// The asker of a head that is refused, or of as much of it as has come.
pub fn asker_of<W: World>(stage: &Stage<W>, head: &[u8]) -> Asker {
    Asker { dialect: dialect_of(stage, head), to_head: head.starts_with(b"HEAD ") }
}

/// Reads one complete head. `forwarded` are the fields that tell a backend
/// of the client, `admin` whether the head came by the admin listener.
pub fn head<'s, W: World>(
    stage: &'s Stage<W>,
    forwarded: &[u8],
    admin: bool,
    bytes: &[u8],
) -> Result<Head<'s>, HeadRefused> {
    let mut table = HeaderTable::new();
    let request = parse_request(bytes, &stage.http_limits, &mut table).map_err(|fault| {
        let is_too_large = fault == HeadFault::TooLarge.into();
        let trouble = if is_too_large { too_large(stage, bytes) } else { trouble_of(fault) };
        HeadRefused { trouble, asker: asker_of(stage, bytes) }
    })?;
    let method = request.method.as_bytes();
    let to_head = method == b"HEAD";
    let client_speaks_11 = request.version == Version::Http11;
    let keep_alive = request.keep_alive && !stage.draining.get();
    if (admin || !request.path.starts_with(API))
        && let Some(page) = (stage.pages)(PageRequest {
            method,
            path: request.path,
            admin,
            ready: stage.is_ready(),
            draining: stage.draining.get(),
            now: stage.now(),
        })
    {
        let framing = request.framing;
        return Ok(Head::Page { page, to_head, client_speaks_11, keep_alive, framing });
    }
    let is_post = method == b"POST";
    let is_proxy = is_post && request.path == PROXY;
    let target = if is_proxy { stage.settings.proxy_path.as_bytes() } else { request.origin_form };
    // The API is that of the path which the backend sees.
    let endpoint = Endpoint::of(if is_proxy { target } else { request.path });
    let refused = |trouble, dialect| HeadRefused { trouble, asker: Asker { dialect, to_head } };
    refuse_hidden(request.path, endpoint, refused)?;
    if asks_for_websocket(&request) && endpoint == Endpoint::Responses {
        // An SDK that tries a WebSocket falls back to events at a 426.
        return Err(refused(Trouble::UpgradeRequired, endpoint.dialect()));
    }
    panic_as_told(stage, request.path);
    let mut outgoing = Outgoing::begin(stage.lend_buffer(), method, target, stage.prefix_room);
    // What `/proxy` answers must be told from an error that is no JSON.
    let reads_answer = is_proxy || is_read_by_us(endpoint);
    let (request_id, in_other_charset) =
        write_fields(stage, &request, forwarded, reads_answer, &mut outgoing);
    Ok(Head::Asked(Asked {
        endpoint,
        dialect: dialect(&request, endpoint),
        is_proxy,
        is_post,
        to_head,
        client_speaks_11,
        keep_alive,
        expects_continue: request.expect_continue,
        in_other_charset,
        framing: request.framing,
        request_id,
        arrived: stage.now(),
        ours: Duration::ZERO,
        outgoing,
        priority: priority(stage, &request),
        conversation: Conversation::of_head(stage, &request),
        work: Work::default(),
        body_permit: None,
    }))
}

impl Asked<'_> {
    /// Holds the body to what its API promises, once it stands in the outgoing
    /// request.
    pub fn check_body<W: World>(&mut self, stage: &Stage<W>) -> Result<(), Trouble> {
        let is_read = self.is_proxy || (self.is_post && self.endpoint.needs_model());
        if is_read && self.in_other_charset {
            // The backend could find other members in it than we do.
            return Err(Trouble::CharsetUnknown);
        }
        let body = self.outgoing.body();
        if self.is_proxy {
            is_json(body)?;
            let prompt_bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
            self.work = Work { prompt_bytes, shape: shape_of(self.endpoint, false) };
        } else if self.is_post && self.endpoint.needs_model() {
            let peek = peek(body, self.endpoint)?;
            self.conversation.read(stage, body, &peek);
            let shape = shape_of(self.endpoint, peek.stream);
            self.work = Work { prompt_bytes: peek.prompt_bytes, shape };
        }
        Ok(())
    }
}

fn panic_as_told<W: World>(stage: &Stage<W>, path: &[u8]) {
    if stage.settings.panics_at.as_ref().is_some_and(|told| told.as_bytes() == path) {
        #[allow(clippy::panic, reason = "a test asked for it")]
        {
            panic!("a request made this task panic, as a test told it to");
        }
    }
}

/// What a client says of itself is only heard where the operator trusts it.
fn priority<W: World>(stage: &Stage<W>, request: &Request<'_, '_>) -> Priority {
    let given = || request.fields.get(PRIORITY).and_then(Priority::of);
    stage.settings.queue.priorities.then(given).flatten().unwrap_or_default()
}

/// How the work of this endpoint shows from outside.
fn shape_of(endpoint: Endpoint, stream: bool) -> Shape {
    match endpoint {
        Endpoint::ChatCompletions
        | Endpoint::Completions
        | Endpoint::Responses
        | Endpoint::Messages => {
            if stream {
                Shape::Streamed
            } else {
                Shape::Whole
            }
        }
        Endpoint::Embeddings | Endpoint::CountTokens | Endpoint::Rerank => Shape::Read,
        Endpoint::StoredResponse | Endpoint::MessagesOther | Endpoint::Models | Endpoint::Other => {
            Shape::Other
        }
    }
}

/// `/v1/models` exists in both APIs; only Anthropic's has a version.
fn dialect(request: &Request<'_, '_>, endpoint: Endpoint) -> Dialect {
    match endpoint {
        Endpoint::Models if request.fields.get(ANTHROPIC_VERSION).is_some() => Dialect::Anthropic,
        _ => endpoint.dialect(),
    }
}

/// A backend that decodes paths would serve an API whose requests and answers
/// went unread, and a stream's cut untold.
fn refuse_hidden(
    path: &[u8],
    endpoint: Endpoint,
    refused: impl FnOnce(Trouble, Dialect) -> HeadRefused,
) -> Result<(), HeadRefused> {
    // An API that is read along is named to the byte: nothing can hide it.
    if endpoint.needs_model() || path == PROXY {
        return Ok(());
    }
    let decoded = Endpoint::of_decoded(path);
    if decoded == endpoint {
        return Ok(());
    }
    let reason = "The path is written so that it hides which API it asks for.";
    let trouble = Trouble::InvalidRequest { reason, param: None, offset: None };
    Err(refused(trouble, decoded.dialect()))
}

fn asks_for_websocket(request: &Request<'_, '_>) -> bool {
    request.upgrade
        && request
            .fields
            .get(b"upgrade")
            .is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// Writes the fields that travel on, and those that we add. Returns the
/// request's id, and whether the body is in a charset other than UTF-8.
fn write_fields<W: World>(
    stage: &Stage<W>,
    request: &Request<'_, '_>,
    forwarded: &[u8],
    reads_answer: bool,
    outgoing: &mut Outgoing,
) -> (RequestId, bool) {
    let settings = &stage.settings;
    let mut given_id = None;
    let mut in_other_charset = false;
    let mut senders = SmallVec::<[&[u8]; 4]>::new();
    outgoing.forward(&request.fields, |name, value| match fate(name, settings, reads_answer) {
        Fate::Travels => true,
        Fate::EndsHere => false,
        Fate::RequestId => {
            given_id = RequestId::from_client(value);
            false
        }
        Fate::ContentType => {
            in_other_charset |= names_other_charset(value);
            true
        }
        Fate::ForwardedFor => {
            senders.push(value);
            false
        }
    });
    let request_id = given_id.unwrap_or_else(|| RequestId::new(&mut stage.chance.borrow_mut()));
    if settings.headers.request_id {
        outgoing.field(b"x-request-id", request_id.as_bytes());
    }
    if settings.headers.forwarded {
        write_forwarded(outgoing, &senders, forwarded);
    }
    let own = &stage.own_fields;
    outgoing.lines(if reads_answer { &own.read_request } else { &own.request });
    (request_id, in_other_charset)
}

/// Ends the list of whom a request was forwarded for with its sender. Several
/// lines are one list (RFC 9110, section 5.3).
fn write_forwarded(outgoing: &mut Outgoing, senders: &[&[u8]], own_lines: &[u8]) {
    const NAME: &[u8] = b"x-forwarded-for: ";
    let (name, own) = own_lines.split_at_checked(NAME.len()).unwrap_or_default();
    outgoing.lines(name);
    for sender in senders.iter().filter(|sender| !sender.is_empty()) {
        outgoing.lines(sender);
        outgoing.lines(b", ");
    }
    outgoing.lines(own);
}

/// What becomes of an end-to-end field of a request.
enum Fate {
    Travels,
    EndsHere,
    RequestId,
    ContentType,
    ForwardedFor,
}

#[inline]
fn fate(name: Name, settings: &Settings, reads_answer: bool) -> Fate {
    let ours = &settings.headers;
    match name {
        Name::Credential if settings.credentials == Credentials::Drop => Fate::EndsHere,
        Name::RequestId if ours.request_id => Fate::RequestId,
        Name::ContentType => Fate::ContentType,
        Name::ForwardedFor if ours.forwarded => Fate::ForwardedFor,
        // These name one client, and whoever sends them to us can name any.
        // What a proxy in front of us knows stands in X-Forwarded-For, behind
        // which we put what we know ourselves.
        Name::ForwardedProto | Name::OtherForwarded if ours.forwarded => Fate::EndsHere,
        Name::AcceptEncoding if reads_answer => Fate::EndsHere,
        _ => Fate::Travels,
    }
}

/// Whether we look into this endpoint's answers: for usage, or for the mark
/// that a stream is whole.
fn is_read_by_us(endpoint: Endpoint) -> bool {
    endpoint.needs_model() || endpoint.stream_end().is_some()
}

/// What is too large about a head that is, or about the beginning of one: if
/// its target is too long already, the client must hear of that.
pub fn too_large<W: World>(stage: &Stage<W>, head: &[u8]) -> Trouble {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let is_long = target.len() > stage.settings.limits.target_bytes;
    trouble_of(if is_long { RequestFault::TargetTooLong } else { HeadFault::TooLarge.into() })
}

/// The client's fault in the words of the client's API.
fn trouble_of(fault: RequestFault) -> Trouble {
    let reason = fault.reason();
    match fault.status() {
        405 => Trouble::MethodNotAllowed { reason },
        414 => Trouble::TargetTooLong { reason },
        417 => Trouble::ExpectationFailed { reason },
        431 => Trouble::HeadTooLarge { reason },
        501 => Trouble::NotImplemented { reason },
        505 => Trouble::VersionNotSupported { reason },
        _ => Trouble::InvalidRequest { reason, param: None, offset: None },
    }
}

/// By the path, as far as that can be made out.
fn dialect_of<W: World>(stage: &Stage<W>, head: &[u8]) -> Dialect {
    let mut lines = head.split(|byte| matches!(byte, b'\r' | b'\n'));
    let target = lines.next().unwrap_or_default().split(|&byte| byte == b' ').nth(1);
    let path = path_of(target.unwrap_or_default());
    let proxy_path = stage.settings.proxy_path.as_bytes();
    let endpoint = Endpoint::of(if path == PROXY { proxy_path } else { path });
    let is_version = |line: &[u8]| {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        name.eq_ignore_ascii_case(ANTHROPIC_VERSION)
    };
    match endpoint {
        Endpoint::Models if lines.any(is_version) => Dialect::Anthropic,
        _ => endpoint.dialect(),
    }
}

/// The path of a target in whatever form, which need not be a good one.
fn path_of(target: &[u8]) -> &[u8] {
    let is_origin_form = target.starts_with(b"/");
    let scheme_end = memmem::find(target, b"://").filter(|_| !is_origin_form);
    let rest = scheme_end.and_then(|end| target.get(end + 3..)).unwrap_or(target);
    let rest = rest.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    rest.get(memchr(b'/', rest).unwrap_or(rest.len())..).unwrap_or_default()
}
