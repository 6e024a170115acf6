//! Words from the operator: arguments in, an exit code out.
//!
//! ```text
//! argv ──clap──► flags ──► Written ──check──► Plan ──► server or mock
//!          │                          │                    │
//!        exit 2                     exit 2          exit 0, or 1 on failure
//! ```
//!
//! This is the one room that speaks on standard error by itself, and the only
//! one that reads the environment.

mod balancing_flags;
mod log;
mod machine;
mod mock_flags;
mod serve_flags;
mod tls_flags;
mod values;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::{
    Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand,
    parser::ValueSource,
};

use crate::config::{PlanError, check_mock, check_with_files};
use crate::tls::UnixTime;

use self::log::LogLevel;
use self::mock_flags::MockFlags;
use self::serve_flags::ServeFlags;

/// The words cannot be carried out as they stand, which is also clap's code.
const EXIT_USAGE: u8 = 2;
/// The words were right and the world was not.
const EXIT_FAILURE: u8 = 1;

/// An LLM proxy for bare-metal Linux: io_uring, one pinned thread per core.
#[derive(Debug, Parser)]
#[command(name = "tokenring", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    job: Job,

    /// How much is logged to standard error [default: info, or $TOKENRING_LOG]
    #[arg(long, global = true, value_name = "LEVEL", hide_default_value = true)]
    log: Option<LogLevel>,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Proxy chat completions to backends
    Serve(Box<ServeFlags>),
    /// Be an LLM that answers, stalls and fails on command, to test against
    Mock(Box<MockFlags>),
}

const EXAMPLES: &str = "\
Examples:
  tokenring serve --demo
      Try the proxy with the built-in mock as its model.
  tokenring serve --backend http://10.0.0.1:8000 --backend http://10.0.0.2:8000
      Balance over two model servers.
  tokenring mock --listen 127.0.0.1:8000 --first-token 50ms --tokens 64
      Stand in for a model server.

'tokenring serve --help' and 'tokenring mock --help' list every setting.";

/// Does what the arguments say; `args` starts with the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    crate::rt::use_ordinary_pages();
    let (cli, given) = match read(args) {
        Ok(read) => read,
        Err(error) => {
            // A closed standard stream leaves nobody to tell.
            let _ = error.print();
            return exit_code_of(&error);
        }
    };
    let asked = cli.log.map_or_else(LogLevel::from_environment, Ok);
    match asked {
        Ok(level) => log::start(level),
        Err(error) => {
            complain(error);
            return ExitCode::from(EXIT_USAGE);
        }
    }
    cli.job.run(given)
}

/// The arguments, and which flags of the job were typed among them.
fn read(args: impl IntoIterator<Item = OsString>) -> Result<(Cli, BTreeSet<String>), clap::Error> {
    let command = Cli::command();
    let matches = command.clone().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let job = matches.subcommand();
    let job = job.and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches)));
    Ok((cli, job.map(|(job, matches)| given(job, matches)).unwrap_or_default()))
}

/// Those that do not stand there by default alone.
fn given(job: &Command, matches: &ArgMatches) -> BTreeSet<String> {
    let is_typed = |flag: &&Arg| {
        matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let flags = job.get_arguments().filter(is_typed).filter_map(Arg::get_long);
    flags.map(|name| format!("--{name}")).collect()
}

impl Job {
    /// `given` are the flags that were typed.
    fn run(self, given: BTreeSet<String>) -> ExitCode {
        let machine = machine::ask();
        match self {
            Self::Serve(flags) => {
                let now = UnixTime::since_unix_epoch(crate::rt::unix_time());
                match check_with_files(&flags.into_written(given), &machine, now) {
                    Ok(plan) => finish(crate::server::serve(plan)),
                    Err(errors) => refuse(&errors, "serve"),
                }
            }
            Self::Mock(flags) => match check_mock(&flags.into_written(), &machine) {
                Ok(plan) => finish(crate::mock::serve(plan)),
                Err(errors) => refuse(&errors, "mock"),
            },
        }
    }
}

/// `--help` and `--version` end well, everything else clap says does not.
fn exit_code_of(error: &clap::Error) -> ExitCode {
    if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}

fn refuse(errors: &[PlanError], job: &str) -> ExitCode {
    for error in errors {
        complain(error);
    }
    say(format_args!("\nFor every setting, try 'tokenring {job} --help'."));
    ExitCode::from(EXIT_USAGE)
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error:#}"));
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn complain(what: impl Display) {
    say(format_args!("error: {what}"));
}

fn say(line: impl Display) {
    // A closed standard error leaves nobody to tell; the exit code remains.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[track_caller]
    fn check_given(args: &[&str], expected: &[&str]) {
        let args = ["tokenring"].iter().chain(args).map(OsString::from);
        let (_, given) = read(args).unwrap();
        assert_eq!(given.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_flag_is_given_when_it_was_typed_also_with_its_default() {
        check_given(&["serve"], &[]);
        check_given(&["serve", "--body-bytes", "32MiB"], &["--body-bytes"]);
        check_given(&["serve", "--no-via", "--backend=x"], &["--backend", "--no-via"]);
    }
}
