//! Field names: which of them the message or the connection depends on, and
//! which only look as if they were one of these.

use crate::base::{by_eight, places_of};

/// What a field name means to a proxy. Read once, when its head is parsed,
/// and kept beside the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Expect,
    Upgrade,
    /// Meant for the next hop alone, and of no interest here.
    HopByHop,
    /// Authorization, Cookie, what APIs call their keys, and whose account the
    /// work is charged to: beside another key that names a stranger's.
    Credential,
    /// X-Request-Id
    RequestId,
    /// Request-Id, as Anthropic calls the same.
    BareRequestId,
    /// X-Forwarded-For
    ForwardedFor,
    /// X-Forwarded-Proto
    ForwardedProto,
    /// What else names a client: Forwarded, X-Real-IP, and the fields in which a
    /// proxy tells of its certificate (RFC 9440, section 2.4: who ends TLS must
    /// not let others write them).
    OtherForwarded,
    AcceptEncoding,
    ContentType,
    ContentEncoding,
    /// What this proxy tells its clients, and they it: X-Tokenring-…
    Own,
    /// For the other end, and of no interest here.
    EndToEnd,
}

impl Name {
    /// What a field of this name means.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        classify(name)
    }

    /// Whether a field of this name may hold a secret, so that its value is shown
    /// to nobody: also one that an operator has made up for keys.
    #[must_use]
    pub fn is_secret(name: &[u8]) -> bool {
        const ENDS: [&[u8]; 6] =
            [b"authorization", b"cookie", b"key", b"token", b"secret", b"password"];
        let ends = |end: &&[u8]| {
            let from = name.len().checked_sub(end.len());
            from.and_then(|from| name.get(from..)).is_some_and(|is| is.eq_ignore_ascii_case(end))
        };
        classify(name) == Self::Credential || ENDS.iter().any(ends)
    }

    /// Whether the field is for the other end: neither for the next hop alone,
    /// nor one that the sender of the next message writes itself.
    #[inline]
    #[must_use]
    pub fn is_end_to_end(self) -> bool {
        !matches!(
            self,
            Self::Host
                | Self::ContentLength
                | Self::TransferEncoding
                | Self::Connection
                | Self::Expect
                | Self::Upgrade
                | Self::HopByHop
        )
    }
}

/// Reads a field name. Length and first byte decide nearly always, so that
/// most names cost no comparison.
#[inline]
pub(super) fn classify(name: &[u8]) -> Name {
    let Some(first) = name.first() else {
        return Name::EndToEnd;
    };
    // Setting this bit lowers a letter and leaves `-` and digits alone.
    match (name.len(), first | 0x20) {
        (2, b't') if is(name, b"te") => Name::HopByHop,
        (4, b'h') if is(name, b"host") => Name::Host,
        (6, b'c') if is(name, b"cookie") => Name::Credential,
        (6, b'e') if is(name, b"expect") => Name::Expect,
        (7, b'a') if is(name, b"api-key") => Name::Credential,
        (7, b'u') if is(name, b"upgrade") => Name::Upgrade,
        (7, b't') if is(name, b"trailer") => Name::HopByHop,
        (9, b'f') if is(name, b"forwarded") => Name::OtherForwarded,
        (9, b'x') if is(name, b"x-real-ip") => Name::OtherForwarded,
        (9, b'x') if is(name, b"x-api-key") => Name::Credential,
        (10, b'c') if is(name, b"connection") => Name::Connection,
        (10, b'k') if is(name, b"keep-alive") => Name::HopByHop,
        (10, b'r') if is(name, b"request-id") => Name::BareRequestId,
        (11, b'c') if is(name, b"client-cert") => Name::OtherForwarded,
        (12, b'c') if is(name, b"content-type") => Name::ContentType,
        (12, b'x') if is(name, b"x-request-id") => Name::RequestId,
        (12, b'x') if is(name, b"x-auth-token") => Name::Credential,
        (13, b'a') if is(name, b"authorization") => Name::Credential,
        (14, b'c') if is(name, b"content-length") => Name::ContentLength,
        // RFC 9113 section 3.1 (obsolete): rides on Upgrade.
        (14, b'h') if is(name, b"http2-settings") => Name::HopByHop,
        (14, b'o') if is(name, b"openai-project") => Name::Credential,
        (14, b'x') if is(name, b"x-goog-api-key") => Name::Credential,
        (15, b'a') if is(name, b"accept-encoding") => Name::AcceptEncoding,
        (15, b'x') if is(name, b"x-forwarded-for") => Name::ForwardedFor,
        (16, b'c') if is(name, b"content-encoding") => Name::ContentEncoding,
        (17, b't') if is(name, b"transfer-encoding") => Name::TransferEncoding,
        (17, b'c') if is(name, b"client-cert-chain") => Name::OtherForwarded,
        (17, b'x') if is(name, b"x-forwarded-proto") => Name::ForwardedProto,
        (19, b'o') if is(name, b"openai-organization") => Name::Credential,
        (23, b'x') if is(name, b"x-forwarded-client-cert") => Name::OtherForwarded,
        (25, b'o') if is(name, b"ocp-apim-subscription-key") => Name::Credential,
        (_, b'p') if has_proxy_prefix(name) => Name::HopByHop,
        (_, b'x') if has_own_prefix(name) => Name::Own,
        _ => Name::EndToEnd,
    }
}

/// Equal, whatever the case; `lower` is in lower case.
///
/// Differences are gathered and not looked for one by one: with length and
/// letters known to the compiler that is a handful of vector instructions.
#[inline(always)]
fn is<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else {
        return false;
    };
    let differs = |(a, b): (&u8, &u8)| (a ^ b) & !(u8::from(b.is_ascii_lowercase()) << 5);
    name.iter().zip(lower).fold(0, |found, pair| found | differs(pair)) == 0
}

fn has_proxy_prefix(name: &[u8]) -> bool {
    name.get(..6).is_some_and(|prefix| is(prefix, b"proxy-"))
}

fn has_own_prefix(name: &[u8]) -> bool {
    name.get(..12).is_some_and(|prefix| is(prefix, b"x-tokenring-"))
}

/// Names that a receiver which turns `-` into `_` (CGI, WSGI and their
/// children) could not tell from their look-alikes: framing, connection,
/// credentials, and what this proxy sets or decides by.
const SHADOWED: [&[u8]; 32] = [
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"content-encoding",
    b"accept-encoding",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authorization",
    b"http2-settings",
    b"x-api-key",
    b"api-key",
    b"x-goog-api-key",
    b"x-auth-token",
    b"ocp-apim-subscription-key",
    b"openai-organization",
    b"openai-project",
    b"openai-beta",
    b"anthropic-version",
    b"anthropic-beta",
    b"anthropic-dangerous-direct-browser-access",
    b"x-request-id",
    b"x-real-ip",
    b"client-cert",
    b"client-cert-chain",
    b"x-forwarded-client-cert",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-forwarded-port",
    b"x-http-method-override",
    b"x-original-url",
    b"x-rewrite-url",
];

/// Whether a name becomes one of the above when its `_` are read as `-`.
#[inline]
pub(super) fn shadows_a_known_name(name: &[u8]) -> bool {
    has_underscore(name) && SHADOWED.iter().any(|known| equals_as_dashes(name, known))
}

/// Whether a receiver decides by the field of this name.
pub(super) fn is_decided_by(name: &[u8]) -> bool {
    SHADOWED.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cold]
fn equals_as_dashes(name: &[u8], known: &[u8]) -> bool {
    let dashed = name.iter().map(|&b| if b == b'_' { b'-' } else { b.to_ascii_lowercase() });
    name.len() == known.len() && dashed.eq(known.iter().copied())
}

/// Names are short, and this runs on each.
#[inline]
fn has_underscore(name: &[u8]) -> bool {
    match by_eight(name, |word| places_of(b'_', word)) {
        Some(seen) => seen != 0,
        None => name.contains(&b'_'),
    }
}

/// The elements of a comma-separated list, without the blanks around them
/// (RFC 9110 section 5.6.1). Empty elements are handed out as such.
pub(super) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    list_elements_by(b',', value)
}

/// The same with another byte between the elements.
pub(super) fn list_elements_by(separator: u8, value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(move |byte| *byte == separator).map(without_blanks)
}

/// OWS = *( SP / HTAB ), and nothing else (RFC 9110 section 5.6.3).
fn without_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// tchar of RFC 9110 section 5.6.2.
#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_'
        | b'`' | b'|' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// token = 1*tchar
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_is_found_at_every_place() {
        for length in 0..40 {
            // `^` and `` ` `` are the neighbours of `_`.
            let mut name: Vec<u8> = b"^`-a".iter().copied().cycle().take(length).collect();
            assert!(!has_underscore(&name));
            for at in 0..length {
                let kept = std::mem::replace(&mut name[at], b'_');
                assert!(has_underscore(&name), "{at} of {length}");
                name[at] = kept;
            }
        }
    }

    /// What would not be known for a credential would travel to the backend.
    #[test]
    fn a_credential_is_known_and_cannot_be_shadowed() {
        let names: [&[u8]; 10] = [
            b"Authorization",
            b"OpenAI-Organization",
            b"OpenAI-Project",
            b"Cookie",
            b"X-Api-Key",
            b"Api-Key",
            b"X-Goog-Api-Key",
            b"X-Auth-Token",
            b"Ocp-Apim-Subscription-Key",
            b"Proxy-Authorization",
        ];
        for name in names {
            let meaning = classify(name);
            assert!(
                matches!(meaning, Name::Credential | Name::HopByHop),
                "{}",
                name.escape_ascii()
            );
            let shadow = name.iter().map(|&byte| if byte == b'-' { b'_' } else { byte });
            let shadow: Vec<u8> = shadow.collect();
            assert_eq!(shadows_a_known_name(&shadow), shadow != name, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn what_may_hold_a_secret_is_known() {
        for (name, expected) in [
            (&b"Authorization"[..], true),
            (b"proxy-authorization", true),
            (b"Set-Cookie", true),
            (b"x-API-key", true),
            (b"x-litellm-api-key", true),
            (b"x-auth-token", true),
            (b"x-tier", false),
            (b"x-user-id", false),
            (b"", false),
        ] {
            assert_eq!(Name::is_secret(name), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn names_are_known_whatever_the_case() {
        let rows: [(&[u8], Name); 10] = [
            (b"X-TokenRing-Route", Name::Own),
            (b"x-tokenrings", Name::EndToEnd),
            (b"HOST", Name::Host),
            (b"cOnTeNt-LeNgTh", Name::ContentLength),
            (b"Transfer-Encoding", Name::TransferEncoding),
            (b"expect", Name::Expect),
            (b"Proxy-X", Name::HopByHop),
            (b"", Name::EndToEnd),
            // A control byte that a set bit would turn into a dash.
            (b"content\rlength", Name::EndToEnd),
            (b"h\x4fst\0", Name::EndToEnd),
        ];
        for (name, expected) in rows {
            assert_eq!(classify(name), expected, "{}", name.escape_ascii());
        }
    }
}
