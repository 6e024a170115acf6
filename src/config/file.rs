//! The configuration file: TOML in, what was written out, with every fault of
//! its words at once. Relations between settings are checked later, together
//! with what was typed as flags.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::PlanError;
use super::faults::{FAULTS_MAX, first_of};
use super::file_fault::FileFault;
use super::given::{Given, HIDDEN, Told, shown};
use super::nearest;
use super::settings::{Form, LISTS, List, Misread, Setting, by_key};
use super::unsure::Unsure;
use super::written::Written;

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// As the operator named it.
    pub name: String,
    pub text: String,
}

/// What the words of a file amount to.
pub(super) struct Read {
    /// Without what was not understood.
    pub written: Written,
    /// What is wrong with its words.
    pub faults: Vec<Told>,
    /// Whether it could be read to its end.
    pub is_whole: bool,
    unsure: Unsure,
}

const URL: &str = "--backend";
/// Faults that are kept until they are sorted; those of lines that are broken as
/// TOML, and of what stands below them, are told once.
const FAULTS_READ_MAX: usize = 20 * FAULTS_MAX;

impl ConfigFile {
    pub(super) fn read(&self) -> Read {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        let written = Written { given: Given::in_file(&self.name), ..Written::default() };
        let mut reader = Reader {
            file: self,
            line_ends: memchr::memchr_iter(b'\n', self.text.as_bytes()).collect(),
            written,
            faults: Vec::new(),
            more: 0,
            unsure: Unsure::default(),
            meant: Unsure::default(),
            counted: BTreeMap::new(),
        };
        let is_whole = errors.is_empty();
        if !is_whole && self.text.lines().any(|line| line.starts_with("-----BEGIN")) {
            // Its lines may be a key's, so nothing is said of them.
            reader.fault(0..0, "", FileFault::Pem);
            return reader.ended(is_whole);
        }
        for error in &errors {
            let fault = FileFault::Syntax(error.message().to_owned());
            reader.fault(error.span().unwrap_or_default(), "", fault);
        }
        let of_syntax = reader.faults.len();
        reader.table("", None, table.get_ref());
        reader.forget_orphans(of_syntax);
        reader.ended(is_whole)
    }
}

/// A file that is being read.
struct Reader<'a> {
    file: &'a ConfigFile,
    /// Where each line ends, in ascending order.
    line_ends: Vec<usize>,
    written: Written,
    faults: Vec<Told>,
    /// How many were found beyond `FAULTS_READ_MAX`.
    more: usize,
    unsure: Unsure,
    /// Those that an unknown key comes near to.
    meant: Unsure,
    /// Tables of each list so far, and names of each setting that has them.
    counted: BTreeMap<&'static str, usize>,
}

impl Reader<'_> {
    fn ended(self, is_whole: bool) -> Read {
        let Self { file, written, mut faults, more, mut unsure, meant, .. } = self;
        // What stands there beside a slip of the pen was not meant by it.
        unsure.0.extend(meant.0.into_iter().filter(|spot| !written.given.is_in_file(*spot)));
        faults.sort_by_key(Told::order);
        if !is_whole {
            // What could not be read as TOML is not told twice.
            faults.dedup_by_key(|told| told.order());
        }
        faults.extend((more > 0).then(|| Told::of_more(more, Some(&file.name))));
        let faults = first_of(faults, Some(&file.name));
        Read { written, faults, is_whole, unsure }
    }

    /// Keys below a broken heading are not where they seem to be, so what is
    /// said of them is forgotten. The first faults are those of syntax.
    fn forget_orphans(&mut self, of_syntax: usize) {
        let lines = self.file.text.lines().zip(1..);
        let headings = lines.filter(|(text, _)| text.trim_start().starts_with('['));
        let headings: Vec<usize> = headings.map(|(_, line)| line).collect();
        let above = |line: usize| headings[..headings.partition_point(|at| *at <= line)].last();
        let (of_lines, of_words) = self.faults.split_at(of_syntax);
        let broken: BTreeSet<_> = of_lines.iter().filter_map(Told::line).collect();
        let is_orphan =
            |told: &Told| told.line().and_then(above).is_some_and(|at| broken.contains(at));
        let kept = of_words.iter().filter(|told| !is_orphan(told)).cloned().collect::<Vec<_>>();
        self.faults.truncate(of_syntax);
        self.faults.extend(kept);
    }

    /// A table by its whole name; within a list, which of its tables.
    fn table(&mut self, name: &str, at: Option<usize>, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let short = key.get_ref().as_ref();
            let whole = if name.is_empty() { short.to_owned() } else { format!("{name}.{short}") };
            match (by_key(&whole), value.get_ref()) {
                // In quotes, it is a name with a dot in it and no key of ours.
                _ if short.is_empty() || short.contains('.') => {
                    self.unknown(name, short, at, key.span());
                }
                (Some(setting), _) if setting.form() == Form::Named => {
                    self.named(setting, at, key.span(), value);
                }
                (Some(setting), _) => self.setting(setting, at, key.span(), value),
                (None, inner) => {
                    let list = LISTS.iter().find(|list| list.key == whole);
                    match (list, inner) {
                        (Some(list), _) => self.list(list, key.span(), value),
                        (None, DeValue::Table(inner)) if nearest::is_table(&whole) => {
                            self.table(&whole, at, inner);
                        }
                        (None, _) if nearest::is_table(&whole) => {
                            let table = whole.clone();
                            let fault = FileFault::NotTable { found: kind(value), table };
                            self.unsure.below(&whole, at);
                            self.fault(key.span(), &whole, fault);
                        }
                        (None, _) => self.unknown(name, short, at, key.span()),
                    }
                }
            }
        }
    }

    /// One table after the other, each where it begins.
    fn list(&mut self, list: &'static List, span: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let not_tables =
            |value| FileFault::NotTables { found: kind(value), are: list.are, mend: list.mend };
        let alone = list.short.filter(|_| value.get_ref().is_str());
        let tables = match value.get_ref().as_array() {
            Some(tables) if tables.is_empty() && list.is_inside_another() => {
                return self.fault(span, list.key, FileFault::EmptyList);
            }
            Some(tables) => tables.iter().collect(),
            None if alone.is_some() => vec![value],
            None => {
                self.unsure.below(list.key, None);
                return self.fault(span, list.key, not_tables(value));
            }
        };
        for one in tables {
            let place = self.begin(list, one.span());
            let is_there = |name: &str| match one.get_ref().as_table() {
                Some(table) => table.contains_key(name),
                None => list.short == Some(name),
            };
            let short = list.short.and_then(|short| by_key(&format!("{}.{short}", list.key)));
            match (one.get_ref().as_table(), short) {
                (Some(table), _) => self.table(list.key, Some(place), table),
                (None, Some(short)) if one.get_ref().is_str() => {
                    self.setting(short, Some(place), one.span(), one);
                }
                (None, _) => {
                    self.unsure.below(list.key, Some(place));
                    self.fault(one.span(), list.key, not_tables(one));
                    continue;
                }
            }
            let Some([name, example]) = list.needs.filter(|[name, _]| !is_there(name)) else {
                continue;
            };
            let needed = by_key(&format!("{}.{name}", list.key)).map_or("", Setting::id);
            if !self.meant.0.contains(&(needed, place)) {
                self.unsure.0.insert((needed, place));
                let fault = FileFault::Missing { is: list.is, name, example };
                self.fault(one.span(), list.key, fault);
            }
        }
    }

    /// One more table, counted through the whole file.
    fn begin(&mut self, list: &'static List, span: Range<usize>) -> usize {
        (list.add)(&mut self.written);
        let place = self.next(list.key);
        self.written.given.in_line((list.key, place), self.line(span.start));
        place
    }

    fn next(&mut self, key: &'static str) -> usize {
        let next = self.counted.entry(key).or_default();
        *next += 1;
        *next - 1
    }

    /// Values by names that are the operator's, each with a line of its own.
    fn named(
        &mut self,
        setting: &'static Setting,
        at: Option<usize>,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong_type(setting, at.unwrap_or_default(), span, value);
        };
        for (key, value) in table.iter() {
            let place = self.next(setting.key);
            self.written.given.in_line((setting.id(), place), self.line(key.span().start));
            let name = key.get_ref().as_ref();
            let Some(words) = words(Form::Words, value) else {
                self.wrong_type(setting, place, key.span(), value);
                // Its place is taken, so that those behind it keep theirs.
                let _ = setting.read_in_last(&mut self.written, &[name]);
                continue;
            };
            if words.is_empty() {
                let what = format!("{}.{}", setting.key, shown(name));
                self.unsure.0.insert((setting.id(), place));
                self.fault(key.span(), &what, FileFault::EmptyList);
            }
            let words = words.iter().map(|(word, _)| word.as_str());
            let words: Vec<_> = [name].into_iter().chain(words).collect();
            // Any words can stand under any name; `check` looks at them.
            let _ = setting.read_in_last(&mut self.written, &words);
        }
    }

    fn setting(
        &mut self,
        setting: &'static Setting,
        at: Option<usize>,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let place = at.unwrap_or_default();
        self.written.given.in_line((setting.id(), place), self.line(span.start));
        // As a flag it names all backends, here one.
        let form = if setting.id() == URL { Form::Word } else { setting.form() };
        let Some(words) = words(form, value) else {
            return self.wrong_type(setting, place, span, value);
        };
        if words.is_empty() && at.is_some() {
            self.unsure.0.insert((setting.id(), place));
            return self.fault(span, setting.key, FileFault::EmptyList);
        }
        for (place, (_, span)) in words.iter().enumerate().filter(|_| at.is_none()) {
            self.written.given.in_line((setting.id(), place), self.line(span.start));
        }
        let words: Vec<_> = words.iter().map(|(word, _)| word.as_str()).collect();
        let read = match at {
            Some(_) => setting.read_in_last(&mut self.written, &words),
            None => setting.read(&mut self.written, &words),
        };
        if let Err(misread) = read {
            self.unsure.0.insert((setting.id(), place));
            let words = words.join(" ");
            let is_secret = misread == Misread::NoKeySource;
            let shown = if is_secret { HIDDEN.into() } else { shown(&words) };
            let what = format!("{} {shown}", setting.key);
            self.fault(span, &what, misread.into());
        }
    }

    fn wrong_type(
        &mut self,
        setting: &'static Setting,
        place: usize,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let name = setting.table_and_name().1;
        let example = format!("{name} = {}", setting.example_in_toml());
        self.unsure.0.insert((setting.id(), place));
        self.fault(span, setting.key, FileFault::WrongType { found: kind(value), example });
    }

    fn unknown(&mut self, table: &str, name: &str, at: Option<usize>, span: Range<usize>) {
        let fault = match nearest::nearest(table, name) {
            Some(near) => {
                self.meant.below(near, at);
                FileFault::UnknownNear(near)
            }
            None => FileFault::Unknown(nearest::names_in(table)),
        };
        let dot = if table.is_empty() { "" } else { "." };
        let quote = if name.is_empty() || name.contains('.') { "\"" } else { "" };
        let what = format!("{table}{dot}{quote}{}{quote}", shown(name));
        self.fault(span, &what, fault);
    }

    /// `what` is empty where the file's words cannot be told.
    fn fault(&mut self, span: Range<usize>, what: &str, fault: FileFault) {
        if self.faults.len() >= FAULTS_READ_MAX {
            self.more += 1;
            return;
        }
        let line = self.line(span.start);
        let colon = if what.is_empty() { "" } else { ": " };
        let sentence = format!("{}:{line}: {what}{colon}{fault}", self.file.name);
        self.faults.push(Told::at(line, sentence));
    }

    /// Counted from 1.
    fn line(&self, offset: usize) -> usize {
        self.line_ends.partition_point(|end| *end < offset) + 1
    }
}

impl Read {
    /// Whether the error comes of words that were not understood, which has
    /// been told already.
    pub(super) fn explains(&self, error: &PlanError) -> bool {
        self.unsure.explains(error)
    }
}

/// The value as words and where each stands; `None` if its type is another.
fn words(form: Form, value: &Spanned<DeValue<'_>>) -> Option<Vec<(String, Range<usize>)>> {
    let one = |word: &str| Some(vec![(word.to_owned(), value.span())]);
    match (form, value.get_ref()) {
        (Form::Word | Form::OneOf(_) | Form::Words | Form::NumberOrWord, DeValue::String(word)) => {
            one(word)
        }
        (Form::Number | Form::NumberOrWord, DeValue::Integer(number)) if number.radix() == 10 => {
            one(number.as_str())
        }
        (Form::Switch { .. }, DeValue::Boolean(on)) => one(if *on { "true" } else { "false" }),
        (Form::Words, DeValue::Array(list)) => {
            let word =
                |one: &Spanned<DeValue<'_>>| Some((one.get_ref().as_str()?.to_owned(), one.span()));
            list.iter().map(word).collect()
        }
        (Form::Decimal, DeValue::Float(number)) => one(number.as_str()),
        (Form::Decimal, DeValue::Integer(number)) if number.radix() == 10 => one(number.as_str()),
        _ => None,
    }
}

fn kind(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(number) if number.radix() != 10 => "a number that is not decimal",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
