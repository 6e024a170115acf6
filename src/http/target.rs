//! The request target (RFC 9112 section 3.2), reduced to what is forwarded.

use memchr::{memchr, memchr2};

use super::authority;
use super::fault::RequestFault;
use super::request::Method;
use crate::base::{TOPS, by_eight, places_of};

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
    if !is_suspicious(target) {
        return reduce(target, method);
    }
    // RFC 9112 section 3.2: a target has no fragment and is ASCII.
    if target.iter().any(|byte| !byte.is_ascii() || *byte == b'#') {
        return Err(RequestFault::TargetByte);
    }
    let reduced = reduce(target, method)?;
    if has_dot_segment(reduced.path) {
        return Err(RequestFault::TargetDotSegment);
    }
    Ok(reduced)
}

/// Whether there is a byte beyond ASCII, a `#`, or what a dot may be written
/// as: one pass for all questions.
#[inline]
fn is_suspicious(target: &[u8]) -> bool {
    let suspicions = |word| {
        (word & TOPS) | places_of(b'#', word) | places_of(b'.', word) | places_of(b'%', word)
    };
    match by_eight(target, suspicions) {
        Some(seen) => seen != 0,
        None => target.iter().any(|byte| !byte.is_ascii() || matches!(byte, b'#' | b'.' | b'%')),
    }
}

#[inline]
fn reduce<'b>(target: &'b [u8], method: Method<'_>) -> Result<Target<'b>, RequestFault> {
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

/// Whether a segment is `.` or `..`, as the most lenient receiver would read
/// it (RFC 3986 section 5.2.4): such a path leaves the folder it is put under.
/// Browsers and SDKs resolve these before they send.
#[cold]
fn has_dot_segment(path: &[u8]) -> bool {
    let mut rest = path;
    // Of the segment under way, while there are only dots in it.
    let mut dots = Some(0_usize);
    loop {
        let (byte, tail) = match rest {
            [] => return is_dot_segment(dots),
            [b'%', b'2', b'e' | b'E', tail @ ..] => (b'.', tail),
            [b'%', b'2', b'f' | b'F', tail @ ..] => (b'/', tail),
            [b'%', b'5', b'c' | b'C', tail @ ..] => (b'/', tail),
            [b'%', b'3', b'b' | b'B', tail @ ..] => (b';', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        // Some receivers take a backslash for a slash, and cut a segment's
        // parameters off before they resolve it.
        if matches!(byte, b'/' | b'\\' | b';') && is_dot_segment(dots) {
            return true;
        }
        dots = match byte {
            b'/' | b'\\' => Some(0),
            b'.' => dots.map(|count| count + 1),
            _ => None,
        };
        rest = tail;
    }
}

fn is_dot_segment(dots: Option<usize>) -> bool {
    matches!(dots, Some(1 | 2))
}

#[inline]
fn path_of(origin_form: &[u8]) -> &[u8] {
    match memchr(b'?', origin_form) {
        Some(mark) => origin_form.get(..mark).unwrap_or(origin_form),
        None => origin_form,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_seen_at_every_place() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut target: Vec<u8> =
                        b"/v1\"$&-~".iter().copied().cycle().take(length).collect();
                    target[at] = byte;
                    let expected = byte >= 0x80 || matches!(byte, b'#' | b'.' | b'%');
                    assert_eq!(is_suspicious(&target), expected, "{byte:#x} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_dot_segment_is_seen_however_it_is_written() {
        for path in
            ["/.", "/..", "/../x", "/x/%2E", "/%2e./", "/a%2f..", "/a\\.\\", "/..;x/", "/.%3Bx"]
        {
            assert!(has_dot_segment(path.as_bytes()), "{path}");
        }
        for path in
            ["/", "*", "/...", "/.a", "/a.", "/a..b", "/%2e%2e%2e", "/%2", "/a;..", "/a%252e"]
        {
            assert!(!has_dot_segment(path.as_bytes()), "{path}");
        }
    }
}
