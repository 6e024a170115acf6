//! Facts about rules: what they ask for, where they lead, and what is refused.

use std::time::Duration;

use super::*;
use crate::config::{ConfigFile, Machine, Plan, check_file_and_flags};
use crate::tls::UnixTime;

const ABOVE: &str = "[[backend]]\nurl = \"http://a\"\nmodels = [\"big\", \"small\"]\n\
                     [[backend]]\nurl = \"http://c\"\nmodels = \"claude\"\ndialect = \"anthropic\"\n";
/// Lines of these.
const LINES: usize = 7;

pub(super) fn read(text: &str) -> Result<Plan, Vec<String>> {
    let file = ConfigFile { name: "t".to_owned(), text: format!("{ABOVE}{text}") };
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1));
    check_file_and_flags(Some(&file), |_| (), &machine, now).map(|(_, plan)| plan)
}

#[track_caller]
fn rules(text: &str) -> Vec<Rule> {
    read(text).unwrap_or_else(|told| panic!("{told:#?}")).routes.rules
}

/// Refused with exactly these, by the line behind the backends.
#[track_caller]
pub(super) fn check_refused(text: &str, expected: &[(usize, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(line, said)| format!("t:{}: {said}", LINES + line)).collect();
    assert_eq!(read(text).err().unwrap_or_default(), expected, "{text}");
}

fn pattern(text: &str) -> Pattern {
    Pattern(text.into())
}

#[test]
fn a_rule_holds_what_was_written() {
    let [rule] = &rules(
        "[[route]]\nname = \"hard\"\nwhen.model = [\"auto\", \"gpt-*\"]\nwhen.path = \"/v1/*\"\n\
         when.header.X-Tier = [\"gold\", \"plat*\"]\nwhen.header.x-b = \"*\"\nwhen.stream = true\n\
         when.tools = false\nwhen.prompt_tokens_min = 8_000\nwhen.complexity_max = 0.6\n\
         to = [{ model = \"big\", weight = 9 }, \"small\"]\n\
         mirror = { model = \"claude\", percent = 5 }\n",
    )[..] else {
        panic!()
    };
    let Conditions { models, paths, headers, stream, tools, images, prompt_tokens, complexity } =
        &rule.when;
    assert_eq!((&*rule.name, rule.shadow), ("hard", false));
    assert_eq!(*models, [pattern("auto"), pattern("gpt-*")]);
    assert_eq!(*paths, [pattern("/v1/*")]);
    let tier = headers.iter().find(|header| &*header.name == "x-tier").unwrap();
    assert_eq!(tier.values, [pattern("gold"), pattern("plat*")]);
    assert_eq!(headers.len(), 2);
    assert_eq!((*stream, *tools, *images), (Some(true), Some(false), None));
    assert_eq!(*prompt_tokens, Some(8000..=u64::MAX));
    assert_eq!(*complexity, Some(0.0..=0.6));
    let arms: Vec<_> = rule.to.iter().map(|arm| (arm.model.0, arm.weight)).collect();
    assert_eq!(arms, [(0, 9), (1, 1)]);
    assert_eq!(rule.mirror, Some(Mirror { model: ModelId(2), percent: 5.0 }));
}

#[test]
fn one_model_stands_alone() {
    let [rule] = &rules("[[route]]\nname = \"r\"\nto = \"big\"\nshadow = true\n")[..] else {
        panic!()
    };
    assert_eq!((rule.to.len(), rule.shadow), (1, true));
    let [rule] =
        &rules("[[route]]\nname = \"r\"\nmirror.model = \"big\"\nmirror.percent = 0.5\n")[..]
    else {
        panic!()
    };
    assert_eq!((rule.to.len(), rule.mirror.as_ref().unwrap().percent), (0, 0.5));
}

#[test]
fn a_rule_has_a_plain_name_of_its_own_and_leads_somewhere() {
    check_refused(
        "[[route]]\nname = \"a b\"\nto = \"big\"\n[[route]]\nname = \"r\"\n[[route]]\nname = \"r\"\n\
         to = \"bigg\"\n[[route]]\nname = \"s\"\nshadow = true\nmirror = { model = \"big\", percent = 1 }\n",
        &[
            (
                2,
                "route.name a b: the name stands in headers and figures; write 1 to 253 letters, \
                 digits and signs without blanks, commas, quotes, backslashes and control bytes",
            ),
            (5, "route.name r: the route leads nowhere; add to = \"MODEL\", or a mirror"),
            (7, "route.name r: a route is called so already; give each a name of its own"),
            (
                8,
                "route.to.model bigg: there is no model.name, model.aliases or backend.models \
                 with this name; did you mean big?",
            ),
            (
                11,
                "route.shadow: a shadow only decides, and this one leads to no model; add to = \
                 \"MODEL\"",
            ),
            (
                12,
                "route.mirror.model: route.shadow = true does not act, so no copy is ever sent; leave one \
                 of the two out",
            ),
        ],
    );
    check_refused(
        "[[route]]\nto = \"big\"\n",
        &[(1, "route: a route without name; add a line like name = \"hard\"")],
    );
}

#[test]
fn a_split_has_weight_and_a_mirror_a_share() {
    check_refused(
        "[[route]]\nname = \"r\"\nto = [{ model = \"big\", weight = 0 },\n\
         { model = \"small\", weight = 0 }]\n[[route]]\nname = \"s\"\nmirror = { percent = 5 }\n\
         to = []\n[[route]]\nname = \"t\"\nmirror = { model = \"big\" }\n\
         [[route]]\nname = \"u\"\nmirror = { model = \"big\", percent = 101 }\n",
        &[
            (
                3,
                "route.to.weight 0: every weight is 0, so that none would answer; give one a weight",
            ),
            (6, "route.name s: the route leads nowhere; add to = \"MODEL\", or a mirror"),
            (
                7,
                "route.mirror.percent 5: there is no mirror.model, so this has no effect; add it, \
                 or leave this out",
            ),
            (8, "route.to: the list is empty; name one, or leave the key out"),
            (
                11,
                "route.mirror.model big: how many are copied is missing; add mirror.percent, like 5",
            ),
            (14, "route.mirror.percent 101: a share is from 0 to 100; write it so"),
        ],
    );
    check_refused(
        "[[route]]\nname = \"r\"\nto = [{ weight = 3 }]\n",
        &[(3, "route.to: a model of a route without model; add a line like model = \"big\"")],
    );
}

#[test]
fn conditions_can_be_met() {
    check_refused(
        "[[route]]\nname = \"r\"\nto = \"big\"\nwhen.prompt_tokens_min = 9\nwhen.prompt_tokens_max = 8\n\
         when.complexity_min = 1.5\nwhen.complexity_max = -0.5\nwhen.path = \"v1/x\"\n\
         when.model = \"a*b*\"\n[route.when.header]\n\"x y\" = \"1\"\nX-A = \"1\"\nx-a = \"2\"\n\
         x-b = []\nx-c = 5\n",
        &[
            (
                4,
                "route.when.prompt_tokens_min 9: this is more than route.when.prompt_tokens_max \
                 (8), so no request meets both; lower it or raise the other",
            ),
            (6, "route.when.complexity_min 1.5: a complexity is from 0 to 1; write it so"),
            (
                6,
                "route.when.complexity_min 1.5: this is more than route.when.complexity_max \
                 (-0.5), so no request meets both; lower it or raise the other",
            ),
            (7, "route.when.complexity_max -0.5: a complexity is from 0 to 1; write it so"),
            (8, "route.when.path v1/x: no path begins so; begin with / or *"),
            (9, "route.when.model a*b*: a pattern has one * at most; keep one of them"),
            (
                11,
                "route.when.header x y: a header's name is letters, digits and signs like - and _; \
                 write it without others",
            ),
            (
                13,
                "route.when.header x-a: this header stands here twice; put its values in one list",
            ),
            (14, "route.when.header.x-b: the list is empty; name one, or leave the key out"),
            (
                15,
                "route.when.header: this is a whole number; write it like header = \
                 { x-tier = [\"gold\", \"plat*\"] }",
            ),
        ],
    );
}

/// A rule may go by a client's key, and faults are read by many.
#[test]
fn the_value_of_a_header_that_holds_a_secret_is_not_shown() {
    const TWO_STARS: &str = "a pattern has one * at most; keep one of them";
    const CONTROL: &str = "no header's value holds a control byte, such as a line break, so no \
                           request meets this; leave it out";
    let rule = |header: &str, value: &str| {
        format!("[[route]]\nname = \"r\"\nto = \"big\"\nwhen.header.{header} = \"{value}\"\n")
    };
    for (header, value, said) in [
        ("x-tier", "a*b*", format!("a*b*: {TWO_STARS}")),
        ("authorization", "Bearer sk-*b*", format!("…: {TWO_STARS}")),
        ("X-Api-Key", "sk-*b*", format!("…: {TWO_STARS}")),
        ("x-our-token", "sk-*b*", format!("…: {TWO_STARS}")),
        ("cookie", "sk-\\n", format!("…: {CONTROL}")),
        ("x-tier", "gold\\r\\n", format!("…: {CONTROL}")),
        ("x-tier", "\\u0000", format!("…: {CONTROL}")),
    ] {
        let said = format!("route.when.header {said}");
        check_refused(&rule(header, value), &[(4, &said)]);
    }
    assert_eq!(rules(&rule("x-tier", "a\\tb")).len(), 1, "a tab may stand in a value");
}

#[test]
fn a_path_of_one_api_leads_to_models_that_speak_it() {
    let never = |line, model: &str, speaks: &str| {
        (
            line,
            format!(
                "route.to.model {model}: {model} is answered in the {speaks} API only, and \
                 route.when.path asks in the other; name a model whose backend.dialect fits"
            ),
        )
    };
    let [chat, star] = [never(4, "claude", "anthropic"), never(4, "claude", "anthropic")];
    let rule = |path: &str, to: &str| {
        format!("[[route]]\nname = \"r\"\nwhen.path = \"{path}\"\nto = \"{to}\"\n")
    };
    check_refused(&rule("/v1/chat/completions", "claude"), &[(chat.0, &chat.1)]);
    check_refused(&rule("/v1/chat/*", "claude"), &[(star.0, &star.1)]);
    for (path, to) in [
        ("/v1/messages", "claude"),
        // Its backend says nothing of an API.
        ("/v1/messages", "big"),
        ("/v1/*", "claude"),
        ("/v1/models", "claude"),
    ] {
        assert_eq!(rules(&rule(path, to)).len(), 1, "{path} {to}");
    }
}

#[test]
fn more_than_are_looked_through_are_refused() {
    let routes: String = (0..1025)
        .map(|n| format!("[[route]]\nname = \"r{n}\"\nto = \"big\"\nwhen.model = \"m{n}\"\n"))
        .collect();
    let told = read(&routes).unwrap_err();
    assert_eq!(
        told,
        [
            "t:9: route.name: there are 1025 routes and at most 1024 are taken, as a request is held \
          against one after the other; leave some out"
        ]
    );
    let values: Vec<_> = (0..257).map(|n| format!("\"m{n}\"")).collect();
    let route =
        format!("[[route]]\nname = \"r\"\nto = \"big\"\nwhen.model = [{}]", values.join(", "));
    let told = read(&route).unwrap_err();
    assert!(
        told.len() == 1 && told[0].contains("there are 257 patterns and at most 256"),
        "{told:?}"
    );
}

#[test]
fn more_conditions_on_heads_than_are_kept_are_refused_where_they_begin() {
    let route = |n: usize, paths: usize| {
        format!(
            "[[route]]\nname = \"r{n}\"\nto = \"big\"\nwhen.path = \"/{}\"\n\
             when.header.x-{n} = \"v\"\n",
            n % paths
        )
    };
    let routes =
        |count: usize, paths: usize| -> String { (0..count).map(|n| route(n, paths)).collect() };
    assert_eq!(rules(&routes(128, 128)).len(), 128);
    // The same condition in many routes is one.
    assert_eq!(rules(&routes(240, 16)).len(), 240);
    check_refused(
        &routes(130, 130),
        &[(
            128 * 5 + 2,
            "route.name r128: all routes together have 260 different conditions on paths and \
             headers, and at most 256 are taken, as what each of them came to is kept with every \
             request; use the same lists again, or leave some out",
        )],
    );
}

#[test]
fn further_headers_name_a_session() {
    let list = |names: &[&str]| {
        let file = ConfigFile {
            name: "t".to_owned(),
            text: format!("[balancing]\nsession_headers = {names:?}\n{ABOVE}"),
        };
        let machine = Machine { allowed_cores: vec![0], open_files: None };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1));
        let plan = check_file_and_flags(Some(&file), |_| (), &machine, now);
        plan.map(|(_, plan)| plan.routes.session_headers)
    };
    assert_eq!(list(&["X-User-Id", "thread"]), Ok(vec!["x-user-id".into(), "thread".into()]));
    let told = |said: &str| Err(vec![format!("t:2: balancing.session_headers {said}")]);
    assert_eq!(
        list(&["a b"]),
        told(
            "a b: a header's name is letters, digits and signs like - and _; write it without others"
        )
    );
    assert_eq!(list(&["a", "A"]), told("A: this header stands in the list twice; name it once"));
    let known = "this header is looked for without being named; leave it out";
    assert_eq!(list(&["X-Session-Id"]), told(&format!("X-Session-Id: {known}")));
    let many = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    assert_eq!(list(&many[..8]).map(|names| names.len()), Ok(8));
    let said = list(&many).unwrap_err();
    assert!(said[0].contains("there are 9 headers and at most 8 are taken"), "{said:?}");
}
