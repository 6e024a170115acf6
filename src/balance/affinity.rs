//! Choices that keep a conversation where it has been read already.
//!
//! Both policies name a backend that is preferred, and both let it go when it
//! would answer too late beside the soonest of a few drawn at random, or when
//! it has had more than its share: without that one engine of eight has been
//! seen to get every request.
//!
//! `session_hash` is weighted rendezvous hashing: each backend draws a number
//! from its name and the conversation, and the highest wins, so that a backend
//! that goes or comes moves only its own conversations (Thaler and Ravishankar,
//! "Using name-based mappings to increase hit rates", 1998; the logarithm that
//! brings in the weights: Schindelhauer and Schomaker, "Weighted distributed
//! hash tables", 2005). The bound on the share is that of Mirrokni, Thorup and
//! Zadimoghaddam, "Consistent hashing with bounded loads", 2018.
//!
//! `prefix` prefers who has read most of the conversation (`prefixes`), and
//! counts only what it has not read as work.

use smallvec::SmallVec;

use super::{
    BackendId, Turn,
    choice::{Choice, Group},
    cost::{Terms, cost},
    prefixes::Held,
    seat::mix,
};
use crate::base::Chance;

/// Times its fair share that a backend may have of the requests. The bound
/// that is promised is 1.25; what a shard has not seen yet is the rest.
const SHARE_MAX: f32 = 1.15;
/// Requests beyond that which say nothing yet.
const SHARE_SLACK: f32 = 2.0;
/// Of a prompt that a backend has read wholly, the last token is read again.
const UNREAD_MIN: u64 = 1;

/// A backend that may be chosen, and what it would cost.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    place: usize,
    /// Tokens that it has not read.
    tokens: u64,
    /// Blocks that it has.
    blocks: usize,
    cost: f32,
}

impl Choice<'_> {
    /// Who is preferred for this conversation, else the soonest.
    pub(super) fn by_conversation(
        &self,
        group: Group,
        turn: &Turn,
        chance: &mut Chance,
    ) -> Option<(usize, u64)> {
        let tokens = self.terms.tokens;
        let soonest = self.soonest(group, chance)?;
        let Some(conversation) = self.conversation else { return Some((soonest, tokens)) };
        let price = |place| cost(self.load(place), &self.terms);
        let dearest = price(soonest) * self.patience;
        let preferred = self.first_two(group, conversation);
        let keeps = |&place: &usize| price(place) <= dearest && !self.has_its_share(place, turn);
        Some((preferred.into_iter().find(keeps).unwrap_or(soonest), tokens))
    }

    /// The two that draw the highest numbers for this conversation. The second
    /// takes what the first lets go, so that this too finds what it has read.
    fn first_two(&self, group: Group, conversation: u64) -> SmallVec<[usize; 2]> {
        let mut highest = [(f32::NEG_INFINITY, None); 2];
        for place in (0..self.among.len()).filter(|&place| self.admits(group, place)) {
            let drawn = mix(self.seat(place).key ^ conversation);
            let uniform = between_bounds(drawn);
            // Any rising function will do where all weigh the same.
            let number = if self.is_even { uniform } else { self.weight(place) / -uniform.ln() };
            if number > highest[0].0 {
                highest = [(number, Some(place)), highest[0]];
            } else if number > highest[1].0 {
                highest[1] = (number, Some(place));
            }
        }
        highest.into_iter().filter_map(|(_, place)| place).collect()
    }

    /// Who has read most of this conversation, else the soonest.
    pub(super) fn by_prefix(
        &self,
        group: Group,
        held: &Held,
        turn: &Turn,
        chance: &mut Chance,
    ) -> Option<(usize, u64)> {
        let mut candidates = SmallVec::<[Candidate; 16]>::new();
        let holders = held.iter().filter_map(|&(backend, _)| self.place_of(backend));
        for place in self.draw_few(group, chance).into_iter().chain(holders) {
            let is_there = candidates.iter().any(|candidate| candidate.place == place);
            if !is_there && self.admits(group, place) {
                candidates.push(self.candidate(place, held));
            }
        }
        let soonest = candidates.iter().min_by(|a, b| a.cost.total_cmp(&b.cost)).copied()?;
        let dearest = soonest.cost * self.patience;
        // The deepest first; of those that have read as much, the soonest.
        candidates.sort_unstable_by(|a, b| {
            b.blocks.cmp(&a.blocks).then_with(|| a.cost.total_cmp(&b.cost))
        });
        let within_share = |candidate: &&Candidate| !self.has_its_share(candidate.place, turn);
        let keeps = candidates
            .iter()
            .take_while(|candidate| candidate.blocks > 0)
            .filter(|candidate| candidate.cost <= dearest)
            .find(within_share);
        let by_cost = || {
            let within = candidates.iter().filter(within_share);
            within.min_by(|a, b| a.cost.total_cmp(&b.cost))
        };
        let chosen = keeps.or_else(by_cost).copied().unwrap_or(soonest);
        Some((chosen.place, chosen.tokens))
    }

    fn candidate(&self, place: usize, held: &Held) -> Candidate {
        let backend = self.among[place];
        let read = held.iter().find(|(holder, _)| *holder == backend);
        let blocks = read.map_or(0, |&(_, blocks)| blocks);
        let read = (blocks as f32 * self.tokens_per_block) as u64;
        let tokens = self.terms.tokens.saturating_sub(read).max(UNREAD_MIN);
        let terms = Terms { tokens, ..self.terms };
        Candidate { place, tokens, blocks, cost: cost(self.load(place), &terms) }
    }

    fn place_of(&self, backend: BackendId) -> Option<usize> {
        // Where all are asked, each stands at its own place.
        if self.among.get(backend.0) == Some(&backend) {
            return Some(backend.0);
        }
        self.among.iter().position(|one| *one == backend)
    }

    /// Whether a backend has had as many of this shard's requests as it may
    /// have beside the others, and is at work on some.
    fn has_its_share(&self, place: usize, turn: &Turn) -> bool {
        if self.load(place).counts().in_flight() == 0 {
            return false;
        }
        let (mut all, mut parts) = (0.0, 0.0);
        for other in 0..self.among.len() {
            all += turn.recent(self.among[other]);
            parts += if self.is_even { 1.0 } else { self.weight(other) };
        }
        let part = if self.is_even { 1.0 } else { self.weight(place) };
        let fair = all * part / parts;
        turn.recent(self.among[place]) > fair * SHARE_MAX + SHARE_SLACK
    }
}

/// A number above zero and below one, never either: 23 bits and the half behind
/// them are all that an `f32` holds, and one more would round up to one.
fn between_bounds(drawn: u64) -> f32 {
    ((drawn >> 41) as f32 + 0.5) / (1_u32 << 23) as f32
}

#[cfg(test)]
#[path = "affinity_tests.rs"]
mod tests;
