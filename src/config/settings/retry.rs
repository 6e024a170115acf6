//! What happens when a backend fails.

use super::{Group, Number, Place, of_process};
use crate::config::words::count;

pub(super) const RETRIES: Group = Group {
    heading: "When a backend fails",
    settings: &[
        of_process(
            "retry.attempts",
            "--retry-attempts",
            "5",
            "How often backends are asked for one request, for each model that may answer; 1 is \
             never again, but each candidate and fallback is asked once all the same, and a \
             connection that could not be made is no attempt. After three cuts before a byte of \
             an answer nobody is asked",
            Place::Number(Number {
                read: |w, word| count(word).map(|count| w.retry.attempts = count),
                show: |w| w.retry.attempts.to_string(),
            }),
        ),
        of_process(
            "retry.on",
            "--retry-on",
            "connect cut no_room",
            "The failures after which another backend is asked, before the client has had a byte",
            Place::Texts("CLASS", |w| &mut w.retry_on),
        ),
        of_process(
            "retry.budget_percent",
            "--retry-budget-percent",
            "10",
            "The most further attempts in a hundred recent requests, and a few a second besides",
            Place::Number(Number {
                read: |w, word| count(word).map(|count| w.retry.budget_percent = count),
                show: |w| w.retry.budget_percent.to_string(),
            }),
        ),
        of_process(
            "retry.backoff",
            "--retry-backoff",
            "100ms",
            "The longest pause before backends that have failed are asked again; it doubles",
            Place::Time(|w| &mut w.retry.backoff),
        ),
        of_process(
            "retry.backoff_max",
            "--retry-backoff-max",
            "2s",
            "The longest such pause of all",
            Place::Time(|w| &mut w.retry.backoff_max),
        ),
        of_process(
            "retry.retry_after_max",
            "--retry-after-max",
            "10s",
            "The longest wait that a backend may ask for, when no other is left to ask",
            Place::Time(|w| &mut w.retry.retry_after_max),
        ),
        of_process(
            "retry.hedge_after",
            "--hedge-after",
            "2s",
            "When another backend is asked beside one that has not begun to answer a model's \
             request: after a time, or so many times what a stream's first token takes, as in 3x",
            Place::OptionalText(["TIME", "never"], |w| &mut w.hedge_after),
        ),
        of_process(
            "retry.hedge_percent_max",
            "--hedge-percent-max",
            "10",
            "The most backends asked so in a hundred requests",
            Place::Number(Number {
                read: |w, word| count(word).map(|count| w.retry.hedge_percent_max = count),
                show: |w| w.retry.hedge_percent_max.to_string(),
            }),
        ),
    ],
};
