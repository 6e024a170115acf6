//! What the bytes mean: dialects, peek, usage, errors. Pure, and on the hot
//! path: nothing here allocates for an ordinary request or event.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))] // these are bytes from the network

mod complaint;
mod dialect;
mod fuzz;
mod models;
mod peek;
mod reading;
mod refusal;
mod tee;
mod trouble;
pub mod usage;

pub use complaint::{Complaint, read_complaint};
pub use dialect::{Dialect, Endpoint, StreamEnd};
#[doc(hidden)]
pub use fuzz::{fuzz_json_peek, fuzz_sse};
pub use models::{Paging, decoded, write_model, write_models};
pub use peek::{Hints, MODEL_BYTES_MAX, Model, Peek, PeekFault, is_json, peek, peek_unknown};
pub use reading::{Depth, Features, Reading};
pub use refusal::{write_cut_event, write_error_body};
pub use tee::{BodyTee, End, First, FirstEvent, StreamTee, TAIL_BYTES};
pub use trouble::{Advice, Trouble};
pub use usage::Usage;
