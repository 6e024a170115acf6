//! How each policy chooses among the backends that may be chosen.
//!
//! Who may be chosen falls into groups, and one is only taken when nobody is
//! in the groups before it: those that are well and have room, those that are
//! well, those that are kept in reserve, and those that are left alone. The
//! last may be back, and an error is certain otherwise. Who bears no more
//! requests is in none of them.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;

use super::{
    BackendId, Policy, Reach, Turn,
    cost::{PEAK_DECAY, Terms, cost},
    load::{Load, Room},
    prefixes::Held,
    seat::Seat,
};
use crate::base::Chance;

/// Backends from which on more than two are drawn.
const MANY: usize = 8;
/// How many those are. The counts are fresh, so that nobody runs with the
/// herd: each further one shortens the tail. Three come to 1.29 times the
/// oracle's 99th percentile, five to 1.18, all eight to 1.13 (`scenario_tests`,
/// the slow backend). More would cost their looks, and what is drawn bounds the
/// share of a backend that looks better than it is.
const DRAWN_OF_MANY: usize = 8;
/// Draws that may miss before the backends are gone through in order. With
/// half of them left alone, one choice in sixteen comes to that.
const DRAWS: usize = 4;
/// Backends that a choice has room for without an allocation.
const USUAL: usize = 64;

/// Who may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    WithRoom,
    Well,
    /// Those without a share.
    Reserve,
    Anyone,
}

const GROUPS: [Group; 4] = [Group::WithRoom, Group::Well, Group::Reserve, Group::Anyone];

/// One choice to be made.
pub struct Choice<'f> {
    pub loads: &'f [Arc<Load>],
    pub seats: &'f [Seat],
    /// Whether all seats have the same weight, and that is not zero.
    pub is_even: bool,
    pub policy: Policy,
    pub terms: Terms,
    /// How long a backend's share grows that has come.
    pub slow_start: Duration,
    /// From 0 to 1, by chance: only those are in this choice whose share is
    /// larger.
    pub gate: f32,
    /// Those to choose from.
    pub among: &'f [BackendId],
    /// What stands for the conversation, if it is known.
    pub conversation: Option<u64>,
    /// Who has read how much of it.
    pub held: &'f Held,
    pub tokens_per_block: f32,
    /// How many times the soonest's cost an affinity is worth.
    pub patience: f32,
    /// Backends that this request has been sent to.
    pub tried: &'f [BackendId],
    pub is_first: bool,
    pub reach: Reach,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub backend: BackendId,
    /// The room that the backend must still have when its place is taken.
    pub room: Room,
    /// Of the prompt, those that it has not read.
    pub tokens: u64,
}

impl Choice<'_> {
    pub fn make(&self, turn: &mut Turn, chance: &mut Chance) -> Option<Chosen> {
        if self.among.is_empty() {
            return None;
        }
        GROUPS.iter().find_map(|&group| {
            let all = |place| (place, self.terms.tokens);
            let (place, tokens) = match self.policy {
                Policy::RoundRobin => self.in_turn(group, turn).map(all),
                Policy::LeastInFlight => self.emptiest(group, chance).map(all),
                Policy::Random => self.anyone(group, chance).map(all),
                Policy::PowerOfTwo => self.of_two(group, chance, |load| self.busy(load)).map(all),
                Policy::PeakEwma => self.of_two(group, chance, |load| self.peak(load)).map(all),
                Policy::LeastLatency => self.soonest(group, chance).map(all),
                Policy::SessionHash => self.by_conversation(group, turn, chance),
                Policy::Prefix => self.by_prefix(group, self.held, turn, chance),
            }?;
            Some(Chosen { backend: self.among[place], room: self.room(group, place), tokens })
        })
    }

    pub(super) fn load(&self, place: usize) -> &Load {
        &self.loads[self.among[place].0]
    }

    pub(super) fn seat(&self, place: usize) -> &Seat {
        &self.seats[self.among[place].0]
    }

    pub(super) fn admits(&self, group: Group, place: usize) -> bool {
        let (load, terms) = (self.load(place), &self.terms);
        let has_share = || self.is_even || self.seat(place).weight > 0;
        let is_well = || load.is_well(terms.model, terms.now);
        let is_in = match group {
            Group::WithRoom => {
                has_share() && is_well() && self.passes_gate(place) && !self.is_empty_handed(place)
            }
            Group::Well => has_share() && is_well(),
            Group::Reserve => !has_share() && is_well(),
            Group::Anyone => self.reach == Reach::Anyone,
        };
        is_in && !self.tried.contains(&self.among[place]) && load.has_room(self.room(group, place))
    }

    /// It has just come, and fails or declines what it is given: that its few
    /// places are free again at once makes it no room for what others have none
    /// for. Who comes back from a pause is asked for just that.
    fn is_empty_handed(&self, place: usize) -> bool {
        let load = self.load(place);
        if !self.policy.asks_cost() || load.health.is_proven() || load.health.is_on_probation() {
            return false;
        }
        let usual = self.terms.usual.first_byte.max(self.terms.line.floor);
        load.penalty(self.terms.model, self.terms.now) > usual / 2.0
    }

    /// Where a backend's part is no factor of what is compared, its part is
    /// how often it is in the choice.
    fn passes_gate(&self, place: usize) -> bool {
        let is_factor = matches!(
            self.policy,
            Policy::RoundRobin | Policy::LeastInFlight | Policy::PowerOfTwo | Policy::PeakEwma
        );
        is_factor || self.gate < self.load(place).health.share(self.slow_start, self.terms.now)
    }

    fn room(&self, group: Group, place: usize) -> Room {
        let in_flight = self.seat(place).capacity;
        let in_flight = in_flight.map_or(Room::WIDE.in_flight, |capacity| capacity.get());
        let health = &self.load(place).health;
        // Only those who ask the cost have use for what a new backend's first answer
        // tells; others hold back from those on probation alone.
        // Where there is another way, no more than it proves itself by goes to
        // who is on probation.
        let ramps = match group {
            Group::WithRoom => self.policy.asks_cost() || health.is_on_probation(),
            _ => self.reach == Reach::Well && health.is_on_probation(),
        };
        let waiting = if ramps { health.waiting_max() } else { None };
        Room { in_flight, waiting: waiting.unwrap_or(Room::WIDE.waiting) }
    }

    fn in_turn(&self, group: Group, turn: &mut Turn) -> Option<usize> {
        let admitted = (0..self.among.len()).filter(|&place| self.admits(group, place));
        let candidates = admitted.map(|place| (self.among[place], self.part(place), place));
        let turns = if self.is_first { &mut turn.firsts } else { &mut turn.others };
        turns.next(candidates)
    }

    /// The first that fits, of all, in order from this place on.
    fn first_from(&self, start: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.among.len();
        (0..count).map(|step| (start + step) % count).find(|&place| fits(place))
    }

    /// Of all; ties go to whoever stands first from a random place on.
    fn emptiest(&self, group: Group, chance: &mut Chance) -> Option<usize> {
        let count = self.among.len();
        let start = chance.below(count);
        let all = (0..count).map(|step| (start + step) % count);
        let admitted = all.filter(|&place| self.admits(group, place));
        let weighed = admitted.map(|place| (self.weighed(place, |load| self.busy(load)), place));
        least(weighed)
    }

    fn anyone(&self, group: Group, chance: &mut Chance) -> Option<usize> {
        if self.is_even {
            return self.draw::<1>(group, chance).first().copied();
        }
        self.draw_by_weight::<1>(group, chance).first().copied()
    }

    /// Of two. A cost that grows with the requests under way is divided by the
    /// weight, so that the requests are shared in that proportion (weighted
    /// least connections; Zhang, "Linux Virtual Server for scalable network
    /// services", 2000).
    fn of_two(
        &self,
        group: Group,
        chance: &mut Chance,
        cost: impl Fn(&Load) -> f32,
    ) -> Option<usize> {
        let drawn = self.drawn::<2>(group, chance);
        least(drawn.into_iter().map(|place| (self.weighed(place, &cost), place)))
    }

    fn weighed(&self, place: usize, cost: impl Fn(&Load) -> f32) -> f32 {
        cost(self.load(place)) / self.part(place)
    }

    /// What a backend is to have beside the others, since it came.
    fn part(&self, place: usize) -> f32 {
        let share = self.load(place).health.share(self.slow_start, self.terms.now);
        self.weight(place) * share
    }

    /// Where none has a share, all have the same.
    pub(super) fn weight(&self, place: usize) -> f32 {
        self.seat(place).weight.max(1) as f32
    }

    /// The one that would answer soonest, of a few.
    pub(super) fn soonest(&self, group: Group, chance: &mut Chance) -> Option<usize> {
        if self.among.len() == 1 {
            return self.admits(group, 0).then_some(0);
        }
        let cost = |place: usize| cost(self.load(place), &self.terms);
        let (few, is_even) = (self.among.len() <= MANY, self.is_even);
        match (few, is_even) {
            (true, false) => {
                // Each by a chance that its weight raises and its cost lowers:
                // at the same cost, as their weights are to each other.
                let all = (0..self.among.len()).filter(|&place| self.admits(group, place));
                least(all.map(|place| {
                    let cost = cost(place);
                    (chance.exponential() * cost.powi(4) / self.weight(place), place)
                }))
            }
            _ => least_of(self.draw_few(group, chance), cost),
        }
    }

    /// A few to compare.
    pub(super) fn draw_few(
        &self,
        group: Group,
        chance: &mut Chance,
    ) -> SmallVec<[usize; DRAWN_OF_MANY]> {
        if self.is_even && self.among.len() < MANY {
            self.draw::<2>(group, chance).into_iter().collect()
        } else {
            self.drawn::<DRAWN_OF_MANY>(group, chance)
        }
    }

    /// So many: different ones where all weigh the same, else each as often as
    /// its weight says.
    fn drawn<const DRAWN: usize>(
        &self,
        group: Group,
        chance: &mut Chance,
    ) -> SmallVec<[usize; DRAWN]> {
        // Both of two would be drawn anyway, and are weighed afterwards.
        if self.is_even || self.among.len() <= DRAWN {
            self.draw(group, chance)
        } else {
            self.draw_by_weight(group, chance)
        }
    }

    /// So many different ones, or as many as there are. The order of drawing
    /// breaks ties, so they are broken at random.
    fn draw<const DRAWN: usize>(
        &self,
        group: Group,
        chance: &mut Chance,
    ) -> SmallVec<[usize; DRAWN]> {
        let mut drawn = SmallVec::new();
        let count = self.among.len();
        if count <= DRAWN {
            // All of them, in an order of chance (Knuth, volume 2, 3.4.2, P).
            for place in (0..count).filter(|&place| self.admits(group, place)) {
                drawn.push(place);
                let last = drawn.len() - 1;
                let place = chance.below(drawn.len());
                drawn.swap(last, place);
            }
            return drawn;
        }
        while drawn.len() < DRAWN {
            let fits = |place| !drawn.contains(&place) && self.admits(group, place);
            let hit = (0..DRAWS).map(|_| chance.below(count)).find(|&place| fits(place));
            match hit.or_else(|| self.first_from(chance.below(count), fits)) {
                Some(place) => drawn.push(place),
                None => break,
            }
        }
        drawn
    }

    /// So many, each by its weight, whether it has been drawn or not.
    fn draw_by_weight<const DRAWN: usize>(
        &self,
        group: Group,
        chance: &mut Chance,
    ) -> SmallVec<[usize; DRAWN]> {
        let mut ends = SmallVec::<[(usize, usize); USUAL]>::new();
        let mut end = 0;
        for place in (0..self.among.len()).filter(|&place| self.admits(group, place)) {
            end += self.seat(place).weight.max(1) as usize;
            ends.push((end, place));
        }
        if end == 0 {
            return SmallVec::new();
        }
        let one = |_| {
            let point = chance.below(end);
            let at = ends.partition_point(|&(end, _)| end <= point);
            ends.get(at).map(|&(_, place)| place)
        };
        (0..DRAWN).filter_map(one).collect()
    }

    /// Finagle's and linkerd's load: what a request takes, times the requests.
    /// Who declines requests at once is not taken for the faster.
    fn peak(&self, load: &Load) -> f32 {
        let seconds = load.first_byte.drifting(0.0, self.terms.now, PEAK_DECAY);
        let penalty = load.penalty(self.terms.model, self.terms.now);
        seconds.max(penalty).max(self.terms.line.floor) * with_one_more(load)
    }

    /// Requests under way when one more is sent there. Those that it has just
    /// declined count among them: who declines at once would be idle for ever.
    fn busy(&self, load: &Load) -> f32 {
        let declined = load.declined.drifting(0.0, self.terms.now, PEAK_DECAY);
        // In whole ones, so that it has faded some time.
        with_one_more(load) + declined.round()
    }
}

fn least_of<const DRAWN: usize>(
    drawn: SmallVec<[usize; DRAWN]>,
    cost: impl Fn(usize) -> f32,
) -> Option<usize> {
    if let [only] = drawn[..] {
        return Some(only);
    }
    least(drawn.into_iter().map(|place| (cost(place), place)))
}

/// The first of the cheapest.
fn least(priced: impl Iterator<Item = (f32, usize)>) -> Option<usize> {
    priced.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, place)| place)
}

/// Requests under way when one more is sent there.
fn with_one_more(load: &Load) -> f32 {
    load.counts().in_flight() as f32 + 1.0
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
