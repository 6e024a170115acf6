//! The seeds that every change is tried with, and any others by
//! `scripts/sim FROM TO`.
#![allow(clippy::disallowed_methods, reason = "scripts/sim says by the environment what to run")]
#![allow(clippy::print_stdout, reason = "what a run came to is for whoever asked for it")]

use std::ops::Range;

use super::{
    faults::Swarm,
    run::{run, run_with},
};
use crate::base::Chance;

/// Runs them all, and fails with those that failed.
#[track_caller]
fn check(seeds: Range<u64>) {
    let fails = |&seed: &u64| {
        let outcome = run(seed);
        if !outcome.is_well() {
            println!("{outcome}");
        }
        !outcome.is_well()
    };
    let failed: Vec<u64> = seeds.filter(fails).collect();
    assert!(failed.is_empty(), "failing seeds {failed:?}; replay one with scripts/sim SEED");
}

macro_rules! rows {
    ($($name:ident: $seeds:expr;)+) => {
        $(#[test] fn $name() { check($seeds); })+
    };
}

// In four rows, so that two cores share them.
rows! {
    whole_shards_hold_in_the_first_fifty_worlds: 0..50;
    whole_shards_hold_in_the_second_fifty_worlds: 50..100;
    whole_shards_hold_in_the_third_fifty_worlds: 100..150;
    whole_shards_hold_in_the_fourth_fifty_worlds: 150..200;
}

/// Runs worlds that have just these faults.
#[track_caller]
fn check_with(faults: &[&str], seeds: Range<u64>) {
    for seed in seeds {
        let mut chance = Chance::seeded(seed);
        let swarm = Swarm::of(faults, &mut chance);
        let outcome = run_with(seed, swarm, chance);
        assert!(outcome.is_well(), "{outcome}");
    }
}

/// What a knob is there for must come about, or it tries nothing.
#[track_caller]
fn check_happens(faults: &[&str], figure: &str) {
    let happens = |seed| {
        let mut chance = Chance::seeded(seed);
        let swarm = Swarm::of(faults, &mut chance);
        let outcome = run_with(seed, swarm, chance);
        assert!(outcome.is_well(), "{outcome}");
        outcome.figures.get(figure).copied().unwrap_or_default()
    };
    let times: u64 = (0..20).map(happens).sum();
    assert!(times > 0, "{figure} with {faults:?}: never in 20 worlds");
}

#[test]
fn what_the_knobs_are_for_comes_about() {
    check_happens(&["hedges"], "hedges");
    check_happens(&["hedges", "stalls", "models"], "hedges_won");
    check_happens(&["hedges", "tears", "cuts", "small pipes"], "hedges_won");
    check_happens(&["models", "failing"], "fallbacks");
    check_happens(&["capacities", "rush"], "queue_waits");
    check_happens(&["capacities", "short queue", "rush"], "queue_refusals");
    check_happens(&["capacities", "short queue", "rush"], "queue_timeouts");
    check_happens(&["closes idle", "delay", "jitter", "rush"], "backend_retries");
    check_happens(&["failing", "effects"], "retries");
    check_happens(&["halts"], "answers_cut");
    check_happens(&["stuck clients", "large bodies"], "deadlines_passed");
}

#[test]
fn a_part_of_an_answer_never_looks_whole_to_an_old_client() {
    let slow = ["old clients", "slow clients", "small pipes", "hiccups", "until close"];
    for more in ["cuts", "tight deadlines", "drains"] {
        check_with(&[&slow[..], &[more]].concat(), 0..30);
    }
}

#[test]
fn what_has_an_effect_is_done_although_idle_connections_end() {
    check_with(&["closes idle", "delay", "jitter", "rush", "effects"], 0..30);
}

#[test]
fn what_backends_say_of_themselves_loses_no_request() {
    for more in [&["ills"][..], &["odd probes"], &["ills", "odd probes", "models", "rush"]] {
        check_with(&[more, &["reloads", "moves"]].concat(), 0..15);
    }
}

#[test]
fn a_world_without_faults_answers_everything() {
    check_with(&[], 0..10);
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let (first, again) = (run(seed), run(seed));
        assert_eq!(
            (first.fingerprint, first.polls, first.orders),
            (again.fingerprint, again.polls, again.orders),
            "{first}"
        );
    }
}

#[test]
fn seeds_differ() {
    let fingerprints: std::collections::BTreeSet<u64> =
        (0..20).map(|seed| run(seed).fingerprint).collect();
    assert_eq!(fingerprints.len(), 20);
}

/// What `scripts/sim` runs: `TOKENRING_SIM_SEEDS` is two numbers. A single seed
/// is shown with the last that happened in it.
#[test]
#[ignore = "scripts/sim says which seeds"]
fn of_a_range() {
    let wanted = std::env::var("TOKENRING_SIM_SEEDS").expect("TOKENRING_SIM_SEEDS");
    let numbers: Vec<u64> =
        wanted.split(' ').map(|word| word.parse().expect("a number of a seed")).collect();
    let [from, to] = numbers[..] else { panic!("TOKENRING_SIM_SEEDS is FROM and TO") };
    if to - from > 1 {
        check(from..to);
        println!("seeds {from} to {}: nothing found", to - 1);
        return;
    }
    let outcome = run(from);
    println!("{}{outcome}", outcome.tail);
    assert!(outcome.is_well());
}
