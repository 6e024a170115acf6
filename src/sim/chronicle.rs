//! What has happened in a run: a fingerprint of all of it, the last lines of
//! it, and what must not have happened.

use std::collections::VecDeque;

/// Lines that are kept to be shown when a run fails.
const LINES_KEPT: usize = 20_000;
/// Further breaches say nothing new.
const BREACHES_MAX: usize = 20;

/// One thing that happened: what, and to whom.
#[derive(Clone, Copy, Debug)]
struct Line {
    at: u64,
    what: &'static str,
    whom: u64,
    how_much: u64,
}

/// The record of one run.
#[derive(Debug, Default)]
pub struct Chronicle {
    fingerprint: u64,
    lines: VecDeque<Line>,
    breaches: Vec<String>,
}

impl Chronicle {
    /// Takes note. Every choice of the world comes by here, so that two runs
    /// which differ in anything have different fingerprints.
    pub fn note(&mut self, at: u64, what: &'static str, whom: u64, how_much: u64) {
        for number in [at, what.len() as u64, whom, how_much] {
            // FNV-1a's step, a word at a time, turned so that high bits count.
            self.fingerprint =
                (self.fingerprint ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { at, what, whom, how_much });
    }

    /// Something happened that must never happen: the run has failed.
    pub fn breach(&mut self, what: String) {
        if self.breaches.len() < BREACHES_MAX {
            self.breaches.push(what);
        }
    }

    pub fn breaches(&self) -> &[String] {
        &self.breaches
    }

    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The last lines, for whoever replays a failed run.
    pub fn tail(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            let Line { at, what, whom, how_much } = line;
            format!("{:>14.6} ms  {what:<16} {whom:>5}  {how_much}\n", *at as f64 / 1e6)
        });
        lines.collect()
    }
}
