//! What each backend has of its own.

use super::lists::Listed;
use super::{Choice, Group, Number, Place, of_table};
use crate::config::settings::place::OptionalNumber;
use crate::config::words::count;
use crate::config::written::BackendWritten;
use crate::llm::Dialect;

const DIALECTS: [Dialect; 2] = [Dialect::OpenAi, Dialect::Anthropic];

const fn of_backend(place: &'static Place<BackendWritten>) -> &'static dyn Listed {
    place
}

pub(super) const BACKENDS: Group = Group {
    heading: "Backends (in the file)",
    settings: &[
        of_table(
            "backend.name",
            "gpu-1",
            "What logs, figures and candidates call it",
            of_backend(&Place::OptionalText(["NAME", "its URL without the scheme"], |w| {
                &mut w.name
            })),
        ),
        of_table(
            "backend.models",
            "llama-3-70b qwen*",
            "Names of models that it answers to; * is any part of a name",
            of_backend(&Place::Texts("NAME", |w| &mut w.models)),
        ),
        of_table(
            "backend.weight",
            "3",
            "Its share beside the others'; 0 is none while others are there",
            of_backend(&Place::Number(Number {
                read: |w, word| count(word).map(|count| w.weight = count),
                show: |w| w.weight.to_string(),
            })),
        ),
        of_table(
            "backend.capacity",
            "32",
            "Most requests under way that it is given",
            of_backend(&Place::OptionalNumber(OptionalNumber {
                unset: "no such bound",
                read: |w, word| count(word).map(|count| w.capacity = Some(count)),
                show: |w| w.capacity.map(|count| count.to_string()),
            })),
        ),
        of_table(
            "backend.dialect",
            "openai",
            "The API that it speaks",
            of_backend(&Place::Choice(Choice {
                unit: "DIALECT",
                words: &["openai", "anthropic"],
                unset: "both",
                at: |w| DIALECTS.iter().position(|dialect| Some(*dialect) == w.dialect),
                choose: |w, index| w.dialect = DIALECTS.get(index).copied(),
            })),
        ),
        of_table(
            "backend.key",
            "env:OPENAI_API_KEY",
            "Where our key for it is found: env:NAME or file:PATH; sent to it alone, never shown",
            of_backend(&Place::Key(|w| &mut w.key)),
        ),
    ],
};
