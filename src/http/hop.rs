//! Which fields travel on to the next hop (RFC 9110 section 7.6.1).

use super::fields::Fields;
use super::name::{self, Name};
use super::write;

/// The fields that are passed on, in order, as `(name, value)`.
///
/// Left out are Host, Content-Length and Transfer-Encoding, which the sender
/// of the next message writes itself, and everything that is meant for one hop
/// only: Connection and what it names, Keep-Alive, Proxy-*, TE, Trailer,
/// Upgrade, Expect.
pub fn forwardable<'t, 'b>(
    fields: &Fields<'t, 'b>,
) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'t, 'b> {
    let fields = *fields;
    fields
        .named()
        .filter(move |(meaning, name, _)| travels(&fields, *meaning, name))
        .map(|(_, name, value)| (name, value))
}

/// Writes the fields that are passed on, save those which `wanted` does not
/// want: it is asked for each, with what its name means and its value.
///
/// A line that stands there in the one form we send is copied as it is, and
/// lines that follow each other are copied together.
#[inline]
pub fn forward<'b>(
    out: &mut Vec<u8>,
    fields: &Fields<'_, 'b>,
    mut wanted: impl FnMut(Name, &'b [u8]) -> bool,
) {
    let head = fields.head();
    let mut run = 0..0;
    for (meaning, name, value) in fields.named() {
        if !travels(fields, meaning, name) || !wanted(meaning, value) {
            continue;
        }
        match fields.plain_line(name, value) {
            Some(line) if line.start == run.end => run.end = line.end,
            line => {
                out.extend_from_slice(head.get(run).unwrap_or_default());
                run = line.clone().unwrap_or_default();
                if line.is_none() {
                    write::field(out, name, value);
                }
            }
        }
    }
    out.extend_from_slice(head.get(run).unwrap_or_default());
}

#[inline]
fn travels(fields: &Fields<'_, '_>, meaning: Name, name: &[u8]) -> bool {
    meaning.is_end_to_end() && (!fields.is_named_by_connection(name) || is_kept(meaning, name))
}

/// Fields that no Connection option takes away. Framing and Host are written
/// by us anyway; these are what a receiver decides by, and a client that could
/// make a proxy drop what another proxy wrote could make it lie.
#[cold]
fn is_kept(meaning: Name, name: &[u8]) -> bool {
    matches!(meaning, Name::Credential | Name::OtherForwarded) || name::is_decided_by(name)
}

#[cfg(test)]
#[path = "hop_tests.rs"]
mod tests;
