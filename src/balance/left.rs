//! Backends that have left the plan, and may work on its requests still: each
//! is known as long as a plan of its time is in use, as requests are that are
//! told by it.

use std::sync::{Arc, Weak};

use super::{load::Load, seat::Seat};

/// Backends that have left and are known still, the latest last.
#[derive(Clone, Debug, Default)]
pub struct Left(Vec<(Seat, Weak<Load>)>);

/// Those that are known still have requests under way, or others of their time
/// have, so that there are few. Of more, the latest are known.
const LEFT_MAX: usize = 1024;

impl Left {
    pub fn add(&mut self, seat: Seat, load: &Arc<Load>) {
        self.0.push((seat, Arc::downgrade(load)));
    }

    /// The one at this place that comes back, and of several the one of this
    /// name.
    pub fn take(&mut self, seat: &Seat) -> Option<Arc<Load>> {
        let find = |is_it: &dyn Fn(&Seat) -> bool| {
            self.0.iter().position(|(left, _)| left.place == seat.place && is_it(left))
        };
        let found = find(&|left| left.key == seat.key).or_else(|| find(&|_| true))?;
        self.0.remove(found).1.upgrade()
    }

    /// Forgets whom no plan knows any more.
    pub fn forget(&mut self) {
        self.0.retain(|(_, load)| load.strong_count() > 0);
        self.0.drain(..self.0.len().saturating_sub(LEFT_MAX));
    }
}
