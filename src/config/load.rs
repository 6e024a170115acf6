//! The one file that reads files and the environment: the configuration, what
//! the operator's certificates hold now, the system's authorities, and keys of
//! backends.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::check_tls;
use super::error::PlanError;
use super::faults::first_of;
use super::file::ConfigFile;
use super::given::Told;
use super::in_force::{FileInForce, Look};
use super::keys::{self, KeySource, KeysFound};
use super::list;
use super::material::{SystemAuthorities, TlsFiles, TlsMaterial};
use super::plan::Plan;
use super::sight::Sight;
use super::tls_plan::TlsPlan;
use super::written::{Machine, Written};
use crate::tls::UnixTime;

/// Ten times what a bundle of every public authority has.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The operator's configuration file.
///
/// # Errors
/// Why it cannot be read, in one sentence.
pub fn read_config(path: &Path) -> Result<ConfigFile, String> {
    read_text(path, "TOML")
}

/// A list of backends.
fn read_list(path: &Path) -> Result<ConfigFile, String> {
    read_text(path, "lines of URLs")
}

/// Another proxy's configuration.
///
/// # Errors
/// Why it cannot be read, in one sentence.
pub fn read_foreign(path: &Path) -> Result<ConfigFile, String> {
    read_text(path, "YAML")
}

fn read_text(path: &Path, language: &str) -> Result<ConfigFile, String> {
    let name = path.display().to_string();
    let no_text = |_| "it is not UTF-8".to_owned();
    let bytes = read_file(path).map_err(|error| reason(&error));
    match bytes.and_then(|bytes| String::from_utf8(bytes).map_err(no_text)) {
        Ok(text) => Ok(ConfigFile { name, text }),
        Err(reason) => Err(format!(
            "{name}: the file cannot be read ({reason}); give a file in {language} that this user may read"
        )),
    }
}

impl FileInForce {
    /// Takes what the files hold if that is news and no longer being written:
    /// what two looks in a row have found.
    pub fn look(&mut self, now: UnixTime) -> Look {
        let sight = self.sight_now();
        if self.is_news(&sight) { self.take(sight, now) } else { Look::Unchanged }
    }

    /// Takes what the files hold now, though another look may find more.
    pub fn look_now(&mut self, now: UnixTime) -> Look {
        let sight = self.sight_now();
        if self.is_in_force(&sight) { Look::Unchanged } else { self.take(sight, now) }
    }

    /// The files that were judged last, as they are now.
    fn sight_now(&self) -> Sight {
        let before = self.judged();
        Sight {
            config: self.config().map(|name| read_config(Path::new(name))),
            list: before.list.as_ref().map(|(path, _)| (path.clone(), read_list(path))),
            keys: find_keys(before.keys.keys()),
        }
    }
}

/// What is written for `serve` in a file, and its plan, where `type_flags` writes over it what was
/// typed; or everything that is wrong, in sentences by the file's lines.
///
/// # Errors
/// As [`check_with_files`], and what is wrong with the words of the file.
pub fn check_file_and_flags(
    file: Option<&ConfigFile>,
    type_flags: impl FnOnce(&mut Written),
    machine: &Machine,
    now: UnixTime,
) -> Result<(Written, Plan), Vec<String>> {
    look_and_check(file, type_flags, machine, now).1
}

/// The same, and what was found in the files that it was made by.
pub fn look_and_check(
    file: Option<&ConfigFile>,
    type_flags: impl FnOnce(&mut Written),
    machine: &Machine,
    now: UnixTime,
) -> (Sight, Result<(Written, Plan), Vec<String>>) {
    let mut read = file.map(ConfigFile::read);
    let mut written =
        read.as_mut().map_or_else(Written::default, |read| std::mem::take(&mut read.written));
    type_flags(&mut written);
    let mut told: Vec<Told> =
        read.iter_mut().flat_map(|read| std::mem::take(&mut read.faults)).collect();
    let mut is_whole = read.as_ref().is_none_or(|read| read.is_whole);
    let mut sight = Sight { config: file.cloned().map(Ok), ..Sight::default() };
    if let Some(path) = &written.backends_file.clone() {
        let text = read_list(path);
        match &text {
            Ok(list) => {
                told.extend(list::append(list, &mut written));
                // That there is no backend is told by the list.
                is_whole &= !written.backends.is_empty() || written.demo;
            }
            Err(reason) => {
                told.push(Told::elsewhere(reason.clone()));
                is_whole = false;
            }
        }
        sight.list = Some((path.clone(), text));
    }
    let keys = find_keys(keys::sources(&written));
    let is_file = |(source, _): &(&KeySource, &_)| matches!(source, KeySource::File(_));
    let of_files = keys.iter().filter(is_file);
    sight.keys = of_files.map(|(source, key)| (source.clone(), key.clone())).collect();
    let given = written.given.clone();
    // What is missing of a broken file would be found wanting.
    let plan = is_whole.then(|| check_with_keys(&written, machine, now, &keys));
    let errors = match plan {
        Some(Ok(plan)) if told.is_empty() => return (sight, Ok((written, plan))),
        Some(Err(errors)) => errors,
        _ => Vec::new(),
    };
    let is_news = |error: &&PlanError| read.as_ref().is_none_or(|read| !read.explains(error));
    told.extend(errors.iter().filter(is_news).map(|error| given.tell(error)));
    let told = first_of(told, file.map(|file| file.name.as_str()));
    (sight, Err(told.into_iter().map(|told| told.sentence).collect()))
}

/// The plan for `serve` on this machine, or everything that is wrong with what
/// was written and with what its files hold.
///
/// # Errors
/// As [`super::check()`], and those of [`TlsMaterial::check`].
pub fn check_with_files(
    written: &Written,
    machine: &Machine,
    now: UnixTime,
) -> Result<Plan, Vec<PlanError>> {
    check_with_keys(written, machine, now, &find_keys(keys::sources(written)))
}

fn check_with_keys(
    written: &Written,
    machine: &Machine,
    now: UnixTime,
    keys: &KeysFound,
) -> Result<Plan, Vec<PlanError>> {
    let plan = super::check(written, machine);
    // Also files of a plan that is refused: all faults are told at once.
    let meant = check_tls::plan(written);
    let system = system_authorities(&meant);
    let material = TlsMaterial::check(&meant, &read_files(&meant), &system, now);
    let keys = keys::check(written, keys);
    match (plan, material, keys) {
        (Ok(mut plan), Ok(_), Ok(keys)) => {
            keys::hand_out(keys, &mut plan.backends);
            Ok(plan)
        }
        (plan, material, keys) => {
            let faults = [plan.err(), material.err(), keys.err()];
            Err(faults.into_iter().flatten().flatten().collect())
        }
    }
}

/// Looks where keys of backends are to be found, once in each place.
fn find_keys<'a>(sources: impl Iterator<Item = &'a KeySource>) -> KeysFound {
    let read = |source: &KeySource| match source {
        KeySource::Env(name) => Ok(std::env::var_os(name).map(|value| value.into_vec())),
        KeySource::File(path) => read_file(path).map(Some).map_err(|error| reason(&error)),
    };
    let sources: BTreeSet<_> = sources.collect();
    sources.into_iter().map(|source| (source.clone(), read(source))).collect()
}

/// Reads every file that the plan names, each once, so that a file which holds
/// both a certificate and its key is seen at one moment.
#[must_use]
pub fn read_files(plan: &TlsPlan) -> TlsFiles {
    let read = |path: &Path| read_file(path).map_err(|error| reason(&error));
    TlsFiles::new(plan.files().into_iter().map(|path| (path.to_owned(), read(path))).collect())
}

/// What this system trusts, if the plan asks for it.
#[must_use]
pub fn system_authorities(plan: &TlsPlan) -> SystemAuthorities {
    if !plan.asks_for_system_authorities() {
        return SystemAuthorities::default();
    }
    let found = rustls_native_certs::load_native_certs();
    let reason = found.errors.first().map(ToString::to_string);
    let reason = reason.unwrap_or_else(|| "none were found".to_owned());
    SystemAuthorities { certificates: found.certs, reason }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a named pipe would wait for whoever writes into it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut contents = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(
            "it has more than 4MiB, which no file of settings or certificates has",
        ));
    }
    Ok(contents)
}

/// The system's words without the number behind them, to stand in a sentence.
fn reason(error: &io::Error) -> String {
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    first.to_lowercase() + rest
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
