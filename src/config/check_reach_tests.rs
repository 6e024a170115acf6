//! Facts about rules that others hide: told where that is certain, beside the
//! faults of others.

use super::tests::{check_refused, read};

/// Two rules; whether the second can be reached.
#[track_caller]
fn check_reach(first: &str, second: &str, is_reached: bool) {
    let text = format!(
        "[[route]]\nname = \"first\"\n{first}\n[[route]]\nname = \"second\"\nto = \"big\"\n{second}\n"
    );
    let told = read(&text).err().unwrap_or_default();
    let expected = "route.name second: every request that meets this is taken by route first \
                    before it; put this one first, or leave it out";
    assert_eq!(told.len(), usize::from(!is_reached), "{text}{told:?}");
    assert!(told.iter().all(|told| told.ends_with(expected)), "{told:?}");
}

#[test]
fn a_rule_is_hidden_only_where_that_is_certain() {
    const TO: &str = "to = \"small\"\n";
    let hides = |first: &str, second: &str| check_reach(&format!("{TO}{first}"), second, false);
    let leaves = |first: &str, second: &str| check_reach(&format!("{TO}{first}"), second, true);
    hides("", "");
    hides("", "when.stream = true");
    hides("when.model = [\"a\", \"b*\"]", "when.model = [\"bc*\", \"a\"]");
    hides("when.path = \"/v1/*\"", "when.path = \"/v1/chat/completions\"\nwhen.tools = true");
    hides("when.header.x = [\"a\", \"b\"]", "when.header.x = \"a\"\nwhen.header.y = \"c\"");
    hides("when.header.X = \"*\"", "when.header.x = \"a\"");
    hides("when.prompt_tokens_min = 5", "when.prompt_tokens_min = 5");
    hides("when.prompt_tokens_min = 0", "");
    hides("when.complexity_min = 0.2", "when.complexity_min = 0.3\nwhen.complexity_max = 0.4");
    hides("when.stream = true", "when.stream = true");

    leaves("when.stream = true", "");
    leaves("when.stream = true", "when.stream = false");
    leaves("when.model = \"a\"", "when.model = [\"a\", \"b\"]");
    leaves("when.model = \"a\"", "");
    leaves("when.model = \"*\"", "");
    leaves("when.header.x = \"a\"", "when.header.y = \"a\"");
    leaves("when.header.x = \"a\"", "");
    leaves("when.prompt_tokens_min = 5", "when.prompt_tokens_max = 9");
    leaves("when.complexity_max = 0.9", "");
}

#[test]
fn a_rule_that_does_not_act_hides_none() {
    check_reach("to = \"small\"\nshadow = true", "", true);
    check_reach("mirror = { model = \"small\", percent = 5 }", "", true);
}

#[test]
fn a_condition_that_was_not_understood_hides_none() {
    check_refused(
        "[[route]]\nname = \"r\"\nwhen.stream = \"yes\"\nto = \"big\"\n\
         [[route]]\nname = \"s\"\nto = \"big\"\nwhen.model = \"x\"\n",
        &[(3, "route.when.stream: this is a text; write it like stream = true")],
    );
}

/// A fault in one rule is told beside what is certain of the others.
#[test]
fn faulty_rules_hide_no_unreachable_ones() {
    const ALL: &str = "[[route]]\nname = \"all\"\nto = \"big\"\n";
    const NEVER: &str = "[[route]]\nname = \"never\"\nto = \"small\"\nwhen.stream = true\n";
    let hidden = "route.name never: every request that meets this is taken by route all before \
                  it; put this one first, or leave it out";
    check_refused(
        &format!("[[route]]\nname = \"x\"\nto = \"bigg\"\n{ALL}{NEVER}"),
        &[
            (
                3,
                "route.to.model bigg: there is no model.name, model.aliases or backend.models \
                 with this name; did you mean big?",
            ),
            (8, hidden),
        ],
    );
    check_refused(
        &format!("[[route]]\nto = \"big\"\n{ALL}[[route]]\nname = \"y\"\nto = 5\n{NEVER}"),
        &[
            (1, "route: a route without name; add a line like name = \"hard\""),
            (
                8,
                "route.to: this is a whole number, and the models of a route are a list of \
                 tables; write to = [{ model = \"big\", weight = 9 }]",
            ),
            (10, hidden),
        ],
    );
    // What hides it is not known here.
    let unsure = format!("{ALL}when.header.x = 5\n{NEVER}");
    let header = "route.when.header: this is a whole number; write it like header = \
                  { x-tier = [\"gold\", \"plat*\"] }";
    check_refused(&unsure, &[(4, header)]);
}
