//! Verb two, first half: what is asked. The head is parsed once; everything
//! that must be known later is taken out of it or written into the outgoing
//! request. Nothing here waits. `body` is what its body says.

mod body;

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use super::{
    Stage,
    choose::models_page,
    conversation::Conversation,
    outgoing::Outgoing,
    pages::{Page, PageRequest},
    permit::Permit,
    request_id::RequestId,
    travel::{begin, write_fields},
};
use crate::{
    balance::{Priority, Work},
    base::Instant,
    http::{BodyFraming, HeadFault, HeaderTable, Request, RequestFault, Version, parse_request},
    llm::{Dialect, Endpoint, Model, Peek, Trouble},
    retry::Repeatable,
    route::HeadFacts,
    rt::World,
};
use memchr::{memchr, memmem};

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
    pub ours: Cell<Duration>,
    /// Two backends may be asked at once, which both send it.
    pub outgoing: RefCell<Outgoing>,
    /// How urgent it is, where the client may say so.
    pub priority: Priority,
    pub conversation: Conversation,
    /// What rules will want to know of its head.
    pub head: HeadFacts,
    /// Whether it may be asked of two backends.
    pub repeatable: Repeatable,
    /// What it asks of a backend, once its body has been read.
    pub work: Work,
    /// Where its body names the model, if that was looked for.
    pub model: Option<Model>,
    /// Lines for the head of an answer of our own that say how it was come by,
    /// once backends were asked.
    pub come_by: Vec<u8>,
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
    let parsed = parse_request(bytes, &stage.http_limits, &mut table);
    let request = match &parsed {
        Ok(request) => request,
        Err(fault) => return Err(unreadable(stage, bytes, *fault)),
    };
    if let Some(page) = own_page(stage, request, admin) {
        return Ok(shown(stage, request, page));
    }
    let method = request.method.as_bytes();
    let to_head = method == b"HEAD";
    let is_post = method == b"POST";
    let is_proxy = is_post && request.path == PROXY;
    let target = if is_proxy { stage.settings.proxy_path.as_bytes() } else { request.origin_form };
    // The API is that of the path which the backend sees.
    let endpoint = Endpoint::of(if is_proxy { target } else { request.path });
    let refused = |trouble, dialect| HeadRefused { trouble, asker: Asker { dialect, to_head } };
    refuse_hidden(request.path, endpoint, refused)?;
    if endpoint == Endpoint::Models
        && let asker = (Asker { dialect: dialect(request, endpoint), to_head })
        && let Some(page) = models_page(&stage.routes, request, asker)
    {
        return Ok(shown(stage, request, page));
    }
    refuse_websocket(request, endpoint, refused)?;
    panic_as_told(stage, request.path);
    let mut outgoing = begin(stage, request, target);
    // What `/proxy` answers must be told from an error that is no JSON.
    let reads_answer = is_proxy || is_read_by_us(endpoint);
    let (request_id, in_other_charset) =
        write_fields(stage, request, forwarded, reads_answer, &mut outgoing);
    Ok(Head::Asked(Asked {
        endpoint,
        dialect: dialect(request, endpoint),
        is_proxy,
        is_post,
        to_head,
        client_speaks_11: request.version == Version::Http11,
        keep_alive: request.keep_alive && !stage.draining.get(),
        expects_continue: request.expect_continue,
        in_other_charset,
        framing: request.framing,
        request_id,
        arrived: stage.now(),
        ours: Cell::default(),
        outgoing: RefCell::new(outgoing),
        priority: priority(stage, request),
        conversation: Conversation::default(),
        head: stage.head_facts(request),
        repeatable: Repeatable::of(method, endpoint.needs_model()),
        work: Work::default(),
        model: None,
        come_by: Vec::new(),
        body_permit: None,
    }))
}

/// The refusal of a head that cannot be read.
fn unreadable<W: World>(stage: &Stage<W>, bytes: &[u8], fault: RequestFault) -> HeadRefused {
    let is_too_large = fault == HeadFault::TooLarge.into();
    let trouble = if is_too_large { too_large(stage, bytes) } else { trouble_of(fault) };
    HeadRefused { trouble, asker: asker_of(stage, bytes) }
}

/// A page of our own, where the head asks for one that is no model's business.
fn own_page<W: World>(stage: &Stage<W>, request: &Request<'_, '_>, admin: bool) -> Option<Page> {
    if !admin && request.path.starts_with(API) {
        return None;
    }
    (stage.pages)(PageRequest {
        method: request.method.as_bytes(),
        path: request.path,
        admin,
        ready: stage.is_ready(),
        draining: stage.draining.get(),
        now: stage.now(),
    })
}

/// The head of a request that is answered by this page.
fn shown<'s, W: World>(stage: &Stage<W>, request: &Request<'_, '_>, page: Page) -> Head<'s> {
    Head::Page {
        page,
        to_head: request.method.as_bytes() == b"HEAD",
        client_speaks_11: request.version == Version::Http11,
        keep_alive: request.keep_alive && !stage.draining.get(),
        framing: request.framing,
    }
}

impl Asked<'_> {
    /// Whether it is work for a model, and not a matter of the API's own.
    pub fn asks_model(&self) -> bool {
        self.is_proxy || (self.is_post && self.endpoint.needs_model())
    }

    /// Notes what tells its conversation apart, as far as a policy asks.
    pub fn recall<W: World>(&mut self, stage: &Stage<W>, peek: Option<&Peek>) {
        let (body, seed) = (self.outgoing.get_mut().body(), stage.common.hash_seed);
        let named = self.head.session;
        self.conversation = Conversation::read(&stage.policies, named, body, peek, seed);
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

/// An SDK that tries a WebSocket falls back to events at a 426.
fn refuse_websocket(
    request: &Request<'_, '_>,
    endpoint: Endpoint,
    refused: impl FnOnce(Trouble, Dialect) -> HeadRefused,
) -> Result<(), HeadRefused> {
    let asks = request.upgrade
        && request
            .fields
            .get(b"upgrade")
            .is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    if asks && endpoint == Endpoint::Responses {
        return Err(refused(Trouble::UpgradeRequired, endpoint.dialect()));
    }
    Ok(())
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
