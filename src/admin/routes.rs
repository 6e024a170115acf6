//! How often each rule of the plan has decided, or what it would have chosen in
//! shadow. As many labels as the plan has rules, and they have models.

use std::fmt::Write;

use super::backends::escaped;
use crate::exchange::RuleCounts;

/// Nothing without rules.
pub(super) fn render(page: &mut String, rules: &RuleCounts) {
    if rules.is_empty() {
        return;
    }
    let name = "tokenring_route_requests_total";
    head(page, name, "Requests that the rule has decided.");
    rules.each(|rule, decided| {
        let rule = escaped(rule.unwrap_or("none"));
        let _ = writeln!(page, "{name}{{rule=\"{rule}\"}} {decided}"); // As for the head.
    });
    let name = "tokenring_route_shadow_requests_total";
    head(page, name, "Requests that the rule, in shadow, would have sent to the model.");
    rules.each_shadow(|rule, model, chosen| {
        let (rule, model) = (escaped(rule), escaped(model.unwrap_or("none")));
        // As for the head.
        let _ = writeln!(page, "{name}{{rule=\"{rule}\",model=\"{model}\"}} {chosen}");
    });
}

fn head(page: &mut String, name: &str, help: &str) {
    // Writing to memory does not fail.
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter");
}
