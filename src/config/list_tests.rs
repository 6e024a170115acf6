//! Rows of a list of backends.

use std::time::Duration;

use super::*;
use crate::config::{Machine, check_file_and_flags};
use crate::tls::UnixTime;

/// The backends that a list comes to behind `http://a`, by name and weight; or
/// what is said.
#[track_caller]
fn check(text: &str, expected: Result<&[(&str, u32)], &[&str]>) {
    let list = ConfigFile { name: "l.txt".to_owned(), text: text.to_owned() };
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    let now = UnixTime::since_unix_epoch(Duration::ZERO);
    let mut told = Vec::new();
    let write = |written: &mut Written| {
        written.backends = vec!["http://a".into()];
        written.given.by_flag("--backend");
        told = append(&list, written);
    };
    let plan = check_file_and_flags(None, write, &machine, now);
    let mut said: Vec<_> = told.into_iter().map(|told| told.sentence).collect();
    said.extend(plan.as_ref().err().cloned().unwrap_or_default());
    match expected {
        Ok(expected) => {
            assert_eq!(said, [""; 0]);
            let plan = plan.unwrap().1;
            let found: Vec<_> =
                plan.backends[1..].iter().map(|one| (one.name.as_str(), one.weight)).collect();
            assert_eq!(found, expected);
        }
        Err(expected) => {
            assert_eq!(said.len(), expected.len(), "{said:?}");
            for (said, expected) in said.iter().zip(expected) {
                assert!(said.starts_with(expected), "{said}");
            }
        }
    }
}

#[test]
fn a_backend_is_a_line() {
    check("", Ok(&[]));
    check("# none\n\n  \n", Ok(&[]));
    check("http://b\nhttp://c:1/v1", Ok(&[("b", 1), ("c:1/v1", 1)]));
    check("  http://b\t# the first\r\nhttp://c #weight=2\n", Ok(&[("b", 1), ("c", 1)]));
    check("unix:/run/b.sock", Ok(&[("unix:/run/b.sock", 1)]));
}

#[test]
fn what_a_backend_has_stands_behind_its_url() {
    check("http://b name=gpu weight=3 models=m,q* capacity=7", Ok(&[("gpu", 3)]));
    check("https://b tls.danger_no_verify=true", Ok(&[("b", 1)]));
}

#[test]
fn what_is_wrong_is_told_by_its_line() {
    check("\nweight=3", Err(&["l.txt:2: url weight=3: a backend is told by URL; "]));
    check("ftp://b", Err(&["l.txt:1: url ftp://b: the scheme must be http or https; "]));
    check("http://b\nhttp://a", Err(&["l.txt:2: url http://a: "]));
    check("http://b x", Err(&["l.txt:1: x: what stands behind a URL is KEY=VALUE; "]));
    check("http://b wieght=2", Err(&["l.txt:1: wieght: the key is not known; did you mean "]));
    check("http://b url=http://c", Err(&["l.txt:1: url: the key is not known; "]));
    check("http://b weight=x", Err(&["l.txt:1: weight x: "]));
    check("http://b weight=1 weight=2", Err(&["l.txt:1: weight: the key stands in this line "]));
    check("http://b weight=9999999", Err(&["l.txt:1: weight 9999999: "]));
    check("https://b tls.danger_no_verify=yes", Err(&["l.txt:1: tls.danger_no_verify: it is on"]));
}

#[test]
fn a_key_in_the_list_itself_is_not_shown() {
    check("http://b key=sk-secret", Err(&["l.txt:1: key …: "]));
}

#[test]
fn a_list_that_is_none_ends_soon() {
    let most = "http://b x\n".repeat(10_000);
    let list = ConfigFile { name: "l".to_owned(), text: most };
    assert_eq!(append(&list, &mut Written::default()).len(), FAULTS_MAX);
    let many: String = (0..10_000).map(|at| format!("http://b:{at}\n")).collect();
    let (list, mut written) = (ConfigFile { text: many, ..list }, Written::default());
    assert_eq!(append(&list, &mut written).len(), 0);
    assert_eq!(written.backends.len(), BACKENDS_MAX + 1);
}

#[test]
fn a_list_of_nobody_is_refused_unless_there_are_others() {
    let list = ConfigFile { name: "l.txt".to_owned(), text: "#\n".to_owned() };
    let said = append(&list, &mut Written::default());
    assert!(said[0].sentence.starts_with("l.txt: it names no backend, "), "{said:?}");
    let mut written = Written { backends: vec!["http://a".into()], ..Written::default() };
    assert_eq!(append(&list, &mut written), []);
}
