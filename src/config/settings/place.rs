//! A place in what was written: how a setting is read into it and shown.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::units::{Size, Time, UnitError};
use crate::config::keys::KeySource;
use crate::config::words::{NoCount, NotCount, count, count_or_auto, decimal};
use crate::config::written::NamedWritten;

/// Leads to one field of `W`, and says how that field is written.
pub enum Place<W: 'static> {
    Time(fn(&mut W) -> &mut Duration),
    /// Zero is how the operator writes "never".
    TimeOrNever(fn(&mut W) -> &mut Option<Duration>),
    Size(fn(&mut W) -> &mut usize),
    Count(fn(&mut W) -> &mut usize),
    Number(Number<W>),
    OptionalNumber(OptionalNumber<W>),
    /// A number with a fraction, after what it means to leave it out.
    Decimal(&'static str, fn(&mut W) -> &mut Option<f32>),
    /// Zero is how the operator writes "no limit".
    Limit(fn(&mut W) -> &mut Option<NonZeroUsize>),
    CountOrAuto(fn(&mut W) -> &mut Option<usize>),
    /// A word that is understood later, after the name of its kind.
    Text(&'static str, fn(&mut W) -> &mut String),
    /// After the name of its kind, and what it means to leave it out.
    OptionalText([&'static str; 2], fn(&mut W) -> &mut Option<String>),
    Texts(&'static str, fn(&mut W) -> &mut Vec<String>),
    /// After what it means to leave it out.
    File(&'static str, fn(&mut W) -> &mut Option<PathBuf>),
    Files(fn(&mut W) -> &mut Vec<PathBuf>),
    Choice(Choice<W>),
    Switch(Switch<W>),
    /// On, off, or nothing.
    OptionalSwitch(fn(&mut W) -> &mut Option<bool>),
    /// Values by names of the operator's choice.
    Named(fn(&mut W) -> &mut Vec<NamedWritten>),
    /// Where a secret is found.
    Key(fn(&mut W) -> &mut Option<KeySource>),
}

/// A whole number of a type of its own.
pub struct Number<W: 'static> {
    pub read: fn(&mut W, &str) -> Result<(), NotCount>,
    pub show: fn(&W) -> String,
}

/// The same, or nothing.
pub struct OptionalNumber<W: 'static> {
    /// What it means to leave it out.
    pub unset: &'static str,
    pub read: fn(&mut W, &str) -> Result<(), NotCount>,
    pub show: fn(&W) -> Option<String>,
}

/// One of a few words.
pub struct Choice<W: 'static> {
    /// The name of its kind.
    pub unit: &'static str,
    pub words: &'static [&'static str],
    /// What it means to leave it out, where that is none of the words.
    pub unset: &'static str,
    pub at: fn(&W) -> Option<usize>,
    pub choose: fn(&mut W, usize),
}

/// On or off. The flag takes no value, so it can say one of the two only.
pub struct Switch<W: 'static> {
    pub flag_says: bool,
    pub is_on: fn(&W) -> bool,
    pub turn: fn(&mut W, bool),
}

/// Why a word cannot stand in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misread {
    #[error(transparent)]
    Unit(#[from] UnitError),
    #[error(transparent)]
    NotCount(#[from] NotCount),
    #[error(transparent)]
    NoCount(#[from] NoCount),
    #[error("the word is not known; write one of {}", .0.join(", "))]
    NotOneOf(&'static [&'static str]),
    #[error("this is what a PEM file holds, and is not shown; give the file's path")]
    Contents,
    #[error("this is no number; write it like 0.5")]
    NotDecimal,
    #[error(
        "a key does not stand in the file itself, so this is not shown; write env:NAME for an \
         environment variable or file:PATH for a file that holds it"
    )]
    NoKeySource,
}

impl<W> Place<W> {
    /// Fills the place with one word, or where it takes several with all of
    /// them.
    ///
    /// # Errors
    /// The first word that cannot stand there. The place then stays as it is.
    pub fn read(&self, to: &mut W, words: &[&str]) -> Result<(), Misread> {
        let all = || words.iter().map(|&word| word.to_owned());
        let Some(&word) = words.last() else {
            self.clear(to);
            return Ok(());
        };
        match self {
            Self::Time(at) => *at(to) = word.parse::<Time>()?.0,
            Self::TimeOrNever(at) => {
                *at(to) = Some(word.parse::<Time>()?.0).filter(|time| !time.is_zero());
            }
            Self::Size(at) => *at(to) = word.parse::<Size>()?.0,
            Self::Count(at) => *at(to) = count(word)?,
            Self::Number(number) => (number.read)(to, word)?,
            Self::OptionalNumber(number) => (number.read)(to, word)?,
            Self::Decimal(_, at) => *at(to) = Some(decimal(word).ok_or(Misread::NotDecimal)?),
            Self::OptionalSwitch(at) => *at(to) = Some(switch(word)?),
            Self::Named(at) => {
                let mut words = all();
                let name = words.next().unwrap_or_default();
                at(to).push(NamedWritten { name, values: words.collect() });
            }
            Self::Key(at) => *at(to) = Some(KeySource::read(word).ok_or(Misread::NoKeySource)?),
            Self::Limit(at) => *at(to) = NonZeroUsize::new(count(word)?),
            Self::CountOrAuto(at) => *at(to) = count_or_auto(word)?,
            Self::Text(_, at) => word.clone_into(at(to)),
            Self::OptionalText(_, at) => *at(to) = Some(word.to_owned()),
            Self::Texts(_, at) => *at(to) = all().collect(),
            Self::File(_, at) => *at(to) = Some(path(word)?),
            Self::Files(at) => {
                *at(to) = words.iter().map(|word| path(word)).collect::<Result<_, _>>()?;
            }
            Self::Choice(choice) => {
                let index = choice.words.iter().position(|known| *known == word);
                (choice.choose)(to, index.ok_or(Misread::NotOneOf(choice.words))?);
            }
            Self::Switch(turn) => {
                (turn.turn)(to, switch(word)?);
            }
        }
        Ok(())
    }

    /// Makes the place hold in `to` what it holds in `from`.
    pub fn copy(&self, from: &mut W, to: &mut W) {
        match self {
            Self::OptionalText(_, at) => at(to).clone_from(at(from)),
            Self::File(_, at) => at(to).clone_from(at(from)),
            _ => {
                let words = self.words(from).unwrap_or_default();
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                let read = self.read(to, &words);
                debug_assert!(read.is_ok(), "what is shown can be read");
            }
        }
    }

    /// An empty list is a list.
    fn clear(&self, of: &mut W) {
        match self {
            Self::Texts(_, at) => at(of).clear(),
            Self::Files(at) => at(of).clear(),
            _ => {}
        }
    }

    /// What stands in the place, as words that would be read so; `None` if
    /// nothing does.
    pub fn words(&self, of: &mut W) -> Option<Vec<String>> {
        let one = |word: String| Some(vec![word]);
        match self {
            Self::Time(at) => one(Time(*at(of)).to_string()),
            Self::TimeOrNever(at) => one(Time(at(of).unwrap_or_default()).to_string()),
            Self::Size(at) => one(Size(*at(of)).to_string()),
            Self::Count(at) => one(at(of).to_string()),
            Self::Number(number) => one((number.show)(of)),
            Self::OptionalNumber(number) => (number.show)(of).map(|word| vec![word]),
            Self::Decimal(_, at) => at(of).map(|number| vec![number.to_string()]),
            Self::OptionalSwitch(at) => at(of).map(|on| vec![on.to_string()]),
            Self::Named(at) => some(at(of).iter().map(ToString::to_string).collect()),
            Self::Key(at) => at(of).as_ref().map(|key| vec![key.to_string()]),
            Self::Limit(at) => one(at(of).map_or(0, NonZeroUsize::get).to_string()),
            Self::CountOrAuto(at) => {
                one(at(of).map_or_else(|| "auto".to_owned(), |count| count.to_string()))
            }
            Self::Text(_, at) => one(at(of).clone()),
            Self::OptionalText(_, at) => at(of).clone().map(|word| vec![word]),
            Self::Texts(_, at) => some(at(of).clone()),
            Self::File(_, at) => at(of).as_ref().map(|path| vec![path.display().to_string()]),
            Self::Files(at) => some(at(of).iter().map(|path| path.display().to_string()).collect()),
            Self::Choice(choice) => {
                (choice.at)(of).and_then(|index| Some(vec![(*choice.words.get(index)?).to_owned()]))
            }
            Self::Switch(switch) => one((switch.is_on)(of).to_string()),
        }
    }

    /// What it means that nothing stands there; empty where that says itself.
    pub fn unset(&self) -> &'static str {
        match self {
            Self::OptionalText([_, unset], _)
            | Self::File(unset, _)
            | Self::Decimal(unset, _)
            | Self::OptionalNumber(OptionalNumber { unset, .. }) => unset,
            Self::Choice(choice) => choice.unset,
            _ => "",
        }
    }

    /// The name of a value's kind, as in the help; empty for a switch.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Time(_) | Self::TimeOrNever(_) => "TIME",
            Self::Size(_) => "SIZE",
            Self::Count(_)
            | Self::Number(_)
            | Self::OptionalNumber(_)
            | Self::Limit(_)
            | Self::CountOrAuto(_) => "COUNT",
            Self::Text(unit, _) | Self::OptionalText([unit, _], _) | Self::Texts(unit, _) => unit,
            Self::File(..) | Self::Files(_) => "FILE",
            Self::Choice(choice) => choice.unit,
            Self::Decimal(..) => "NUMBER",
            Self::Switch(_) | Self::OptionalSwitch(_) => "",
            Self::Named(_) => "VALUES BY NAME",
            Self::Key(_) => "KEY",
        }
    }

    /// How it is written.
    pub fn form(&self) -> Form {
        match self {
            Self::Count(_) | Self::Number(_) | Self::OptionalNumber(_) | Self::Limit(_) => {
                Form::Number
            }
            Self::CountOrAuto(_) => Form::NumberOrWord,
            Self::Texts(..) | Self::Files(_) => Form::Words,
            Self::Choice(choice) => Form::OneOf(choice.words),
            Self::Switch(switch) => Form::Switch { flag_says: switch.flag_says },
            Self::OptionalSwitch(_) => Form::Switch { flag_says: true },
            Self::Decimal(..) => Form::Decimal,
            Self::Named(_) => Form::Named,
            _ => Form::Word,
        }
    }
}

/// How a value is written, in TOML and as flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Word,
    /// One or several.
    Words,
    OneOf(&'static [&'static str]),
    Number,
    NumberOrWord,
    Decimal,
    /// A table whose names are the operator's, of one or several words each.
    Named,
    Switch {
        flag_says: bool,
    },
}

const SWITCH: [&str; 2] = ["false", "true"];

fn switch(word: &str) -> Result<bool, Misread> {
    let index = SWITCH.iter().position(|known| *known == word);
    Ok(index.ok_or(Misread::NotOneOf(&SWITCH))? == 1)
}

/// Who pastes a key where its path belongs is not to find it in the log.
fn path(word: &str) -> Result<PathBuf, Misread> {
    if word.contains("-----BEGIN") { Err(Misread::Contents) } else { Ok(PathBuf::from(word)) }
}

fn some(words: Vec<String>) -> Option<Vec<String>> {
    (!words.is_empty()).then_some(words)
}
