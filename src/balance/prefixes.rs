//! Which backend has read which beginning of a conversation lately: a table of
//! block hashes (`blocks`), shared by all shards and read without a lock.
//!
//! ```text
//! hash ─► a pair of slots ─► tag | backend, when | backend, when | … (7)
//! ```
//!
//! When is told in blocks, not in seconds: each backend counts the blocks that
//! were new to it, and one that came more than a cache full ago is taken to be
//! gone, as an engine drops what it has not used for longest. This is what the
//! approximate trees of other routers hold (Zheng et al., "SGLang", 2024,
//! section 3; Srivatsa et al., "Preble", 2024), without their nodes: a chained
//! hash stands for the whole way from the root.
//!
//! Two shards that write one slot at once may lose what one of them wrote, or
//! mix the two: an affinity that is wrong costs one request its cache.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smallvec::SmallVec;

use super::{
    BackendId,
    blocks::{BLOCK_BYTES, blocks_at},
};

/// Backends that one slot remembers; more of them have only those that read it
/// last.
const HOLDERS: usize = 7;
/// 16 MiB in all.
const SLOTS_MAX: usize = 1 << 18;
/// Text that all backends' caches may hold, for each block of it to have a slot.
pub const PREFIX_BYTES_MAX: usize = SLOTS_MAX * BLOCK_BYTES;
const SLOTS_MIN: usize = 1 << 10;
const WHEN_BITS: u32 = 48;
const EMPTY: u64 = 0;

/// One hash, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    tag: AtomicU64,
    /// The backend's place and one above, its count of blocks below.
    holders: [AtomicU64; HOLDERS],
}

/// What all shards know of who has read what.
#[derive(Debug)]
pub struct Prefixes {
    slots: Box<[Slot]>,
    /// Blocks that were new to each backend.
    read: Box<[AtomicU64]>,
    /// Blocks that a backend's cache holds.
    size: u64,
}

/// Backends that have read the beginning of a conversation, and how many of
/// its blocks.
pub type Held = SmallVec<[(BackendId, usize); HOLDERS + 1]>;

impl Prefixes {
    /// `bytes` are those of the text that one backend's cache holds.
    pub fn new(backends: usize, bytes: usize) -> Self {
        let size = (bytes / BLOCK_BYTES).max(1);
        let slots = size.saturating_mul(backends).clamp(SLOTS_MIN, SLOTS_MAX).next_power_of_two();
        Self {
            slots: (0..slots).map(|_| Slot::default()).collect(),
            read: (0..backends).map(|_| AtomicU64::new(0)).collect(),
            size: size as u64,
        }
    }

    /// Who has read how much of this conversation.
    pub fn held(&self, hashes: &[u64]) -> Held {
        let mut held = Held::new();
        let (mut known, mut unknown) = (0, hashes.len());
        // Who has read a block has read those before it: the deepest known one
        // is found by halving.
        while known < unknown {
            let middle = known + (unknown - known) / 2;
            if self.look(hashes, middle, &mut held) {
                known = middle + 1;
            } else {
                unknown = middle;
            }
        }
        // Others may have read less of it: what many conversations begin with.
        let mut place = known / 2;
        while place > 0 {
            self.look(hashes, place - 1, &mut held);
            place /= 2;
        }
        held
    }

    /// This backend reads the conversation from now on.
    pub fn note(&self, hashes: &[u64], backend: BackendId) {
        let Some(read) = self.read.get(backend.0) else { return };
        let mut before = 0;
        for (place, &hash) in hashes.iter().enumerate() {
            let blocks = blocks_at(place);
            if self.slot_for(hash).note(hash, backend, read, self.size) {
                read.fetch_add((blocks - before) as u64, Relaxed);
            }
            before = blocks;
        }
    }

    /// The backend has lost its cache.
    pub fn forget(&self, backend: BackendId) {
        if let Some(read) = self.read.get(backend.0) {
            read.fetch_add(self.size + 1, Relaxed);
        }
    }

    /// Adds who holds the block at this place. Says whether anybody does.
    fn look(&self, hashes: &[u64], place: usize, held: &mut Held) -> bool {
        let Some(&hash) = hashes.get(place) else { return false };
        let Some(slot) = self.pair(hash).iter().find(|slot| slot.tag.load(Relaxed) == hash) else {
            return false;
        };
        let mut any = false;
        for holder in &slot.holders {
            let Some(backend) = self.live(holder.load(Relaxed)) else { continue };
            any = true;
            let blocks = blocks_at(place);
            match held.iter_mut().find(|(one, _)| *one == backend) {
                Some((_, most)) => *most = blocks.max(*most),
                None => held.push((backend, blocks)),
            }
        }
        any
    }

    /// Whose entry this is, if its cache still has the block.
    fn live(&self, entry: u64) -> Option<BackendId> {
        let backend = backend_of(entry)?;
        let read = self.read.get(backend.0)?.load(Relaxed);
        (read.saturating_sub(when(entry)) <= self.size).then_some(backend)
    }

    fn pair(&self, hash: u64) -> &[Slot] {
        // The tag is the whole hash, so that any of its bits may choose.
        let first = hash as usize & (self.slots.len() - 1) & !1;
        self.slots.get(first..first + 2).unwrap_or_default()
    }

    /// The slot that has the hash, else one to put it in: one whose holders
    /// have all dropped it, or either of the two.
    fn slot_for(&self, hash: u64) -> &Slot {
        let pair = self.pair(hash);
        let is_free = |slot: &&Slot| {
            slot.holders.iter().all(|holder| self.live(holder.load(Relaxed)).is_none())
        };
        let either = usize::from(hash >> 63 == 1) % pair.len().max(1);
        let found = pair.iter().find(|slot| slot.tag.load(Relaxed) == hash);
        found.or_else(|| pair.iter().find(is_free)).unwrap_or(&pair[either])
    }
}

impl Slot {
    /// This backend reads the block. Says whether that is new to it.
    fn note(&self, hash: u64, backend: BackendId, read: &AtomicU64, size: u64) -> bool {
        if self.tag.load(Relaxed) != hash {
            self.tag.store(hash, Relaxed);
            self.holders.iter().for_each(|holder| holder.store(EMPTY, Relaxed));
        }
        let now = read.load(Relaxed) & ((1 << WHEN_BITS) - 1);
        let entry = (backend.0 as u64 + 1) << WHEN_BITS | now;
        let own = |holder: &&AtomicU64| backend_of(holder.load(Relaxed)) == Some(backend);
        if let Some(holder) = self.holders.iter().find(own) {
            let is_new = now.saturating_sub(when(holder.load(Relaxed))) > size;
            holder.store(entry, Relaxed);
            return is_new;
        }
        let free = self.holders.iter().find(|holder| holder.load(Relaxed) == EMPTY);
        // Whoever is put out may have read it later than others: their counts
        // are not to be compared.
        let any = &self.holders[backend.0 % HOLDERS];
        free.unwrap_or(any).store(entry, Relaxed);
        true
    }
}

fn backend_of(entry: u64) -> Option<BackendId> {
    ((entry >> WHEN_BITS) as usize).checked_sub(1).map(BackendId)
}

fn when(entry: u64) -> u64 {
    entry & ((1 << WHEN_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::seat::mix;

    /// The hashes of a conversation that begins like `of` and is told apart
    /// after so many of them.
    fn conversation(of: u64, length: usize) -> Vec<u64> {
        (0..length as u64).map(|place| mix(of << 20 | place)).collect()
    }

    fn held(prefixes: &Prefixes, hashes: &[u64]) -> Vec<(usize, usize)> {
        let mut held: Vec<_> =
            prefixes.held(hashes).into_iter().map(|(id, blocks)| (id.0, blocks)).collect();
        held.sort_unstable();
        held
    }

    #[test]
    fn who_has_read_a_beginning_is_found() {
        let prefixes = Prefixes::new(8, 1 << 20);
        let talk = conversation(1, 40);
        assert_eq!(held(&prefixes, &talk), []);
        prefixes.note(&talk[..20], BackendId(3));
        assert_eq!(held(&prefixes, &talk), [(3, 20)]);
        assert_eq!(held(&prefixes, &talk[..7]), [(3, 7)]);
        prefixes.note(&talk, BackendId(5));
        assert_eq!(held(&prefixes, &talk).last(), Some(&(5, blocks_at(39))));
        assert_eq!(held(&prefixes, &conversation(2, 9)), []);
        assert_eq!(held(&prefixes, &[]), []);
    }

    #[test]
    fn who_has_only_read_what_all_begin_with_is_found_too() {
        let prefixes = Prefixes::new(8, 1 << 20);
        let talk = conversation(1, 30);
        prefixes.note(&talk[..8], BackendId(0));
        prefixes.note(&talk, BackendId(1));
        let held = held(&prefixes, &talk);
        assert_eq!(held[1], (1, 30));
        assert!(held[0].0 == 0 && (4..=8).contains(&held[0].1), "{held:?}");
    }

    #[test]
    fn a_cache_that_is_full_drops_what_was_not_used_for_longest() {
        // A hundred blocks.
        let prefixes = Prefixes::new(2, 100 * BLOCK_BYTES);
        let (old, used) = (conversation(1, 10), conversation(2, 10));
        prefixes.note(&old, BackendId(0));
        prefixes.note(&used, BackendId(0));
        for talk in 3..12 {
            prefixes.note(&conversation(talk, 10), BackendId(0));
            prefixes.note(&used, BackendId(0));
        }
        assert_eq!(held(&prefixes, &used), [(0, 10)]);
        assert_eq!(held(&prefixes, &old), []);
        prefixes.forget(BackendId(0));
        assert_eq!(held(&prefixes, &used), []);
        prefixes.note(&used, BackendId(0));
        assert_eq!(held(&prefixes, &used), [(0, 10)], "it has read it again");
    }

    #[test]
    fn the_table_is_bounded_however_much_is_read() {
        let prefixes = Prefixes::new(usize::from(u16::MAX), usize::MAX);
        assert_eq!(size_of_val(&*prefixes.slots), 16 << 20);
        let small = Prefixes::new(1, 0);
        for talk in 0..5000 {
            small.note(&conversation(talk, 10), BackendId(0));
        }
        assert_eq!(small.slots.len(), SLOTS_MIN);
    }

    #[test]
    fn more_backends_than_a_slot_remembers_read_in_turn() {
        let prefixes = Prefixes::new(20, 1 << 20);
        let talk = conversation(1, 4);
        for backend in 0..20 {
            prefixes.note(&talk, BackendId(backend));
            assert!(held(&prefixes, &talk).contains(&(backend, 4)));
        }
        assert_eq!(held(&prefixes, &talk).len(), HOLDERS);
    }

    #[test]
    fn shards_that_write_at_once_leave_a_table_that_can_be_read() {
        let prefixes = Prefixes::new(4, 64 * BLOCK_BYTES);
        std::thread::scope(|scope| {
            for backend in 0..4 {
                let prefixes = &prefixes;
                scope.spawn(move || {
                    for talk in 0..2000 {
                        prefixes.note(&conversation(talk % 50, 40), BackendId(backend));
                        let held = prefixes.held(&conversation(talk % 50, 40));
                        assert!(held.iter().all(|(id, blocks)| id.0 < 4 && *blocks <= 48));
                    }
                });
            }
        });
    }
}
