//! YAML in, a tree that knows its lines out, within named bounds. Nothing is
//! known here of what the words mean.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Options, Spanned};

/// A hundred times a configuration of a hundred models.
const BYTES_MAX: usize = 1024 * 1024;
/// A prompt template is the longest text that stands in such files.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// What LiteLLM reads is at most seven deep.
const DEPTH_MAX: usize = 16;
const NODES_MAX: usize = 50_000;
const ALIASES_MAX: usize = 256;
/// What aliases may repeat in all: 64 MiB, should each be the longest text.
const REPEATED_MAX: usize = 4096;
/// Anchors within anchors.
const ALIAS_DEPTH_MAX: usize = 4;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Counted from 1; zero where it is not known.
    pub line: u64,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Whole(i64),
    Fraction(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; no key stands there twice.
    Map(Vec<(String, Node)>),
}

/// Why a text is no YAML that is taken here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotYaml {
    pub line: Option<u64>,
    pub reason: String,
}

/// The one document in the text.
pub(super) fn read(text: &str) -> Result<Node, NotYaml> {
    if text.len() > BYTES_MAX {
        let reason = format!("it has more than {} KiB", BYTES_MAX / 1024);
        return Err(NotYaml { line: None, reason });
    }
    match serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options()) {
        Ok(root) => Ok(node(root)),
        Err(error) => {
            // What an excerpt shows may be a secret.
            let error = error.without_snippet();
            let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
            Err(NotYaml { line, reason: harmless(&error.to_string()) })
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPEATED_MAX,
            max_replay_stack_depth: ALIAS_DEPTH_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        emit_comments: false,
        with_snippet: false,
        // A time like 1e999 is a word and no reason to stop.
        reject_non_finite_typeless_float: false,
    }
}

/// The first line of a parser's words, without what it quotes of the file.
fn harmless(words: &str) -> String {
    let first = words.lines().next().unwrap_or_default();
    let parts = first.split(['`', '"', '\'']).enumerate();
    let kept = parts.map(|(index, part)| if index % 2 == 0 { part } else { "…" });
    kept.collect::<String>().chars().filter(|c| !c.is_control()).take(200).collect()
}

fn node(spanned: Spanned<Value>) -> Node {
    Node { line: spanned.referenced.line(), value: spanned.value }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false, null, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, on: bool) -> Result<Value, E> {
        Ok(Value::Bool(on))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "such a number is out of every range here")]
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Fraction(number as f64), Value::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Fraction(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        if text.len() > TEXT_BYTES_MAX {
            let limit = TEXT_BYTES_MAX / 1024;
            return Err(E::custom(format_args!("a text of more than {limit} KiB")));
        }
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(one) = list.next_element::<Spanned<Value>>()? {
            nodes.push(node(one));
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let mut value = node(map.next_value()?);
            value.line = key.referenced.line();
            entries.push((key.value, value));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
