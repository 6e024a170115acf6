//! Facts about the backends of a plan, by files: each is refused with exactly
//! these lines, or says what its plan has.

use std::time::Duration;

use crate::config::{BackendPlan, ConfigFile, Machine, Plan, check_file_and_flags};
use crate::llm::Dialect;
use crate::tls::UnixTime;

fn read(text: &str) -> Result<Plan, Vec<String>> {
    let file = ConfigFile { name: "t".to_owned(), text: text.to_owned() };
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1));
    check_file_and_flags(Some(&file), |_| (), &machine, now).map(|(_, plan)| plan)
}

#[track_caller]
fn backends(text: &str) -> Vec<BackendPlan> {
    read(text).unwrap_or_else(|told| panic!("{told:#?}")).backends
}

#[track_caller]
fn check_refused(text: &str, expected: &[&str]) {
    assert_eq!(read(text).err().unwrap_or_default(), expected, "{text}");
}

#[test]
fn what_is_not_written_is_one_share_without_a_bound_and_both_dialects() {
    let [one] = &backends("[[backend]]\nurl = \"http://a:1\"")[..] else { panic!() };
    assert_eq!((one.name.as_str(), one.weight, one.capacity), ("a:1", BackendPlan::WEIGHT, None));
    assert_eq!((one.dialect, &one.credential), (None, &None));
}

#[test]
fn what_is_written_is_in_the_plan() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "sk-1\n").unwrap();
    let text = format!(
        "[[backend]]\nurl = \"http://a:1\"\nname = \"gpu-1\"\nweight = 0\ncapacity = 32\n\
         dialect = \"anthropic\"\nkey = \"file:{}\"\n[[backend]]\nurl = \"http://a:1\"",
        key.path().display()
    );
    let [one, other] = &backends(&text)[..] else { panic!() };
    assert_eq!((one.name.as_str(), other.name.as_str()), ("gpu-1", "a:1"));
    assert_eq!((one.weight, one.capacity.map(u32::from)), (0, Some(32)));
    assert_eq!(one.dialect, Some(Dialect::Anthropic));
    assert_eq!(one.credential.as_ref().unwrap().expose(), b"sk-1");
    assert!(!format!("{one:?}").contains("sk-1"));
}

#[test]
fn backends_are_called_apart() {
    check_refused(
        "[[backend]]\nurl = \"http://a\"\nname = \"x\"\n[[backend]]\nurl = \"http://b\"\nname = \"x\"",
        &["t:6: backend.name x: a backend is called so already; give each a name of its own"],
    );
    check_refused(
        "[[backend]]\nurl = \"http://a\"\nname = \"b\"\n[[backend]]\nurl = \"http://b\"\n\
         [[backend]]\nurl = \"http://c\"\nname = \"two words\"",
        &[
            "t:5: backend.url http://b: http and https of one host have the same name in logs \
             and metrics; write the port of one of them",
            "t:8: backend.name two words: the name stands in headers and figures; write 1 to 253 \
             letters, digits and signs without blanks, commas, quotes, backslashes and control \
             bytes",
        ],
    );
}

/// A name that is written is a name, whatever stands beside it.
#[test]
fn a_backend_whose_url_is_not_understood_has_its_other_faults_told() {
    const NAME: &str = "name = \"x\"";
    check_refused(
        &format!(
            "[[backend]]\nurl = \"htp://a\"\n{NAME}\ncapacity = 0\n\
             [[backend]]\nurl = \"http://b:x\"\n{NAME}\nweight = 2000000\n\
             [[backend]]\n{NAME}\n\
             [[model]]\nname = \"m\"\ncandidates = [{{ backends = [\"x\", \"y\"] }}]\n"
        ),
        &[
            "t:2: backend.url htp://a: the scheme must be http or https; write http://HOST:PORT, \
             https://HOST or unix:/PATH",
            "t:4: backend.capacity 0: a backend that bears nothing is never asked; raise it, or \
             leave it out for no bound",
            "t:6: backend.url http://b:x: the port is not a number from 1 to 65535; write \
             http://HOST:PORT",
            "t:7: backend.name x: a backend is called so already; give each a name of its own",
            "t:8: backend.weight 2000000: the value must be at most 1000000, as the sum of many \
             is counted in 32 bits; lower it",
            "t:9: backend: a backend without url; add a line like url = \"http://10.0.0.1:8000\"",
            "t:10: backend.name x: a backend is called so already; give each a name of its own",
            "t:13: model.candidates.backends y: there is no backend.name like this, and no URL; \
             did you mean x?",
        ],
    );
}

#[test]
fn a_backend_bears_something_and_one_of_them_has_a_weight() {
    check_refused(
        "[[backend]]\nurl = \"http://a\"\nweight = 0\ncapacity = 0\n\
         [[backend]]\nurl = \"http://b\"\nweight = 0",
        &[
            "t:3: backend.weight 0: every weight is 0, so that none would answer; give one a \
             weight",
            "t:4: backend.capacity 0: a backend that bears nothing is never asked; raise it, or \
             leave it out for no bound",
        ],
    );
    check_refused(
        "[[backend]]\nurl = \"http://a\"\nweight = 2000000",
        &["t:3: backend.weight 2000000: the value must be at most 1000000, as the sum of many is \
           counted in 32 bits; lower it"],
    );
}

#[test]
fn a_key_is_named_by_its_place_and_what_is_wrong_there_is_told() {
    let refused = |key: &str, expected: &str| {
        let text = format!("[[backend]]\nurl = \"http://a\"\nkey = {key}");
        check_refused(&text, &[&format!("t:3: backend.key{expected}")]);
    };
    refused(
        "\"sk-live-1\"",
        " …: a key does not stand in the file itself, so this is not shown; write env:NAME for \
         an environment variable or file:PATH for a file that holds it",
    );
    refused("[\"sk-live-1\"]", ": this is a list; write it like key = \"env:OPENAI_API_KEY\"");
    refused(
        "\"env:TOKENRING_NEVER_SET\"",
        " env:TOKENRING_NEVER_SET: the environment variable is not set; set it where the process \
         is started",
    );
    refused(
        "\"file:/nonexistent\"",
        " file:/nonexistent: the file with the key cannot be read (no such file or directory); \
         give a file that this user may read",
    );
    let told = read("[[backend]]\nurl = \"http://a\"\nkey = sk-live-1\n").unwrap_err().join("\n");
    assert!(!told.contains("sk-live"), "{told}");
}

#[test]
fn more_backends_than_a_table_bears_are_refused() {
    let backends: String =
        (0..1025).map(|n| format!("[[backend]]\nurl = \"http://a:{}\"\n", n + 1)).collect();
    check_refused(
        &backends,
        &["t:2: backend.url: there are 1025 backends and at most 1024 are taken, as each has \
           figures of its own on every core; leave some out"],
    );
}
