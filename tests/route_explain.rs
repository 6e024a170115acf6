//! `tokenring route --explain` as the operator meets it: the built binary, its
//! exit code and its words.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

const TOML: &str = r#"
[[backend]]
url = "http://127.0.0.1:1"
name = "a"

[[backend]]
url = "http://127.0.0.1:2"
name = "b"

[[model]]
name = "small"
candidates = [{ model = "small-7b", backends = ["a"] }]
fallbacks = ["big"]

[[model]]
name = "big"
candidates = [{ model = "big-70b", backends = ["b"] }]

[[route]]
name = "maybe"
when.stream = false
to = "big"
shadow = true

[[route]]
name = "copied"
mirror = { model = "big", percent = 100 }

[[route]]
name = "gold"
when.header.x-tier = ["gold", "plat*"]
when.path = "/v1/chat/*"
to = "big"

[[route]]
name = "hard"
when.model = "auto"
when.complexity_min = 0.6
to = "big"

[[route]]
name = "easy"
when.model = "auto"
to = [{ model = "small", weight = 1 }, { model = "big", weight = 0 }]

[[route]]
name = "last"
when.model = "auto*"
to = "big"
"#;

fn told(toml: &str, flags: &[&str], body: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.toml"), toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenring"));
    command.args(["route", "--explain", "--config", "t.toml"]).args(flags);
    command.current_dir(folder.path()).env_remove("TOKENRING_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A process that refuses its words does not read this.
    let _ = child.stdin.take().unwrap().write_all(body.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn hello(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Why?"}}]}}"#)
}

/// Each of `lines` stands on the page, blanks aside.
#[track_caller]
fn check(flags: &[&str], body: &str, lines: &[&str]) {
    let (code, page, said) = told(TOML, flags, body);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{page}");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in lines {
        assert!(page.lines().any(|found| words(found) == *line), "{line} is not in\n{page}");
    }
}

#[test]
fn a_decision_is_told_whole() {
    check(
        &[],
        &hello("auto"),
        &[
            "API OpenAI's",
            "model auto",
            "stream false",
            "tools false",
            "images false",
            "prompt 8 tokens, guessed of 34 bytes",
            "questions 0.25 of 0.10 1 marks",
            "markers 0.20 of 0.45 1 kinds of words for reasons and steps",
            "maybe applies, in shadow: it does not act",
            "copied applies, and only mirrors",
            "mirrors 100 % to big",
            "gold does not apply: header x-tier is none of gold, plat*",
            "easy applies, and decides",
            "to small, weight 1, where this conversation falls",
            "to big, weight 0",
            "last would apply, but a rule before it has decided",
            "rule easy",
            "model small",
            "step 1 candidate, model small, sent as small-7b, to a",
            "step 2 fallback, model big, sent as big-70b, to b",
            "mirror model big, sent as big-70b, to b",
            "shadow maybe would have chosen big",
            "header x-tokenring-route: rule=easy; model=small; step=candidate; shadow=maybe; shadow-model=big",
        ],
    );
}

#[test]
fn head_and_flags_decide_as_they_do_for_a_client() {
    check(
        &["--header", "X-Tier: platinum"],
        &hello("small"),
        &["gold applies, and decides", "step 1 candidate, model big, sent as big-70b, to b"],
    );
    check(
        &["--header", "x-tier: gold", "--path", "/v1/messages"],
        &hello("small"),
        &["API Anthropic's", "gold does not apply: the path is none of /v1/chat/*", "rule none"],
    );
    check(
        &["--header", "x-session-id: 1"],
        &hello("auto"),
        &["conversation by the session that its head names"],
    );
    check(
        &["--path", "/v1/files"],
        "no JSON",
        &[
            "body not looked into, as this path asks no model",
            "API none that is known, so that any backend may answer",
        ],
    );
}

#[test]
fn without_rules_every_backend_is_a_step() {
    let toml = "[[backend]]\nurl = \"http://127.0.0.1:1\"\n";
    let (code, page, said) = told(toml, &["--backend", "http://127.0.0.1:7"], &hello("x"));
    assert_eq!((code, said.as_str()), (Some(0), ""), "{page}");
    assert!(page.contains("candidate, model as the client wrote it, to 127.0.0.1:7"), "{page}");
    assert!(
        !page.contains("x-tokenring-route"),
        "nothing is told where nothing is decided\n{page}"
    );
}

#[test]
fn a_key_that_a_rule_asks_for_is_not_told() {
    let toml = "[[backend]]\nurl = \"http://127.0.0.1:1\"\nmodels = \"m\"\n[[route]]\n\
                name = \"r\"\nwhen.header.Authorization = \"Bearer sk-secret\"\nto = \"m\"\n";
    let (code, page, said) = told(toml, &[], &hello("m"));
    assert_eq!((code, said.as_str()), (Some(0), ""), "{page}");
    assert!(page.contains("header authorization is none of its values"), "{page}");
    assert!(!page.contains("sk-"), "{page}");
}

#[track_caller]
fn check_refused(toml: &str, flags: &[&str], body: &str, reason: &str) {
    let (code, page, said) = told(toml, flags, body);
    assert_eq!(code, Some(2), "{page}\n{said}");
    assert!(said.starts_with("error: ") && said.contains(reason), "{said}");
}

#[test]
fn what_cannot_be_routed_ends_in_2_with_its_reason() {
    check_refused(TOML, &[], &hello("smal"), "nobody serves smal; near are small");
    let images = ["--path", "/v1/images/generations"];
    check_refused(TOML, &images, &hello("smal"), "nobody serves smal; near are small");
    check_refused(TOML, &[], "{", "at byte 1 of the body");
    check_refused(TOML, &[], "{}", "model: you must provide a model parameter");
    check_refused(TOML, &["--body-bytes", "20B"], &hello("auto"), "more than the 20 bytes");
    check_refused(TOML, &["--path", "nowhere"], &hello("auto"), "its head is refused");
    check_refused(TOML, &["--header", "x-tier"], &hello("auto"), "write 'name: value'");
    check_refused(TOML, &["--header", "a: b\r\nc: d"], &hello("auto"), "is no field");
    check_refused("[[rute]]\nname = \"x\"\n", &[], "", "t.toml:1");
}

#[test]
fn an_unknown_model_is_explained_all_the_same() {
    let (_, page, _) = told(TOML, &[], &hello("smal"));
    assert!(page.contains("refused      404 model_not_found"), "{page}");
}

#[test]
fn it_explains_only_when_asked_to() {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenring")).arg("route").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--explain"));
}
