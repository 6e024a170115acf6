//! Faults as they are found in a check: gathered, so that all are told at once.

use super::error::{Fault, PlanError};
use super::given::{Given, Told};

/// More than anybody mends in one go: it may be no configuration at all.
pub(super) const FAULTS_MAX: usize = 100;

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults {
    found: Vec<PlanError>,
    /// How many were found beyond `FAULTS_MAX`, of which no more is known.
    more: usize,
    given: Given,
}

/// A setting by its id, and which of several it is.
#[derive(Clone, Copy)]
pub(super) struct Spot(&'static str, usize);

impl From<&'static str> for Spot {
    fn from(id: &'static str) -> Self {
        Self(id, 0)
    }
}

impl From<(&'static str, usize)> for Spot {
    fn from((id, place): (&'static str, usize)) -> Self {
        Self(id, place)
    }
}

/// The first of these by their lines, and how many more there are.
pub(super) fn first_of(mut told: Vec<Told>, file: Option<&str>) -> Vec<Told> {
    let mut more = told.iter().map(Told::more).sum();
    told.retain(|one| one.more() == 0);
    told.sort_by_key(Told::order);
    more += told.len().saturating_sub(FAULTS_MAX);
    told.truncate(FAULTS_MAX);
    told.extend((more > 0).then(|| Told::of_more(more, file)));
    told
}

impl Faults {
    /// Those that were found in the words, in what was written so.
    pub(super) fn of(given: &Given, found: &[PlanError]) -> Self {
        Self { found: found.to_vec(), more: 0, given: given.clone() }
    }

    pub(super) fn add(
        &mut self,
        spot: impl Into<Spot>,
        value: impl ToString,
        fault: impl Into<Fault>,
    ) {
        if self.are_many() {
            self.more += 1;
            return;
        }
        let Spot(id, place) = spot.into();
        let (value, fault) = (value.to_string(), fault.into());
        self.found.push(PlanError { id, place, value, fault });
    }

    /// How many were found so far.
    pub(super) fn count(&self) -> usize {
        self.found.len() + self.more
    }

    /// Whether there are so many that further ones are only counted.
    pub(super) fn are_many(&self) -> bool {
        self.found.len() >= FAULTS_MAX
    }

    pub(super) fn is_given(&self, id: &str) -> bool {
        self.given.has(id)
    }

    /// Whether it was given as a flag.
    pub(super) fn is_typed(&self, id: &str) -> bool {
        self.given.is_typed(id)
    }

    /// The value, or the fault is noted.
    pub(super) fn take<T>(
        &mut self,
        spot: impl Into<Spot>,
        written: &str,
        read: Result<T, Fault>,
    ) -> Option<T> {
        read.map_err(|fault| self.add(spot, written, fault)).ok()
    }

    /// `plan` if nothing was found.
    pub(super) fn none_or<T>(mut self, plan: Option<T>) -> Result<T, Vec<PlanError>> {
        if self.more > 0 {
            let (id, value, fault) = ("", String::new(), Fault::More(self.more));
            self.found.push(PlanError { id, place: 0, value, fault });
        }
        match plan {
            Some(plan) if self.found.is_empty() => Ok(plan),
            _ => Err(self.found),
        }
    }

    pub(super) fn at_least<T: PartialOrd + ToString>(
        &mut self,
        id: &'static str,
        value: T,
        least: T,
    ) {
        if value < least {
            self.add(id, value, Fault::TooSmall(least.to_string()));
        }
    }

    pub(super) fn at_most<T: PartialOrd + ToString>(
        &mut self,
        id: &'static str,
        value: T,
        most: T,
        reason: &'static str,
    ) {
        if value > most {
            self.add(id, value, Fault::TooLarge { most: most.to_string(), reason });
        }
    }

    /// The value, within what the setting `other` allows. A default gives way
    /// to what the operator set elsewhere; what the operator set is a fault,
    /// also when it is the same as the default.
    pub(super) fn within<T: Copy + PartialOrd + ToString>(
        &mut self,
        id: &'static str,
        (value, default): (T, T),
        other: &'static str,
        most: T,
    ) -> T {
        if value <= most {
            return value;
        }
        if value != default || self.given.has(id) {
            self.add(id, value, Fault::Above { other, most: most.to_string() });
        }
        most
    }
}
