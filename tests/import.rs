//! `tokenring import` as the operator meets it: the built binary, its exit
//! code, its words, and the file it writes.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const YAML: &str = include_str!("import/litellm.yaml");
const TOML: &str = include_str!("import/litellm.toml");
const FINDINGS: &str = include_str!("import/findings.txt");
/// All of it has the same meaning here.
const EXACT: &str = "model_list:\n- model_name: m\n  litellm_params:\n    model: openai/m\n    \
                     api_base: http://10.0.0.1:8000/v1\n    api_key: os.environ/KEY_OF_M\n";

fn tokenring(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenring"));
    command.args(args).current_dir(folder).env_remove("TOKENRING_LOG").output().unwrap()
}

fn import(folder: &Path, yaml: &str, args: &[&str]) -> (Option<i32>, String, String) {
    fs::write(folder.join("litellm.yaml"), yaml).unwrap();
    let output = tokenring(folder, &[&["import", "litellm", "litellm.yaml"], args].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_configuration_is_told_in_ours_with_all_that_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (code, file, said) = import(folder.path(), YAML, &[]);
    assert_eq!((code, file.as_str(), said.as_str()), (Some(0), TOML, FINDINGS));
}

#[test]
fn no_secret_of_the_input_is_written_or_told() {
    for secret in ["sk-", "hunter2", "a-literal-aws-secret"] {
        assert!(YAML.contains(secret) && !TOML.contains(secret) && !FINDINGS.contains(secret));
    }
}

#[test]
fn strict_takes_what_is_exact_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.toml");
    let (code, file, said) = import(folder.path(), YAML, &["--strict", "--out", "out.toml"]);
    assert_eq!((code, file.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("error: nothing was written, as not all is exact") && !out.exists());
    let (code, file, said) = import(folder.path(), EXACT, &["--strict"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(file.contains("key = \"env:KEY_OF_M\""), "{file}");
}

#[test]
fn a_file_is_written_over_only_when_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.toml");
    let (code, file, said) = import(folder.path(), EXACT, &["--out", "out.toml"]);
    assert_eq!((code, file.as_str()), (Some(0), ""), "{said}");
    let written = fs::read_to_string(&out).unwrap();
    fs::write(&out, "mine").unwrap();
    let (code, _, said) = import(folder.path(), EXACT, &["--out", "out.toml"]);
    assert!(said.contains("--out out.toml: the file is there already; give --overwrite"), "{said}");
    assert_eq!((code, fs::read_to_string(&out).unwrap().as_str()), (Some(2), "mine"));
    let (code, ..) = import(folder.path(), EXACT, &["--out", "out.toml", "--overwrite"]);
    assert_eq!((code, fs::read_to_string(&out).unwrap()), (Some(0), written));
}

#[test]
fn what_is_no_configuration_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (code, file, said) = import(folder.path(), "model_list: 7\n", &[]);
    assert_eq!((code, file.as_str()), (Some(2), ""));
    assert!(said.starts_with("error: litellm.yaml:1: model_list is no list; give "), "{said}");
    let output = tokenring(folder.path(), &["import", "litellm", "gone.yaml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("gone.yaml: the file cannot be read") && said.contains("YAML"), "{said}");
}

#[test]
fn what_is_imported_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let (code, file, said) = import(folder.path(), YAML, &["--out", "out.toml"]);
    assert_eq!((code, file.as_str()), (Some(0), ""), "{said}");
    let written = fs::read_to_string(folder.path().join("out.toml")).unwrap();
    let keys = written.lines().filter_map(|line| line.strip_prefix("key = \"env:"));
    let keys = keys.map(|key| (key.trim_end_matches('"'), "sk-for-a-test"));
    let mut check = Command::new(env!("CARGO_BIN_EXE_tokenring"));
    let check = check.args(["check", "out.toml"]).current_dir(folder.path()).envs(keys);
    let output = check.env_remove("TOKENRING_LOG").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}\n{written}");
}
