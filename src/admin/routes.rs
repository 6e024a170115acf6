//! How often each rule of the plan has decided. As many labels as the plan has
//! rules.

use std::fmt::Write;

use super::backends::escaped;
use crate::exchange::RuleCounts;

/// Nothing without rules.
pub(super) fn render(page: &mut String, rules: &RuleCounts) {
    if rules.is_empty() {
        return;
    }
    type Figure = fn(u64, u64) -> u64;
    let decided: Figure = |decided, _| decided;
    let shadowed: Figure = |_, shadowed| shadowed;
    let figures = [
        ("tokenring_route_requests_total", "Requests that the rule has decided.", decided),
        (
            "tokenring_route_shadow_requests_total",
            "Requests that the rule, in shadow, would have decided.",
            shadowed,
        ),
    ];
    for (name, help, figure) in figures {
        // Writing to memory does not fail.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter");
        rules.each(|rule, decided, shadowed| {
            let rule = escaped(rule.unwrap_or("none"));
            let _ = writeln!(page, "{name}{{rule=\"{rule}\"}} {}", figure(decided, shadowed)); // The same.
        });
    }
}
