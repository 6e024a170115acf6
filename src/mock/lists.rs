//! Files that get the id of each request, for whoever counts what a mock that
//! was killed has seen and said.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::Context;

use crate::config::MockScript;

/// The files that are written to. Several mocks may write to one of them.
#[derive(Debug, Default)]
pub struct Lists {
    asked: Option<File>,
    answered: Option<File>,
}

impl Lists {
    /// # Errors
    /// When a file cannot be written to.
    pub fn open(script: &MockScript) -> anyhow::Result<Self> {
        let open = |path: &Path| {
            let file = File::options().append(true).create(true).open(path);
            file.with_context(|| format!("cannot write to {}", path.display()))
        };
        let open = |path: &Option<_>| path.as_deref().map(open).transpose();
        Ok(Self { asked: open(&script.asked)?, answered: open(&script.answered)? })
    }

    /// Whether anybody wants to know of each answer by its id.
    pub fn has_answers(&self) -> bool {
        self.answered.is_some()
    }

    /// The head of the request of this id has come.
    pub fn asked(&self, id: &[u8]) {
        append(self.asked.as_ref(), id);
    }

    /// The answer to the request of this id went out whole.
    pub fn answered(&self, id: &[u8]) {
        append(self.answered.as_ref(), id);
    }
}

/// A line is one write, so that lines of several mocks in one file stay whole.
fn append(file: Option<&File>, id: &[u8]) {
    let write = |mut file: &File| -> io::Result<()> { file.write_all(&[id, b"\n"].concat()) };
    if let Some(Err(error)) = file.map(write) {
        tracing::error!(%error, "an id is missing in the list of requests");
    }
}
