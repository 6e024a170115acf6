//! Where settings were given, and how errors name them: by the flag that was
//! typed, or by the key and its line in the file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::error::{Fault, PlanError};
use super::named::Named;
use super::settings::{Form, by_id, list_of};

/// Where each setting was given. A setting is known by its id, which is its
/// flag, or its key where it has none, and among several of it by its place. A table of a list
/// is known by the key of the list, and counted through the whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The ids of those that were typed.
    typed: BTreeSet<&'static str>,
    /// Settings that were typed as a flag of another router: from which of
    /// several on, and as what.
    of_others: BTreeMap<&'static str, (usize, &'static str)>,
    lines: BTreeMap<(&'static str, usize), usize>,
    /// The file, as the operator named it.
    file: Option<String>,
    list: Option<InList>,
    /// As which of those that were written each backend of the plan was, where
    /// one has become several.
    origins: Vec<usize>,
}

/// Backends that stand in a list of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct InList {
    /// As the operator named it.
    name: String,
    /// Which backend is the first of them.
    from: usize,
    /// Where each stands.
    lines: Vec<usize>,
}

/// One error in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether it stands nowhere in the file, else its line.
    order: (bool, usize),
    /// How many others it stands for that are not told.
    more: usize,
    pub sentence: String,
}

impl Given {
    /// With settings of this file; none so far.
    #[must_use]
    pub(super) fn in_file(name: &str) -> Self {
        Self { file: Some(name.to_owned()), ..Self::default() }
    }

    /// The setting's flag was typed, and wins over the file.
    pub fn by_flag(&mut self, id: &'static str) {
        self.typed.insert(id);
    }

    /// The same, by another router's flag; of several from this one on.
    pub(super) fn by_flag_of_others(
        &mut self,
        id: &'static str,
        from: usize,
        theirs: &'static str,
    ) {
        if from == 0 {
            self.typed.insert(id);
        }
        self.of_others.entry(id).or_insert((from, theirs));
    }

    /// The flag that was typed for it: its own, or another router's.
    pub(super) fn typed_as(&self, id: &'static str) -> &'static str {
        self.of_others.get(id).map_or(id, |(_, theirs)| theirs)
    }

    /// The setting stands in this line of the file.
    pub(super) fn in_line(&mut self, (id, place): (&'static str, usize), line: usize) {
        self.lines.insert((id, place), line);
    }

    /// The backends from this one on stand in these lines of a list.
    pub(super) fn in_list(&mut self, name: &str, from: usize, lines: Vec<usize>) {
        self.list = Some(InList { name: name.to_owned(), from, lines });
    }

    /// Each backend is now what one of these was.
    pub(super) fn spread(&mut self, origins: Vec<usize>) {
        self.origins = origins;
    }

    /// What is known of a setting is what another knows.
    pub(super) fn take_over(&mut self, id: &'static str, from: &Self) {
        self.lines.retain(|(known, _), _| *known != id);
        let theirs = from.lines.iter().filter(|((known, _), _)| *known == id);
        self.lines.extend(theirs.map(|(spot, line)| (*spot, *line)));
    }

    pub(super) fn is_in_file(&self, spot: (&'static str, usize)) -> bool {
        self.lines.contains_key(&spot)
    }

    /// Whether it was given at all.
    pub(super) fn has(&self, id: &str) -> bool {
        self.typed.contains(id) || self.lines.keys().any(|(known, _)| *known == id)
    }

    #[must_use]
    pub fn is_typed(&self, id: &str) -> bool {
        self.typed.contains(id)
    }

    /// How the operator knows a setting: `--body-bytes` or `limits.body_bytes`.
    #[must_use]
    pub fn name(&self, id: &str) -> String {
        if let Some((0, theirs)) = self.of_others.get(id) {
            return (*theirs).to_owned();
        }
        let key = by_id(id).filter(|_| self.file.is_some() && !self.is_typed(id));
        key.map_or_else(|| id.to_owned(), |setting| setting.key.to_owned())
    }

    /// The error, at the place where it is mended.
    #[must_use]
    pub fn tell(&self, error: &PlanError) -> Told {
        if let Fault::More(more) = error.fault {
            return Told::of_more(more, self.file.as_deref());
        }
        let setting = by_id(error.id).filter(|setting| setting.is_of_backend());
        if let Some((setting, &origin)) = setting.zip(self.origins.get(error.place)) {
            let error = PlanError { id: setting.id(), place: origin, ..error.clone() };
            return Self { origins: Vec::new(), ..self.clone() }.tell(&error);
        }
        if let Some((setting, place)) = setting.zip(self.place_in_list(error)) {
            let name = setting.key.strip_prefix("backend.").unwrap_or(setting.key);
            let (value, reason) = (shown(&error.value), self.sentence(&error.fault));
            let space = if value.is_empty() { "" } else { " " };
            return Told::elsewhere(format!("{place}: {name}{space}{value}: {reason}"));
        }
        let theirs = self.of_others.get(error.id).filter(|(from, _)| *from <= error.place);
        let line = self.line(error).filter(|_| theirs.is_none());
        let place = match (&self.file, line) {
            _ if self.is_typed(error.id) || theirs.is_some() => String::new(),
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            (None, _) => String::new(),
        };
        let name = theirs.map_or_else(|| self.name(error.id), |(_, theirs)| (*theirs).to_owned());
        let reason = self.sentence(&error.fault);
        let value = shown(&error.value);
        let space = if value.is_empty() { "" } else { " " };
        let sentence = format!("{place}{name}{space}{value}: {reason}");
        Told { order: (line.is_none(), line.unwrap_or_default()), more: 0, sentence }
    }

    /// What was typed for all backends stands in no list.
    fn place_in_list(&self, error: &PlanError) -> Option<String> {
        let list = self.list.as_ref()?;
        let is_url = error.id == "--backend";
        let line = list.lines.get(error.place.checked_sub(list.from)?)?;
        (is_url || !self.is_typed(error.id)).then(|| format!("{}:{line}", list.name))
    }

    /// `None` also for what was typed.
    fn line(&self, error: &PlanError) -> Option<usize> {
        let line = |id, place| self.lines.get(&(id, place)).copied();
        // What is missing is missed in its table.
        let list = || by_id(error.id).and_then(|setting| list_of(setting.key));
        let line = line(error.id, error.place)
            .or_else(|| line(list()?.key, error.place))
            .or_else(|| line(error.id, 0));
        line.filter(|_| !self.is_typed(error.id))
    }

    /// How the operator writes a setting that a sentence names: `--body-memory`
    /// becomes `limits.body_memory` where it was not typed, `--tls-cert FILE`
    /// becomes `tls.cert = "FILE"`, `--no-pin` becomes `cores.pin = false`.
    #[must_use]
    pub(super) fn write(&self, named: Named) -> String {
        if let Some((0, theirs)) = self.of_others.get(named.id) {
            return Named { id: theirs, ..named }.to_string();
        }
        let setting = by_id(named.id).filter(|_| self.file.is_some() && !self.is_typed(named.id));
        match setting.map(|setting| (setting.key, setting.form())) {
            Some((key, Form::Switch { flag_says })) => format!("{key} = {flag_says}"),
            Some((key, _)) if named.value.is_empty() => key.to_owned(),
            Some((key, _)) => format!("{key} = \"{}\"", named.value),
            None => named.to_string(),
        }
    }

    /// The fault's sentence, with the settings that it names as the operator
    /// writes them.
    fn sentence(&self, fault: &Fault) -> String {
        let (sentence, names) = (fault.to_string(), fault.names());
        let (mut said, mut rest) = (String::new(), sentence.as_str());
        let next = |rest: &str| {
            let found = names.iter().filter_map(|named| Some((named.find_in(rest)?, *named)));
            found.min_by_key(|(at, _)| *at)
        };
        while let Some((at, named)) = next(rest) {
            let (before, from) = rest.split_at(at);
            said.push_str(before);
            said.push_str(&self.write(named));
            rest = from.get(named.to_string().len()..).unwrap_or_default();
        }
        said + rest
    }
}

impl Told {
    /// By lines of the file; what stands nowhere in it comes last.
    pub(super) fn order(&self) -> impl Ord + use<> {
        self.order
    }

    /// `None` for what stands nowhere in the file.
    pub(super) fn line(&self) -> Option<usize> {
        let (nowhere, line) = self.order;
        (!nowhere).then_some(line)
    }

    /// So many others, which come behind all.
    pub(super) fn of_more(more: usize, file: Option<&str>) -> Self {
        let place = file.map(|file| format!("{file}: ")).unwrap_or_default();
        let sentence = format!("{place}{}", Fault::More(more));
        Self { order: (true, usize::MAX), more, sentence }
    }

    pub(super) fn more(&self) -> usize {
        self.more
    }

    /// At no line of the file.
    pub(super) fn elsewhere(sentence: String) -> Self {
        Self { order: (true, 0), more: 0, sentence }
    }

    /// At this line of the file.
    pub(super) fn at(line: usize, sentence: String) -> Self {
        Self { order: (false, line), more: 0, sentence }
    }
}

/// Longer than any name that a person writes.
const SHOWN_BYTES_MAX: usize = 512;
/// Stands for what is not shown.
pub(super) const HIDDEN: &str = "…";

/// What was given, if it can be shown: it may be a key that was pasted where
/// its path belongs, or a URL with a password, and a line break would part the
/// message. Some providers take their key behind a `?`, and hardly anything that
/// is right has one: what follows it is never shown.
pub(super) fn shown(value: &str) -> Cow<'_, str> {
    let is_key = value.contains("-----BEGIN") || value.contains(char::is_control);
    let is_url = value.contains("://");
    let has_user = value.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    if is_key || has_user {
        return HIDDEN.into();
    }
    let end = value.find(|c| c == '?' || is_url && c == '#').map(|at| at + 1);
    let end = end.unwrap_or(value.len()).min(value.floor_char_boundary(SHOWN_BYTES_MAX));
    match value.split_at(end) {
        (_, "") => value.into(),
        (shown, _) => format!("{shown}{HIDDEN}").into(),
    }
}

#[cfg(test)]
#[path = "given_tests.rs"]
mod tests;
