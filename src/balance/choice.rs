//! How each policy chooses among the backends that may be chosen.
//!
//! Who may be chosen falls into three groups, and one is only taken when
//! nobody is in the groups before it: those that are well and have room, those
//! that are well, and those that are left alone. The last may be back, and an
//! error is certain otherwise.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    BackendId, Policy,
    cost::{PEAK_DECAY, Terms, cost},
    load::Load,
};
use crate::base::Chance;

/// Backends from which on more than two are drawn.
const MANY: usize = 8;
/// How many those are. The counts are fresh, so that nobody runs with the
/// herd: each further one shortens the tail. Three come to 1.29 times the
/// oracle's 99th percentile, five to 1.18, all eight to 1.13
/// (`scenario_tests`, the slow backend); but what is drawn bounds the share of a backend that
/// looks better than it is, and each costs its look.
const DRAWN_OF_MANY: usize = 5;
/// Draws that may miss before the backends are gone through in order. With
/// half of them left alone, one choice in sixteen comes to that.
const DRAWS: usize = 4;

/// Who may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    WithRoom,
    Well,
    Anyone,
}

const GROUPS: [Group; 3] = [Group::WithRoom, Group::Well, Group::Anyone];

/// One choice to be made.
pub struct Choice<'f> {
    pub loads: &'f [Arc<Load>],
    pub policy: Policy,
    pub terms: Terms,
    /// Backends that this request has been sent to.
    pub tried: &'f [BackendId],
}

impl Choice<'_> {
    /// `next` is whose turn it is.
    pub fn make(&self, next: &mut usize, chance: &mut Chance) -> Option<BackendId> {
        let chosen = GROUPS.into_iter().find_map(|group| match self.policy {
            Policy::RoundRobin => self.in_turn(group, next),
            Policy::LeastInFlight => self.emptiest(group, chance),
            Policy::Random => self.draw::<1>(group, chance).first().copied(),
            Policy::PowerOfTwo => self.cheapest::<2>(group, chance, in_flight),
            Policy::PeakEwma => self.cheapest::<2>(group, chance, |load| self.peak(load)),
            Policy::LeastLatency => {
                let cost = |load: &Load| cost(load, &self.terms);
                if self.loads.len() >= MANY {
                    self.cheapest::<DRAWN_OF_MANY>(group, chance, cost)
                } else {
                    self.cheapest::<2>(group, chance, cost)
                }
            }
        });
        chosen.map(BackendId)
    }

    fn admits(&self, group: Group, index: usize) -> bool {
        let load = &self.loads[index];
        let (health, now) = (&load.health, self.terms.now);
        let is_well = || !health.is_resting(now) && !health.is_ejected(now);
        // Only `LeastLatency` has use for what a new backend's first answer
        // tells; others hold back from those on probation alone.
        let ramps = || self.policy == Policy::LeastLatency || health.is_on_probation();
        let has_room = || !ramps() || health.has_room(load.counts().in_flight());
        !self.tried.contains(&BackendId(index))
            && match group {
                Group::WithRoom => is_well() && has_room(),
                Group::Well => is_well(),
                Group::Anyone => true,
            }
    }

    fn in_turn(&self, group: Group, next: &mut usize) -> Option<usize> {
        let chosen = self.first_from(*next, |index| self.admits(group, index))?;
        *next = (chosen + 1) % self.loads.len();
        Some(chosen)
    }

    /// The first that fits, of all, in order from this place on.
    fn first_from(&self, start: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.loads.len();
        (0..count).map(|step| (start + step) % count).find(|&index| fits(index))
    }

    /// Of all; ties go to whoever stands first from a random place on.
    fn emptiest(&self, group: Group, chance: &mut Chance) -> Option<usize> {
        let count = self.loads.len();
        let start = chance.below(count.max(1));
        let all = (0..count).map(|step| (start + step) % count);
        let admitted = all.filter(|&index| self.admits(group, index));
        admitted.min_by_key(|&index| self.loads[index].counts().in_flight())
    }

    /// Of so many drawn at random. The order of drawing breaks ties, so they
    /// are broken at random.
    fn cheapest<const DRAWN: usize>(
        &self,
        group: Group,
        chance: &mut Chance,
        cost: impl Fn(&Load) -> f32,
    ) -> Option<usize> {
        let drawn = self.draw::<DRAWN>(group, chance);
        if let [only] = drawn[..] {
            return Some(only);
        }
        let priced = drawn.into_iter().map(|index| (cost(&self.loads[index]), index));
        priced.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, index)| index)
    }

    /// So many different ones, or as many as there are.
    fn draw<const DRAWN: usize>(
        &self,
        group: Group,
        chance: &mut Chance,
    ) -> SmallVec<[usize; DRAWN]> {
        let mut drawn = SmallVec::new();
        let count = self.loads.len();
        while drawn.len() < DRAWN.min(count) {
            let fits = |index| !drawn.contains(&index) && self.admits(group, index);
            let hit = (0..DRAWS).map(|_| chance.below(count)).find(|&index| fits(index));
            match hit.or_else(|| self.first_from(chance.below(count), fits)) {
                Some(index) => drawn.push(index),
                None => break,
            }
        }
        drawn
    }

    /// Finagle's and linkerd's load: what a request takes, times the requests.
    fn peak(&self, load: &Load) -> f32 {
        let seconds = load.first_byte.drifting(0.0, self.terms.now, PEAK_DECAY);
        seconds.max(self.terms.line.floor) * (in_flight(load) + 1.0)
    }
}

fn in_flight(load: &Load) -> f32 {
    load.counts().in_flight() as f32
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
