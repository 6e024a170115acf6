//! How hard a request looks, from 0 to 1. No model and no language: sizes and
//! counts, each of which says a little.
//!
//! Each sign brings the score a part of the way from where it is to 1, its
//! weight times its strength: signs add up, none alone decides, and more of
//! anything never makes a request easier.
//!
//! ```text
//! score = 1 - (1 - w₁·s₁) · (1 - w₂·s₂) · …
//! ```

use crate::llm::{Depth, Features};

/// A sign of work to come: how strong it is in this request, and how much it
/// counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sign {
    pub name: &'static str,
    /// From 0 to 1.
    pub strength: f32,
    pub weight: f32,
}

/// A long prompt takes the longest to read, and most to keep in mind.
const LENGTH: f32 = 0.40;
/// A conversation that goes on is seldom a greeting.
const TURNS: f32 = 0.12;
const CODE: f32 = 0.35;
/// Who offers tools wants several steps.
const TOOLS: f32 = 0.25;
const SCHEMA: f32 = 0.10;
const QUESTIONS: f32 = 0.10;
/// Words that ask for reasons, plans and steps.
const MARKERS: f32 = 0.45;
const OUTPUT: f32 = 0.08;
/// The client has said itself how much thought it wants.
const EFFORT: f32 = 0.35;

/// Tokens from which a prompt has length, and from which more says no more.
const TOKENS: (f32, f32) = (64.0, 16_000.0);
const TURNS_MANY: f32 = 20.0;
/// Braces among a thousand bytes, in code.
const BRACES_MANY: f32 = 30.0;
/// What a fence says for itself.
const FENCE: f32 = 0.6;
/// What the first tool says, and how many say it all.
const FIRST_TOOL: f32 = 0.5;
const TOOLS_MANY: f32 = 8.0;
const QUESTIONS_MANY: f32 = 4.0;
const MARKERS_MANY: f32 = 5.0;
/// Tokens of an answer from which it is long, and from which it is very long.
const OUTPUT_TOKENS: (f32, f32) = (512.0, 32_000.0);
const EFFORT_HIGH: f32 = 3.0;

/// All signs of a request.
#[must_use]
pub fn signs(features: &Features) -> [Sign; 9] {
    let sign = |name, weight, strength: f32| Sign { name, strength, weight };
    let many = |count: u32, many: f32| (count as f32 / many).min(1.0);
    let fence = if features.fences > 0 { FENCE } else { 0.0 };
    let code = (fence + many(features.braces_per_thousand, BRACES_MANY)).min(1.0);
    let tools = match features.tools {
        0 => 0.0,
        more => FIRST_TOOL + (1.0 - FIRST_TOOL) * many(more - 1, TOOLS_MANY - 1.0),
    };
    [
        sign("length", LENGTH, long(features.prompt_tokens, TOKENS)),
        sign("turns", TURNS, many(features.turns.saturating_sub(1), TURNS_MANY)),
        sign("code", CODE, code),
        sign("tools", TOOLS, tools),
        sign("schema", SCHEMA, f32::from(u8::from(features.schema))),
        sign("questions", QUESTIONS, many(features.questions, QUESTIONS_MANY)),
        sign("markers", MARKERS, many(features.markers, MARKERS_MANY)),
        sign("output", OUTPUT, long(features.max_tokens.unwrap_or_default(), OUTPUT_TOKENS)),
        sign("effort", EFFORT, many(features.effort, EFFORT_HIGH)),
    ]
}

/// The score of a request.
#[must_use]
pub fn complexity(features: &Features) -> f32 {
    complexity_at_most(&Features { depth: Depth::Words, ..*features })
}

/// The score that a request has at most, as far as its features are known: those
/// that are not yet may be as strong as they get. Never less than
/// [`complexity`], as rounding keeps the order of numbers.
#[must_use]
pub fn complexity_at_most(features: &Features) -> f32 {
    let left = |left, (sign, read): (&Sign, &Depth)| {
        let strength = if features.depth < *read { 1.0 } else { sign.strength };
        left * (1.0 - sign.weight * strength)
    };
    1.0 - signs(features).iter().zip(&READ_AT).fold(1.0, left)
}

/// When what a sign says is known, in their order.
const READ_AT: [Depth; 9] = {
    use Depth::{Counts, Sizes, Words};
    [Sizes, Counts, Counts, Counts, Sizes, Words, Words, Sizes, Sizes]
};

/// Doubling says the same whether it is from a hundred or from a thousand.
fn long(tokens: u64, (short, long): (f32, f32)) -> f32 {
    ((1.0 + tokens as f32 / short).ln() / (1.0 + long / short).ln()).min(1.0)
}
