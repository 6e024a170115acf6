//! Facts about models: who answers for whom, and what is refused.

use std::time::Duration;

use super::*;
use crate::config::{ConfigFile, Machine, Plan, Policy, check_file_and_flags};
use crate::tls::UnixTime;

/// Two that list their names, and one that speaks the other API.
const BACKENDS: &str = "\
    [[backend]]\nurl = \"http://a\"\nname = \"a\"\nmodels = [\"big\", \"gpt-*\"]\n\
    [[backend]]\nurl = \"http://b\"\nname = \"b\"\nmodels = [\"big\", \"small\"]\n\
    dialect = \"openai\"\n\
    [[backend]]\nurl = \"http://c\"\nname = \"c\"\nmodels = \"claude\"\ndialect = \"anthropic\"\n";
/// Lines of these.
const LINES: usize = 14;

fn read(backends: &str, text: &str) -> Result<Plan, Vec<String>> {
    let text = format!("{backends}{text}");
    let file = ConfigFile { name: "t".to_owned(), text };
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1));
    check_file_and_flags(Some(&file), |_| (), &machine, now).map(|(_, plan)| plan)
}

#[track_caller]
fn plan(text: &str) -> Plan {
    read(BACKENDS, text).unwrap_or_else(|told| panic!("{told:#?}"))
}

/// Refused with exactly these, by the line behind the backends.
#[track_caller]
fn check_refused(text: &str, expected: &[(usize, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(line, said)| format!("t:{}: {said}", LINES + line)).collect();
    assert_eq!(read(BACKENDS, text).err().unwrap_or_default(), expected, "{text}");
}

/// Name sent, backends, weight and order of each candidate of the first model.
#[track_caller]
fn check_candidates(model: &str, expected: &[(Option<&str>, &[usize], u32, u32)]) {
    let plan = plan(&format!("[[model]]\n{model}"));
    let candidates = plan.routes.models[0].candidates.iter();
    let candidates: Vec<_> = candidates
        .map(|one| {
            let backends: Vec<_> = one.backends.iter().map(|id| id.0).collect();
            (one.model.as_deref(), backends, one.weight, one.order)
        })
        .collect();
    let expected =
        expected.iter().map(|(sent, on, weight, order)| (*sent, on.to_vec(), *weight, *order));
    assert_eq!(candidates, expected.collect::<Vec<_>>(), "{model}");
}

#[test]
fn nothing_written_is_no_model_and_backends_that_serve_all() {
    let plan = read("[[backend]]\nurl = \"http://a\"\n[[backend]]\nurl = \"http://b\"\n", "");
    let plan = plan.unwrap();
    assert_eq!(plan.routes.backends, [Serves::default(), Serves::default()]);
    assert_eq!((plan.routes.models, plan.routes.rules, plan.models), (vec![], vec![], vec![]));
    let demo = read("demo = true\n", "").unwrap();
    assert_eq!(demo.routes.backends, [Serves::default()]);
}

#[test]
fn a_model_without_candidates_is_itself_where_it_is_served() {
    check_candidates("name = \"big\"", &[(Some("big"), &[0, 1], 1, 0)]);
    check_candidates("name = \"big\"\naliases = \"gpt-4\"", &[(Some("big"), &[0, 1], 1, 0)]);
    check_candidates("name = \"gpt-4*\"", &[(None, &[0], 1, 0)]);
    check_candidates("name = \"*\"", &[(None, &[0, 1, 2], 1, 0)]);
}

#[test]
fn candidates_are_named_wholly_or_by_what_serves_them() {
    check_candidates(
        "name = \"chat\"\ncandidates = [{ model = \"big\", backends = \"b\", weight = 3 }, \
         { model = \"small\", order = 1 }, \"claude\"]",
        &[(Some("big"), &[1], 3, 0), (Some("small"), &[1], 1, 1), (Some("claude"), &[2], 1, 0)],
    );
    check_candidates("name = \"big\"\ncandidates = [{ weight = 2 }]", &[(None, &[0, 1], 2, 0)]);
    check_candidates("name = \"x\"\naliases = \"small\"\ncandidates = [{}]", &[(None, &[1], 1, 0)]);
    check_candidates(
        "name = \"chat\"\n[[model.candidates]]\nmodel = \"big\"\n[[model.candidates]]\n\
         model = \"small\"\n",
        &[(Some("big"), &[0, 1], 1, 0), (Some("small"), &[1], 1, 0)],
    );
}

#[test]
fn a_place_leads_to_a_model_its_alias_or_a_name_that_a_backend_lists() {
    let plan = plan(
        "[[model]]\nname = \"chat\"\naliases = \"talk\"\ncandidates = \"big\"\n\
         policy = \"round_robin\"\n\
         [[model]]\nname = \"more\"\ncandidates = \"big\"\n\
         fallbacks = [\"talk\", \"small\", \"gpt-5\"]\ncontext_window_fallbacks = \"small\"\n",
    );
    let [_, more, small, gpt] = &plan.routes.models[..] else { panic!("{:?}", plan.routes) };
    assert_eq!(more.fallbacks.general, [ModelId(0), ModelId(2), ModelId(3)]);
    assert_eq!(more.fallbacks.context_window, [ModelId(2)]);
    assert_eq!((small.is_named, gpt.is_named, more.is_named), (false, false, true));
    assert_eq!(gpt.candidates[0].backends, [BackendId(0)]);
    let policies: Vec<_> = plan.models.iter().map(|one| one.policy).collect();
    assert_eq!(policies, [Some(Policy::RoundRobin), None, None, None]);
}

#[test]
fn names_are_read_and_each_leads_to_one_model() {
    check_refused(
        "[[model]]\nname = \"\"\n[[model]]\nname = \"a\\nb\"\n[[model]]\nname = \"a*b*\"\n",
        &[
            (2, "model.name: the name is empty; write one, or leave this out"),
            (4, "model.name …: the name holds a control byte, such as a line break; leave it out"),
            (6, "model.name a*b*: a pattern has one * at most; keep one of them"),
        ],
    );
    let long = "x".repeat(257);
    check_refused(
        &format!("[[model]]\nname = \"{long}\""),
        &[(
            2,
            &format!(
                "model.name {long}: no request is read for a name of more than 256 bytes; \
                 write a shorter one"
            ),
        )],
    );
    check_refused(
        "[[model]]\nname = \"big\"\naliases = [\"x\", \"big\"]\n\
         [[model]]\nname = \"small\"\naliases = \"x\"\n[[model]]\nname = \"small\"\n",
        &[
            (3, "model.aliases big: model big is called so already; give each a name of its own"),
            (6, "model.aliases x: model big is called so already; give each a name of its own"),
            (8, "model.name small: model small is called so already; give each a name of its own"),
        ],
    );
    check_refused(
        "[[model]]\naliases = \"big\"\n",
        &[(1, "model: a model without name; add a line like name = \"chat\"")],
    );
    check_refused(
        "[[model]]\nname = \"big\"\naliases = []\n",
        &[(3, "model.aliases: the list is empty; name one, or leave the key out")],
    );
}

#[test]
fn a_candidate_has_a_backend_that_serves_it() {
    check_refused(
        "[[model]]\nname = \"chat\"\n[[model]]\nname = \"x\"\ncandidates = [\n\
         { model = \"huge\" },\n{ model = \"big\", backends = [\"c\", \"d\", \"a\", \"a\"] },\n\
         { model = \"gpt-*\" },\n{ weight = 2 }]\n",
        &[
            (2, "model.name: no backend serves chat; add the name to the backend.models of one"),
            (
                6,
                "model.candidates.model: no backend serves huge; add the name to the \
                 backend.models of one",
            ),
            (
                7,
                "model.candidates.backends c: this backend does not serve big; add the name to \
                 its backend.models, or leave the backend out",
            ),
            (
                7,
                "model.candidates.backends d: there is no backend.name like this, and no URL; \
                 did you mean a?",
            ),
            (7, "model.candidates.backends a: this backend stands in the list twice; name it once"),
            (
                8,
                "model.candidates.model gpt-*: a backend is sent one name, and this has a *; \
                 write a whole name, or leave it out for what the client wrote",
            ),
            (
                9,
                "model.candidates.model: no backend serves x; add the name to the \
                 backend.models of one",
            ),
        ],
    );
}

#[test]
fn candidates_have_a_weight() {
    check_refused(
        "[[model]]\nname = \"x\"\ncandidates = [{ model = \"big\", weight = 0 }, \
         { model = \"small\", weight = 0, order = 1 }]\n",
        &[(
            3,
            "model.candidates.weight 0: every weight is 0, so that none would answer; give one a \
             weight",
        )],
    );
    let parked = "name = \"x\"\ncandidates = [\"big\", { model = \"small\", weight = 0 }]";
    check_candidates(parked, &[(Some("big"), &[0, 1], 1, 0), (Some("small"), &[1], 0, 0)]);
}

#[test]
fn a_fallback_is_known_and_speaks_the_same_api() {
    check_refused(
        "[[model]]\nname = \"big\"\nfallbacks = \"smal\"\ncontext_window_fallbacks = \"zzzzzzzz\"\n\
         [[model]]\nname = \"small\"\ncontent_policy_fallbacks = [\"claude\"]\n",
        &[
            (
                3,
                "model.fallbacks smal: there is no model.name, model.aliases or backend.models \
                 with this name; did you mean small?",
            ),
            (
                4,
                "model.context_window_fallbacks zzzzzzzz: there is no model.name, model.aliases \
                 or backend.models with this name; known are big, small, claude, \
                 gpt-*",
            ),
            (
                7,
                "model.content_policy_fallbacks claude: claude is answered in the anthropic API \
                 only, and the model before it asks in the other; name a model whose \
                 backend.dialect fits",
            ),
        ],
    );
}

#[test]
fn fallbacks_that_lead_back_are_shown_whole() {
    let model = |name: &str, more: &str| {
        format!("[[model]]\nname = \"{name}\"\ncandidates = \"big\"\n{more}\n")
    };
    check_refused(
        &model("a", "fallbacks = \"a\""),
        &[(4, "model.fallbacks: fallbacks lead back: a → a; leave one of them out")],
    );
    let three = [
        model("a", "fallbacks = [\"c\", \"b\"]"),
        model("b", "context_window_fallbacks = \"c\""),
        model("c", "content_policy_fallbacks = \"b\""),
    ];
    check_refused(
        &three.concat(),
        &[(
            8,
            "model.context_window_fallbacks: fallbacks lead back: c → b → c; leave one of them out",
        )],
    );
    let diamond = [
        model("a", "fallbacks = [\"b\", \"c\"]"),
        model("b", "fallbacks = \"d\""),
        model("c", "fallbacks = \"d\""),
        model("d", ""),
    ];
    assert_eq!(plan(&diamond.concat()).routes.models.len(), 4);
}

#[test]
fn stickiness_needs_something_to_stick_to() {
    check_refused(
        "[[model]]\nname = \"big\"\nsticky = true\n",
        &[(
            3,
            "model.sticky: a conversation has one candidate only, and no route.to parts it, so \
             this has no effect; leave it out",
        )],
    );
    assert!(
        plan("[[model]]\nname = \"x\"\nsticky = true\ncandidates = [\"big\", \"small\"]\n")
            .routes
            .models[0]
            .sticky
    );
    let parted = "[[model]]\nname = \"big\"\nsticky = true\n\
                  [[route]]\nname = \"r\"\nto = [\"big\", \"small\"]\n";
    assert!(plan(parted).routes.models[0].sticky);
}

#[test]
fn what_was_not_understood_is_not_found_wanting() {
    check_refused(
        "[[model]]\nnmae = \"chat\"\n[[model]]\nname = 5\n[[model]]\nname = \"big\"\n\
         fallbacks = \"chat\"\n",
        &[
            (2, "model.nmae: the key is not known; did you mean model.name?"),
            (4, "model.name: this is a whole number; write it like name = \"chat\""),
        ],
    );
    let told = read(
        "[[backend]]\nurl = 5\n",
        "[[model]]\nname = \"m\"\ncandidates = [{ backends = \"x\" }]",
    );
    assert_eq!(told.unwrap_err().len(), 1);
}

/// A generated file may have as many faults as lines.
#[test]
fn so_many_faults_are_told_and_the_others_counted() {
    let words: Vec<_> = (0..2000).map(|n| format!("\"unknown-{n}\"")).collect();
    let text = format!("[[model]]\nname = \"big\"\nfallbacks = [{}]", words.join(", "));
    let told = read(BACKENDS, &text).unwrap_err();
    assert_eq!(told.len(), 101);
    assert_eq!(told[100], "t: 1900 more faults; mend those above first");
    assert_eq!(
        told[99],
        "t:17: model.fallbacks unknown-99: there is no model.name, model.aliases or \
         backend.models with this name; known are big, claude, small, gpt-*",
    );
}

/// Of two patterns the first in the file counts, not the more exact one.
#[test]
fn a_model_whose_names_are_all_an_earlier_ones_is_never_named() {
    let hidden = "model.name gpt-4*: every name that meets this goes to gpt* before it; put this \
                  model first, or leave it out";
    const WIDE: &str = "[[model]]\nname = \"chat\"\naliases = \"gpt*\"\n\
                        candidates = [{ model = \"big\" }]\n";
    let narrow = |more: &str| {
        format!("[[model]]\nname = \"gpt-4*\"\ncandidates = [{{ model = \"big\" }}]\n{more}")
    };
    check_refused(&format!("{WIDE}{}", narrow("")), &[(6, hidden)]);
    check_refused(&format!("{WIDE}{}", narrow("aliases = \"gpt-*-mini\"\n")), &[(6, hidden)]);
    plan(&format!("{}{WIDE}", narrow("")));
    plan(&format!("{WIDE}{}", narrow("aliases = \"gpt-4o\"\n")));
    plan(&format!("{WIDE}{}", narrow("aliases = \"g*\"\n")));
    // Something else leads there.
    let route = "[[route]]\nname = \"r\"\nwhen.stream = true\nto = \"gpt-4*\"\n";
    plan(&format!("{WIDE}{}", narrow(route)));
    let other = "[[model]]\nname = \"small\"\nfallbacks = \"gpt-4*\"\n";
    plan(&format!("{WIDE}{}", narrow(other)));
}

#[test]
fn more_than_the_tables_bear_is_refused() {
    let models: String = (0..4097).map(|n| format!("[[model]]\nname = \"gpt-{n}\"\n")).collect();
    let told = read(BACKENDS, &models).unwrap_err();
    let expected = "t:16: model.name: there are 4097 models and at most 4096 are taken, as each \
                    of them is a row in every core's table; leave some out";
    assert_eq!(told, [expected]);
    let aliases: Vec<_> = (0..4097).map(|n| format!("\"m{n}\"")).collect();
    let text = format!("[[model]]\nname = \"big\"\naliases = [{}]", aliases.join(", "));
    let told = read(BACKENDS, &text).unwrap_err();
    assert!(
        told.len() == 1 && told[0].starts_with("t:17: model.aliases: there are 4097"),
        "{told:?}"
    );
}
