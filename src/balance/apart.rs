//! What a backend has no room for, model by model: a provider's limits are
//! each model's own, so that one which is spent says nothing of the others.
//!
//! A few models of each backend are told apart at once. Each has a slot, with a
//! health of its own, until nothing was heard of it for a while. When more of
//! them are in use the backend has no room at all, as far as we can see.
//! Without a lock: a slot is taken by one exchange, and what another shard
//! notes there at that moment is lost, which estimates bear.

use std::{
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{cost::PEAK_DECAY, estimate::Estimate, health::Health, load::Load, seat::mix};
use crate::base::Instant;

/// Models of one backend that are told apart at once.
const SLOTS: usize = 8;
/// How long a model is remembered that had no room: as long as a rate limit
/// counts, which is mostly a minute.
const KEPT: Duration = Duration::from_secs(60);

/// Stands for a model's name, as a backend is asked for it. Two names that
/// have the same are taken for one, and pass a backend over together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelKey(NonZeroU64);

impl ModelKey {
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let (words, rest) = name.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
        let key = words.fold(name.len() as u64, |key, word| mix(key ^ word));
        Self(NonZeroU64::new(key).unwrap_or(NonZeroU64::MAX))
    }
}

/// One backend's models that have had no room lately. Whether there are any
/// stands in the backend's health, which is looked at anyway.
#[derive(Debug, Default)]
pub struct Apart {
    slots: [Slot; SLOTS],
}

/// One of them.
#[derive(Debug, Default)]
pub struct Slot {
    /// Zero is none.
    model: AtomicU64,
    /// It is this model's until then, and anybody's afterwards.
    kept_until: AtomicU64,
    pub health: Health,
    /// Seconds that failures make the backend look slower for this model.
    pub penalty: Estimate,
}

impl Apart {
    fn find(&self, model: ModelKey) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.model.load(Relaxed) == model.0.get())
    }

    fn take(&self, model: ModelKey, now: Instant) -> Option<&Slot> {
        let is_taken = |slot: &&Slot| {
            let before = slot.model.load(Relaxed);
            slot.kept_until.load(Relaxed) <= now.as_nanos()
                && slot.model.compare_exchange(before, model.0.get(), Relaxed, Relaxed).is_ok()
        };
        let slot = self.slots.iter().find(is_taken)?;
        slot.health.forget();
        slot.penalty.forget();
        Some(slot)
    }
}

impl Load {
    /// What is known of a model that had no room lately.
    #[inline]
    pub fn apart(&self, model: Option<ModelKey>, now: Instant) -> Option<&Slot> {
        if !self.health.tells_apart(now) {
            return None;
        }
        self.apart.find(model?)
    }

    /// Whether nothing speaks against sending it a request of this model.
    #[inline]
    pub fn is_well(&self, model: Option<ModelKey>, now: Instant) -> bool {
        let is_ejected = || self.apart(model, now).is_some_and(|slot| slot.health.is_ejected(now));
        self.health.is_well(now) && !is_ejected()
    }

    /// Whether it is left out, by this model at least.
    pub fn is_out(&self, model: Option<ModelKey>, now: Instant) -> bool {
        let is_ejected = || self.apart(model, now).is_some_and(|slot| slot.health.is_ejected(now));
        self.health.is_out(now) || is_ejected()
    }

    /// Seconds that its failures make it look slower for this model.
    #[inline]
    pub fn penalty(&self, model: Option<ModelKey>, now: Instant) -> f32 {
        let own = self.penalty.drifting(0.0, now, PEAK_DECAY);
        match self.apart(model, now) {
            Some(slot) => own.max(slot.penalty.drifting(0.0, now, PEAK_DECAY)),
            None => own,
        }
    }

    /// How many models leave it alone.
    pub fn ejected_models(&self, now: Instant) -> usize {
        self.apart.slots.iter().filter(|slot| slot.health.is_ejected(now)).count()
    }

    /// Where to note that it has no room for a model; `None` if too many others
    /// have had none lately.
    pub fn tell_apart(&self, model: ModelKey, now: Instant) -> Option<&Slot> {
        let slot = self.apart.find(model).or_else(|| self.apart.take(model, now))?;
        self.keep(slot, now.after(KEPT));
        Some(slot)
    }

    /// It is left alone by this model from now on.
    pub fn eject_for(&self, slot: &Slot, pause: Duration, counts: bool, now: Instant) {
        slot.health.eject(pause, counts, now);
        self.keep(slot, now.after(pause).after(KEPT));
    }

    fn keep(&self, slot: &Slot, until: Instant) {
        slot.kept_until.fetch_max(until.as_nanos(), Relaxed);
        self.health.tell_apart(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Instant {
        Instant::default().after(Duration::from_secs(seconds))
    }

    fn key(n: usize) -> ModelKey {
        ModelKey::of(format!("model-{n}").as_bytes())
    }

    #[test]
    fn names_that_differ_in_a_byte_have_other_keys() {
        for (one, other) in
            [("gpt-4", "gpt-5"), ("gpt-4o", "gpt-4"), ("12345678", "1234567"), ("", "\0")]
        {
            let (one, other) = (ModelKey::of(one.as_bytes()), ModelKey::of(other.as_bytes()));
            assert_ne!(one, other);
        }
        assert_eq!(key(1), key(1));
    }

    #[test]
    fn a_model_that_has_no_room_says_nothing_of_the_others() {
        let load = Load::default();
        let slot = load.tell_apart(key(1), at(1)).unwrap();
        slot.penalty.set(5.0, at(1));
        load.eject_for(slot, PAUSE, false, at(1));
        for (model, seconds, is_well) in [
            (Some(key(1)), 2, false),
            (Some(key(1)), 30, false),
            (Some(key(1)), 31, true),
            (Some(key(2)), 2, true),
            (None, 2, true),
        ] {
            assert_eq!(load.is_well(model, at(seconds)), is_well, "{model:?} at {seconds}");
            assert_eq!(load.is_out(model, at(seconds)), !is_well, "{model:?} at {seconds}");
        }
        assert!(load.penalty(Some(key(1)), at(2)) > 4.0);
        assert_eq!((load.penalty(Some(key(2)), at(2)), load.penalty(None, at(2))), (0.0, 0.0));
        assert_eq!((load.ejected_models(at(2)), load.ejected_models(at(31))), (1, 0));
    }

    #[test]
    fn few_are_told_apart_and_none_for_ever() {
        let load = Load::default();
        for model in 0..SLOTS {
            let slot = load.tell_apart(key(model), at(1)).unwrap();
            load.eject_for(slot, PAUSE, true, at(1));
        }
        assert!(load.tell_apart(key(SLOTS), at(60)).is_none(), "they are known still");
        assert!(load.apart(Some(key(0)), at(90)).is_some());
        let later = at(1 + 30 + 60 + 2);
        assert!(load.apart(Some(key(0)), later).is_none());
        let anew = load.tell_apart(key(SLOTS), later).unwrap();
        assert!(!anew.health.is_on_probation(), "what was known of another is forgotten");
        assert!(load.is_well(Some(key(SLOTS)), later));
    }
}
