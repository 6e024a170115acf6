//! Configurations of other proxies, told in ours. Text in, text and findings
//! out: nothing is read or written here, and no secret is copied.
//!
//! ```text
//! YAML ──yaml──► tree ──settings, deployment──► Fleet ──write──► TOML
//!                  └── each key: exact, approximate, manual, unsupported
//! ```

mod address;
#[cfg(test)]
mod complete_tests;
mod deployment;
mod finding;
mod known;
mod models;
mod provider;
mod retries;
mod section;
mod settings;
mod weights;
mod write;
mod yaml;

use std::fmt;

use self::deployment::Shared;
use self::models::Fleet;
use self::section::{Entry, Findings};

pub use self::finding::{Finding, Kind};

/// What an input amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// A configuration file of ours.
    pub file: String,
    /// Of every key of the input, in its order.
    pub findings: Vec<Finding>,
}

/// Why nothing can be made of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotImported {
    source: String,
    line: Option<u64>,
    reason: String,
}

impl std::error::Error for NotImported {}

impl fmt::Display for NotImported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, line, reason } = self;
        write!(f, "{source}:")?;
        if let Some(line) = line {
            write!(f, "{line}:")?;
        }
        write!(f, " {reason}; give the configuration of a LiteLLM proxy")
    }
}

/// Reads the configuration of a LiteLLM proxy; `source` is its name.
///
/// # Errors
/// It is no YAML, or beyond the bounds, or names no model that could be
/// carried over.
pub fn litellm(source: &str, text: &str) -> Result<Imported, NotImported> {
    let fault = |line, reason| NotImported { source: source.to_owned(), line, reason };
    let root = yaml::read(text)
        .map_err(|error| fault(error.line, format!("this is not YAML ({})", error.reason)))?;
    let mut findings = Findings::default();
    let Some(mut section) = Entry::root(&root).section(&mut findings) else {
        return Err(fault(None, "this is no mapping".to_owned()));
    };
    let settings = settings::read(&mut section, &mut findings);
    let Some(list) = section.take("model_list", &mut findings) else {
        return Err(fault(None, "there is no model_list".to_owned()));
    };
    let Some(entries) = list.list(&mut findings) else {
        return Err(fault(Some(list.node.line), "model_list is no list".to_owned()));
    };
    let mut shared = Shared { secrets: Default::default(), capacity: settings.capacity };
    let read = |entry| deployment::read(entry, &mut shared, &mut findings);
    let deployments: Vec<_> = entries.into_iter().filter_map(read).collect();
    known::tell(section, known::AT_ROOT, &mut findings);
    let fleet = Fleet::of(&deployments, &settings, &mut findings);
    let mut findings = findings.found;
    findings.sort_by_key(|finding| finding.line);
    Ok(Imported { file: write::write(source, &settings.lines, &fleet), findings })
}

#[cfg(test)]
#[path = "litellm_tests.rs"]
mod tests;
