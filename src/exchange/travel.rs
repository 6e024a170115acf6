//! Verb two, which of a client's fields travel on to a backend, and what we
//! put beside them. Its credentials end with us, or go to backends that have
//! none of their own.

use smallvec::SmallVec;

use super::{
    Stage,
    outgoing::Outgoing,
    request_id::RequestId,
    settings::{Credentials, Settings},
};
use crate::{
    http::{Name, Request, forward, names_other_charset},
    rt::World,
};

/// Begins the request that asks a backend for `target`.
pub fn begin<W: World>(stage: &Stage<W>, request: &Request<'_, '_>, target: &[u8]) -> Outgoing {
    let start = (request.method.as_bytes(), target);
    let credentials = credentials_apart(stage, request);
    Outgoing::begin(stage.lend_buffer(), start, &credentials, stage.prefix_room)
}

/// Writes the fields that travel on, and those that we add. Returns the
/// request's id, and whether the body is in a charset other than UTF-8.
pub fn write_fields<W: World>(
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
    let travels = settings.credentials == Credentials::Pass
        && !are_apart(settings, stage.own_fields.has_credentials);
    let fate = |name| fate(name, settings, reads_answer, travels);
    outgoing.forward(&request.fields, |name, value| match fate(name) {
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
    if senders.is_empty() {
        return outgoing.lines(own_lines);
    }
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

/// The client's credentials, as lines that only a backend without a key of its
/// own gets to see; none where they travel with the other fields, or not at all.
fn credentials_apart<W: World>(stage: &Stage<W>, request: &Request<'_, '_>) -> Vec<u8> {
    let mut lines = Vec::new();
    if are_apart(&stage.settings, stage.own_fields.has_credentials) {
        forward(&mut lines, &request.fields, |name, _| name == Name::Credential);
    }
    lines
}

/// They travel, and some backend must not see them.
fn are_apart(settings: &Settings, has_credentials: bool) -> bool {
    has_credentials && settings.credentials == Credentials::Pass
}

#[inline]
fn fate(name: Name, settings: &Settings, reads_answer: bool, travels: bool) -> Fate {
    let ours = &settings.headers;
    match name {
        Name::Credential if !travels => Fate::EndsHere,
        Name::RequestId if ours.request_id => Fate::RequestId,
        Name::ContentType => Fate::ContentType,
        Name::ForwardedFor if ours.forwarded => Fate::ForwardedFor,
        // These name one client, and whoever sends them to us can name any.
        // What a proxy in front of us knows stands in X-Forwarded-For, behind
        // which we put what we know ourselves.
        Name::ForwardedProto | Name::OtherForwarded if ours.forwarded => Fate::EndsHere,
        Name::AcceptEncoding if reads_answer => Fate::EndsHere,
        // What a client may ask of us it may not ask of another proxy behind us,
        // which knows no client but us.
        Name::Own => Fate::EndsHere,
        _ => Fate::Travels,
    }
}
