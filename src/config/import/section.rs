//! A mapping of the input as it is read key by key. What nobody asks for is
//! found at the end, so that no key is passed over in silence.

use super::finding::{Finding, Kind, shown};
use super::yaml::{Node, Value};

pub(super) const EMPTY: &str = "left out, as it says nothing";

/// Everything that was found, in the order of reading.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub found: Vec<Finding>,
}

/// A value and its way from the root.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub path: String,
    pub node: &'a Node,
}

/// The keys of a mapping that have not been read yet.
#[derive(Default)]
pub(super) struct Section<'a> {
    path: String,
    left: Vec<(&'a str, &'a Node)>,
}

impl Findings {
    pub(super) fn add(
        &mut self,
        entry: &Entry<'_>,
        kind: Kind,
        became: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let (path, line) = (entry.path.clone(), entry.node.line);
        self.found.push(Finding { path, line, kind, became: became.into(), mend: mend.into() });
    }

    pub(super) fn exact(&mut self, entry: &Entry<'_>, became: impl Into<String>) {
        self.add(entry, Kind::Exact, became, "");
    }

    pub(super) fn approximate(
        &mut self,
        entry: &Entry<'_>,
        became: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(entry, Kind::Approximate, became, mend);
    }

    pub(super) fn manual(
        &mut self,
        entry: &Entry<'_>,
        became: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(entry, Kind::Manual, became, mend);
    }

    pub(super) fn unsupported(
        &mut self,
        entry: &Entry<'_>,
        became: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(entry, Kind::Unsupported, became, mend);
    }

    /// The value is not what this key takes.
    pub(super) fn misread(&mut self, entry: &Entry<'_>, wanted: &str) {
        let found = entry.kind();
        self.manual(
            entry,
            format!("{found} stands where {wanted} is read, so it was left out"),
            format!("write {wanted}"),
        );
    }
}

impl<'a> Entry<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { path: String::new(), node }
    }

    pub(super) fn kind(&self) -> &'static str {
        match &self.node.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Whole(_) => "a whole number",
            Value::Fraction(_) => "a number with a fraction",
            Value::Text(text) if variable(text).is_some() => "a variable of the environment",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    /// Not one that names a variable: what that holds is not known here.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) if variable(text).is_none() => Some(text),
            _ => None,
        }
    }

    pub(super) fn variable(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => variable(text),
            _ => None,
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(on) => Some(*on),
            Value::Text(word) if word.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(word) if word.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    pub(super) fn count(&self) -> Option<u32> {
        match &self.node.value {
            Value::Whole(number) => u32::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Zero or more.
    #[expect(clippy::cast_precision_loss, reason = "numbers of this size are out of every range")]
    pub(super) fn number(&self) -> Option<f64> {
        let number = match &self.node.value {
            Value::Whole(number) => *number as f64,
            Value::Fraction(number) => *number,
            _ => return None,
        };
        (number.is_finite() && number >= 0.0).then_some(number)
    }

    pub(super) fn list(&self, findings: &mut Findings) -> Option<Vec<Entry<'a>>> {
        let Value::List(nodes) = &self.node.value else { return None };
        if nodes.is_empty() {
            findings.exact(self, EMPTY);
        }
        let entries = nodes.iter().enumerate();
        let entry = |(index, node)| Entry { path: format!("{}[{index}]", self.path), node };
        Some(entries.map(entry).collect())
    }

    pub(super) fn section(&self, findings: &mut Findings) -> Option<Section<'a>> {
        let Value::Map(entries) = &self.node.value else { return None };
        if entries.is_empty() {
            findings.exact(self, EMPTY);
        }
        let left = entries.iter().map(|(key, node)| (key.as_str(), node)).collect();
        Some(Section { path: self.path.clone(), left })
    }
}

impl<'a> Section<'a> {
    /// The value of the key, which is read now; a key without a value is as if
    /// it were not there.
    pub(super) fn take(&mut self, key: &str, findings: &mut Findings) -> Option<Entry<'a>> {
        let index = self.left.iter().position(|(name, _)| *name == key)?;
        let (name, node) = self.left.remove(index);
        let entry = self.entry(name, node);
        if entry.is_null() {
            findings.exact(&entry, EMPTY);
            return None;
        }
        Some(entry)
    }

    /// Whatever was not taken.
    pub(super) fn rest(self) -> impl Iterator<Item = (&'a str, Entry<'a>)> {
        let Self { path, left } = self;
        let path = Section { path, left: Vec::new() };
        left.into_iter().map(move |(key, node)| (key, path.entry(key, node)))
    }

    fn entry(&self, key: &str, node: &'a Node) -> Entry<'a> {
        let dot = if self.path.is_empty() { "" } else { "." };
        Entry { path: format!("{}{dot}{}", self.path, shown(key)), node }
    }
}

/// The name in `os.environ/NAME`.
fn variable(text: &str) -> Option<&str> {
    text.strip_prefix("os.environ/")
}
