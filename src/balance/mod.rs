//! Which backend answers. Pure: the time is an argument.

mod round_robin;

pub use round_robin::{BackendId, RoundRobin};
