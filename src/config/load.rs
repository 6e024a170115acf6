//! The one file that reads files: what the operator's certificates hold now,
//! and the system's authorities.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::check_tls;
use super::error::PlanError;
use super::material::{SystemAuthorities, TlsFiles, TlsMaterial};
use super::plan::Plan;
use super::tls_plan::TlsPlan;
use super::written::{Machine, Written};
use crate::tls::UnixTime;

/// Ten times what a bundle of every public authority has.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

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
    let plan = super::check(written, machine);
    // Also files of a plan that is refused: all faults are told at once.
    let is_https = |url: &String| url.get(..8).is_some_and(|s| s.eq_ignore_ascii_case("https://"));
    let meant = check_tls::plan(&written.tls, written.backends.iter().any(is_https));
    let system = system_authorities(&meant);
    let material = TlsMaterial::check(&meant, &read_files(&meant), &system, now);
    match (plan, material) {
        (Ok(plan), Ok(_)) => Ok(plan),
        (plan, material) => {
            let of_plan = plan.err().unwrap_or_default();
            Err(of_plan.into_iter().chain(material.err().unwrap_or_default()).collect())
        }
    }
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
        return Err(io::Error::other("it has more than 4MiB, which no PEM of certificates has"));
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
