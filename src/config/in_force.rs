//! The file that a process was started with, and what has changed in it since.

use super::file::ConfigFile;
use super::given::Given;
use super::settings::settings;

/// What was read at the start.
#[derive(Clone, Debug, PartialEq)]
pub struct FileInForce {
    file: ConfigFile,
    /// Flags that were typed win, so what the file says of them is no change.
    given: Given,
}

/// What a later look at the file shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    None,
    /// Its words are others, and say the same.
    WordsOnly,
    /// Keys whose values are not those in force.
    Keys(Vec<&'static str>),
    /// It could not be taken as it stands, for these reasons.
    Faults(Vec<String>),
}

impl FileInForce {
    #[must_use]
    pub fn new(file: ConfigFile, given: Given) -> Self {
        Self { file, given }
    }

    /// As the operator named it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// What the file now holds, against what it held at the start.
    #[must_use]
    pub fn compare(&self, text: String) -> Changes {
        if text == self.file.text {
            return Changes::None;
        }
        let now = ConfigFile { name: self.file.name.clone(), text }.read();
        if !now.faults.is_empty() {
            return Changes::Faults(now.faults.into_iter().map(|told| told.sentence).collect());
        }
        let (mut before, mut now) = (self.file.read().written, now.written);
        let is_typed = |flag: &str| self.given.is_typed(flag);
        let keys: Vec<_> = settings()
            .filter(|setting| !is_typed(setting.id()))
            // Backends that were typed come without the tables of the file.
            .filter(|setting| !(setting.is_of_backend() && is_typed("--backend")))
            .filter(|setting| setting.words(&mut before) != setting.words(&mut now))
            .map(|setting| setting.key)
            .collect();
        if keys.is_empty() { Changes::WordsOnly } else { Changes::Keys(keys) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "[limits]\nbody_bytes = \"1MiB\"\n\
                          [[backend]]\nurl = \"https://a\"\n[[backend]]\nurl = \"https://b\"\n";

    #[track_caller]
    fn check(typed: &[&'static str], replace: [&str; 2], expected: Changes) {
        let mut given = Given::default();
        typed.iter().for_each(|flag| given.by_flag(flag));
        let file = ConfigFile { name: "t.toml".to_owned(), text: BEFORE.to_owned() };
        let now = BEFORE.replace(replace[0], replace[1]);
        assert_eq!(FileInForce::new(file, given).compare(now), expected);
    }

    #[test]
    fn what_differs_is_told_by_its_keys() {
        check(&[], ["x", "y"], Changes::None);
        check(&[], ["1MiB", "1024KiB"], Changes::WordsOnly);
        check(&[], ["[limits]", "[limits] # small"], Changes::WordsOnly);
        check(&[], ["1MiB", "2MiB"], Changes::Keys(vec!["limits.body_bytes"]));
        check(&[], ["//b", "//c"], Changes::Keys(vec!["backend.url"]));
        let tls = ["\"https://b\"", "\"https://b\"\ntls.ca = \"x\""];
        check(&[], tls, Changes::Keys(vec!["backend.tls.ca"]));
        check(
            &[],
            ["[limits]\nbody_bytes", "demo"],
            Changes::Faults(vec![
                "t.toml:1: demo: this is a text; write it like demo = true".to_owned(),
            ]),
        );
    }

    #[test]
    fn what_was_typed_is_in_force_whatever_the_file_says() {
        check(&["--body-bytes"], ["1MiB", "2MiB"], Changes::WordsOnly);
        check(&["--backend"], ["//b", "//c"], Changes::WordsOnly);
    }
}
