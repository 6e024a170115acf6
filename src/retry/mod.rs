//! What happens after a failure: another backend, another model, or the end.
//! Pure: the time and chance are arguments; the budget, which all shards share,
//! is atomics, which know no clock.
//!
//! ```text
//! failure ──► class ──► walk ──┬─► another backend of this step
//!   (who is to blame)   │      ├─► the next step: a fallback
//!                       │      ├─► another round, after a pause
//!                     budget   └─► the end: the first error that means something
//! ```
//!
//! A client's fault (400 to 499, save 429) is the answer and no failure. Nothing
//! is asked again once the client has had a byte of an answer.

mod after;
mod budget;
mod class;
mod hedge;
mod plan;
mod walk;

pub use after::{Asked, read_after};
pub use budget::{Budget, Paid};
pub use class::{Class, Classes, Repeatable};
pub use hedge::{HedgeAfter, HedgeCap};
pub use plan::RetryPlan;
pub use walk::{Failed, Failing, GivenUp, Next, Reason, Walk};
