//! Facts about the table of settings.

use std::time::Duration;

use super::*;
use crate::config::settings::list_of;
use crate::config::{Limits, Machine, Plan, check};

fn written(text: &str) -> Written {
    let file = crate::config::ConfigFile { name: "t.toml".to_owned(), text: text.to_owned() };
    let read = file.read();
    let faults: Vec<_> = read.faults.iter().map(|told| told.sentence.as_str()).collect();
    assert_eq!(faults, [""; 0], "{text}");
    read.written
}

/// The word for a setting that differs from its default.
fn other_than_default(setting: &Setting) -> Vec<String> {
    match setting.form() {
        Form::Switch { flag_says } => vec![flag_says.to_string()],
        _ => setting.examples().map(str::to_owned).collect(),
    }
}

/// A file with this setting alone, beside what it needs to stand.
fn in_file(setting: &Setting, words: &[String]) -> String {
    let value = match setting.form() {
        Form::Switch { .. } => words.concat(),
        _ => setting.example_in_toml(),
    };
    let name = setting.table_and_name().1;
    let list = list_of(setting.key).map_or("", |list| list.key);
    let own = setting.key.strip_prefix(list).map_or("", |own| own.trim_start_matches('.'));
    let beside = match (list, name) {
        ("", _) => return format!("{} = {value}\n{BACKEND}", setting.key),
        ("backend", "url") => return format!("[[backend]]\nurl = {value}\n"),
        ("backend", _) => return format!("{BACKEND}{own} = {value}\n"),
        _ => beside(setting.key, name),
    };
    let other = BACKEND.replace("//b", "//c");
    format!(
        "{other}{BACKEND}name = \"gpu-1\"\n{}",
        beside.replace("VALUE", &format!("{own} = {value}"))
    )
}

const BACKEND: &str = "[[backend]]\nurl = \"https://b\"\n";

/// What a setting of a model or a route stands in.
fn beside(key: &str, name: &str) -> String {
    const SERVED: &str = "models = [\"m\", \"llama-3-70b\", \"chat\", \"qwen*\"]\n";
    const ROUTE: &str = "[[route]]\n";
    let of_file = match key {
        "model.name" => "[[model]]\nVALUE",
        "model.sticky" => "[[model]]\nname = \"m\"\nVALUE\ncandidates = [\"m\", \"chat\"]",
        _ if key.starts_with("model.candidates.") => {
            "[[model]]\nname = \"m\"\n[[model.candidates]]\nVALUE\n[[model.candidates]]"
        }
        _ if key.starts_with("model.") => "[[model]]\nname = \"m\"\nVALUE",
        "route.name" => "[[route]]\nVALUE\nto = \"m\"",
        "route.to.model" => "[[route]]\nname = \"r\"\n[[route.to]]\nVALUE",
        "route.to.weight" => "[[route]]\nname = \"r\"\n[[route.to]]\nmodel = \"m\"\nVALUE",
        "route.mirror.model" => "[[route]]\nname = \"r\"\nVALUE\nmirror.percent = 5",
        "route.mirror.percent" => "[[route]]\nname = \"r\"\nmirror.model = \"m\"\nVALUE",
        _ => "[[route]]\nname = \"r\"\nto = \"m\"\nVALUE",
    };
    let is_bare = of_file.starts_with(ROUTE) && name.is_empty();
    assert!(!is_bare, "{key}");
    format!("{SERVED}{of_file}\n")
}

/// What else has to be there for the setting to mean anything.
fn company(written: &mut Written) {
    if written.backends.is_empty() {
        written.backends = vec!["https://b".into()];
    }
    let seven = Duration::from_secs(7);
    written.probes.health.interval.get_or_insert(seven);
    written.probes.engine.interval.get_or_insert(seven);
    let tls = &mut written.tls;
    tls.listen.push("127.0.0.1:4443".into());
    if tls.certificates.len() < 2 {
        tls.certificates.resize(1, "c".into());
        tls.keys.resize(1, "k".into());
    }
    tls.client_ca.get_or_insert_with(|| "ca".into());
    for side in written.backends.iter_mut().map(|one| &mut one.tls).chain([&mut tls.backend]) {
        if side.certificate.is_some() || side.key.is_some() {
            side.certificate.get_or_insert_with(|| "c".into());
            side.key.get_or_insert_with(|| "k".into());
        }
    }
}

fn plan(mut written: Written) -> Plan {
    company(&mut written);
    let machine = Machine { allowed_cores: vec![0, 1], open_files: Some(100_000) };
    let plan = check(&written, &machine);
    let mut plan = plan.unwrap_or_else(|errors| panic!("{errors:?}"));
    // Where it was given is the one thing that may differ.
    plan.given = crate::config::Given::default();
    plan
}

#[test]
fn each_setting_makes_the_same_plan_as_a_flag_and_in_the_file() {
    for setting in settings() {
        let Some(flag) = setting.flag else { continue };
        let words = other_than_default(setting);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut typed = Written { backends: vec!["https://b".into()], ..Written::default() };
        setting.read(&mut typed, &words).unwrap();
        typed.given.by_flag(flag);
        let of_file = written(&in_file(setting, &other_than_default(setting)));
        assert!(of_file.given.has(flag), "{}", setting.key);
        let mut nothing = Written { backends: vec!["https://b".into()], ..Written::default() };
        nothing.tls.client_ca = Some("ca".into());
        let (of_flag, of_file) = (plan(typed), plan(of_file));
        assert_eq!(of_flag, of_file, "{}", setting.key);
        assert_ne!(of_flag, plan(nothing), "{} has no effect", setting.key);
    }
}

/// Those without a flag: a file with the setting makes another plan than the
/// same file without its line. Keys are looked up beside the check (`load`).
#[test]
fn each_setting_of_a_table_has_an_effect() {
    let flagless = settings().filter(|setting| setting.flag.is_none());
    for setting in flagless.filter(|setting| setting.key != "backend.key") {
        let text = in_file(setting, &other_than_default(setting));
        let of_file = written(&text);
        assert!(of_file.given.has(setting.id()), "{}", setting.key);
        let name = setting.key.strip_prefix(list_of(setting.key).unwrap().key).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        let at = lines.iter().rposition(|line| line.starts_with(&name[1..])).unwrap();
        lines.remove(at);
        let without =
            crate::config::ConfigFile { name: "t.toml".to_owned(), text: lines.join("\n") };
        let without = Written { given: crate::config::Given::default(), ..without.read().written };
        let machine = Machine { allowed_cores: vec![0, 1], open_files: Some(100_000) };
        let is_needed = check(&without, &machine).is_err();
        let plan = plan(of_file);
        assert!(is_needed || self::plan(without) != plan, "{} has no effect", setting.key);
    }
}

#[test]
fn a_flag_wins_over_the_file() {
    let flags = settings().filter_map(|setting| Some((setting, setting.flag?)));
    for (setting, flag) in flags.filter(|(_, flag)| *flag != "--danger-backend-no-verify") {
        let mut both = written(&in_file(setting, &other_than_default(setting)));
        let mut typed = Written { backends: both.backends.clone(), ..Written::default() };
        let default = setting.default();
        let readable = setting.read(&mut Written::default(), &[&default]).is_ok();
        let word = match setting.form() {
            Form::Switch { flag_says } => (!flag_says).to_string(),
            Form::OneOf(words) => words[0].to_owned(),
            _ if readable => default,
            _ => "7".to_owned(),
        };
        setting.read(&mut both, &[&word]).unwrap();
        both.given.by_flag(flag);
        setting.read(&mut typed, &[&word]).unwrap();
        typed.backends.clone_from(&both.backends);
        both.given = crate::config::Given::default();
        assert_eq!(both, typed, "{}", setting.key);
    }
}

#[test]
fn keys_and_flags_are_each_a_settings_own() {
    for (index, setting) in settings().enumerate() {
        let twins = settings().skip(index + 1);
        let is_twin = |twin: &Setting| twin.key == setting.key || twin.id() == setting.id();
        assert!(twins.clone().all(|twin| !is_twin(twin)), "{}", setting.key);
        assert!(setting.flag.is_none_or(|flag| flag.starts_with("--")), "{}", setting.id());
        assert!(!setting.doc.ends_with('.') && !setting.doc.contains('\n'), "{}", setting.doc);
    }
}

/// One place has both, so that they can be compared.
#[test]
fn a_default_is_what_holds_when_nothing_is_written() {
    for setting in settings() {
        let mut written = Written::default();
        let default = setting.default();
        if setting.words(&mut written).is_some() {
            let words: Vec<_> = default.split(", ").collect();
            setting.read(&mut written, &words).unwrap();
        }
        assert_eq!(written, Written::default(), "{}", setting.key);
        const CONTRADICTING: [&str; 3] =
            ["backend.tls.danger_no_verify", "model.sticky", "route.shadow"];
        let contradicts = CONTRADICTING.contains(&setting.key);
        assert_eq!(setting.example == default, contradicts, "{}", setting.key);
    }
}

#[test]
fn the_words_on_connections_name_the_most_that_auto_takes() {
    let doc = by_id("--connections").unwrap().doc;
    assert!(doc.ends_with(&format!("up to {}", Limits::DEFAULT.connections)), "{doc}");
}
