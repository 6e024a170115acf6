//! Which fields travel on to the next hop (RFC 9110 section 7.6.1).

use super::fields::Fields;
use super::name::{self, Name};

/// Fields that no Connection option takes away. Framing and Host are written
/// by us anyway; these are what a receiver decides by, and a client that could
/// make a proxy drop them could make it lie.
const KEPT: [&[u8]; 6] =
    [b"authorization", b"x-api-key", b"api-key", b"content-type", b"content-encoding", b"cookie"];

/// The fields that are passed on, in order, as `(name, value)`.
///
/// Left out are Host, Content-Length and Transfer-Encoding, which the sender
/// of the next message writes itself, and everything that is meant for one hop
/// only: Connection and what it names, Keep-Alive, Proxy-*, TE, Trailer,
/// Upgrade, Expect.
#[inline]
pub fn forwardable<'t, 'b>(
    fields: &Fields<'t, 'b>,
) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'t, 'b> {
    let fields = *fields;
    fields.iter().filter(move |(name, _)| {
        name::classify(name) == Name::EndToEnd
            && (!fields.is_named_by_connection(name) || is_kept(name))
    })
}

#[cold]
fn is_kept(name: &[u8]) -> bool {
    KEPT.iter().any(|kept| name.eq_ignore_ascii_case(kept))
}

#[cfg(test)]
#[path = "hop_tests.rs"]
mod tests;
