//! Which candidates a weight leaves out.

use super::*;

/// Candidates as weight and order; each is called after its place.
#[track_caller]
fn asks(candidates: &[(u32, u32)], expected: &[&str]) {
    let names = ["a", "b", "c"];
    let candidates = candidates.iter().zip(names);
    let candidates = candidates
        .map(|(&(weight, order), name)| candidate(Some(name), &[0], weight, order))
        .collect();
    let plan = RoutePlan {
        backends: backends(&[&[]]),
        models: vec![model("m", candidates)],
        ..RoutePlan::default()
    };
    let steps: Vec<_> = expected.iter().map(|name| format!("candidate:{name}@0")).collect();
    let steps = steps.join(" > ");
    check(&plan, &named("m"), &format!("rule=none; model=m; step=candidate | {steps}"));
}

#[test]
fn a_candidate_without_weight_is_not_asked_though_it_is_alone_in_its_order() {
    asks(&[(0, 0), (1, 1)], &["b"]);
    asks(&[(1, 0), (0, 1), (1, 2)], &["a", "c"]);
    asks(&[(0, 0), (0, 0), (1, 1)], &["c"]);
}

#[test]
fn where_no_candidate_has_weight_all_are_asked() {
    asks(&[(0, 0)], &["a"]);
    asks(&[(0, 1), (0, 0)], &["b", "a"]);
}
