//! How long a usual backend of the fleet takes for prompts, and how many
//! tokens a prompt has: what samples of all sizes are measured by.
//!
//! ```text
//! seconds to first token = floor + per_token · tokens ahead, one's own included
//! ```
//!
//! The line is learnt by normalised least mean squares: each sample moves it a
//! part of the way towards itself, its floor when the prompt was short and its
//! slope when it was long.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What all shards have learnt of prompts.
#[derive(Debug)]
pub struct Prompts {
    /// The bits of the line's two numbers.
    line: AtomicU64,
    /// The bits of a number; see [`BYTES_PER_TOKEN`].
    bytes_per_token: AtomicU32,
    /// The bits of a number: the tokens of a usual prompt; zero before the
    /// first.
    usual_tokens: AtomicU32,
}

/// Seconds to the first token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    pub floor: f32,
    pub per_token: f32,
}

/// Nothing is known yet. Only the ratio of the two matters: the first sample
/// sets the scale.
const GUESS: Line = Line { floor: 0.05, per_token: 0.0001 };
/// Bytes of text for each token before any backend has told: English prose.
const BYTES_PER_TOKEN: f32 = 4.0;
/// Other ratios are no text: images, or tokens that came from elsewhere.
const BYTES_PER_TOKEN_TEXT: std::ops::RangeInclusive<f32> = 1.0..=12.0;
/// Fewer tokens are mostly a template.
const TOKENS_TELLING: u64 = 16;
/// No prompt counts for more: no model reads it.
const TOKENS_MAX: f32 = 4_000_000.0;
/// The part of the way that one sample moves an estimate.
const STEP: f32 = 1.0 / 32.0;
/// Prompts of this length tell as much of the floor as of the slope.
const TOKENS_MIDDLE: f32 = 1000.0;
/// A floor below a microsecond would be a division by nothing.
const FLOOR_MIN: f32 = 1e-6;
/// No engine reads a token in less than 10 ns.
const PER_TOKEN_MIN: f32 = 1e-8;
/// Nothing has been learnt: a floor of zero is below the least.
const UNTAUGHT: u64 = 0;

impl Line {
    pub fn at(self, tokens: f32) -> f32 {
        self.floor + self.per_token * tokens
    }

    fn bits(self) -> u64 {
        u64::from(self.floor.to_bits()) << 32 | u64::from(self.per_token.to_bits())
    }

    fn of_bits(bits: u64) -> Self {
        Self { floor: f32::from_bits((bits >> 32) as u32), per_token: f32::from_bits(bits as u32) }
    }
}

impl Default for Prompts {
    fn default() -> Self {
        Self {
            line: AtomicU64::new(UNTAUGHT),
            bytes_per_token: AtomicU32::new(BYTES_PER_TOKEN.to_bits()),
            usual_tokens: AtomicU32::new(0),
        }
    }
}

impl Prompts {
    pub fn line(&self) -> Line {
        match self.line.load(Relaxed) {
            UNTAUGHT => GUESS,
            bits => Line::of_bits(bits),
        }
    }

    /// A usual backend has taken so long for so many tokens.
    pub fn learn_line(&self, tokens: f32, seconds: f32) {
        let line = self.line();
        let expected = line.at(tokens);
        // However odd a sample is, it moves the line by a little.
        let error = seconds.clamp(expected / 2.0, expected * 2.0) - expected;
        let length = tokens / TOKENS_MIDDLE;
        let step = STEP * error / (1.0 + length * length);
        self.set_line(line.floor + step, line.per_token + step * length / TOKENS_MIDDLE);
    }

    /// The first sample of all sets the scale.
    pub fn set_scale(&self, tokens: f32, seconds: f32) {
        if self.line.load(Relaxed) == UNTAUGHT {
            let scale = seconds / GUESS.at(tokens);
            self.set_line(GUESS.floor * scale, GUESS.per_token * scale);
        }
    }

    fn set_line(&self, floor: f32, per_token: f32) {
        let line = Line { floor: floor.max(FLOOR_MIN), per_token: per_token.max(PER_TOKEN_MIN) };
        self.line.store(line.bits(), Relaxed);
    }

    /// How many tokens a prompt of so many bytes has, more or less.
    pub fn tokens(&self, bytes: u32) -> u64 {
        let ratio = f32::from_bits(self.bytes_per_token.load(Relaxed));
        (bytes as f32 / ratio).min(TOKENS_MAX) as u64
    }

    /// How many tokens a prompt usually has, if any was seen.
    pub fn usual_tokens(&self) -> Option<f32> {
        let usual = f32::from_bits(self.usual_tokens.load(Relaxed));
        (usual > 0.0).then_some(usual)
    }

    /// A prompt of about so many tokens was read.
    pub fn learn_usual(&self, tokens: u64) {
        let sample = (tokens as f32).max(1.0);
        let usual = self.usual_tokens().unwrap_or(sample);
        self.usual_tokens.store((usual + STEP * (sample - usual)).to_bits(), Relaxed);
    }

    /// A backend has counted the tokens of a prompt.
    pub fn learn_tokens(&self, bytes: u32, tokens: u64) {
        if tokens < TOKENS_TELLING {
            return;
        }
        let sample = bytes as f32 / tokens as f32;
        if BYTES_PER_TOKEN_TEXT.contains(&sample) {
            let ratio = f32::from_bits(self.bytes_per_token.load(Relaxed));
            self.bytes_per_token.store((ratio + STEP * (sample - ratio)).to_bits(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Chance;

    #[test]
    fn the_line_is_learnt_from_prompts_of_two_sizes() {
        let prompts = Prompts::default();
        let mut chance = Chance::seeded(1);
        for _ in 0..3000 {
            let tokens = if chance.below(10) == 0 { 30_000.0 } else { 100.0 };
            let noise = 0.9 + chance.below(200) as f32 / 1000.0;
            prompts.learn_line(tokens, (0.02 + tokens * 0.00003) * noise);
        }
        let line = prompts.line();
        assert!((0.018..0.025).contains(&line.floor), "{line:?}");
        assert!((0.000_027..0.000_033).contains(&line.per_token), "{line:?}");
    }

    #[test]
    fn the_first_sample_sets_the_scale() {
        let prompts = Prompts::default();
        prompts.set_scale(100.0, 0.0006);
        prompts.set_scale(100.0, 6.0);
        assert!((prompts.line().at(100.0) - 0.0006).abs() < 1e-5);
    }

    #[test]
    fn one_odd_sample_changes_little() {
        let prompts = Prompts::default();
        prompts.learn_line(0.0, 500.0);
        assert!(prompts.line().floor < 0.06);
        for _ in 0..10_000 {
            prompts.learn_line(0.0, 0.0);
        }
        assert!(prompts.line().floor >= FLOOR_MIN);
    }

    #[test]
    fn tokens_are_estimated_as_backends_have_counted_them() {
        let prompts = Prompts::default();
        assert_eq!(prompts.tokens(400), 100);
        for _ in 0..300 {
            prompts.learn_tokens(2000, 1000);
        }
        assert_eq!(prompts.tokens(400), 199);
    }

    #[test]
    fn what_is_usual_follows_what_is_asked() {
        let prompts = Prompts::default();
        assert_eq!(prompts.usual_tokens(), None);
        prompts.learn_usual(0);
        assert_eq!(prompts.usual_tokens(), Some(1.0));
        (0..300).for_each(|_| prompts.learn_usual(2000));
        assert!((1990.0..=2000.0).contains(&prompts.usual_tokens().unwrap()));
    }

    #[test]
    fn counts_that_are_no_text_teach_nothing() {
        let prompts = Prompts::default();
        for (bytes, tokens) in [(1_000_000, 1000), (10, 1000), (40, 15), (0, 100), (5, 0)] {
            prompts.learn_tokens(bytes, tokens);
        }
        assert_eq!(prompts.tokens(400), 100);
        assert_eq!(prompts.tokens(u32::MAX), 4_000_000);
    }
}
