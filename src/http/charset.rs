//! Whether a body is text in UTF-8, as far as its Content-Type says.

use super::name::list_elements_by;

/// Whether a Content-Type names a charset other than UTF-8, or names one in a
/// way that two readers could take differently (RFC 9110 section 8.3).
///
/// Parameters are cut at every semicolon, in quotes too: that finds every one
/// that anybody could find, and some more.
#[inline]
pub fn names_other_charset(content_type: &[u8]) -> bool {
    // Nearly every request has this one.
    content_type != b"application/json" && has_other_charset(content_type)
}

#[cold]
fn has_other_charset(content_type: &[u8]) -> bool {
    list_elements_by(b';', content_type).skip(1).any(|parameter| {
        let mut parts = list_elements_by(b'=', parameter);
        let name = parts.next().unwrap_or_default();
        let is_charset =
            name.get(..CHARSET.len()).is_some_and(|start| start.eq_ignore_ascii_case(CHARSET));
        is_charset && !(parts.next().is_some_and(is_utf8) && parts.next().is_none())
    })
}

/// Also in front of `*` (RFC 8187).
const CHARSET: &[u8] = b"charset";

fn is_utf8(value: &[u8]) -> bool {
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    };
    value.eq_ignore_ascii_case(b"utf-8") || value.eq_ignore_ascii_case(b"utf8")
}
