//! Words from the operator: arguments in, an exit code out.
//!
//! ```text
//! argv ──clap──► flags ──► Written ──check──► Plan ──► server or mock
//!          │        file ──┘          │                    │
//!        exit 2                     exit 2          exit 0, or 1 on failure
//! ```
//!
//! This is the one room that speaks on standard error by itself, and the only
//! one that reads the environment.

mod explained;
mod import;
mod log;
mod machine;
mod mock_flags;
mod route;
mod serve_flags;
mod values;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{
    ConfigFile, FileInForce, Plan, Sight, Written, check_mock, look_and_check, read_config,
    reference,
};
use crate::tls::UnixTime;

use self::import::Import;
use self::log::LogLevel;
use self::mock_flags::MockFlags;
use self::route::RouteFlags;
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
    /// Tell everything that is wrong with a configuration file, on this machine
    Check {
        /// Settings in TOML
        file: PathBuf,
    },
    /// Tell where a request would go, and why
    Route(Box<RouteFlags>),
    /// Print every setting with its key, flag, unit, default and an example
    Reference,
    /// Tell another proxy's configuration in ours, and what is lost
    #[command(subcommand)]
    Import(Import),
    /// Be an LLM that answers, stalls and fails on command, to test against
    Mock(Box<MockFlags>),
}

const EXAMPLES: &str = "\
Examples:
  tokenring serve --demo
      Try the proxy with the built-in mock as its model.
  tokenring serve --backend http://10.0.0.1:8000 --backend http://10.0.0.2:8000
      Balance over two model servers.
  tokenring serve --config tokenring.toml
      Run by a file; 'tokenring check tokenring.toml' looks at it first.
  tokenring mock --listen 127.0.0.1:8000 --first-token 50ms --tokens 64
      Stand in for a model server.

'tokenring serve --help' and 'tokenring mock --help' list every setting.";

/// Does what the arguments say; `args` starts with the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    crate::rt::use_ordinary_pages();
    let cli = match Cli::try_parse_from(args.into_iter().map(with_dashes)) {
        Ok(cli) => cli,
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
    cli.job.run()
}

/// In the name of a flag, `_` stands for `-`, and whoever starts engines and
/// router at once writes `--router-` before the router's.
fn with_dashes(word: OsString) -> OsString {
    let Some(text) = word.to_str().filter(|text| text.starts_with("--")) else { return word };
    let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
    let name = name.replace('_', "-");
    let own = name.strip_prefix("--router-").map(|own| format!("--{own}"));
    (own.unwrap_or(name) + value).into()
}

impl Job {
    fn run(self) -> ExitCode {
        match self {
            Self::Serve(flags) => serve(*flags),
            Self::Check { file } => check(&file),
            Self::Route(flags) => flags.run(),
            Self::Reference => print(&reference()),
            Self::Import(import) => import.run(),
            Self::Mock(flags) => match check_mock(&flags.into_written(), &machine::ask()) {
                Ok(plan) => finish(crate::mock::serve(plan)),
                Err(errors) => refuse(&errors, Some("mock")),
            },
        }
    }
}

fn serve(flags: ServeFlags) -> ExitCode {
    let file = match flags.config.as_deref().map(read_config).transpose() {
        Ok(file) => file,
        Err(reason) => return refuse(&[reason], None),
    };
    match plan(file.as_ref(), |written| flags.write(written)) {
        Ok((sight, written, plan)) => {
            let type_flags = move |written: &mut Written| flags.write(written);
            let file = (!sight.is_of_nothing())
                .then(|| FileInForce::new(sight, written, Box::new(type_flags), machine::ask()));
            finish(crate::server::serve(plan, file))
        }
        Err(errors) => refuse(&errors, Some("serve")),
    }
}

fn check(path: &Path) -> ExitCode {
    let file = match read_config(path) {
        Ok(file) => file,
        Err(reason) => return refuse(&[reason], None),
    };
    match plan(Some(&file), |_| ()) {
        Ok((.., plan)) => {
            let backends = plan.backends.len() + usize::from(plan.demo.is_some());
            let noun = if backends == 1 { "backend" } else { "backends" };
            print(&format!("{}: all is well, with {backends} {noun}\n", file.name))
        }
        Err(errors) => refuse(&errors, None),
    }
}

fn plan(
    file: Option<&ConfigFile>,
    type_flags: impl FnOnce(&mut Written),
) -> Result<(Sight, Written, Plan), Vec<String>> {
    let now = UnixTime::since_unix_epoch(crate::rt::unix_time());
    let (sight, checked) = look_and_check(file, type_flags, &machine::ask(), now);
    checked.map(|(written, plan)| (sight, written, plan))
}

/// `--help` and `--version` end well, everything else clap says does not.
fn exit_code_of(error: &clap::Error) -> ExitCode {
    if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}

/// `job` is the one whose help says more.
fn refuse(errors: &[impl Display], job: Option<&str>) -> ExitCode {
    for error in errors {
        complain(error);
    }
    match job {
        Some(job) => say(format_args!("\nFor every setting, try 'tokenring {job} --help'.")),
        None => say("\nFor every setting, try 'tokenring reference'."),
    }
    ExitCode::from(EXIT_USAGE)
}

/// What was asked for, on standard output.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("standard output: {error}"));
            ExitCode::from(EXIT_FAILURE)
        }
    }
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
    fn a_flag_may_be_written_with_low_lines() {
        for (word, expected) in [
            ("--worker_urls", "--worker-urls"),
            ("--body-bytes=a_b", "--body-bytes=a_b"),
            ("--proxy_path=/a_b", "--proxy-path=/a_b"),
            ("--router-policy", "--policy"),
            ("--router_policy=x", "--policy=x"),
            ("a_b", "a_b"),
        ] {
            assert_eq!(with_dashes(word.into()), OsString::from(expected));
        }
    }

    #[test]
    fn the_flags_are_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
