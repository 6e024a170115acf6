//! `uri-host [ ":" port ]`, the value of Host and the authority of a target.

use crate::base::ByteSet;

const PORT_DIGITS_MAX: usize = 5;
/// The longest IPv6 address in text, with its last part in dotted form.
const IPV6_TEXT_MAX: usize = 45;

/// Whether these bytes name a host, and nothing more: no user, no path, no
/// list, no empty name and no empty port.
///
/// Stricter than RFC 3986 section 3.2 in three points that no client uses and
/// that receivers disagree on: no comma, no empty port, no IPvFuture or zone.
#[inline]
pub(super) fn is_valid(authority: &[u8]) -> bool {
    if authority.first() == Some(&b'[') {
        return is_valid_ipv6(authority);
    }
    let (name, port) = match memchr::memchr(b':', authority) {
        Some(colon) => {
            let (name, rest) = authority.split_at(colon);
            (name, rest.get(1..))
        }
        None => (authority, None),
    };
    !name.is_empty() && is_registered_name(name) && port.is_none_or(is_port)
}

fn is_valid_ipv6(authority: &[u8]) -> bool {
    let Some(close) = memchr::memchr(b']', authority) else {
        return false;
    };
    let (literal, rest) = authority.split_at(close);
    let address = literal.get(1..).unwrap_or_default();
    let is_address = (2..=IPV6_TEXT_MAX).contains(&address.len())
        && address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        && address.iter().filter(|byte| **byte == b':').count() >= 2;
    is_address
        && match rest {
            [b']'] => true,
            [b']', b':', port @ ..] => is_port(port),
            _ => false,
        }
}

/// reg-name = *( unreserved / pct-encoded / sub-delims ), without the comma.
fn is_registered_name(name: &[u8]) -> bool {
    name.iter().all(|byte| PLAIN.contains(*byte)) || is_registered_name_with_escapes(name)
}

#[cold]
fn is_registered_name_with_escapes(mut name: &[u8]) -> bool {
    loop {
        name = match name {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..] if PLAIN.contains(*byte) => rest,
            _ => return false,
        }
    }
}

/// unreserved / sub-delims, without the comma.
const PLAIN: ByteSet =
    ByteSet::of(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~!$&'()*+;=");

fn is_port(port: &[u8]) -> bool {
    (1..=PORT_DIGITS_MAX).contains(&port.len())
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')) <= 65_535
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn names_a_host_and_nothing_more() {
        let good: [&[u8]; 12] = [
            b"example.com",
            b"localhost:8080",
            b"10.0.0.1",
            b"10.0.0.1:65535",
            b"[::1]",
            b"[::1]:80",
            b"[2001:db8::192.0.2.1]",
            b"a_b.c",
            b"ex%41mple",
            b"A",
            b"a:0",
            b"x!y",
        ];
        for host in good {
            assert!(is_valid(host), "{}", host.escape_ascii());
        }
        let bad: [&[u8]; 27] = [
            b"",
            b":80",
            b"a:",
            b"a:65536",
            b"a:123456",
            b"a:+1",
            b"a:8o",
            b"a:1:2",
            b"u@a",
            b"u:p@a",
            b"a/b",
            b"a,b",
            b"a b",
            b"a\tb",
            b"a?",
            b"a#",
            b"a\\b",
            b"\"a\"",
            b"a%4",
            b"a%zz",
            b"\xffa",
            b"[]",
            b"[::1",
            b"[::1]x",
            b"[::1]:",
            b"[v1.x]",
            b"[fe80::1%25a]",
        ];
        for host in bad {
            assert!(!is_valid(host), "{}", host.escape_ascii());
        }
    }
}
