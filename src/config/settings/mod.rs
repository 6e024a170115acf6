//! Every setting of `serve`, once: its key in the file, its flag, what it says
//! of itself, and the place in what was written that it fills.
//!
//! ```text
//!                      ┌─► flags and their help (cli/)
//! the table of groups ─┼─► the reader of the file
//!                      └─► the reference
//! ```
//!
//! Backends, models and routes are lists of tables, and of most of what stands
//! in them each has its own; such a setting has no flag.
//!
//! A default stands nowhere here: it is what the place holds when nothing was
//! written.

mod backends;
mod balancing;
mod limits;
mod lists;
mod models;
mod place;
mod probes;
mod process;
mod routes;
mod tls;

use super::written::{BackendTlsWritten, Written};
use lists::Listed;

pub(super) use lists::{LISTS, List, list_of};
pub use place::{Form, Misread};

use place::{Choice, Number, Place, Switch};

/// Settings that stand under one heading of the help.
pub struct Group {
    pub heading: &'static str,
    pub settings: &'static [Setting],
}

/// One setting.
pub struct Setting {
    /// Where it stands in the file: a table, and a name in it.
    pub key: &'static str,
    /// As typed; `None` stands in the file only.
    pub flag: Option<&'static str>,
    /// As it may be written in the file, where several words have a blank
    /// between them. It is not the default, unless a page that holds every
    /// example would contradict itself.
    pub example: &'static str,
    /// One sentence, without its full stop.
    pub doc: &'static str,
    /// It holds from the start of the process to its end: a reload cannot
    /// change it.
    pub needs_restart: bool,
    home: Home,
}

/// Whose the setting is.
enum Home {
    Process(Place<Written>),
    /// One of each table of a list.
    Listed(&'static dyn Listed),
    /// Each backend's own in the file; as a flag it is for all of them.
    Backend(Place<BackendTlsWritten>),
    /// What makes a backend.
    BackendUrl,
}

/// In the order of the help.
pub static GROUPS: [Group; 15] = [
    process::FILE,
    process::PLACES,
    backends::BACKENDS,
    models::MODELS,
    routes::ROUTES,
    balancing::BALANCING,
    balancing::QUEUE,
    probes::PROBES,
    tls::TO_CLIENTS,
    tls::TO_BACKENDS,
    process::MACHINE,
    limits::DEADLINES,
    limits::LIMITS,
    limits::KEPT,
    process::HEADERS,
];

/// All of them, in the order of the help.
pub fn settings() -> impl Iterator<Item = &'static Setting> + Clone {
    GROUPS.iter().flat_map(|group| group.settings)
}

/// The setting of this flag as typed, or of this key where it has no flag.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.id() == id)
}

pub(super) fn by_key(key: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.key == key)
}

const fn of_process(
    key: &'static str,
    flag: &'static str,
    example: &'static str,
    doc: &'static str,
    place: Place<Written>,
) -> Setting {
    Setting {
        key,
        flag: Some(flag),
        example,
        doc,
        needs_restart: false,
        home: Home::Process(place),
    }
}

const fn of_backend(
    key: &'static str,
    flag: &'static str,
    example: &'static str,
    doc: &'static str,
    place: Place<BackendTlsWritten>,
) -> Setting {
    Setting {
        key,
        flag: Some(flag),
        example,
        doc,
        needs_restart: false,
        home: Home::Backend(place),
    }
}

const fn of_table(
    key: &'static str,
    example: &'static str,
    doc: &'static str,
    place: &'static dyn Listed,
) -> Setting {
    Setting { key, flag: None, example, doc, needs_restart: false, home: Home::Listed(place) }
}

impl Setting {
    /// How the code and later errors know it.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.flag.unwrap_or(self.key)
    }

    /// The same, where only a restart changes it.
    const fn at_start_only(self) -> Self {
        Self { needs_restart: true, ..self }
    }

    /// Makes what is written for it in `to` the same as in `from`.
    pub(super) fn copy(&self, from: &mut Written, to: &mut Written) {
        match &self.home {
            Home::Process(place) => place.copy(from, to),
            Home::Backend(place) => place.copy(&mut from.tls.backend, &mut to.tls.backend),
            Home::BackendUrl => to.backends.clone_from(&from.backends),
            // None of them needs a restart.
            Home::Listed(_) => {}
        }
    }

    /// What was typed for it, which is all that there is of it then.
    ///
    /// # Errors
    /// The first word that cannot stand there.
    pub fn read(&self, to: &mut Written, words: &[&str]) -> Result<(), Misread> {
        match &self.home {
            Home::Process(place) => place.read(to, words),
            Home::Backend(place) => place.read(&mut to.tls.backend, words),
            Home::Listed(place) => place.read_in_last(to, words),
            Home::BackendUrl => {
                to.backends = words.iter().map(|&url| url.into()).collect();
                Ok(())
            }
        }
    }

    /// The same in the table of the file that was begun last.
    pub(super) fn read_in_last(&self, to: &mut Written, words: &[&str]) -> Result<(), Misread> {
        let last = to.backends.last_mut();
        match (&self.home, last) {
            (Home::Backend(place), Some(last)) => place.read(&mut last.tls, words),
            (Home::BackendUrl, Some(last)) => {
                last.url = words.concat();
                Ok(())
            }
            _ => self.read(to, words),
        }
    }

    /// What is written for it; `None` if nothing is. Of what each table of a
    /// list has there is one word for each, empty where it has none.
    pub(super) fn words(&self, of: &mut Written) -> Option<Vec<String>> {
        match &self.home {
            Home::Process(place) => place.words(of),
            Home::Backend(place) => {
                let own =
                    |tls: &mut BackendTlsWritten| place.words(tls).unwrap_or_default().concat();
                let unset = own(&mut BackendTlsWritten::default());
                let own: Vec<_> = of.backends.iter_mut().map(|one| own(&mut one.tls)).collect();
                own.iter().any(|word| *word != unset).then_some(own)
            }
            Home::Listed(place) => place.words_of_all(of),
            Home::BackendUrl => {
                let urls: Vec<_> = of.backends.iter().map(|one| one.url.clone()).collect();
                (!urls.is_empty()).then_some(urls)
            }
        }
    }

    /// What holds when nothing is written, in words; empty where that says
    /// itself.
    #[must_use]
    pub fn default(&self) -> String {
        let (words, unset) = match &self.home {
            Home::Process(place) => (place.words(&mut Written::default()), place.unset()),
            Home::Backend(place) => (place.words(&mut BackendTlsWritten::default()), place.unset()),
            Home::Listed(place) => (place.words_of_none(), place.unset()),
            Home::BackendUrl => (None, ""),
        };
        words.map_or_else(|| unset.to_owned(), |words| words.join(", "))
    }

    /// The name of its value's kind, as in the help; empty for a switch.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match &self.home {
            Home::Process(place) => place.unit(),
            Home::Backend(place) => place.unit(),
            Home::Listed(place) => place.unit(),
            Home::BackendUrl => "URL",
        }
    }

    #[must_use]
    pub fn form(&self) -> Form {
        match &self.home {
            Home::Process(place) => place.form(),
            Home::Backend(place) => place.form(),
            Home::Listed(place) => place.form(),
            Home::BackendUrl => Form::Words,
        }
    }

    /// Whether each backend has its own in the file.
    pub(super) fn is_of_backend(&self) -> bool {
        self.key.starts_with("backend.")
    }

    /// The table it stands in, empty at the top, and its name there.
    pub(super) fn table_and_name(&self) -> (&'static str, &'static str) {
        self.key.rsplit_once('.').unwrap_or(("", self.key))
    }
}

#[cfg(test)]
#[path = "../settings_tests.rs"]
mod tests;
