//! Values of flags that are words.

use clap::builder::PossibleValue;

use crate::config::DriverChoice;

/// [`DriverChoice`] as a word; the plan's type knows no command line.
#[derive(Clone, Copy, Debug)]
pub(super) struct DriverWord(pub(super) DriverChoice);

impl clap::ValueEnum for DriverWord {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(DriverChoice::Auto), Self(DriverChoice::Uring), Self(DriverChoice::Epoll)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self.0 {
            DriverChoice::Auto => "auto",
            DriverChoice::Uring => "uring",
            DriverChoice::Epoll => "epoll",
        }))
    }
}
