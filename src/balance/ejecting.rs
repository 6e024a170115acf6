//! Which backends of a fleet are left alone: one whose health says so, as long
//! as the others bear it.

use std::{sync::atomic::Ordering, time::Duration};

use super::{BackendId, Fleet, Probed};
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
        let ejection = &self.balancing.ejection;
        let load = self.load(backend);
        load.count_failure();
        let pause = load.health.failed(ejection, now);
        let longest = pause.max(asked).filter(|pause| !pause.is_zero())?;
        if self.ejecting.swap(true, Ordering::Acquire) {
            return None; // Its next failure is soon enough.
        }
        let is_borne = self.bears_without(backend, now);
        if is_borne {
            load.health.eject(longest, pause.is_some(), now);
        }
        self.ejecting.store(false, Ordering::Release);
        is_borne.then_some(longest)
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
        if self.ejecting.swap(true, Ordering::Acquire) {
            return load.health.is_probed_unhealthy(); // The next check is soon enough.
        }
        if self.bears_without(backend, now) {
            load.health.set_probed(probed, now);
        }
        self.ejecting.store(false, Ordering::Release);
        load.health.is_probed_unhealthy()
    }
}
