//! The ways to have a request answered, as the walk of its attempts sees them:
//! by which name a step's backends know the model, and which step follows when
//! it fails. As long as nothing is decided of requests there is one step, and
//! all backends are in it.

use crate::retry::Reason;

/// The steps of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ways;

impl Ways {
    /// What the backends of this step call the model, if it is not what the
    /// client has written.
    pub fn rename(self, _step: usize) -> Option<&'static str> {
        None
    }

    /// Whether it is another model's, asked because of a failure.
    pub fn is_fallback(self, step: usize) -> bool {
        step > 0
    }

    /// The step that follows when this one has failed so.
    pub fn after(self, _step: usize, _reason: Reason) -> Option<usize> {
        None
    }
}
