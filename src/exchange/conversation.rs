//! What tells conversations apart, for policies that keep each where it was.

use super::Stage;
use crate::{
    balance::{Policy, hashes},
    http::Request,
    llm::Peek,
    rt::World,
};

/// A client's own name for what belongs together.
const SESSION: &[u8] = b"x-session-id";
/// The same in every process, so that all proxies agree on a session's backend.
const SESSION_SEED: u64 = 0;

/// As much of a request's conversation as its policy asks for.
#[derive(Debug, Default)]
pub struct Conversation {
    /// Stands for its name (`session_hash`).
    pub key: Option<u64>,
    /// Stand for what it begins with (`prefix`).
    pub hashes: Vec<u64>,
}

impl Conversation {
    /// What the head says of it.
    pub fn of_head<W: World>(stage: &Stage<W>, request: &Request<'_, '_>) -> Self {
        let is_asked = stage.fleet.policy() == Policy::SessionHash;
        let name = || request.fields.get(SESSION).filter(|name| !name.is_empty());
        let key = is_asked.then(name).flatten().and_then(key_of);
        Self { key, hashes: Vec::new() }
    }

    /// What the body says of it.
    pub fn read<W: World>(&mut self, stage: &Stage<W>, body: &[u8], peek: &Peek) {
        if stage.fleet.policy() == Policy::Prefix {
            self.hashes = beginnings(body, peek, stage.common.hash_seed);
        }
    }
}

fn key_of(name: &[u8]) -> Option<u64> {
    hashes(&[name, b""], SESSION_SEED).last().copied()
}

/// In the order in which a model reads it, whatever the order in the body.
fn beginnings(body: &[u8], peek: &Peek, seed: u64) -> Vec<u64> {
    let model = peek.model.map(|model| model.written(body)).unwrap_or_default();
    let [tools, system, messages] = [peek.tools, peek.system, peek.messages]
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
        // The model, the tools and the system's words have a block each.
        check(&turn, &next, 3 + 1000 / 256 + usize::from(1000 % 256 + 33 >= 256));
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
        check(&one, &one.replace("kind", "rude"), 2);
    }

    #[test]
    fn names_are_told_apart_however_long() {
        let long = [b'a'; 300];
        let names: [&[u8]; 4] = [b"a", b"b", &long, &long[1..]];
        let keys: std::collections::HashSet<_> = names.map(|name| key_of(name).unwrap()).into();
        assert_eq!(keys.len(), 4);
    }
}
