//! Which backends list a name for a model: looked up once for every name that is
//! written, so that many names cost no more than their number.

use std::collections::{BTreeMap, BTreeSet};

use super::pattern::{covers, has_star, overlap};
use crate::base::BackendId;
use crate::route::{Pattern, Serves};

/// The names that backends list.
pub(super) struct Listed {
    /// Backends that list none, and so serve every name.
    all: Vec<usize>,
    exact: BTreeMap<Pattern, Vec<usize>>,
    wild: Vec<(Pattern, usize)>,
}

impl Listed {
    pub(super) fn of(backends: &[Serves]) -> Self {
        let mut this = Self { all: Vec::new(), exact: BTreeMap::new(), wild: Vec::new() };
        for (place, serves) in backends.iter().enumerate() {
            if serves.models.is_empty() {
                this.all.push(place);
            }
            for name in &serves.models {
                if has_star(name) {
                    this.wild.push((name.clone(), place));
                } else {
                    this.exact.entry(name.clone()).or_default().push(place);
                }
            }
        }
        this
    }

    /// The backends that serve something that any of these names, in order.
    pub(super) fn serving(&self, names: &[Pattern]) -> Vec<BackendId> {
        let mut found: BTreeSet<usize> = self.all.iter().copied().collect();
        for name in names {
            if has_star(name) {
                let met = self.exact.iter().filter(|(exact, _)| covers(name, exact));
                found.extend(met.flat_map(|(_, places)| places));
            } else {
                found.extend(self.exact.get(name).into_iter().flatten());
            }
            let met = self.wild.iter().filter(|(wild, _)| overlap(wild, name));
            found.extend(met.map(|(_, place)| place));
        }
        found.into_iter().map(BackendId).collect()
    }

    /// Whether a backend lists this name, or a pattern of all that meets it.
    pub(super) fn has(&self, name: &Pattern) -> bool {
        self.exact.contains_key(name) || self.wild.iter().any(|(wild, _)| covers(wild, name))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        let wild = self.wild.iter().map(|(name, _)| &*name.0);
        self.exact.keys().map(|name| &*name.0).chain(wild)
    }
}
