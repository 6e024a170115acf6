//! Verb two, first half: what is asked. The head is parsed once; everything
//! that must be known later is taken out of it or written into the outgoing
//! request. Nothing here waits.

use std::{io::Write, net::IpAddr, time::Duration};

use smallvec::SmallVec;

use super::{
    Stage,
    outgoing::Outgoing,
    pages::{Page, PageRequest},
    permit::Permit,
    request_id::RequestId,
    settings::{Credentials, Settings},
};
use crate::{
    base::Instant,
    http::{BodyFraming, HeaderTable, Request, RequestFault, Version, forwardable, parse_request},
    llm::{Dialect, Endpoint, Peek, Trouble, is_json, peek},
    rt::{Peer, World},
};

/// The path of the small proxy that most people write first.
const PROXY: &[u8] = b"/proxy";
/// Below this path there are no pages of our own.
const API: &[u8] = b"/v1/";

/// What a client asks, and the request that will ask it of a backend.
pub struct Asked<'s> {
    pub endpoint: Endpoint,
    /// `POST /proxy`: any JSON, and a failure is always answered in JSON.
    pub is_proxy: bool,
    pub is_post: bool,
    /// The answer has no body, whatever its head says.
    pub to_head: bool,
    pub client_speaks_11: bool,
    pub keep_alive: bool,
    pub expects_continue: bool,
    pub framing: BodyFraming,
    pub request_id: RequestId,
    /// When its head was complete.
    pub arrived: Instant,
    /// How long it has been in our hands, waiting for nobody.
    pub ours: Duration,
    pub peek: Option<Peek>,
    pub outgoing: Outgoing,
    /// Held as long as the body is.
    pub body_permit: Option<Permit<'s>>,
}

/// What a head turns out to be.
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one, and lives on")]
pub enum Head<'s> {
    Asked(Asked<'s>),
    Page { page: Page, to_head: bool, keep_alive: bool, framing: BodyFraming },
}

/// Why a head is refused, and in whose words to say so.
pub struct HeadRefused {
    pub trouble: Trouble,
    pub dialect: Dialect,
}

/// Reads one complete head. `admin` is whether it came by the admin listener.
pub fn head<'s, W: World>(
    stage: &'s Stage<W>,
    peer: Peer,
    admin: bool,
    bytes: &[u8],
) -> Result<Head<'s>, HeadRefused> {
    let mut table = HeaderTable::new();
    let request = parse_request(bytes, &stage.http_limits, &mut table)
        .map_err(|fault| HeadRefused { trouble: trouble_of(fault), dialect: dialect_of(bytes) })?;
    let method = request.method.as_bytes();
    let to_head = method == b"HEAD";
    let keep_alive = request.keep_alive && !stage.draining.get();
    if (admin || !request.path.starts_with(API))
        && let Some(page) = (stage.pages)(PageRequest {
            method,
            path: request.path,
            admin,
            ready: stage.is_ready(),
            draining: stage.draining.get(),
        })
    {
        return Ok(Head::Page { page, to_head, keep_alive, framing: request.framing });
    }
    let is_post = method == b"POST";
    let is_proxy = is_post && request.path == PROXY;
    let endpoint = Endpoint::of(request.path);
    refuse_websocket(&request, endpoint)?;
    if stage.settings.panics_at.as_ref().is_some_and(|path| path.as_bytes() == request.path) {
        #[allow(clippy::panic, reason = "a test asked for it")]
        {
            panic!("a request made this task panic, as a test told it to");
        }
    }
    let target = if is_proxy { stage.settings.proxy_path.as_bytes() } else { request.origin_form };
    let mut outgoing = Outgoing::begin(stage.lend_buffer(), method, target, stage.prefix_room);
    let request_id = write_fields(stage, &request, peer, endpoint, &mut outgoing);
    Ok(Head::Asked(Asked {
        endpoint,
        is_proxy,
        is_post,
        to_head,
        client_speaks_11: request.version == Version::Http11,
        keep_alive,
        expects_continue: request.expect_continue,
        framing: request.framing,
        request_id,
        arrived: stage.now(),
        ours: Duration::ZERO,
        peek: None,
        outgoing,
        body_permit: None,
    }))
}

impl Asked<'_> {
    pub fn dialect(&self) -> Dialect {
        self.endpoint.dialect()
    }

    /// Reads what we must know of the body, once it stands in the outgoing
    /// request.
    pub fn peek_at_body(&mut self) -> Result<(), Trouble> {
        let body = self.outgoing.body();
        if self.is_proxy {
            is_json(body)?;
        } else if self.is_post && self.endpoint.needs_model() {
            self.peek = Some(peek(body, self.endpoint)?);
        }
        Ok(())
    }
}

/// An SDK that tries a WebSocket falls back to events at a 426.
fn refuse_websocket(request: &Request<'_, '_>, endpoint: Endpoint) -> Result<(), HeadRefused> {
    let asks = request.upgrade
        && request
            .fields
            .get(b"upgrade")
            .is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    if asks && endpoint == Endpoint::Responses {
        return Err(HeadRefused { trouble: Trouble::UpgradeRequired, dialect: endpoint.dialect() });
    }
    Ok(())
}

/// Writes the fields that travel on, and those that we add.
fn write_fields<W: World>(
    stage: &Stage<W>,
    request: &Request<'_, '_>,
    peer: Peer,
    endpoint: Endpoint,
    outgoing: &mut Outgoing,
) -> RequestId {
    let settings = &stage.settings;
    let mut request_id = None;
    let mut forwarded_for = SmallVec::<[u8; 128]>::new();
    for (name, value) in forwardable(&request.fields) {
        match fate(name, settings, endpoint) {
            Fate::Travels => outgoing.field(name, value),
            Fate::EndsHere => {}
            Fate::RequestId => request_id = RequestId::from_client(value),
            // Several lines are one list (RFC 9110, section 5.3).
            Fate::ForwardedFor if value.is_empty() => {}
            Fate::ForwardedFor => {
                forwarded_for.extend_from_slice(value);
                forwarded_for.extend_from_slice(b", ");
            }
        }
    }
    let request_id = request_id.unwrap_or_else(|| RequestId::new(&mut stage.chance.borrow_mut()));
    if settings.headers.request_id {
        outgoing.field(b"x-request-id", request_id.as_bytes());
    }
    if settings.headers.forwarded {
        write_forwarded(outgoing, forwarded_for, peer);
    }
    let own = &stage.own_fields;
    outgoing.lines(if is_read_by_us(endpoint) { &own.read_request } else { &own.request });
    request_id
}

/// Ends the list of whom a request was forwarded for with its sender.
fn write_forwarded(outgoing: &mut Outgoing, mut list: SmallVec<[u8; 128]>, peer: Peer) {
    match peer {
        Peer::Ip(IpAddr::V4(ip)) => {
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    list.push(b'.');
                }
                list.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        other => {
            // Writing to memory does not fail.
            let _ = write!(list, "{other}");
        }
    }
    outgoing.field(b"x-forwarded-for", &list);
}

/// What becomes of an end-to-end field of a request.
enum Fate {
    Travels,
    EndsHere,
    RequestId,
    ForwardedFor,
}

/// Told apart by length first: most fields are decided by one comparison.
fn fate(name: &[u8], settings: &Settings, endpoint: Endpoint) -> Fate {
    let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
    let credential = match name.len() {
        6 => is(b"cookie"),
        7 => is(b"api-key"),
        9 => is(b"x-api-key"),
        12 if is(b"x-request-id") => {
            return if settings.headers.request_id { Fate::RequestId } else { Fate::Travels };
        }
        13 => is(b"authorization"),
        14 => is(b"x-goog-api-key"),
        15 if settings.headers.forwarded && is(b"x-forwarded-for") => return Fate::ForwardedFor,
        15 if is(b"accept-encoding") && is_read_by_us(endpoint) => return Fate::EndsHere,
        17 if settings.headers.forwarded && is(b"x-forwarded-proto") => return Fate::EndsHere,
        _ => false,
    };
    if credential && settings.credentials == Credentials::Drop {
        Fate::EndsHere
    } else {
        Fate::Travels
    }
}

/// Whether we look into this endpoint's answers.
fn is_read_by_us(endpoint: Endpoint) -> bool {
    endpoint.needs_model()
}

/// The client's fault in the words of the client's API.
pub fn trouble_of(fault: RequestFault) -> Trouble {
    match fault.status() {
        405 => Trouble::MethodNotAllowed,
        414 => Trouble::TargetTooLong,
        417 => Trouble::ExpectationFailed,
        431 => Trouble::HeadTooLarge,
        501 => Trouble::NotImplemented,
        505 => Trouble::VersionNotSupported,
        _ => Trouble::InvalidRequest { reason: fault.reason(), param: None, offset: None },
    }
}

/// The dialect of a head that is refused, or of as much of it as has come,
/// by its path as far as that can be made out. It only chooses the words of
/// the refusal.
pub fn dialect_of(head: &[u8]) -> Dialect {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let path = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    Endpoint::of(path).dialect()
}
