//! The request target (RFC 9112 section 3.2), reduced to what is forwarded.

use memchr::{memchr, memchr2};

use super::authority;
use super::fault::RequestFault;
use super::request::Method;

/// A target, understood.
pub(super) struct Target<'b> {
    /// The authority of an absolute form.
    pub(super) authority: Option<&'b [u8]>,
    /// Path and query, as they go to the next hop; `*` for the whole server.
    pub(super) origin_form: &'b [u8],
    /// The same without the query.
    pub(super) path: &'b [u8],
}

/// httparse has let through printable ASCII and anything from 0x80 on.
#[inline]
pub(super) fn parse<'b>(target: &'b [u8], method: Method<'_>) -> Result<Target<'b>, RequestFault> {
    // RFC 9112 section 3.2: a target has no fragment and is ASCII.
    if target.iter().fold(false, |bad, byte| bad | (*byte >= 0x80) | (*byte == b'#')) {
        return Err(RequestFault::TargetByte);
    }
    match target {
        [b'/', ..] => Ok(Target { authority: None, origin_form: target, path: path_of(target) }),
        b"*" if method == Method::Options => {
            Ok(Target { authority: None, origin_form: target, path: target })
        }
        _ => absolute_form(target, method),
    }
}

/// absolute-form = "http" [ "s" ] "://" authority path-abempty [ "?" query ]
#[cold]
fn absolute_form<'b>(target: &'b [u8], method: Method<'_>) -> Result<Target<'b>, RequestFault> {
    let colon = memchr(b':', target).ok_or(RequestFault::TargetForm)?;
    let (scheme, rest) = target.split_at(colon);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(RequestFault::TargetForm);
    }
    let rest = rest.strip_prefix(b"://").ok_or(RequestFault::TargetForm)?;
    let (authority, origin_form) = rest.split_at(memchr2(b'/', b'?', rest).unwrap_or(rest.len()));
    if !authority::is_valid(authority) {
        return Err(RequestFault::TargetForm);
    }
    let origin_form: &[u8] = match origin_form {
        [b'/', ..] => origin_form,
        // RFC 9112 section 3.2.4: an OPTIONS without path and query asks
        // about the whole server; others ask for the root.
        [] if method == Method::Options => b"*",
        [] => b"/",
        // A query right behind the authority would need a `/` that is not in
        // the buffer. Nobody sends it, so it is refused.
        _ => return Err(RequestFault::TargetForm),
    };
    Ok(Target { authority: Some(authority), origin_form, path: path_of(origin_form) })
}

#[inline]
fn path_of(origin_form: &[u8]) -> &[u8] {
    match memchr(b'?', origin_form) {
        Some(mark) => origin_form.get(..mark).unwrap_or(origin_form),
        None => origin_form,
    }
}
