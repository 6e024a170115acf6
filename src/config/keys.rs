//! Keys of backends: where each is found, and whether what is found there can
//! be sent. A key is never part of the configuration itself, and no word of it
//! stands in an error.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::error::{Fault, PlanError};
use super::plan::BackendPlan;
use super::written::Written;
use crate::base::Secret;

/// Where a key is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeySource {
    /// The environment variable of this name.
    Env(String),
    File(PathBuf),
}

/// What was found: the bytes, or why there are none. `Ok(None)` is a variable
/// that is not set.
pub type KeysFound = BTreeMap<KeySource, Result<Option<Vec<u8>>, String>>;

/// Longer than the tokens of any provider, and small beside a head.
const KEY_BYTES_MAX: usize = 4096;

impl KeySource {
    /// `env:NAME` or `file:PATH`.
    pub(super) fn read(word: &str) -> Option<Self> {
        if let Some(name) = word.strip_prefix("env:") {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let is_name = name.bytes().all(is_plain) && !name.starts_with(|c: char| c.is_numeric());
            return (is_name && !name.is_empty()).then(|| Self::Env(name.to_owned()));
        }
        let path = word.strip_prefix("file:")?;
        let is_path = !path.is_empty() && !path.contains(char::is_control);
        is_path.then(|| Self::File(path.into()))
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Every place where a key is to be found.
pub(super) fn sources(written: &Written) -> impl Iterator<Item = &KeySource> {
    written.backends.iter().filter_map(|backend| backend.key.as_ref())
}

/// Each backend's own key, or everything that is wrong with what was found.
pub(super) fn check(
    written: &Written,
    found: &KeysFound,
) -> Result<Vec<Option<Secret>>, Vec<PlanError>> {
    let mut faults = Vec::new();
    let mut keys = Vec::new();
    for (place, backend) in written.backends.iter().enumerate() {
        let key = backend.key.as_ref().map(|source| (source, secret(source, found)));
        keys.push(match key {
            None => None,
            Some((_, Ok(secret))) => Some(secret),
            Some((source, Err(fault))) => {
                let value = source.to_string();
                faults.push(PlanError { id: "backend.key", place, value, fault });
                None
            }
        });
    }
    if faults.is_empty() { Ok(keys) } else { Err(faults) }
}

/// Gives each backend its key.
pub(super) fn hand_out(keys: Vec<Option<Secret>>, backends: &mut [BackendPlan]) {
    for (backend, key) in backends.iter_mut().zip(keys) {
        backend.credential = key;
    }
}

fn secret(source: &KeySource, found: &KeysFound) -> Result<Secret, Fault> {
    let bytes = match found.get(source) {
        Some(Ok(Some(bytes))) => bytes.as_slice(),
        Some(Err(reason)) => return Err(Fault::KeyUnreadable(reason.clone())),
        Some(Ok(None)) | None => return Err(Fault::KeyUnset),
    };
    let key = match source {
        KeySource::Env(_) => bytes,
        // Editors and `echo` end a file with a line break, which is not meant.
        KeySource::File(_) => {
            let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            line.strip_suffix(b"\r").unwrap_or(line)
        }
    };
    match key {
        [] => Err(Fault::KeyEmpty),
        key if key.len() > KEY_BYTES_MAX => Err(Fault::KeyLong(KEY_BYTES_MAX)),
        key if !key.iter().all(u8::is_ascii_graphic) => Err(Fault::KeyBytes),
        key => Ok(Secret::new(key)),
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
