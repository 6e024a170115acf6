//! `tokenring import`: another proxy's configuration in, ours out, and on
//! standard error what became of each of its keys.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{EXIT_FAILURE, EXIT_USAGE, complain, print, say};
use crate::config::import::{Finding, Kind, litellm};
use crate::config::{ConfigFile, read_foreign};

/// Whose configuration it is.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// The config.yaml of a LiteLLM proxy
    Litellm(Flags),
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Flags {
    /// Its configuration
    file: PathBuf,
    /// Write to this file, which must not be there yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over what is in the file
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// Write nothing unless all of it is carried over exactly
    #[arg(long)]
    strict: bool,
}

const EXAMPLES: &str = "\
Each key of the input is told on standard error with its line, its kind (exact,
approximate, manual or unsupported), what became of it, and what to do. Keys of
providers are kept as references, and never copied.

Examples:
  tokenring import litellm config.yaml > tokenring.toml
  tokenring import litellm config.yaml --out tokenring.toml && tokenring check tokenring.toml";

impl Import {
    pub(super) fn run(&self) -> ExitCode {
        let Self::Litellm(flags) = self;
        let imported = read_foreign(&flags.file).and_then(|ConfigFile { name, text }| {
            litellm(&name, &text).map_err(|reason| reason.to_string())
        });
        let imported = match imported {
            Ok(imported) => imported,
            Err(reason) => {
                complain(reason);
                return ExitCode::from(EXIT_USAGE);
            }
        };
        let source = flags.file.display();
        for finding in &imported.findings {
            say(format_args!("{source}:{finding}"));
        }
        say(format_args!("{source}: {}", sum(&imported.findings)));
        let has_loss = imported.findings.iter().any(|finding| finding.kind != Kind::Exact);
        if flags.strict && has_loss {
            complain("nothing was written, as not all is exact; mend that, or leave --strict out");
            return ExitCode::from(EXIT_USAGE);
        }
        match &flags.out {
            None => print(&imported.file),
            Some(path) => write(path, flags.overwrite, &imported.file),
        }
    }
}

fn write(path: &Path, overwrite: bool, text: &str) -> ExitCode {
    let mut options = OpenOptions::new();
    options.write(true).create(overwrite).truncate(overwrite).create_new(!overwrite);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    let Err(error) = written else { return ExitCode::SUCCESS };
    let path = path.display();
    if error.kind() == io::ErrorKind::AlreadyExists {
        complain(format_args!("--out {path}: the file is there already; give --overwrite as well"));
        return ExitCode::from(EXIT_USAGE);
    }
    complain(format_args!("--out {path}: the file cannot be written ({error})"));
    ExitCode::from(EXIT_FAILURE)
}

/// `12 exact, 3 approximate, 1 manual, 0 unsupported`.
fn sum(findings: &[Finding]) -> String {
    let kinds = [Kind::Exact, Kind::Approximate, Kind::Manual, Kind::Unsupported];
    let count = |kind| findings.iter().filter(|finding| finding.kind == kind).count();
    kinds.map(|kind| format!("{} {}", count(kind), kind.name())).join(", ")
}
