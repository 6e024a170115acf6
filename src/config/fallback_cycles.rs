//! Fallbacks that lead back to where they began: a request that failed there
//! would come again.

use super::faults::Faults;
use super::route_fault::RouteFault;
use crate::route::{ModelId, ModelPlan};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    No,
    OnTheWay,
    Done,
}

/// One fault for each fallback that closes a cycle, at the model that it stands
/// in. All kinds of fallbacks are one graph, since a request may take one after
/// the other.
pub(super) fn check(models: &[ModelPlan], faults: &mut Faults) {
    let mut seen = vec![Seen::No; models.len()];
    for start in 0..models.len() {
        if seen[start] != Seen::No {
            continue;
        }
        // The way so far, each with how many of its fallbacks were followed. No
        // recursion: a chain may be as long as there are models.
        let mut way = vec![(start, 0)];
        seen[start] = Seen::OnTheWay;
        while let Some((at, followed)) = way.last_mut() {
            let (from, next) = (*at, models.get(*at).and_then(|model| nth(model, *followed)));
            *followed += 1;
            let Some(ModelId(next)) = next else {
                seen[from] = Seen::Done;
                way.pop();
                continue;
            };
            match seen.get(next) {
                Some(Seen::No) => {
                    seen[next] = Seen::OnTheWay;
                    way.push((next, 0));
                }
                Some(Seen::OnTheWay) => {
                    let cycle = way.iter().map(|(at, _)| *at).skip_while(|at| *at != next);
                    let cycle = cycle.chain([next]).map(|at| models[at].name.0.as_ref());
                    let cycle = cycle.collect::<Vec<_>>().join(" → ");
                    faults.add(
                        (key(&models[from], ModelId(next)), from),
                        "",
                        RouteFault::Cycle(cycle),
                    );
                }
                Some(Seen::Done) | None => {}
            }
        }
    }
}

fn nth(model: &ModelPlan, n: usize) -> Option<ModelId> {
    let fallbacks = &model.fallbacks;
    let lists = [&fallbacks.general, &fallbacks.context_window, &fallbacks.content_policy];
    lists.into_iter().flatten().nth(n).copied()
}

fn key(model: &ModelPlan, to: ModelId) -> &'static str {
    if model.fallbacks.general.contains(&to) {
        "model.fallbacks"
    } else if model.fallbacks.context_window.contains(&to) {
        "model.context_window_fallbacks"
    } else {
        "model.content_policy_fallbacks"
    }
}
