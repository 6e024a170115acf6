//! A list of backends: lines in, what was written out. A line has a URL, and
//! behind it whatever else `[[backend]]` may hold.
//!
//! ```text
//! # the night shift
//! http://10.0.0.1:8000
//! http://10.0.0.2:8000  weight=3 models=llama-3-70b,qwen*
//! ```

use super::check_backends::BACKENDS_MAX;
use super::faults::FAULTS_MAX;
use super::file::ConfigFile;
use super::file_fault::FileFault;
use super::given::{HIDDEN, Told, shown};
use super::nearest;
use super::settings::{Form, Misread, by_key};
use super::written::{BackendWritten, Written};

/// Puts the backends of the list behind those that are written; returns what is
/// wrong with its words.
pub(super) fn append(list: &ConfigFile, written: &mut Written) -> Vec<Told> {
    let from = written.backends.len();
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (line, text) in (1..).zip(list.text.lines()) {
        let mut words = text.split_whitespace().take_while(|word| !word.starts_with('#'));
        let Some(url) = words.next() else { continue };
        // Those beyond are too many already, which the check says.
        if written.backends.len() > BACKENDS_MAX || faults.len() >= FAULTS_MAX {
            break;
        }
        written.backends.push(BackendWritten::from(url));
        lines.push(line);
        let mut keys = Vec::new();
        for word in words {
            if let Err((what, fault)) = pair(word, &mut keys, written) {
                let sentence = format!("{}:{line}: {what}: {fault}", list.name);
                faults.push(Told::elsewhere(sentence));
            }
        }
    }
    if written.backends.is_empty() && !written.demo {
        let sentence = format!("{}: {}", list.name, FileFault::NoBackend);
        faults.push(Told::elsewhere(sentence));
    }
    written.given.in_list(&list.name, from, lines);
    faults
}

/// Reads one `KEY=VALUE` into the last backend. `keys` are those of its line so
/// far.
fn pair<'w>(
    word: &'w str,
    keys: &mut Vec<&'w str>,
    written: &mut Written,
) -> Result<(), (String, FileFault)> {
    let (key, value) =
        word.split_once('=').ok_or_else(|| (shown(word).into_owned(), FileFault::NotPair))?;
    let fault = |fault| (shown(key).into_owned(), fault);
    let Some(setting) = by_key(&format!("backend.{key}")).filter(|_| key != "url") else {
        return Err(fault(match nearest::nearest("backend", key) {
            Some(near) => FileFault::UnknownNear(near),
            None => FileFault::Unknown(nearest::names_in("backend")),
        }));
    };
    if keys.contains(&key) {
        return Err(fault(FileFault::Twice));
    }
    keys.push(key);
    let words: Vec<_> = match setting.form() {
        Form::Words => value.split(',').collect(),
        Form::Switch { .. } if value != "true" && value != "false" => {
            return Err(fault(FileFault::NotSwitch));
        }
        _ => vec![value],
    };
    setting.read_in_last(written, &words).map_err(|misread| {
        let is_secret = misread == Misread::NoKeySource;
        let value = if is_secret { HIDDEN.into() } else { shown(value) };
        (format!("{key} {value}"), misread.into())
    })
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
