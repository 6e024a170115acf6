//! The log of the process: events on standard error, from a chosen level up.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::filter::LevelFilter;

/// Events of this level and above are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Stands in for `--log` where a flag is awkward, such as a unit file.
const VARIABLE: &str = "TOKENRING_LOG";

/// The variable holds something else than a level.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{VARIABLE} {0}: this is no log level; \
     set it to off, error, warn, info, debug or trace"
)]
pub(super) struct LevelUnknown(String);

impl LogLevel {
    pub(super) fn from_environment() -> Result<Self, LevelUnknown> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Self::default()),
            Some(word) => Self::read(&word.to_string_lossy()),
        }
    }

    fn read(word: &str) -> Result<Self, LevelUnknown> {
        <Self as ValueEnum>::from_str(word, false).map_err(|_| LevelUnknown(word.to_owned()))
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Starts logging. A second start is ignored: the first one stands.
pub(super) fn start(level: LogLevel) {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level.filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // A failure to write would be told on standard error, where nobody
        // listens any more, and that would be a panic of whoever logs.
        .log_internal_errors(false)
        .finish();
    // It fails only when a subscriber is in place, as in a test that runs
    // the command line twice in one process.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_level_as_written_in_help() {
        for (word, expected) in [
            ("off", Ok(LogLevel::Off)),
            ("info", Ok(LogLevel::Info)),
            ("trace", Ok(LogLevel::Trace)),
            ("INFO", Err(LevelUnknown("INFO".into()))),
            ("tokenring=debug", Err(LevelUnknown("tokenring=debug".into()))),
            ("", Err(LevelUnknown(String::new()))),
        ] {
            assert_eq!(LogLevel::read(word), expected);
        }
    }
}
