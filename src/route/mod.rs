//! Which models answer a request, in which order, and why. Pure.
//!
//! `plan` is what the operator has said; a table is compiled from it once.

mod plan;

pub use plan::{
    Arm, Candidate, Conditions, Fallbacks, HeaderCondition, Mirror, ModelId, ModelPlan, Pattern,
    RoutePlan, Rule, Serves,
};
