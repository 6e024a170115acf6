//! What tells conversations apart, for policies that keep each where it was.

use crate::{
    balance::{Policy, hashes},
    llm::{Peek, Reading},
    route::ModelId,
};

/// How a backend is chosen for each model, and what that asks of a
/// conversation.
#[derive(Debug)]
pub struct Policies {
    of_all: Policy,
    of_models: Box<[Option<Policy>]>,
    ask_key: bool,
    ask_hashes: bool,
}

impl Policies {
    pub fn new(of_all: Policy, of_models: &[Option<Policy>]) -> Self {
        let is_used = |policy| of_all == policy || of_models.contains(&Some(policy));
        Self {
            of_all,
            of_models: of_models.into(),
            ask_key: is_used(Policy::SessionHash),
            ask_hashes: is_used(Policy::Prefix),
        }
    }

    /// `None` is a name that is no model of the plan.
    pub fn of(&self, model: Option<ModelId>) -> Policy {
        let own = model.and_then(|model| *self.of_models.get(model.0)?);
        own.unwrap_or(self.of_all)
    }

    /// Whether any asks for the name that a head gives a conversation.
    pub fn ask_head(&self) -> bool {
        self.ask_key
    }
}

/// As much of a request's conversation as the policies ask for.
#[derive(Debug, Default)]
pub struct Conversation {
    /// Stands for its name (`session_hash`): the one that the head gives it,
    /// else the one that the body does or its beginning. The same in every
    /// process, so that all proxies agree on its backend.
    pub key: Option<u64>,
    /// Stand for what it begins with (`prefix`).
    pub hashes: Vec<u64>,
}

impl Conversation {
    /// `named` stands for the name in the head, `peek` is what the body says,
    /// if that was looked at.
    pub fn read(
        policies: &Policies,
        named: Option<u64>,
        body: &[u8],
        peek: Option<&Peek>,
        seed: u64,
    ) -> Self {
        let told = || peek.map(|peek| Reading { body, peek }.conversation());
        let key = if policies.ask_key { named.or_else(told) } else { None };
        let hashes = peek.filter(|_| policies.ask_hashes);
        let hashes = hashes.map(|peek| beginnings(body, peek, seed)).unwrap_or_default();
        Self { key, hashes }
    }
}

/// In the order in which a model reads it, whatever the order in the body.
fn beginnings(body: &[u8], peek: &Peek, seed: u64) -> Vec<u64> {
    let model = peek.model.map(|model| model.written(body)).unwrap_or_default();
    let [tools, system, messages] = [peek.tools, peek.hints.system, peek.messages]
        .map(|span| span.map(|span| span.of(body)).unwrap_or_default());
    hashes(&[model, tools, system, messages], seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Endpoint, peek};

    fn beginnings_of(body: &str) -> Vec<u64> {
        let peek = peek(body.as_bytes(), Endpoint::Messages).unwrap();
        beginnings(body.as_bytes(), &peek, 1)
    }

    /// How many hashes two bodies have in common.
    #[track_caller]
    fn check(one: &str, other: &str, expected: usize) {
        let (one, other) = (beginnings_of(one), beginnings_of(other));
        let common = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
        assert_eq!(common, expected);
    }

    #[test]
    fn the_next_turn_begins_as_the_last_one_did() {
        let long = "x".repeat(1000);
        let turn = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{long}"}}]}}"#);
        let next = turn.replace("}]}", r#"},{"role":"assistant","content":"y"}],"stream":true}"#);
        check(&turn, &next, 1000 / 256 + usize::from(1000 % 256 + 33 >= 256));
        check(&turn, &turn.replace(r#""m""#, r#""n""#), 0);
    }

    #[test]
    fn the_order_in_the_body_does_not_matter_and_what_the_system_says_does() {
        let long = "x".repeat(1000);
        let members = [
            r#""model":"m""#.to_owned(),
            r#""system":"be kind""#.to_owned(),
            format!(r#""messages":[{{"role":"user","content":"{long}"}}]"#),
        ];
        let [model, system, messages] = &members;
        let one = format!("{{{model},{system},{messages}}}");
        let other = format!("{{{messages},{system},{model}}}");
        assert_eq!(beginnings_of(&one), beginnings_of(&other));
        check(&one, &one.replace("kind", "rude"), 0);
        check(&one, &one.replace(r#","messages""#, r#","max_tokens":1,"messages""#), 4);
    }

    #[track_caller]
    fn check_read(of_models: &[Option<Policy>], named: Option<u64>, asked: (bool, bool)) {
        let policies = Policies::new(Policy::LeastLatency, of_models);
        // As long as a block: less stands for no conversation.
        let hello = "hello ".repeat(50);
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{hello}"}}]}}"#);
        let body = body.as_bytes();
        let peek = peek(body, Endpoint::ChatCompletions).unwrap();
        let read = Conversation::read(&policies, named, body, Some(&peek), 1);
        assert_eq!((read.key.is_some(), !read.hashes.is_empty()), asked, "{of_models:?}");
        assert!(named.is_none() || read.key.is_none() || read.key == named);
        let unread = Conversation::read(&policies, named, body, None, 1);
        assert_eq!((unread.key, unread.hashes.len()), (read.key.and(named), 0));
    }

    #[test]
    fn only_what_a_policy_asks_for_is_read() {
        check_read(&[], Some(1), (false, false));
        check_read(&[None, Some(Policy::SessionHash)], Some(1), (true, false));
        check_read(&[Some(Policy::SessionHash)], None, (true, false));
        check_read(&[Some(Policy::Prefix)], Some(1), (false, true));
        check_read(&[Some(Policy::Prefix), Some(Policy::SessionHash)], None, (true, true));
    }

    #[test]
    fn a_model_has_its_own_policy_or_that_of_all() {
        let policies = Policies::new(Policy::RoundRobin, &[None, Some(Policy::Random)]);
        for (model, expected) in [
            (None, Policy::RoundRobin),
            (Some(ModelId(0)), Policy::RoundRobin),
            (Some(ModelId(1)), Policy::Random),
        ] {
            assert_eq!(policies.of(model), expected);
        }
    }
}
