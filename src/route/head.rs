//! What rules ask of a request's head. It is asked while the head is there;
//! what comes of it is kept as one bit for each condition.

use ahash::AHashMap;

use super::{HeaderCondition, Pattern, RoutePlan};
use crate::{base::stable_hash, http::Fields};

/// The different conditions on paths and headers that a plan may have; 32
/// bytes of each request keep what became of them. `config/` refuses more.
pub const HEAD_CONDITIONS_MAX: usize = 256;
const WORDS: usize = HEAD_CONDITIONS_MAX / 64;

/// Headers that name a session, the first that is there counts. Their value is
/// who talks, for what stays with a conversation.
pub const SESSION_HEADERS: [&str; 4] =
    ["x-session-id", "x-claude-code-session-id", "x-conversation-id", "x-smg-routing-key"];
/// Headers beside these that an operator may name: each is looked for in every
/// head until one is there.
pub const SESSION_HEADERS_MAX: usize = 8;
/// So that a session of this name and a conversation of these words differ.
const SESSION_SEED: u64 = 1;

/// What is known once the head has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadFacts {
    met: [u64; WORDS],
    /// The hash of a session's name, if a header has one.
    pub session: Option<u64>,
}

impl HeadFacts {
    pub(super) fn meets(&self, condition: usize) -> bool {
        self.met.get(condition / 64).is_some_and(|word| word >> (condition % 64) & 1 == 1)
    }

    fn set(&mut self, condition: usize) {
        if let Some(word) = self.met.get_mut(condition / 64) {
            *word |= 1 << (condition % 64);
        }
    }
}

/// Conditions on one part of a head, each with its place: one of its patterns
/// must be met.
type Placed = Vec<(usize, Box<[Pattern]>)>;

/// The different conditions on heads of a plan, each with its place.
#[derive(Debug, Default)]
pub(super) struct HeadConditions {
    /// Those that the operator has named.
    session_headers: Box<[Box<str>]>,
    paths: Placed,
    /// By name of the header.
    headers: Vec<(Box<str>, Placed)>,
    places: AHashMap<(Box<str>, Box<[Pattern]>), usize>,
}

/// How many different conditions on heads the plan has; for the check against
/// [`HEAD_CONDITIONS_MAX`].
#[must_use]
pub fn head_conditions(plan: &RoutePlan) -> usize {
    let mut conditions = HeadConditions::default();
    for rule in &plan.rules {
        conditions.add_all(&rule.when);
    }
    conditions.places.len()
}

impl HeadConditions {
    pub(super) fn new(session_headers: &[Box<str>]) -> Self {
        Self { session_headers: session_headers.into(), ..Self::default() }
    }

    /// The places of a rule's conditions, which all must be met.
    pub(super) fn add_all(&mut self, when: &super::Conditions) -> Box<[usize]> {
        let paths = (!when.paths.is_empty()).then(|| self.path(&when.paths));
        let headers = when.headers.iter().map(|header| self.header(header));
        paths.into_iter().chain(headers.collect::<Vec<_>>()).collect()
    }

    fn path(&mut self, paths: &[Pattern]) -> usize {
        let next = self.places.len();
        // No header has an empty name.
        let place = *self.places.entry(("".into(), paths.into())).or_insert(next);
        if place == next {
            self.paths.push((place, paths.into()));
        }
        place
    }

    fn header(&mut self, header: &HeaderCondition) -> usize {
        let next = self.places.len();
        let values: Box<[Pattern]> = header.values.as_slice().into();
        let place = *self.places.entry((header.name.clone(), values.clone())).or_insert(next);
        if place == next {
            match self.headers.iter_mut().find(|(name, _)| *name == header.name) {
                Some((_, conditions)) => conditions.push((place, values)),
                None => self.headers.push((header.name.clone(), vec![(place, values)])),
            }
        }
        place
    }

    /// Asks all of a head. A header that comes several times meets a condition
    /// by any of its lines.
    pub(super) fn ask(&self, path: &[u8], fields: &Fields<'_, '_>) -> HeadFacts {
        let mut facts = HeadFacts { session: self.session_of(fields), ..HeadFacts::default() };
        for (place, patterns) in &self.paths {
            if patterns.iter().any(|pattern| pattern.meets(path)) {
                facts.set(*place);
            }
        }
        for (name, conditions) in &self.headers {
            for value in fields.get_all(name.as_bytes()) {
                for (place, patterns) in conditions {
                    if patterns.iter().any(|pattern| pattern.meets(value)) {
                        facts.set(*place);
                    }
                }
            }
        }
        facts
    }

    fn session_of(&self, fields: &Fields<'_, '_>) -> Option<u64> {
        let named = self.session_headers.iter().map(|name| &**name);
        let value = named.chain(SESSION_HEADERS).find_map(|name| fields.get(name.as_bytes()));
        value.filter(|value| !value.is_empty()).map(|value| stable_hash(SESSION_SEED, value))
    }
}
