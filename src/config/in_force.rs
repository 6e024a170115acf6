//! The files that a process runs by: what was taken of them, and what becomes of
//! a change while the process runs. The configuration is one of them, the list of
//! backends another, and each key is in one.
//!
//! ```text
//! files ─differs, and no longer changes──► Written ──what needs a restart
//!                                             │       stays as it was──► Plan
//!                                             └─ faults: nothing changes
//! ```

use super::error::PlanError;
use super::file::ConfigFile;
use super::load::{check_with_files, look_and_check};
use super::plan::Plan;
use super::settings::settings;
use super::sight::Sight;
use super::written::{Machine, Written};
use crate::tls::UnixTime;

/// Writes what was typed over what stands in the file.
pub type TypeFlags = Box<dyn Fn(&mut Written) + Send>;

/// What a process runs by.
pub struct FileInForce {
    /// As the operator named it; `None` where the settings are flags, and other
    /// files alone are looked at.
    config: Option<String>,
    type_flags: TypeFlags,
    machine: Machine,
    written: Written,
    /// What was last taken or refused, and which of the two.
    judged: (Sight, bool),
    /// What the last look found.
    seen: Sight,
    /// The files whose change was judged last.
    changed: String,
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
    /// `judged` is what a plan was made by.
    #[must_use]
    pub fn new(judged: Sight, written: Written, type_flags: TypeFlags, machine: Machine) -> Self {
        let config = judged.config.iter().flatten().map(|file| file.name.clone()).next();
        let seen = judged.clone();
        let judged = (judged, true);
        Self { config, type_flags, machine, written, judged, seen, changed: String::new() }
    }

    /// As the operator named the configuration, if there is one.
    #[must_use]
    pub fn config(&self) -> Option<&str> {
        self.config.as_deref()
    }

    /// The files whose change was judged last.
    #[must_use]
    pub fn changed(&self) -> &str {
        &self.changed
    }

    pub(super) fn judged(&self) -> &Sight {
        &self.judged.0
    }

    /// Whether they hold something that was not judged yet, and held it when
    /// they were last looked at: who writes a file in two steps is waited for.
    pub(super) fn is_news(&mut self, sight: &Sight) -> bool {
        let is_stable = self.seen == *sight;
        let is_new = self.judged.0 != *sight;
        self.seen = sight.clone();
        is_new && is_stable
    }

    pub(super) fn is_in_force(&self, sight: &Sight) -> bool {
        let (judged, taken) = &self.judged;
        *taken && judged == sight
    }

    pub(super) fn take(&mut self, sight: Sight, now: UnixTime) -> Look {
        let changes = sight.changes_since(&self.judged.0, self.config());
        if !changes.is_empty() {
            self.changed = changes.join(", ");
        }
        let (sight, taken) = match &sight.config {
            Some(Err(reason)) => {
                let refused = Err(vec![reason.clone()]);
                (sight, refused)
            }
            Some(Ok(file)) => self.check(Some(file), now),
            None => self.check(None, now),
        };
        self.judged = (sight.clone(), taken.is_ok());
        self.seen = sight;
        match taken {
            Ok((written, taken)) => {
                self.written = written;
                Look::Taken(Box::new(taken))
            }
            Err(faults) => Look::Refused(faults),
        }
    }

    /// The files as a whole must be ones to start with; what is taken of them,
    /// something to go on with.
    fn check(
        &self,
        file: Option<&ConfigFile>,
        now: UnixTime,
    ) -> (Sight, Result<(Written, Taken), Vec<String>>) {
        let (sight, checked) = look_and_check(file, &self.type_flags, &self.machine, now);
        (sight, checked.and_then(|(written, plan)| self.keep(written, plan, now)))
    }

    /// What needs a restart stays as it was.
    fn keep(
        &self,
        mut written: Written,
        plan: Plan,
        now: UnixTime,
    ) -> Result<(Written, Taken), Vec<String>> {
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

#[cfg(test)]
#[path = "in_force_tests.rs"]
mod tests;
