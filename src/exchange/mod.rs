//! The story of one request, one file per verb. Read from top to bottom:
//!
//! 1. `understand`, `travel`, `body`: what is asked. The head is parsed, the
//!    body read to its limit and skimmed.
//! 2. `permit`: is there room for it.
//! 3. `attempt`, `ways`, `errand`, `ask`, `converse`, `hold`, `link`, `pool`: a
//!    backend is chosen and asked, and another one if it fails; `hedge`: or if
//!    it is late; `queue`, `bells`: where all are full, a place is waited for.
//!    `mirror` sends a copy elsewhere, beside all that.
//! 4. `answer`: the backend's head, written anew for the client.
//! 5. `relay`, `pass`, `tee`: every byte as it comes; usage and the end are
//!    read along.
//! 6. `settle`, `verdict`: what it came to, counted exactly once, and what that
//!    says of the backend.
//! 7. `refuse`: the only room where a fault becomes an answer.
//!
//! `client`, `watch` and `inbound` are what a connection brings to each of its requests,
//! `stage` is what all requests of a shard share that are told by one plan,
//! `ground` what all of them share, `generation` what a shard is told of a plan. All is generic over the world
//! (`rt::World`), so the same story runs on a kernel and in a simulation.

mod answer;
mod ask;
mod attempt;
mod bells;
mod body;
mod choose;
mod client;
mod connect;
mod conversation;
mod converse;
mod counters;
mod errand;
mod generation;
mod ground;
mod hedge;
mod hold;
pub mod inbound;
mod link;
mod mirror;
mod outgoing;
mod own_fields;
pub mod pages;
mod pass;
mod peers;
mod permit;
mod pool;
mod queue;
mod refuse;
mod relay;
mod request_id;
mod rule_counts;
mod send;
mod settings;
mod settle;
mod stage;
mod story;
mod tee;
mod travel;
mod understand;
mod verdict;
mod watch;
mod ways;

pub use body::{consume, receive};
pub use client::Client;
pub use counters::{Counter, Counters, Kind};
pub use generation::Generation;
pub use ground::{Common, Ground, Queued};
pub use peers::peers;
pub use queue::look_again;
pub use rule_counts::RuleCounts;
pub use settings::{
    BackendSettings, Credential, Credentials, Deadlines, HeaderPlan, Host, Limits, PoolPlan,
    QueuePlan, Settings,
};
pub use stage::Stage;
pub use story::{After, refuse_head, tell};
pub use understand::{Asker, asker_of, too_large};
pub use watch::{Interrupt, Wait};
