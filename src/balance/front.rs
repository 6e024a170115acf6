//! Who of all shards stands in front at a backend, and has the first right to
//! its next place. Each shard keeps a queue of its own (`queue`); the first of
//! each meet here, in one word for each backend.
//!
//! ```text
//! shard 0   [x y]──► x says its rank ─┐
//!                                     ├─► the highest that was said: nobody
//! shard 1   [z w]──► z says its rank ─┘   below it takes a place there
//! ```
//!
//! So all shards are one queue: by priority, then as they came. The word
//! remembers one; whoever is outranked says its rank again whenever it looks, at
//! the next tick at the latest. So once it is the first of all it is overtaken
//! for a tick at most. A rank is taken back when its wait ends, however that
//! ends, so nobody waits for one that is gone.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{BackendId, Fleet, Priority};
use crate::base::Instant;

/// What one that waits counts for among those of all shards: who counts for
/// more goes first.
///
/// ```text
/// priority, never zero | microseconds until the end of time | shard
///        2 bits        |               50 bits              | 12 bits
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u64);

impl Rank {
    const SHARD_BITS: u32 = 12;
    /// 35 years.
    const TIME_BITS: u32 = 50;

    #[must_use]
    pub fn new(priority: Priority, came_at: Instant, shard: usize) -> Self {
        let urgency: u64 = match priority {
            Priority::High => 3,
            Priority::Normal => 2,
            Priority::Low => 1,
        };
        let end_of_time = (1 << Self::TIME_BITS) - 1;
        let left = end_of_time - (came_at.as_nanos() / 1000).min(end_of_time);
        let shard = shard as u64 & ((1 << Self::SHARD_BITS) - 1);
        Self((urgency << Self::TIME_BITS | left) << Self::SHARD_BITS | shard)
    }

    /// Where it waits.
    #[must_use]
    pub fn shard(self) -> usize {
        self.0 as usize & ((1 << Self::SHARD_BITS) - 1)
    }
}

/// The highest rank that was said at one backend; zero is nobody's.
///
/// What another shard does at the same moment may be missed. A tick later it is
/// seen, and the places themselves are not counted here.
#[derive(Debug, Default)]
pub struct Front(AtomicU64);

impl Front {
    fn say(&self, rank: Rank) {
        if self.0.load(Relaxed) < rank.0 {
            self.0.fetch_max(rank.0, Relaxed);
        }
    }

    fn take_back(&self, rank: Rank) {
        // Otherwise another one has outranked it meanwhile.
        let _ = self.0.compare_exchange(rank.0, 0, Relaxed, Relaxed);
    }

    fn has_before(&self, rank: Rank) -> bool {
        self.0.load(Relaxed) > rank.0
    }

    fn first(&self) -> Option<Rank> {
        Some(self.0.load(Relaxed)).filter(|&word| word != 0).map(Rank)
    }
}

impl Fleet {
    /// One that waits for any of these, and has nobody of its shard in front of
    /// it there, says so. It must take that back.
    pub fn say_rank(&self, among: &[BackendId], rank: Rank) {
        among.iter().for_each(|backend| self.load(*backend).front.say(rank));
    }

    /// It waits no longer.
    pub fn take_back_rank(&self, among: &[BackendId], rank: Rank) {
        among.iter().for_each(|backend| self.load(*backend).front.take_back(rank));
    }

    /// Whether somebody goes before it at this backend.
    #[must_use]
    pub fn has_before(&self, backend: BackendId, rank: Rank) -> bool {
        self.load(backend).front.has_before(rank)
    }

    /// The shards of those that stand in front where a place is free.
    pub fn called(&self) -> impl Iterator<Item = usize> {
        self.everyone().iter().filter_map(|backend| {
            let load = self.load(*backend);
            let first = load.front.first()?;
            let capacity = self.seats[backend.0].capacity;
            let is_free = capacity.is_none_or(|most| load.counts().in_flight() < most.get());
            is_free.then(|| first.shard())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{
        balance::{Ask, Balancing, Policy, Seat, Turn, Work},
        base::Chance,
    };

    fn rank(priority: Priority, micros: u64, shard: usize) -> Rank {
        Rank::new(priority, Instant::from_nanos(micros * 1000), shard)
    }

    fn ids(indices: &[usize]) -> Vec<BackendId> {
        indices.iter().copied().map(BackendId).collect()
    }

    fn fleet(capacities: &[u32]) -> Fleet {
        let seat = |&capacity: &u32| Seat { capacity: NonZeroU32::new(capacity), ..Seat::of("") };
        Fleet::of(capacities.iter().map(seat).collect(), Balancing::DEFAULT)
    }

    fn called(fleet: &Fleet) -> Vec<usize> {
        fleet.called().collect()
    }

    #[test]
    fn the_urgent_goes_first_and_then_who_came_first() {
        let in_order = [
            rank(Priority::High, 3, 1),
            rank(Priority::High, 4, 0),
            rank(Priority::Normal, 0, 4095),
            rank(Priority::Normal, 1, 0),
            rank(Priority::Normal, u64::MAX / 1000, 0),
            rank(Priority::Low, 0, 0),
        ];
        assert!(in_order.is_sorted_by(|one, next| one > next), "{in_order:?}");
        let shards = in_order.map(Rank::shard);
        assert_eq!(shards, [1, 0, 4095, 0, 0, 0]);
        assert!(in_order.iter().all(|rank| rank.0 != 0), "zero is nobody's");
    }

    #[test]
    fn nobody_passes_who_stands_in_front() {
        let fleet = fleet(&[1, 1]);
        let (older, younger) = (rank(Priority::Normal, 1, 0), rank(Priority::Normal, 2, 1));
        let urgent = rank(Priority::High, 3, 1);
        let before = |rank| ids(&[0, 1]).into_iter().map(|at| fleet.has_before(at, rank)).collect();
        fleet.say_rank(&ids(&[0]), younger);
        fleet.say_rank(&ids(&[0]), older);
        fleet.say_rank(&ids(&[0, 1]), younger);
        let of = |rank| -> Vec<bool> { before(rank) };
        assert_eq!((of(older), of(younger)), (vec![false, false], vec![true, false]));
        assert_eq!(of(urgent), [false, false], "it is more urgent, and has said nothing yet");
        fleet.say_rank(&ids(&[0]), urgent);
        assert_eq!((of(older), of(urgent)), (vec![true, false], vec![false, false]));
    }

    #[test]
    fn a_rank_is_taken_back_by_its_own_and_by_nobody_else() {
        let fleet = fleet(&[1]);
        let (older, younger) = (rank(Priority::Normal, 1, 0), rank(Priority::Normal, 2, 1));
        let all = ids(&[0]);
        fleet.say_rank(&all, older);
        fleet.say_rank(&all, younger);
        fleet.take_back_rank(&all, younger);
        assert!(fleet.has_before(all[0], younger));
        fleet.take_back_rank(&all, older);
        assert!(!fleet.has_before(all[0], younger) && called(&fleet).is_empty());
        fleet.say_rank(&all, younger);
        assert_eq!(called(&fleet), [1], "who was outranked has said it again");
        fleet.take_back_rank(&all, older);
        assert_eq!(called(&fleet), [1]);
    }

    #[test]
    fn who_stands_in_front_is_called_where_a_place_is_free() {
        let fleet = fleet(&[1, 1, 0]);
        fleet.say_rank(&ids(&[0, 1]), rank(Priority::Normal, 1, 7));
        fleet.say_rank(&ids(&[2]), rank(Priority::Normal, 1, 9));
        assert_eq!(called(&fleet), [7, 7, 9]);
        let (mut turn, mut chance) = (Turn::new(&fleet, 0), Chance::seeded(1));
        let mut take = |among: &[usize]| {
            let among = ids(among);
            let ask = Ask::new(&among, Policy::Random, Work::default());
            fleet.pick(&mut turn, &ask, Instant::from_nanos(5), &mut chance).unwrap()
        };
        let first = take(&[0]);
        assert_eq!(called(&fleet), [7, 9]);
        let _second = take(&[1]);
        let _unbounded = take(&[2]);
        assert_eq!(called(&fleet), [9]);
        drop(first);
        assert_eq!(called(&fleet), [7, 9]);
    }

    /// However shards come and go at once, nothing is left behind that others
    /// would wait for.
    #[test]
    fn no_rank_outlives_its_wait() {
        let fleet = &fleet(&[1, 1, 1]);
        std::thread::scope(|scope| {
            for shard in 0..4 {
                scope.spawn(move || {
                    let mut chance = Chance::seeded(shard as u64);
                    for round in 0..20_000 {
                        let own = rank(Priority::Normal, round, shard);
                        let among = ids(&[chance.below(3), chance.below(3)]);
                        fleet.say_rank(&among, own);
                        fleet.say_rank(&among, own);
                        fleet.take_back_rank(&among, own);
                    }
                });
            }
        });
        assert!(called(fleet).is_empty());
    }
}
