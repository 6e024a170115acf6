//! What each model has: names, candidates, and who answers in its stead.

use super::balancing::{POLICIES, POLICY_WORDS};
use super::lists::Listed;
use super::{Choice, Group, Number, Place, Switch, of_table};
use crate::config::words::count;
use crate::config::written::{CandidateWritten, ModelWritten};

const fn of_model(place: &'static Place<ModelWritten>) -> &'static dyn Listed {
    place
}

const fn of_candidate(place: &'static Place<CandidateWritten>) -> &'static dyn Listed {
    place
}

pub(super) const MODELS: Group = Group {
    heading: "Models (in the file)",
    settings: &[
        of_table(
            "model.name",
            "chat",
            "What clients call it; one * in it is any part of a name",
            of_model(&Place::OptionalText(["NAME", ""], |w| &mut w.name)),
        ),
        of_table(
            "model.aliases",
            "gpt-4o gpt-4*",
            "Other names for it",
            of_model(&Place::Texts("NAME", |w| &mut w.aliases)),
        ),
        of_table(
            "model.sticky",
            "false",
            "Whether a conversation stays with the candidate that it began with",
            of_model(&Place::Switch(Switch {
                flag_says: true,
                is_on: |w| w.sticky,
                turn: |w, on| w.sticky = on,
            })),
        ),
        of_table(
            "model.policy",
            "least_in_flight",
            "How a backend is chosen for it",
            of_model(&Place::Choice(Choice {
                unit: "POLICY",
                words: &POLICY_WORDS,
                unset: "balancing.policy",
                at: |w| POLICIES.iter().position(|policy| Some(*policy) == w.policy),
                choose: |w, index| w.policy = POLICIES.get(index).copied(),
            })),
        ),
        of_table(
            "model.fallbacks",
            "qwen-small",
            "Models that answer when its backends fail or have no room, in this order",
            of_model(&Place::Texts("NAME", |w| &mut w.fallbacks)),
        ),
        of_table(
            "model.context_window_fallbacks",
            "qwen-long",
            "The same when the prompt is longer than it reads",
            of_model(&Place::Texts("NAME", |w| &mut w.context_window_fallbacks)),
        ),
        of_table(
            "model.content_policy_fallbacks",
            "qwen-other",
            "The same when its provider declines to answer",
            of_model(&Place::Texts("NAME", |w| &mut w.content_policy_fallbacks)),
        ),
        of_table(
            "model.candidates.model",
            "llama-3-70b",
            "The name that its backends are sent",
            of_candidate(&Place::OptionalText(["NAME", "what the client wrote"], |w| &mut w.model)),
        ),
        of_table(
            "model.candidates.backends",
            "gpu-1",
            "Backends by their names; without this, all that serve the name",
            of_candidate(&Place::Texts("NAME", |w| &mut w.backends)),
        ),
        of_table(
            "model.candidates.weight",
            "3",
            "Its share among the candidates of the same order",
            of_candidate(&Place::Number(Number {
                read: |w, word| count(word).map(|count| w.weight = count),
                show: |w| w.weight.to_string(),
            })),
        ),
        of_table(
            "model.candidates.order",
            "1",
            "The lowest order is asked first, the others when that has failed",
            of_candidate(&Place::Number(Number {
                read: |w, word| count(word).map(|count| w.order = count),
                show: |w| w.order.to_string(),
            })),
        ),
    ],
};
