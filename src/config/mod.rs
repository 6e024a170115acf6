//! From what was written to the checked Plan.
//!
//! Pure: the machine's facts (allowed cores, open-file limit) are arguments,
//! nothing here reads a file, the environment or a clock.

mod mock_plan;
mod plan;

pub use mock_plan::{MockPlan, MockScript};
pub use plan::{
    Address, BackendAddress, BackendPlan, Deadlines, DriverChoice, HeaderPlan, Host, Limits, Plan,
    PoolPlan, RingPlan,
};
