//! Facts about a file that changes under a process.

use std::time::Duration;

use super::*;

const BEFORE: &str = "\
listen.http = \"127.0.0.1:1\"
limits.body_bytes = \"1MiB\"
[[backend]]
url = \"http://b\"
";

fn file(text: &str) -> Sight {
    let file = ConfigFile { name: "t.toml".to_owned(), text: text.to_owned() };
    Sight { config: Some(Ok(file)), ..Sight::default() }
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::ZERO)
}

fn in_force() -> FileInForce {
    let machine = Machine { allowed_cores: vec![0, 1], open_files: Some(65_536) };
    let sight = file(BEFORE);
    let config = sight.config.clone().unwrap().unwrap();
    let typed = |written: &mut Written| {
        written.cores = "1".to_owned();
        written.given.by_flag("--cores");
    };
    let (written, _) = look_and_check(Some(&config), typed, &machine, now()).1.unwrap();
    FileInForce::new(sight, written, Box::new(typed), machine)
}

/// The keys that need a restart when the file has changed so.
#[track_caller]
fn check_keys(replace: [&str; 2], expected: &[&str]) -> Plan {
    let mut in_force = in_force();
    match in_force.take(file(&BEFORE.replace(replace[0], replace[1])), now()) {
        Look::Taken(taken) => {
            assert_eq!(taken.needs_restart, expected);
            taken.plan
        }
        Look::Refused(faults) => panic!("{faults:?}"),
        Look::Unchanged => panic!("it has changed"),
    }
}

#[test]
fn what_can_change_does_and_the_rest_stays_and_is_told() {
    let plan = check_keys(["1MiB", "2MiB"], &[]);
    assert_eq!(plan.limits.body_bytes, 2 << 20);
    let both = "127.0.0.1:2\"\nlisten.admin = \"127.0.0.1:3\"\ndeadlines.drain = \"7s";
    let plan = check_keys(["127.0.0.1:1", both], &["listen.http", "listen.admin"]);
    assert_eq!(plan.drain, Duration::from_secs(7));
    assert_eq!((plan.listeners.len(), plan.admin), (1, None));
    assert_eq!(plan.listeners[0], crate::config::Address::Tcp(([127, 0, 0, 1], 1).into()));
}

#[test]
fn what_was_typed_is_in_force_whatever_the_file_says() {
    let plan = check_keys(["[[backend]]", "cores.use = \"0\"\n[[backend]]"], &[]);
    assert_eq!(plan.cores, [1]);
}

#[test]
fn a_broken_file_is_refused_with_its_lines_until_it_is_another() {
    let mut in_force = in_force();
    let broken = format!("{BEFORE}x = 1\n");
    let Look::Refused(faults) = in_force.take(file(&broken), now()) else { panic!("refused") };
    assert!(faults[0].starts_with("t.toml:5: "), "{faults:?}");
    assert!(!in_force.is_in_force(&file(&broken)));
    assert!(!in_force.is_news(&file(&broken)), "it was told once");
    assert!(!in_force.is_in_force(&file(BEFORE)), "the old text was not judged since");
}

#[test]
fn a_change_is_taken_once_two_looks_agree() {
    let mut in_force = in_force();
    let (half, whole) = ("listen", BEFORE.replace("//b", "//c"));
    let looks = [BEFORE, half, &whole, &whole].map(|text| in_force.is_news(&file(text)));
    assert_eq!(looks, [false, false, false, true]);
}

/// Every setting says which of the two it is, and the copy is one.
#[test]
fn a_setting_from_the_start_is_copied_whatever_it_holds() {
    for setting in settings().filter(|setting| setting.needs_restart) {
        let (mut before, mut after) = (Written::default(), Written::default());
        let word = match setting.form() {
            crate::config::Form::Switch { flag_says } => vec![flag_says.to_string()],
            _ => setting.examples().map(str::to_owned).collect(),
        };
        let words: Vec<_> = word.iter().map(String::as_str).collect();
        setting.read(&mut after, &words).unwrap();
        let (mut there, mut back) = (before.clone(), after.clone());
        setting.copy(&mut after, &mut there);
        setting.copy(&mut before, &mut back);
        assert_eq!((&there, &back), (&after, &before), "{}", setting.key);
    }
}
