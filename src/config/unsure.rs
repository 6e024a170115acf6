//! Settings that were given and not understood, so that what is found faulty for
//! want of them is not told a second time.

use std::collections::BTreeSet;

use super::error::{Fault, PlanError};
use super::route_fault::RouteFault;
use super::settings::{Setting, settings};

/// What they are known as, and which of several each is.
#[derive(Default)]
pub(super) struct Unsure(pub BTreeSet<(&'static str, usize)>);

const URL: &str = "--backend";

impl Unsure {
    /// Whether the error comes of words that were not understood.
    pub(super) fn explains(&self, error: &PlanError) -> bool {
        let Self(unsure) = self;
        let is_of_backend = settings().any(|s| s.id() == error.id && s.is_of_backend());
        let names = error.fault.names();
        let is_of_absence = matches!(&error.fault, Fault::Route(fault) if fault.is_of_absence());
        let in_lists =
            || unsure.iter().any(|(id, _)| id.starts_with("model.") || id.starts_with("route."));
        // A condition that was not understood hides nothing.
        let is_unsure = |by: usize| {
            let of_rule = |id: &str| id.starts_with("route.when.") || id == "route.shadow";
            let is_of = |(id, place): &(&str, usize)| *place == by || *id == "route.when.header";
            unsure.iter().any(|spot| of_rule(spot.0) && is_of(spot))
        };
        let hides = match &error.fault {
            Fault::Route(RouteFault::Unreachable { place, .. }) => Some(*place),
            _ => None,
        };
        // What stands beside the URL is told without it.
        let is_of_url = is_of_backend && (error.id == URL || !error.id.starts_with("backend."));
        is_of_absence && in_lists()
            || hides.is_some_and(is_unsure)
            || unsure.contains(&(error.id, error.place)) && hides.is_none()
            || is_of_url && unsure.contains(&(URL, error.place))
            || unsure.iter().any(|(id, _)| names.iter().any(|named| named.id == *id))
    }

    /// The setting of this key, or every one in the table of this name.
    pub(super) fn below(&mut self, key: &str, at: Option<usize>) {
        let is_below = |setting: &&Setting| {
            let rest = setting.key.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let place = at.unwrap_or_default();
        self.0.extend(settings().filter(is_below).map(|setting| (setting.id(), place)));
    }
}
