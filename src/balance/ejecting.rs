//! Which backends of a fleet are left alone: one whose health says so, as long
//! as the others bear it.

use std::{sync::atomic::Ordering, time::Duration};

use super::{BackendId, Fleet, ModelKey, Probed, apart::Slot};
use crate::base::Instant;

impl Fleet {
    /// How long a backend is left alone that asks for so long.
    pub(super) fn bearable(&self, asked: Duration) -> Duration {
        asked.min(self.balancing.ejection.pause_max)
    }

    /// A backend has failed. It may have asked to be left alone for a time.
    /// Returns for how long it is, if it is from now on.
    pub(super) fn judge(
        &self,
        backend: BackendId,
        asked: Option<Duration>,
        now: Instant,
    ) -> Option<Duration> {
        let load = self.load(backend);
        load.count_failure();
        let pause = load.health.failed(&self.balancing.ejection, now);
        let longest = pause.max(asked).filter(|pause| !pause.is_zero())?;
        let eject = || load.health.eject(longest, pause.is_some(), now);
        self.unless_needed(backend, None, eject, now).then_some(longest)
    }

    /// The same, where it has no room for this model.
    pub(super) fn judge_for(
        &self,
        backend: BackendId,
        (model, slot): (ModelKey, &Slot),
        asked: Option<Duration>,
        now: Instant,
    ) -> Option<Duration> {
        let load = self.load(backend);
        load.count_failure();
        let pause = slot.health.failed(&self.balancing.ejection, now);
        let longest = pause.max(asked).filter(|pause| !pause.is_zero())?;
        let eject = || load.eject_for(slot, longest, pause.is_some(), now);
        self.unless_needed(backend, Some(model), eject, now).then_some(longest)
    }

    /// Leaves a backend alone, if others bear what this model asks of it. Says
    /// whether it did.
    fn unless_needed(
        &self,
        backend: BackendId,
        model: Option<ModelKey>,
        eject: impl FnOnce(),
        now: Instant,
    ) -> bool {
        if self.ejecting.swap(true, Ordering::Acquire) {
            return false; // Its next failure is soon enough.
        }
        let is_borne = self.bears_without(backend, model, now);
        if is_borne {
            eject();
        }
        self.ejecting.store(false, Ordering::Release);
        is_borne
    }

    /// What active checks have found of a backend: to be told each time they
    /// find it, as an unhealthy one is only left out while half of those that
    /// stand in for each other are there. Says whether it is left out.
    pub fn set_probed(&self, backend: BackendId, probed: Probed, now: Instant) -> bool {
        let Some(load) = self.loads.get(backend.0) else { return false };
        if probed == Probed::Healthy {
            load.health.set_probed(probed, now);
            return false;
        }
        // If not now, the next check is soon enough.
        self.unless_needed(backend, None, || load.health.set_probed(probed, now), now);
        load.health.is_probed_unhealthy()
    }
}
