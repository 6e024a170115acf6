//! What a look at the operator's files has found: the configuration, the list
//! of backends, and keys. Private keys are among it, so it is never shown.

use std::path::PathBuf;

use super::file::ConfigFile;
use super::keys::KeysFound;

/// A file's text, or why it cannot be read.
pub type Text = Result<ConfigFile, String>;

/// The same files, looked at again, compare.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sight {
    pub(super) config: Option<Text>,
    pub(super) list: Option<(PathBuf, Text)>,
    /// Those in files; the environment of a process stays as it is.
    pub(super) keys: KeysFound,
}

impl Sight {
    /// Whether there is nothing that may change.
    #[must_use]
    pub fn is_of_nothing(&self) -> bool {
        self.config.is_none() && self.list.is_none() && self.keys.is_empty()
    }

    /// The files that hold something else than they did; `config` is the name
    /// of the configuration.
    pub(super) fn changes_since(&self, before: &Self, config: Option<&str>) -> Vec<String> {
        let of_config = (self.config != before.config).then_some(config).flatten();
        let of_list = self.list.as_ref().filter(|_| self.list != before.list);
        let of_keys = self.keys.iter().filter(|(source, key)| before.keys.get(source) != Some(key));
        of_config
            .map(str::to_owned)
            .into_iter()
            .chain(of_list.map(|(path, _)| path.display().to_string()))
            .chain(of_keys.map(|(source, _)| source.to_string()))
            .collect()
    }
}
