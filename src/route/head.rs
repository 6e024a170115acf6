//! What rules ask of a request's head. It is asked while the head is there;
//! what comes of it is kept as one bit for each condition.

use ahash::AHashMap;

use super::{HeaderCondition, Pattern, RoutePlan, pattern::Matcher};
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
    pub(super) fn meets(&self, condition: u16) -> bool {
        let condition = usize::from(condition);
        self.met.get(condition / 64).is_some_and(|word| word >> (condition % 64) & 1 == 1)
    }

    fn set(&mut self, condition: u16) {
        let condition = usize::from(condition);
        if let Some(word) = self.met.get_mut(condition / 64) {
            *word |= 1 << (condition % 64);
        }
    }
}

/// Conditions on one part of a head, each with its place: one of its patterns
/// must be met.
#[derive(Debug, Default)]
struct Placed(Vec<(u16, Box<[Matcher]>)>);

impl Placed {
    fn push(&mut self, place: u16, patterns: &[Pattern]) {
        self.0.push((place, patterns.iter().map(Matcher::new).collect()));
    }

    fn ask(&self, value: &[u8], facts: &mut HeadFacts) {
        for (place, patterns) in &self.0 {
            if patterns.iter().any(|pattern| pattern.meets(value)) {
                facts.set(*place);
            }
        }
    }
}

/// The lengths of names, so that most names are known by theirs to be none of
/// those. What is longer than 63 bytes counts as that.
#[derive(Clone, Copy, Debug, Default)]
struct Lengths(u64);

impl Lengths {
    fn add(&mut self, name: &str) {
        self.0 |= Self::bit(name.as_bytes());
    }

    fn have(self, name: &[u8]) -> bool {
        self.0 & Self::bit(name) != 0
    }

    fn bit(name: &[u8]) -> u64 {
        1 << name.len().min(63)
    }
}

/// A condition beyond the bound has a place beyond the bits, and is never met.
fn place(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// The different conditions on heads of a plan, each with its place.
#[derive(Debug, Default)]
pub(super) struct HeadConditions {
    /// Those that name a session, the operator's first.
    session_headers: Box<[Box<str>]>,
    /// Of these, and of all headers that are asked about.
    lengths: Lengths,
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
        let all = session_headers.iter().cloned().chain(SESSION_HEADERS.map(Box::from));
        let session_headers: Box<[Box<str>]> = all.collect();
        let mut lengths = Lengths::default();
        session_headers.iter().for_each(|name| lengths.add(name));
        Self { session_headers, lengths, ..Self::default() }
    }

    /// The places of a rule's conditions, which all must be met.
    pub(super) fn add_all(&mut self, when: &super::Conditions) -> Box<[u16]> {
        let paths = (!when.paths.is_empty()).then(|| self.path(&when.paths));
        let headers = when.headers.iter().map(|header| self.header(header));
        paths.into_iter().chain(headers.collect::<Vec<_>>()).map(place).collect()
    }

    fn path(&mut self, paths: &[Pattern]) -> usize {
        let next = self.places.len();
        // No header has an empty name.
        let place = *self.places.entry(("".into(), paths.into())).or_insert(next);
        if place == next {
            self.paths.push(self::place(next), paths);
        }
        place
    }

    fn header(&mut self, header: &HeaderCondition) -> usize {
        let next = self.places.len();
        let values: Box<[Pattern]> = header.values.as_slice().into();
        let place = *self.places.entry((header.name.clone(), values.clone())).or_insert(next);
        if place == next {
            match self.headers.iter_mut().find(|(name, _)| *name == header.name) {
                Some((_, conditions)) => conditions.push(self::place(next), &values),
                None => {
                    self.lengths.add(&header.name);
                    let mut conditions = Placed::default();
                    conditions.push(self::place(next), &values);
                    self.headers.push((header.name.clone(), conditions));
                }
            }
        }
        place
    }

    /// Asks all of a head. A header that comes several times meets a condition
    /// by any of its lines.
    pub(super) fn ask(&self, path: &[u8], fields: &Fields<'_, '_>) -> HeadFacts {
        let mut facts = HeadFacts::default();
        self.paths.ask(path, &mut facts);
        let mut session: Option<(usize, &[u8])> = None;
        for (name, value) in fields.iter().filter(|(name, _)| self.lengths.have(name)) {
            let is_it = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            for (_, conditions) in self.headers.iter().filter(|(wanted, _)| is_it(wanted)) {
                conditions.ask(value, &mut facts);
            }
            let rank = self.session_headers.iter().position(|wanted| is_it(wanted));
            if let Some(rank) = rank
                && session.is_none_or(|(best, _)| rank < best)
            {
                session = Some((rank, value));
            }
        }
        let session = session.filter(|(_, value)| !value.is_empty());
        facts.session = session.map(|(_, value)| stable_hash(SESSION_SEED, value));
        facts
    }
}
