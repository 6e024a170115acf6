//! The flags of `serve`: made of the table of settings, and written over what a
//! file says.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::config::{
    Form, GROUPS, Setting, THEIRS, Takes, Theirs, Typed, Written, settings, write_typed,
};

/// What was typed.
#[derive(Debug, Default)]
pub(super) struct ServeFlags {
    /// The file beside the flags.
    pub(super) config: Option<PathBuf>,
    typed: Vec<(&'static str, Vec<String>)>,
    /// Flags of other routers.
    of_others: Typed,
}

const EXAMPLES: &str = "\
Examples:
  tokenring serve --demo
      Try it with the built-in mock; the log shows a curl line.
  tokenring serve --backend http://10.0.0.1:8000 --backend http://10.0.0.2:8000
      Balance over two model servers.
  tokenring serve --listen 0.0.0.0:80 --listen unix:/run/tokenring.sock \\
      --admin 127.0.0.1:9000 --backend unix:/run/vllm.sock --cores 2-7
      Listen twice, keep metrics local, leave cores 0 and 1 to the model.
  tokenring serve --backend http://vllm:8000 --first-byte-timeout 30m \\
      --total-timeout 2h --body-bytes 128MiB
      Long prompts on a slow model.
  tokenring serve --tls-listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem \\
      --backend https://models.example.com
      TLS on both sides.
  tokenring serve --config tokenring.toml --log debug
      By a file; 'tokenring reference' shows all that can stand in it.
  tokenring serve --worker-urls http://10.0.0.1:8000 http://10.0.0.2:8000 --port 8080
      Flags of the SGLang and vLLM routers do what they do there, or say why not.";

const CONFIG: &str = "config";

impl Args for ServeFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Settings in TOML; a flag that is given wins over the file [default: none]")
            .help_heading("Configuration file");
        let command = command.after_help(EXAMPLES).arg(config);
        let groups = GROUPS.iter();
        let of_groups = groups.flat_map(|group| {
            let flags = group.settings.iter().filter_map(|setting| Some((setting, setting.flag?)));
            flags.map(|(setting, flag)| arg(setting, flag).help_heading(group.heading))
        });
        // Hidden, as each of them has a setting that the help tells.
        command.args(of_groups).args(THEIRS.iter().map(arg_of_others))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<PathBuf>(CONFIG).cloned();
        self.typed.clear();
        for (setting, flag) in flags() {
            let words = match setting.form() {
                Form::Switch { flag_says } => {
                    let is_typed = matches.get_flag(id(flag));
                    is_typed.then(|| vec![flag_says.to_string()])
                }
                _ => matches.get_many::<String>(id(flag)).map(|words| words.cloned().collect()),
            };
            self.typed.extend(words.map(|words| (flag, words)));
        }
        let words = |theirs: &Theirs| match theirs.takes {
            Takes::None => Vec::new(),
            _ => matches.get_many(id(theirs.flag)).into_iter().flatten().cloned().collect(),
        };
        let typed = THEIRS.iter().filter(|theirs| is_typed_by_hand(matches, theirs));
        self.of_others = typed.map(|theirs| (theirs, words(theirs))).collect();
        Ok(())
    }
}

impl ServeFlags {
    /// What was typed wins over what stands in `written`.
    pub(super) fn write(&self, written: &mut Written) {
        for (setting, flag) in flags() {
            let Some((_, words)) = self.typed.iter().find(|(typed, _)| *typed == flag) else {
                continue;
            };
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            // Its parser has read each of them already.
            let read = setting.read(written, &words);
            debug_assert!(read.is_ok(), "{flag}: {read:?}");
            written.given.by_flag(flag);
        }
        write_typed(&self.of_others, written);
    }
}

/// A switch that nobody typed has a value of its own.
fn is_typed_by_hand(matches: &ArgMatches, theirs: &Theirs) -> bool {
    matches.value_source(id(theirs.flag)) == Some(ValueSource::CommandLine)
}

fn arg_of_others(theirs: &'static Theirs) -> Arg {
    let arg = Arg::new(id(theirs.flag)).long(id(theirs.flag)).hide(true);
    let arg = match theirs.takes {
        Takes::None => return arg.action(ArgAction::SetTrue),
        Takes::One => arg.num_args(1),
        Takes::Maybe => arg.num_args(0..=1),
        Takes::Any => arg.num_args(0..),
    };
    arg.action(ArgAction::Append).value_parser(value_parser!(String)).allow_negative_numbers(true)
}

/// Every setting that has a flag.
fn flags() -> impl Iterator<Item = (&'static Setting, &'static str)> {
    settings().filter_map(|setting| Some((setting, setting.flag?)))
}

/// The name of a flag without its dashes.
fn id(flag: &'static str) -> &'static str {
    flag.trim_start_matches('-')
}

fn arg(setting: &'static Setting, flag: &'static str) -> Arg {
    let arg = Arg::new(id(flag)).long(id(flag)).help(help(setting));
    match setting.form() {
        Form::Switch { .. } => arg.action(ArgAction::SetTrue),
        Form::OneOf(words) => {
            arg.value_name(setting.unit()).value_parser(PossibleValuesParser::new(words))
        }
        Form::Words => {
            let arg = arg.value_name(setting.unit()).value_parser(reader(setting));
            arg.action(ArgAction::Append)
        }
        _ => arg.value_name(setting.unit()).value_parser(reader(setting)),
    }
}

fn help(setting: &Setting) -> String {
    let default = setting.default();
    match setting.form() {
        Form::Switch { flag_says: true } => setting.doc.to_owned(),
        Form::Switch { flag_says: false } => {
            let (first, rest) = setting.doc.split_at(1);
            format!("Do not {}{rest}", first.to_lowercase())
        }
        _ if default.is_empty() => setting.doc.to_owned(),
        _ => format!("{} [default: {default}]", setting.doc),
    }
}

/// Takes a word that the setting can read.
fn reader(
    setting: &'static Setting,
) -> impl Fn(&str) -> Result<String, crate::config::Misread> + Clone + Send + Sync {
    move |word| {
        setting.read(&mut Written::default(), &[word])?;
        Ok(word.to_owned())
    }
}

#[cfg(test)]
#[path = "serve_flags_tests.rs"]
mod tests;
