//! Where a deployment is reached, and with which key.

use super::provider::{Fit, Provider};
use super::section::{Entry, Findings};
use crate::config::address::read_backend;
use crate::llm::Dialect;

/// Longer than any address that a person writes.
const ADDRESS_BYTES_MAX: usize = 1024;
const VARIABLE_BYTES_MAX: usize = 128;

/// What is written for a key where a server asks for none, as clients will not
/// start without one.
const NO_KEYS: [&str; 14] = [
    "none",
    "null",
    "empty",
    "dummy",
    "dummy-key",
    "fake",
    "fake-key",
    "no-key",
    "no-key-required",
    "sk-no-key-required",
    "not-needed",
    "not-required",
    "na",
    "n/a",
];

/// Names for keys that stood in the file by themselves: the same key has the
/// same name everywhere. They are never shown.
#[derive(Default)]
pub(super) struct Secrets<'a> {
    literals: Vec<(&'a str, String)>,
}

impl<'a> Secrets<'a> {
    /// A name for the variable that is to hold `literal`.
    fn name(&mut self, literal: &'a str, wish: &str) -> String {
        if let Some((_, name)) = self.literals.iter().find(|(known, _)| *known == literal) {
            return name.clone();
        }
        let is_taken = |name: &str| self.literals.iter().any(|(_, known)| known == name);
        let numbered = (2..).map(|number| format!("{wish}_{number}"));
        let free = std::iter::once(wish.to_owned()).chain(numbered).find(|name| !is_taken(name));
        let name = free.unwrap_or_default();
        self.literals.push((literal, name.clone()));
        name
    }

    /// The reference that stands for the key here. `is_own` is an address that
    /// is no provider's.
    pub(super) fn reference(
        &mut self,
        entry: &Entry<'a>,
        (wish, is_own): (&str, bool),
        findings: &mut Findings,
    ) -> Option<String> {
        if let Some(variable) = entry.variable() {
            if is_variable(variable) {
                let reference = format!("env:{variable}");
                findings.exact(entry, format!("is the backend's key, {reference}"));
                return Some(reference);
            }
            findings.misread(entry, "os.environ/NAME of letters, digits and _");
            return None;
        }
        let Some(literal) = entry.text() else {
            findings.misread(entry, "a key as os.environ/NAME");
            return None;
        };
        if is_own && NO_KEYS.iter().any(|none| literal.eq_ignore_ascii_case(none)) {
            findings.approximate(
                entry,
                "is no key, so none is sent; LiteLLM sends the word",
                format!("add key = \"env:{wish}\" to the backend if it asks for one"),
            );
            return None;
        }
        let name = self.name(literal, wish);
        findings.manual(
            entry,
            format!("the key itself stands in the file; it was not copied, and env:{name} is read"),
            format!("set {name} where tokenring runs, and take the key out of the file"),
        );
        Some(format!("env:{name}"))
    }
}

/// The address as a backend's, or a finding why there is none.
pub(super) fn url(
    provider: &Provider,
    written: Option<&Entry<'_>>,
    model: &Entry<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let Some(entry) = written else {
        if provider.base.is_none() {
            findings.manual(
                model,
                format!("left out: {} has no address of its own", provider.prefix),
                "write api_base beside it, and import again",
            );
        }
        return provider.base.map(str::to_owned);
    };
    let Some(text) = entry.text() else {
        findings.manual(
            entry,
            format!("left out with its deployment: {} is no address", entry.kind()),
            "write the address itself, and import again",
        );
        return None;
    };
    let Some(plain) = plain(text) else {
        findings.manual(
            entry,
            "left out with its deployment: it is no address of the form http://HOST:PORT/BASE",
            "write one without user, password, query and fragment, and import again",
        );
        return None;
    };
    let (base, has_version) = base(plain, provider.dialect);
    if let Err(fault) = read_backend(&base) {
        findings.manual(entry, format!("left out with its deployment: {fault}"), "");
        return None;
    }
    if provider.fit == Fit::Azure {
        findings.exact(entry, "is the backend's address");
        return Some(if has_version { base } else { format!("{base}/openai") });
    }
    if has_version || provider.dialect == Dialect::Anthropic || provider.fit == Fit::OtherApi {
        findings.exact(entry, format!("is the backend's address, {base}"));
    } else {
        findings.approximate(
            entry,
            format!("is the backend's address, {base}, below which paths begin with /v1"),
            "see that the server answers there: LiteLLM leaves the /v1 out",
        );
    }
    Some(base)
}

/// Where the client's path, which begins with `/v1`, is to be added; and
/// whether it ended in that.
fn base(plain: &str, dialect: Dialect) -> (String, bool) {
    let trimmed = plain.trim_end_matches('/');
    let endpoint = match dialect {
        Dialect::OpenAi => "/chat/completions",
        Dialect::Anthropic => "/messages",
    };
    let trimmed = trimmed.strip_suffix(endpoint).unwrap_or(trimmed);
    let base = trimmed.strip_suffix("/v1");
    (base.unwrap_or(trimmed).trim_end_matches('/').to_owned(), base.is_some())
}

/// An address that holds no secret and nothing that a backend's may not have.
fn plain(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let has_host = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '/');
    let fits = text.len() <= ADDRESS_BYTES_MAX;
    (has_host && fits && rest.chars().all(is_plain)).then_some(text)
}

fn is_variable(name: &str) -> bool {
    let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    name.len() <= VARIABLE_BYTES_MAX
        && name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(is_word)
}

/// What may stand for this address in a name: `api.openai.com`.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// A name for the key of this address, should there be none.
pub(super) fn key_name(provider: &Provider, url: &str) -> String {
    match provider.key {
        Some(key) if provider.base == Some(url) => key.to_owned(),
        _ => {
            let upper =
                |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            let host: String = host(url).chars().map(upper).collect();
            format!("KEY_OF_{}", host.trim_matches('_'))
        }
    }
}
