//! Facts about the table of settings.

use std::time::Duration;

use super::*;
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
    match setting.key.strip_prefix("backend.") {
        Some("url") => format!("[[backend]]\nurl = {value}\n"),
        Some(own) => format!("[[backend]]\nurl = \"https://b\"\n{own} = {value}\n"),
        None => format!("{} = {value}\n[[backend]]\nurl = \"https://b\"\n", setting.key),
    }
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
        let words = other_than_default(setting);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut typed = Written { backends: vec!["https://b".into()], ..Written::default() };
        setting.read(&mut typed, &words).unwrap();
        typed.given.by_flag(setting.flag);
        let of_file = written(&in_file(setting, &other_than_default(setting)));
        assert!(of_file.given.has(setting.flag), "{}", setting.key);
        let mut nothing = Written { backends: vec!["https://b".into()], ..Written::default() };
        nothing.tls.client_ca = Some("ca".into());
        let (of_flag, of_file) = (plan(typed), plan(of_file));
        assert_eq!(of_flag, of_file, "{}", setting.key);
        assert_ne!(of_flag, plan(nothing), "{} has no effect", setting.key);
    }
}

#[test]
fn a_flag_wins_over_the_file() {
    for setting in settings().filter(|setting| setting.flag != "--danger-backend-no-verify") {
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
        both.given.by_flag(setting.flag);
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
        let is_twin = |twin: &Setting| twin.key == setting.key || twin.flag == setting.flag;
        assert!(twins.clone().all(|twin| !is_twin(twin)), "{}", setting.key);
        assert!(setting.flag.starts_with("--"), "{}", setting.flag);
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
        let is_danger = setting.flag == "--danger-backend-no-verify";
        assert_eq!(setting.example == default, is_danger, "{}", setting.key);
    }
}

#[test]
fn the_words_on_connections_name_the_most_that_auto_takes() {
    let doc = by_flag("--connections").unwrap().doc;
    assert!(doc.ends_with(&format!("up to {}", Limits::DEFAULT.connections)), "{doc}");
}
