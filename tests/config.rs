//! The configuration file as the operator meets it: the built binary, its exit
//! code and its words.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, and wait for threads of their own"
)]

mod support;

use std::{
    path::Path,
    process::{Command, Output},
};

use support::{eventually, mock, process::Process, tls::authority::Authority, url};
use tempfile::TempDir;
use tokenring::config::settings;

fn tokenring(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenring"));
    // The key that the reference's example names.
    command.env("OPENAI_API_KEY", "sk-of-the-reference").env_remove("TOKENRING_LOG");
    command.args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn put(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.toml"), text).unwrap();
    folder
}

/// A certificate with its key, its own authority, in the files of this name.
fn put_pair(folder: &Path, certificate: &str, key: &str) {
    let pair = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    std::fs::write(folder.join(certificate), pair.cert.pem()).unwrap();
    std::fs::write(folder.join(key), pair.signing_key.serialize_pem()).unwrap();
}

/// `check` refuses the file with exactly these lines.
#[track_caller]
fn check_refused(file: &str, expected: &[&str]) {
    let folder = put(file);
    let output = tokenring(folder.path(), &["check", "t.toml"]);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{said}");
    let errors: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!(errors, expected);
}

#[test]
fn a_good_file_is_told_so_in_one_line() {
    let folder = put("[[backend]]\nurl = \"http://10.0.0.1:8000\"\n");
    let output = tokenring(folder.path(), &["check", "t.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "t.toml: all is well, with 1 backend\n");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn every_error_of_a_file_is_told_at_once_with_line_reason_and_mend() {
    let file = "\
[listen]
http = \"8080\"
htp = \"127.0.0.1:1\"
tls = \"127.0.0.1:2\"

[tls]
cert = \"nowhere.pem\"
key = \"nowhere.pem\"

[limits]
body_bytes = \"2GiB\"
header_count = \"many\"

[deadlines]
head = \"5\"

[[backend]]
url = \"htp://a\"
";
    let unreadable = "nowhere.pem: the file cannot be read (no such file or directory); \
                      give a file that this user may read";
    check_refused(
        file,
        &[
            "t.toml:2: listen.http 8080: this is no address to listen on; \
             write HOST:PORT, [::1]:PORT or unix:/PATH",
            "t.toml:3: listen.htp: the key is not known; did you mean listen.http?",
            &format!("t.toml:7: tls.cert {unreadable}"),
            &format!("t.toml:8: tls.key {unreadable}"),
            "t.toml:11: limits.body_bytes 2GiB: this is more than limits.body_memory allows \
             (1GiB); lower it or raise limits.body_memory",
            "t.toml:12: limits.header_count: this is a text; write it like header_count = 200",
            "t.toml:15: deadlines.head 5: the unit of the time is missing; \
             add one of ms, s, m, h, d, as in 10s",
            "t.toml:18: backend.url htp://a: the scheme must be http or https; \
             write http://HOST:PORT, https://HOST or unix:/PATH",
        ],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_name() {
    for args in [&["check", "none.toml"][..], &["serve", "--config", "none.toml"]] {
        let output = tokenring(tempfile::tempdir().unwrap().path(), args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(said.starts_with("error: none.toml: the file cannot be read (no such"), "{said}");
    }
    let folder = put("");
    std::fs::write(folder.path().join("t.toml"), b"x = \"\xff\"").unwrap();
    let said = text(&tokenring(folder.path(), &["check", "t.toml"]).stderr);
    assert!(said.contains("(it is not UTF-8)"), "{said}");
}

/// Neither as the file itself, nor as one that it names, nor pasted into it.
#[test]
fn the_contents_of_a_key_are_never_shown() {
    let folder = put("");
    put_pair(folder.path(), "chain.pem", "key.pem");
    let key = std::fs::read_to_string(folder.path().join("key.pem")).unwrap();
    let lines: Vec<_> = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let files = [
        key.clone(),
        "[listen]\ntls = \"127.0.0.1:1\"\n[tls]\ncert = \"key.pem\"\nkey = \"chain.pem\"\n\
         client_ca = \"key.pem\"\n[[backend]]\nurl = \"https://a\"\ntls.ca = \"key.pem\"\n"
            .to_owned(),
        format!("tls.key = '''{key}'''\ncores.use = '''{key}'''\n"),
        format!("tls.key = '{key}'\n"),
        format!("[[backend]]\nurl = \"http://a\"\n[tls]\nkey = '''\n{key}'''\n"),
    ];
    for file in files {
        std::fs::write(folder.path().join("t.toml"), &file).unwrap();
        let output = tokenring(folder.path(), &["check", "t.toml"]);
        let said = text(&output.stderr) + &text(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(lines.iter().all(|line| !said.contains(line)), "{said}");
    }
}

#[test]
fn a_flag_wins_over_the_file_and_its_errors_are_the_flags() {
    let folder = put("[limits]\nbody_bytes = \"1MiB\"\n[[backend]]\nurl = \"http://a\"\n");
    let args = ["serve", "--config", "t.toml", "--body-bytes", "2GiB", "--cores", "0-"];
    let output = tokenring(folder.path(), &args);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("error: --cores 0-: the core list"), "{said}");
    let mend = "--body-bytes 2GiB: this is more than limits.body_memory allows (1GiB); ";
    assert!(said.contains(mend), "{said}");
}

#[test]
fn the_reference_shows_every_flag_of_serve_and_passes_check() {
    let folder = put("");
    let page = text(&tokenring(folder.path(), &["reference"]).stdout);
    let help = text(&tokenring(folder.path(), &["serve", "--help"]).stdout);
    let (help, _) = help.split_once("Examples:").unwrap();
    let flags = help.lines().map(str::trim_start).filter(|line| line.starts_with("--"));
    let flags: Vec<_> = flags.filter_map(|line| line.split([' ', ',']).next()).collect();
    // Where the settings are, and how much is logged, is no setting of the file.
    let flags = flags.into_iter().filter(|flag| !["--config", "--log"].contains(flag));
    let mut count = 0;
    for flag in flags {
        assert!(page.contains(&format!("# {flag} ")), "{flag} is not in the reference");
        count += 1;
    }
    assert_eq!(count, settings().filter(|setting| setting.flag.is_some()).count());
    std::fs::write(folder.path().join("t.toml"), page).unwrap();
    put_pair(folder.path(), "chain.pem", "key.pem");
    put_pair(folder.path(), "ours.pem", "ours-key.pem");
    for bundle in ["clients.pem", "backends.pem"] {
        std::fs::copy(folder.path().join("chain.pem"), folder.path().join(bundle)).unwrap();
    }
    std::fs::write(folder.path().join("backends.txt"), "http://10.0.0.9:8000\n").unwrap();
    let output = tokenring(folder.path(), &["check", "t.toml"]);
    let said = text(&output.stderr);
    assert_eq!(said, "");
    assert_eq!(text(&output.stdout), "t.toml: all is well, with 3 backends\n");
}

/// What stands indented behind this line of the README.
fn example_of_readme() -> String {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("`tokenring.toml`:\n\n").expect("the README's example");
    let block = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    block.map(|line| format!("{}\n", line.trim_start_matches("    "))).collect()
}

#[test]
fn the_example_of_the_readme_passes_check() {
    let example = example_of_readme();
    let folder = put(&example);
    put_pair(folder.path(), "chain.pem", "key.pem");
    std::fs::copy(folder.path().join("chain.pem"), folder.path().join("inside-ca.pem")).unwrap();
    let output = tokenring(folder.path(), &["check", "t.toml"]);
    assert_eq!(text(&output.stderr), "", "{example}");
    assert!(text(&output.stdout).ends_with("with 2 backends\n"));
}

#[test]
fn a_process_serves_by_its_file() {
    let mock = mock();
    let file = format!(
        "headers.own = false\nlimits.body_bytes = \"10B\"\n[[backend]]\nurl = \"{}\"\n",
        url(mock.address())
    );
    let folder = put(&file);
    let path = folder.path().join("t.toml");
    let process = Process::serve(&[], &["--config", path.to_str().unwrap()]);
    let models = process.client().get("/v1/models");
    assert_eq!(models.status, 200);
    let is_own = |(name, _): &(String, String)| name.to_lowercase().starts_with("x-tokenring-");
    assert!(!models.fields.iter().any(is_own), "{:?}", models.fields);
    let body = "{\"model\":\"x\"}";
    assert_eq!(process.client().post("/v1/chat/completions", "", body).status, 413);
}

/// The statuses of four requests through a process by this file.
fn statuses(file: &str) -> Vec<u16> {
    let folder = put(file);
    let path = folder.path().join("t.toml");
    let process = Process::serve(&[], &["--config", path.to_str().unwrap()]);
    let mut client = process.client();
    (0..4).map(|_| client.get("/v1/models").status).collect()
}

#[test]
fn each_backend_is_verified_by_its_own_authorities() {
    let mock = mock();
    let sides = [Authority::new(), Authority::new()].map(|authority| {
        let leaf = authority.leaf("shown", &["localhost"]);
        let process = Process::serve_tls(&leaf, &[url(mock.address())], &[]);
        (authority, process)
    });
    let file = |order: [usize; 2]| {
        let backend = |(place, (_, process)): (usize, &(Authority, Process))| {
            let (address, ca) = (process.tls_address(), sides[order[place]].0.file());
            format!(
                "[[backend]]\nurl = \"https://{address}\"\n\
                 tls = {{ ca = \"{ca}\", name = \"localhost\" }}\n"
            )
        };
        sides.iter().enumerate().map(backend).collect::<String>()
    };
    assert_eq!(statuses(&file([0, 1])), [200; 4]);
    assert_eq!(statuses(&file([1, 0])), [502; 4]);
}

#[test]
fn a_certificate_that_is_not_reloaded_is_told_by_its_key_and_line() {
    let folder = put("");
    put_pair(folder.path(), "chain.pem", "key.pem");
    let [file, chain, key] =
        ["t.toml", "chain.pem", "key.pem"].map(|name| folder.path().join(name));
    let text = format!(
        "[listen]\ntls = \"127.0.0.1:0\"\n[tls]\nwatch_every = \"1d\"\ncert = {chain:?}\n\
         key = {key:?}\n[[backend]]\nurl = \"http://127.0.0.1:1\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let process = Process::serve(&[], &["--config", file.to_str().unwrap()]);
    std::fs::write(&key, "").unwrap();
    process.signal("HUP");
    let expected = format!("t.toml:6: tls.key {}: the file holds no private key", key.display());
    eventually("the refusal is told", || process.said().contains(&expected));
}
