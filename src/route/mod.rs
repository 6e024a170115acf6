//! Which models answer a request, in which order, and why. Pure.
//!
//! ```text
//! RoutePlan ──new──► RouteTable ──head_facts(head)──► HeadFacts
//!                        │                               │
//!                        └──decide(Query, Content)◄──────┘
//!                              └──► Decision: steps, mirror, reason
//! ```
//!
//! `plan` is what the operator has said; a table is compiled from it once.
//! `decide` walks the rules, `names` says what a name means, `split` whose
//! share a conversation is, `visits` which model follows one that has failed,
//! `near` what an unknown name was meant to be.

mod complexity;
#[cfg(test)]
mod complexity_tests;
mod decide;
#[cfg(test)]
mod decide_tests;
mod decision;
mod explain;
mod head;
mod names;
mod near;
mod pattern;
mod plan;
mod split;
mod table;
mod terms;
mod visits;

pub use complexity::{Sign, complexity, complexity_at_most, signs};
pub use decide::{Content, Query, Unrouted};
pub use decision::{Cause, Decision, RuleId, SHADOWS_MAX, STEPS_MAX, Shadow, Step, Why};
pub use explain::{Explanation, Tried};
pub use head::{
    HEAD_CONDITIONS_MAX, HeadFacts, SESSION_HEADERS, SESSION_HEADERS_MAX, head_conditions,
};
pub use plan::{
    Arm, Candidate, Conditions, Fallbacks, HeaderCondition, Mirror, ModelId, ModelPlan, Pattern,
    RoutePlan, Rule, Serves,
};
pub use table::RouteTable;
