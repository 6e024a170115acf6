//! One event: its lines, fields, name and data.

use memchr::{memchr, memchr2};

/// The lines of one event, without the blank line that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The lines as they came, with the line ends between them.
    pub raw: &'a [u8],
    /// False when the event was longer than the scanner keeps: `raw` is then
    /// but its beginning.
    pub whole: bool,
}

/// One line of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// `data`, `event`, `id`, `retry`; empty for a comment.
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// What a client makes of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The last `event` field; empty if there is none.
    pub name: &'a [u8],
    /// The `data` lines, joined by LF; nothing if there is none. A client
    /// dispatches no event then.
    pub data: Option<&'a [u8]>,
}

impl<'a> Event<'a> {
    /// The fields in order, comments included.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields { rest: self.raw }
    }

    /// Name and data. `joined` is written to only when the data stands on
    /// several lines.
    #[must_use]
    pub fn read<'s>(&self, joined: &'s mut Vec<u8>) -> Reading<'s>
    where
        'a: 's,
    {
        let mut name: &[u8] = b"";
        let mut data: Option<&'s [u8]> = None;
        let mut several = false;
        for field in self.fields() {
            match field.name {
                b"event" => name = field.value,
                b"data" if data.is_none() => data = Some(field.value),
                b"data" => several = true,
                _ => {}
            }
        }
        if several {
            self.join_data(joined);
            data = Some(joined);
        }
        Reading { name, data }
    }

    #[cold]
    fn join_data(&self, joined: &mut Vec<u8>) {
        joined.clear();
        for field in self.fields().filter(|field| field.name == b"data") {
            joined.extend_from_slice(field.value);
            joined.push(b'\n');
        }
        joined.pop();
    }
}

/// Iterates over an event's lines. Empty lines, which can only be the second
/// half of a CRLF, are passed over.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let end = memchr2(b'\n', b'\r', self.rest).unwrap_or(self.rest.len());
            let (line, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or_default();
            if !line.is_empty() {
                return Some(Field::of(line));
            }
        }
    }
}

impl<'a> Field<'a> {
    /// Splits at the first colon; one blank after it is not part of the value.
    /// A line without a colon is a name with an empty value.
    fn of(line: &'a [u8]) -> Self {
        // Nearly every line is this one; spare it the search.
        if let Some(value) = line.strip_prefix(b"data: ") {
            return Self { name: b"data", value };
        }
        let (name, value) = line.split_at(memchr(b':', line).unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or_default();
        Self { name, value: value.strip_prefix(b" ").unwrap_or(value) }
    }
}
