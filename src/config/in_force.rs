//! The file that a process runs by: what was taken of it, and what becomes of a
//! change while the process runs.
//!
//! ```text
//! file ──differs, and no longer changes──► Written ──what needs a restart
//!                                             │       stays as it was──► Plan
//!                                             └─ faults: nothing changes
//! ```

use super::error::PlanError;
use super::file::ConfigFile;
use super::load::{check_file_and_flags, check_with_files};
use super::plan::Plan;
use super::settings::settings;
use super::written::{Machine, Written};
use crate::tls::UnixTime;

/// Writes what was typed over what stands in the file.
pub type TypeFlags = Box<dyn Fn(&mut Written) + Send>;

/// What a look at the file has found: its text, or why it cannot be read.
type Text = Result<String, String>;

/// What a process runs by.
pub struct FileInForce {
    /// As the operator named it.
    name: String,
    type_flags: TypeFlags,
    machine: Machine,
    written: Written,
    /// What it held when it was last taken or refused, and which of the two.
    judged: (Text, bool),
    /// What the last look found.
    seen: Text,
}

/// What came of a look at the file.
pub enum Look {
    Unchanged,
    /// The plan that holds from now on.
    Taken(Box<Taken>),
    /// Everything that is wrong with it. What was in force stays.
    Refused(Vec<String>),
}

/// A change that was taken.
pub struct Taken {
    pub plan: Plan,
    /// The keys of settings that were changed and stay as they are until a
    /// restart.
    pub needs_restart: Vec<&'static str>,
}

impl FileInForce {
    #[must_use]
    pub fn new(
        file: ConfigFile,
        written: Written,
        type_flags: TypeFlags,
        machine: Machine,
    ) -> Self {
        let ConfigFile { name, text } = file;
        let (judged, seen) = ((Ok(text.clone()), true), Ok(text));
        Self { name, type_flags, machine, written, judged, seen }
    }

    /// As the operator named it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it holds something that was not judged yet, and held it when it
    /// was last looked at: who writes a file in two steps is waited for.
    pub(super) fn is_news(&mut self, read: &Result<ConfigFile, String>) -> bool {
        let text = text(read);
        let is_stable = self.seen == text;
        let is_new = self.judged.0 != text;
        self.seen = text;
        is_new && is_stable
    }

    pub(super) fn is_in_force(&self, read: &Result<ConfigFile, String>) -> bool {
        let (judged, taken) = &self.judged;
        *taken && *judged == text(read)
    }

    pub(super) fn take(&mut self, read: Result<ConfigFile, String>, now: UnixTime) -> Look {
        self.seen = text(&read);
        let taken = read.map_err(|reason| vec![reason]).and_then(|file| self.check(&file, now));
        self.judged = (self.seen.clone(), taken.is_ok());
        match taken {
            Ok((written, taken)) => {
                self.written = written;
                Look::Taken(Box::new(taken))
            }
            Err(faults) => Look::Refused(faults),
        }
    }

    /// The file as a whole must be one to start with; what is taken of it, one
    /// to go on with.
    fn check(&self, file: &ConfigFile, now: UnixTime) -> Result<(Written, Taken), Vec<String>> {
        let (mut written, plan) =
            check_file_and_flags(Some(file), &self.type_flags, &self.machine, now)?;
        let needs_restart = keep_from_the_start(&self.written, &mut written);
        if needs_restart.is_empty() {
            return Ok((written, Taken { plan, needs_restart }));
        }
        let tell = |error: &PlanError| written.given.tell(error).sentence;
        let plan = check_with_files(&written, &self.machine, now)
            .map_err(|errors| errors.iter().map(tell).collect::<Vec<_>>())?;
        Ok((written, Taken { plan, needs_restart }))
    }
}

/// Lets settings that need a restart stay as they are; the keys of those that
/// were to change.
fn keep_from_the_start(in_force: &Written, written: &mut Written) -> Vec<&'static str> {
    let mut in_force = in_force.clone();
    let mut keys = Vec::new();
    for setting in settings().filter(|setting| setting.needs_restart) {
        if setting.words(written) != setting.words(&mut in_force) {
            setting.copy(&mut in_force, written);
            keys.push(setting.key);
        }
        written.given.take_over(setting.id(), &in_force.given);
    }
    keys
}

fn text(read: &Result<ConfigFile, String>) -> Text {
    read.as_ref().map(|file| file.text.clone()).map_err(Clone::clone)
}

#[cfg(test)]
#[path = "in_force_tests.rs"]
mod tests;
