//! What can be wrong with the words of a file: one variant a fault, each with
//! its reason and its mend.

use super::settings::Misread;

/// The reason and the mend, in one sentence. The file's own words stand in it
/// only where they cannot be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FileFault {
    #[error("this is not TOML ({0}); write key = value, and text in quotes")]
    Syntax(String),
    #[error("this is a PEM file and no configuration; give a file in TOML")]
    Pem,
    #[error("the key is not known; did you mean {0}?")]
    UnknownNear(&'static str),
    #[error("the key is not known; known here are {}", .0.join(", "))]
    Unknown(Vec<&'static str>),
    #[error("this is {found}; write it like {example}")]
    WrongType { found: &'static str, example: String },
    #[error("this is {found}, and a table is meant; write [{table}] and its keys below")]
    NotTable { found: &'static str, table: String },
    #[error("this is {found}, and {are} are a list of tables; write {mend}")]
    NotTables { found: &'static str, are: &'static str, mend: &'static str },
    #[error("{is} without {name}; add a line like {example}")]
    Missing { is: &'static str, name: &'static str, example: &'static str },
    #[error("the list is empty; name one, or leave the key out")]
    EmptyList,
    #[error("what stands behind a URL is KEY=VALUE; write it like weight=3")]
    NotPair,
    #[error("the key stands in this line already; leave one of them out")]
    Twice,
    #[error("it is on or off; write true or false")]
    NotSwitch,
    #[error("it names no backend, and nothing else does; write a URL in a line")]
    NoBackend,
    #[error(transparent)]
    Word(#[from] Misread),
}
