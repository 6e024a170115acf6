//! Written -> Plan, as far as the choice of a backend goes.

use super::check::check_time;
use super::error::Fault;
use super::faults::Faults;
use super::written::ModelWritten;
use super::{Balancing, Ejection, QueuePlan};
use crate::balance::{BLOCK_BYTES, PREFIX_BYTES_MAX};
use crate::base::units::{Size, Time};

/// `backends` is how many there are.
pub(super) fn check_balancing(
    written: &Balancing,
    models: &[ModelWritten],
    backends: usize,
    faults: &mut Faults,
) -> Balancing {
    const SLOTS: &str = "--decode-slots";
    let policies = models.iter().filter_map(|model| model.policy).chain([written.policy]);
    let is_asked = policies.into_iter().any(|policy| policy.asks_cost());
    if !is_asked && faults.is_typed(SLOTS) {
        // In a file it may stand for the day when the policy changes.
        let policy = written.policy.name();
        faults.add(SLOTS, written.decode_slots, Fault::PolicyWithoutSlots(policy));
    }
    faults.at_least(SLOTS, written.decode_slots, 1);
    faults.at_least("--affinity-percent", written.affinity_percent, 100);
    let prefix_bytes = check_prefix_bytes(written.prefix_bytes, backends, faults);
    if !written.slow_start.is_zero() {
        check_time("--slow-start", written.slow_start, faults);
    }
    Balancing { ejection: check_ejection(&written.ejection, faults), prefix_bytes, ..*written }
}

/// What has no slot in the table puts out what has one. The default gives way
/// where there are many backends.
fn check_prefix_bytes(bytes: usize, backends: usize, faults: &mut Faults) -> usize {
    const FLAG: &str = "--prefix-bytes";
    const MIB: usize = 1 << 20;
    faults.at_least(FLAG, Size(bytes), Size(BLOCK_BYTES));
    let most = PREFIX_BYTES_MAX / backends.max(1);
    let most = most - most % if most >= MIB { MIB } else { BLOCK_BYTES };
    if bytes <= most {
        return bytes;
    }
    if bytes != Balancing::DEFAULT.prefix_bytes || faults.is_given(FLAG) {
        let (all, most) = (Size(PREFIX_BYTES_MAX).to_string(), Size(most).to_string());
        faults.add(FLAG, Size(bytes), Fault::PrefixBytes { all, backends, most });
    }
    most
}

pub(super) fn check_queue(written: &QueuePlan, faults: &mut Faults) -> QueuePlan {
    const LENGTH: &str = "--queue-length";
    const TIMEOUT: &str = "--queue-timeout";
    let reason = "each that waits is gone past when another comes";
    faults.at_most(LENGTH, written.length, QueuePlan::LENGTH_MAX, reason);
    check_time(TIMEOUT, written.timeout, faults);
    if written.length == 0 && faults.is_given(TIMEOUT) {
        faults.add(TIMEOUT, Time(written.timeout), Fault::NobodyWaits(LENGTH));
    }
    *written
}

fn check_ejection(written: &Ejection, faults: &mut Faults) -> Ejection {
    const AFTER: &str = "--eject-after";
    const PAUSE: &str = "--eject-pause";
    const PAUSE_MAX: &str = "--eject-pause-max";
    if let Some(after) = written.after {
        let reason = "no more answers are remembered of a backend";
        faults.at_most(AFTER, after.get(), Ejection::WINDOW, reason);
    }
    if let Some(percent) = written.below_percent {
        faults.at_most(
            "--eject-below",
            percent.get(),
            99,
            "a hundred would eject at every failure",
        );
    }
    if written.after.is_none() && written.below_percent.is_none() && faults.is_given(PAUSE) {
        faults.add(PAUSE, Time(written.pause), Fault::NeverEjected(AFTER));
    }
    check_time(PAUSE, written.pause, faults);
    check_time(PAUSE_MAX, written.pause_max, faults);
    let pause = (Time(written.pause), Time(Ejection::DEFAULT.pause));
    let pause = faults.within(PAUSE, pause, PAUSE_MAX, Time(written.pause_max));
    Ejection { pause: pause.0, ..*written }
}

#[cfg(test)]
#[path = "check_balancing_tests.rs"]
mod tests;
