//! From what was written to the checked Plan.
//!
//! Pure: the machine's facts (allowed cores, open-file limit) are arguments,
//! nothing here knows the environment or a clock, and `load.rs` alone reads
//! files.
//!
//! ```text
//! file ──► Written ◄── flags, which win
//!             │ check(machine)
//!             ▼
//!           Plan, or every PlanError at once
//!             │ load
//!             ▼
//!         TlsFiles ──check(now)──► TlsMaterial
//! ```

mod address;
mod check;
mod check_backends;
mod check_balancing;
mod check_mock;
mod check_models;
mod check_probes;
mod check_retry;
mod check_routes;
mod check_shares;
mod check_tls;
mod cores;
mod error;
mod fallback_cycles;
mod faults;
mod file;
mod file_fault;
mod given;
pub mod import;
mod in_force;
mod keys;
mod list;
mod listed;
mod load;
mod material;
mod mock_plan;
mod named;
mod nearest;
mod pattern;
mod plan;
mod quick;
mod quick_fault;
mod quick_table;
mod reach;
mod reference;
mod route_fault;
mod route_written;
mod settings;
mod sight;
mod spread;
mod startup;
mod tls_plan;
mod unsure;
mod words;
mod written;

pub use check::check;
pub use check_mock::check_mock;
pub use cores::CoreList;
pub use error::{Fault, PlanError};
pub use file::ConfigFile;
pub use given::{Given, Told};
pub use in_force::{FileInForce, Look, Taken, TypeFlags};
pub use keys::KeySource;
pub use load::{
    check_file_and_flags, check_with_files, look_and_check, read_config, read_files, read_foreign,
    system_authorities,
};
pub use material::{BackendMaterial, SystemAuthorities, TlsFiles, TlsMaterial};
pub use mock_plan::{MockPlan, MockPrefill, MockScript};
pub use plan::{Address, BackendAddress, BackendPlan, Host, ModelSettings, Plan, RingPlan};
pub use quick::{Typed, write_typed};
pub use quick_fault::QuickFault;
pub use quick_table::{THEIRS, Takes, Theirs};
pub use reference::reference;
pub use route_fault::{Near, RouteFault};
pub use settings::{Form, GROUPS, Group, Misread, Setting, by_id, settings};
pub use sight::Sight;
pub use spread::{Addresses, names_to_spread, spread};
pub use startup::{danger_lines, startup_line};
pub use tls_plan::{BackendTlsPlan, ClientAuthPlan, PairFiles, ServerTlsPlan, TlsPlan};
pub use words::{NotCount, count};
pub use written::{
    ArmWritten, BackendTlsWritten, BackendWritten, CandidateWritten, Machine, MirrorWritten,
    MockWritten, ModelWritten, NamedWritten, RouteWritten, TlsWritten, WhenWritten, Written,
};

pub use crate::balance::{Balancing, Ejection, Policy};
pub use crate::exchange::{Credentials, Deadlines, HeaderPlan, Limits, PoolPlan, QueuePlan};
pub use crate::probe::{EnginePlan, HealthPlan, ProbePlan};
pub use crate::retry::RetryPlan;
pub use crate::rt::DriverChoice;
pub use crate::tls::{ClientAuth, MinVersion, Verification};
