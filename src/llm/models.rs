//! The lists of models that we answer with, in either dialect, and the pages
//! of Anthropic's.

use crate::json::write_string;
use crate::llm::dialect::Dialect;

/// Models of a page where the client does not say.
const LIMIT: usize = 20;
/// The most that a client may ask for.
const LIMIT_MAX: usize = 1000;
/// What the APIs give where the date of a release is not known.
const CREATED: &str = "0";
const CREATED_AT: &str = "1970-01-01T00:00:00Z";

/// Which part of a list a client wants (Anthropic's `limit`, `after_id` and
/// `before_id`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    limit: usize,
    after: Option<Vec<u8>>,
    before: Option<Vec<u8>>,
}

impl Default for Paging {
    fn default() -> Self {
        Self { limit: LIMIT, after: None, before: None }
    }
}

impl Paging {
    /// Reads a query. The reason says what is wrong with it.
    pub fn read(query: &[u8]) -> Result<Self, &'static str> {
        let mut paging = Self::default();
        for part in query.split(|byte| *byte == b'&') {
            let equals = part.iter().position(|byte| *byte == b'=').unwrap_or(part.len());
            let (name, value) = part.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            match name {
                b"limit" => {
                    paging.limit = limit(value).ok_or("limit must be a number from 1 to 1000")?;
                }
                b"after_id" => paging.after = Some(decoded(value)),
                b"before_id" => paging.before = Some(decoded(value)),
                _ => {}
            }
        }
        if paging.after.is_some() && paging.before.is_some() {
            return Err("after_id and before_id exclude each other");
        }
        Ok(paging)
    }

    /// The names of the page, and whether there are more in its direction.
    fn page<'n>(&self, names: &[&'n str]) -> Result<(Vec<&'n str>, bool), &'static str> {
        let place = |id: &[u8]| names.iter().position(|name| name.as_bytes() == id);
        let gone = "after_id and before_id must be the id of a model";
        let (rest, backwards) = match (&self.after, &self.before) {
            (Some(id), _) => (names.get(place(id).ok_or(gone)? + 1..), false),
            (None, Some(id)) => (names.get(..place(id).ok_or(gone)?), true),
            (None, None) => (Some(names), false),
        };
        let rest = rest.unwrap_or_default();
        let first = if backwards { rest.len().saturating_sub(self.limit) } else { 0 };
        let page = rest.iter().skip(first).take(self.limit).copied().collect();
        Ok((page, rest.len() > self.limit))
    }
}

/// `%2F` and its like taken out. What is no escape stays.
#[must_use]
pub fn decoded(mut text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    while let Some((first, rest)) = text.split_first() {
        let escape = match rest {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escape {
            Some((high, low)) => {
                plain.push(high << 4 | low);
                text = rest.get(2..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                text = rest;
            }
        }
    }
    plain
}

fn limit(digits: &[u8]) -> Option<usize> {
    let is_number =
        !digits.is_empty() && digits.len() <= 4 && digits.iter().all(u8::is_ascii_digit);
    let number = digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit & 0xf));
    (is_number && (1..=LIMIT_MAX).contains(&number)).then_some(number)
}

/// Appends the list of these models. OpenAI's has no pages.
pub fn write_models(
    out: &mut Vec<u8>,
    dialect: Dialect,
    names: &[&str],
    paging: &Paging,
) -> Result<(), &'static str> {
    let (names, more) = match dialect {
        Dialect::OpenAi => (names.to_vec(), false),
        Dialect::Anthropic => paging.page(names)?,
    };
    let start: &[u8] = match dialect {
        Dialect::OpenAi => b"{\"object\":\"list\",\"data\":[",
        Dialect::Anthropic => b"{\"data\":[",
    };
    out.extend_from_slice(start);
    for (place, name) in names.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_model(out, dialect, name);
    }
    out.push(b']');
    if dialect == Dialect::Anthropic {
        let id = |out: &mut Vec<u8>, key: &[u8], name: Option<&&str>| {
            out.extend_from_slice(key);
            match name {
                Some(name) => write_string(out, name),
                None => out.extend_from_slice(b"null"),
            }
        };
        out.extend_from_slice(if more { b",\"has_more\":true" } else { b",\"has_more\":false" });
        id(out, b",\"first_id\":", names.first());
        id(out, b",\"last_id\":", names.last());
    }
    out.push(b'}');
    Ok(())
}

/// Appends one model.
pub fn write_model(out: &mut Vec<u8>, dialect: Dialect, name: &str) {
    match dialect {
        Dialect::OpenAi => {
            out.extend_from_slice(b"{\"id\":");
            write_string(out, name);
            out.extend_from_slice(b",\"object\":\"model\",\"created\":");
            out.extend_from_slice(CREATED.as_bytes());
            out.extend_from_slice(b",\"owned_by\":\"tokenring\"}");
        }
        Dialect::Anthropic => {
            out.extend_from_slice(b"{\"type\":\"model\",\"id\":");
            write_string(out, name);
            out.extend_from_slice(b",\"display_name\":");
            write_string(out, name);
            out.extend_from_slice(b",\"created_at\":");
            write_string(out, CREATED_AT);
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["a", "b/c", "d", "e"];

    fn list(dialect: Dialect, query: &str) -> String {
        let mut out = Vec::new();
        let paging = match Paging::read(query.as_bytes()) {
            Ok(paging) => paging,
            Err(reason) => return reason.to_owned(),
        };
        match write_models(&mut out, dialect, &NAMES, &paging) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(reason) => reason.to_owned(),
        }
    }

    #[track_caller]
    fn check_page(query: &str, expected: &[&str], more: bool) {
        let list: serde_json::Value =
            serde_json::from_str(&list(Dialect::Anthropic, query)).unwrap();
        let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
        assert_eq!(ids, expected, "{query}");
        assert_eq!(list["has_more"], more, "{query}");
        assert_eq!(list["first_id"].as_str(), expected.first().copied(), "{query}");
        assert_eq!(list["last_id"].as_str(), expected.last().copied(), "{query}");
    }

    #[test]
    fn pages_go_forwards_and_backwards() {
        check_page("", &NAMES, false);
        check_page("limit=3", &["a", "b/c", "d"], true);
        check_page("limit=2&after_id=b/c", &["d", "e"], false);
        check_page("limit=1&after_id=b%2Fc", &["d"], true);
        check_page("after_id=e", &[], false);
        check_page("before_id=d&limit=1", &["b/c"], true);
        check_page("before_id=d", &["a", "b/c"], false);
        check_page("beta=true&limit=1000", &NAMES, false);
    }

    #[test]
    fn what_names_no_page_is_said() {
        for (query, expected) in [
            ("limit=0", "from 1 to 1000"),
            ("limit=1001", "from 1 to 1000"),
            ("limit=", "from 1 to 1000"),
            ("limit=+5", "from 1 to 1000"),
            ("after_id=x", "the id of a model"),
            ("after_id=a&before_id=d", "exclude each other"),
        ] {
            let said = list(Dialect::Anthropic, query);
            assert!(said.contains(expected), "{query}: {said}");
        }
    }

    #[test]
    fn each_dialect_has_its_form() {
        let list: serde_json::Value = serde_json::from_str(&list(Dialect::OpenAi, "")).unwrap();
        assert_eq!(list["object"], "list");
        let first =
            serde_json::json!({"id":"a","object":"model","created":0,"owned_by":"tokenring"});
        assert_eq!(list["data"][0], first);
        assert_eq!(list["data"].as_array().unwrap().len(), 4);
        let mut out = Vec::new();
        write_model(&mut out, Dialect::Anthropic, "b\"");
        let model: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(model["type"], "model");
        assert_eq!(model["id"], "b\"");
        assert_eq!(model["created_at"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn escapes_are_taken_out_and_nothing_else() {
        for (text, expected) in [("a%2Fb", "a/b"), ("100%", "100%"), ("%zz", "%zz"), ("%4", "%4")] {
            assert_eq!(decoded(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }
}
