//! The fields of a parsed head, in the order in which they came.

use std::ops::Range;

use super::name::{self, Name};

/// Field lines of one head. Names are tokens, values carry no control bytes
/// but the tab, and no blanks around them.
///
/// There is no `Debug`, on purpose: among the fields are credentials, and what
/// cannot be printed does not end up in a log.
#[derive(Clone, Copy)]
pub struct Fields<'t, 'b> {
    head: &'b [u8],
    headers: &'t [httparse::Header<'b>],
    /// What the names mean; at least as many as there are headers.
    names: &'t [Name],
    /// Whether Connection names fields beyond the usual options, which is rare
    /// and costs a second look at every field.
    connection_names_fields: bool,
}

impl<'t, 'b> Fields<'t, 'b> {
    #[inline]
    pub(super) fn new(
        head: &'b [u8],
        headers: &'t [httparse::Header<'b>],
        names: &'t [Name],
        connection_names_fields: bool,
    ) -> Self {
        Self { head, headers, names, connection_names_fields }
    }

    /// Every field as `(what its name means, name, value)`.
    #[inline]
    pub(super) fn named(&self) -> impl Iterator<Item = (Name, &'b [u8], &'b [u8])> + use<'t, 'b> {
        let fields = self.names.iter().zip(self.headers);
        fields.map(|(meaning, header)| (*meaning, header.name.as_bytes(), header.value))
    }

    /// Where the whole line of a field of this head stands, if it is written
    /// as `write::field` would write it: one blank behind the colon, none
    /// before the line's end.
    #[inline]
    pub(super) fn plain_line(&self, name: &[u8], value: &[u8]) -> Option<Range<usize>> {
        // Both lie in the head; anything else fails the comparisons below.
        let within =
            |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(self.head.as_ptr() as usize);
        let start = within(name);
        let (colon, value_at) = (start.checked_add(name.len())?, within(value));
        let end = value_at.checked_add(value.len())?;
        let is_plain = self.head.get(colon..value_at) == Some(b": ")
            && self.head.get(end..end.checked_add(2)?) == Some(b"\r\n");
        is_plain.then_some(start..end + 2)
    }

    #[inline]
    pub(super) fn head(&self) -> &'b [u8] {
        self.head
    }

    /// Every field as `(name, value)`.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'t, 'b> {
        self.headers.iter().map(|header| (header.name.as_bytes(), header.value))
    }

    /// The value of the first field of this name, whatever the case.
    #[inline]
    pub fn get(&self, wanted: &[u8]) -> Option<&'b [u8]> {
        self.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }

    /// The values of all fields of this name, whatever the case.
    pub fn get_all<'w>(
        &self,
        wanted: &'w [u8],
    ) -> impl Iterator<Item = &'b [u8]> + use<'t, 'b, 'w> {
        self.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| v)
    }

    pub fn len(&self) -> usize {
        self.headers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// Whether a Connection field of this head names `wanted` (RFC 9110
    /// section 7.6.1).
    #[inline]
    pub(super) fn is_named_by_connection(&self, wanted: &[u8]) -> bool {
        self.connection_names_fields
            && self
                .get_all(b"connection")
                .flat_map(name::list_elements)
                .any(|option| option.eq_ignore_ascii_case(wanted))
    }
}
