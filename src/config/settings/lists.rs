//! Lists of tables: which there are, and how a setting finds its place in
//! every table of a list.

use super::place::{Form, Misread, Place};
use crate::config::written::{
    ArmWritten, BackendWritten, CandidateWritten, ModelWritten, RouteWritten, Written,
};

/// A list of tables in the file.
pub struct List {
    pub key: &'static str,
    /// What one of its tables is, and several.
    pub is: &'static str,
    pub are: &'static str,
    /// How it is written.
    pub mend: &'static str,
    /// Begins one more, in the last table of the list that it stands in.
    pub add: fn(&mut Written),
    /// The key whose value may stand for a whole table.
    pub short: Option<&'static str>,
    /// The key that none of them may be without, and how it is written.
    pub needs: Option<[&'static str; 2]>,
}

pub static LISTS: [List; 5] = [
    List {
        key: "backend",
        is: "a backend",
        are: "backends",
        mend: "[[backend]] once for each",
        add: |to| to.backends.push(BackendWritten::default()),
        short: None,
        needs: Some(["url", "url = \"http://10.0.0.1:8000\""]),
    },
    List {
        key: "model",
        is: "a model",
        are: "models",
        mend: "[[model]] once for each",
        add: |to| to.models.push(ModelWritten::default()),
        short: None,
        needs: Some(["name", "name = \"chat\""]),
    },
    List {
        key: "model.candidates",
        is: "a candidate",
        are: "candidates",
        mend: "candidates = [{ model = \"llama-3-70b\" }]",
        add: |to| {
            if let Some(model) = to.models.last_mut() {
                model.candidates.push(CandidateWritten::default());
            }
        },
        short: Some("model"),
        needs: None,
    },
    List {
        key: "route",
        is: "a route",
        are: "routes",
        mend: "[[route]] once for each",
        add: |to| to.routes.push(RouteWritten::default()),
        short: None,
        needs: Some(["name", "name = \"hard\""]),
    },
    List {
        key: "route.to",
        is: "a model of a route",
        are: "the models of a route",
        mend: "to = [{ model = \"big\", weight = 9 }]",
        add: |to| {
            if let Some(route) = to.routes.last_mut() {
                route.to.push(ArmWritten::default());
            }
        },
        short: Some("model"),
        needs: Some(["model", "model = \"big\""]),
    },
];

impl List {
    pub fn is_inside_another(&self) -> bool {
        self.key.contains('.')
    }
}

/// The innermost list in whose tables the key stands.
pub fn list_of(key: &str) -> Option<&'static List> {
    let is_below = |list: &&List| {
        let rest = key.strip_prefix(list.key);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    LISTS.iter().filter(is_below).max_by_key(|list| list.key.len())
}

/// A place in each table of a list.
pub trait Listed: Sync {
    /// Fills it in the table that was begun last.
    ///
    /// # Errors
    /// As [`Place::read`].
    fn read_in_last(&self, to: &mut Written, words: &[&str]) -> Result<(), Misread>;
    /// One word for each table, empty where nothing is written; `None` if none
    /// has anything.
    fn words_of_all(&self, of: &mut Written) -> Option<Vec<String>>;
    /// What holds when nothing is written.
    fn words_of_none(&self) -> Option<Vec<String>>;
    fn unset(&self) -> &'static str;
    fn unit(&self) -> &'static str;
    fn form(&self) -> Form;
}

/// A table that stands in a list.
pub trait Table: Default {
    /// The one that was begun last.
    fn last(of: &mut Written) -> Option<&mut Self>;
    /// All of them, each with the place of the table that it stands in.
    fn all(of: &mut Written) -> Vec<(usize, &mut Self)>;
}

impl<T: Table> Listed for Place<T> {
    fn read_in_last(&self, to: &mut Written, words: &[&str]) -> Result<(), Misread> {
        T::last(to).map_or(Ok(()), |table| self.read(table, words))
    }

    fn words_of_all(&self, of: &mut Written) -> Option<Vec<String>> {
        let unset = self.words_of_none();
        let word = |(inside, table): (usize, &mut T)| {
            let words = self.words(table).filter(|words| Some(words) != unset.as_ref());
            words.map_or_else(String::new, |words| format!("{inside} {}", words.join(" ")))
        };
        let words: Vec<_> = T::all(of).into_iter().map(word).collect();
        words.iter().any(|word| !word.is_empty()).then_some(words)
    }

    fn words_of_none(&self) -> Option<Vec<String>> {
        self.words(&mut T::default())
    }

    fn unset(&self) -> &'static str {
        self.unset()
    }

    fn unit(&self) -> &'static str {
        self.unit()
    }

    fn form(&self) -> Form {
        self.form()
    }
}

fn numbered<T>(tables: &mut [T]) -> Vec<(usize, &mut T)> {
    tables.iter_mut().map(|table| (0, table)).collect()
}

impl Table for BackendWritten {
    fn last(of: &mut Written) -> Option<&mut Self> {
        of.backends.last_mut()
    }

    fn all(of: &mut Written) -> Vec<(usize, &mut Self)> {
        numbered(&mut of.backends)
    }
}

impl Table for ModelWritten {
    fn last(of: &mut Written) -> Option<&mut Self> {
        of.models.last_mut()
    }

    fn all(of: &mut Written) -> Vec<(usize, &mut Self)> {
        numbered(&mut of.models)
    }
}

impl Table for CandidateWritten {
    fn last(of: &mut Written) -> Option<&mut Self> {
        of.models.last_mut()?.candidates.last_mut()
    }

    fn all(of: &mut Written) -> Vec<(usize, &mut Self)> {
        let models = of.models.iter_mut().enumerate();
        models.flat_map(|(at, one)| one.candidates.iter_mut().map(move |c| (at, c))).collect()
    }
}

impl Table for RouteWritten {
    fn last(of: &mut Written) -> Option<&mut Self> {
        of.routes.last_mut()
    }

    fn all(of: &mut Written) -> Vec<(usize, &mut Self)> {
        numbered(&mut of.routes)
    }
}

impl Table for ArmWritten {
    fn last(of: &mut Written) -> Option<&mut Self> {
        of.routes.last_mut()?.to.last_mut()
    }

    fn all(of: &mut Written) -> Vec<(usize, &mut Self)> {
        let routes = of.routes.iter_mut().enumerate();
        routes.flat_map(|(at, one)| one.to.iter_mut().map(move |arm| (at, arm))).collect()
    }
}
