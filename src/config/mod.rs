//! From what was written to the checked Plan.
//!
//! Pure: the machine's facts (allowed cores, open-file limit) are arguments,
//! nothing here reads a file, the environment or a clock.
//!
//! ```text
//! cli flags ──► Written ──check(machine)──► Plan, or every PlanError at once
//! ```

mod address;
mod check;
mod check_mock;
mod cores;
mod error;
mod mock_plan;
mod plan;
mod startup;
mod written;

pub use check::check;
pub use check_mock::check_mock;
pub use cores::CoreList;
pub use error::{Fault, PlanError};
pub use mock_plan::{MockPlan, MockScript};
pub use plan::{Address, BackendAddress, BackendPlan, Host, Plan, RingPlan};
pub use startup::startup_line;
pub use written::{Machine, MockWritten, Written};

pub use crate::exchange::{Credentials, Deadlines, HeaderPlan, Limits, PoolPlan};
pub use crate::rt::DriverChoice;
