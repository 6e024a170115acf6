//! Rows that show that the tidy test fails on what it is there to find.

use super::source::Source;
use super::{Fault, bans, floors, sizes, words};

const PLAN: &str = "
//! ```text
//! 2  shard/   mock/    one core's loop | lies on command
//! 1  http/ json/  llm/   rt/   formats, no I/O | the seam
//! 0  base/             units
//! ```
";

fn lines_of(faults: &[Fault]) -> Vec<usize> {
    faults.iter().map(|fault| fault.line).collect()
}

#[test]
fn every_fault_names_line_reason_and_replacement() {
    let source = Source::new("src/shard/mod.rs", "\nunsafe fn f() {}\n");
    let said: Vec<String> = bans::faults(&source).iter().map(Fault::to_string).collect();
    let wanted = "src/shard/mod.rs:2: only rt/ contains unsafe code; \
                  instead: put it behind a safe function in rt/";
    assert_eq!(said, [wanted]);
}

#[test]
fn the_drawing_is_read_as_floors() {
    let plan = floors::Plan::drawn_in(PLAN);
    let floors = ["shard", "mock", "http", "rt", "base", "I", "units"].map(|r| plan.floor(r));
    assert_eq!(floors, [Some(2), Some(2), Some(1), Some(1), Some(0), None, None]);
}

#[test]
fn the_real_drawing_shows_every_floor() {
    let plan = floors::Plan::drawn_in(include_str!("../lib.rs"));
    let rooms = ["base", "rt", "llm", "balance", "exchange", "config", "shard", "server", "cli"];
    assert_eq!(rooms.map(|room| plan.floor(room)), std::array::from_fn(|n| u32::try_from(n).ok()));
}

#[test]
fn imports_point_down() {
    fn check(file: &str, code: &str, faults: usize) {
        let source = Source::new(file, code);
        let found = floors::faults(&floors::Plan::drawn_in(PLAN), &[source]);
        assert_eq!(found.len(), faults, "{file}: {code}");
    }
    check("src/http/mod.rs", "use crate::base::Span;", 0);
    check("src/http/mod.rs", "use crate::http::Head;", 0);
    check("src/http/mod.rs", "use crate::shard::Shard;", 1);
    check("src/http/mod.rs", "use crate::json::Peek;", 1);
    check("src/http/mod.rs", "use crate::{base::Span, json::{self, Peek}};", 2);
    check("src/http/mod.rs", "fn f(x: &crate::shard::Shard) {}", 1);
    check("src/http/mod.rs", "pub(in crate::shard) fn f() {}", 1);
    check("src/http/mod.rs", "use super::shard;", 1);
    check("src/http/parse.rs", "use super::super::shard;", 1);
    check("src/http/parse.rs", "use super::shard;", 0);
    check("src/http/mod.rs", "#[cfg(test)]\nmod tests { use crate::shard::Shard; }", 1);
    check("src/http/mod.rs", "// use crate::shard::Shard;\nfn f() { g(\"crate::shard::x\") }", 0);
    check("src/shard/mod.rs", "use crate::{http, json, rt::Clock};", 0);
    check("src/shard/mod.rs", "use crate::mock;", 1);
    check("src/attic/mod.rs", "", 1);
    check("src/attic.rs", "", 1);
    check("src/lib.rs", "pub mod http; pub mod shard; use crate::shard::Shard;", 0);
    check("tests/proxy.rs", "use tokenring::shard;", 0);
}

#[test]
fn rooms_name_only_what_they_may() {
    fn check(file: &str, code: &str, lines: &[usize]) {
        assert_eq!(lines_of(&bans::faults(&Source::new(file, code))), lines, "{file}: {code}");
    }
    // The runtime and unsafe code.
    check("src/shard/mod.rs", "use monoio::io;", &[1]);
    check("src/shard/mod.rs", "use monoio as m;", &[1]);
    check("src/shard/mod.rs", "\nfn f() { libc::close(0); }", &[2]);
    check("src/shard/mod.rs", "#[cfg(test)] mod tests { use io_uring::IoUring; }", &[1]);
    check("src/shard/mod.rs", "use crate::rt::monoio;", &[]);
    check("src/rt/ring.rs", "use {io_uring::IoUring, libc::c_int};\nunsafe fn f() {}", &[]);
    check("src/lib.rs", "#![deny(unsafe_code)]", &[]);
    check("src/mock/mod.rs", "#[allow(unsafe_code)]\nfn f() {}", &[]);
    check("src/mock/mod.rs", "// unsafe\nconst TEXT: &str = \"unsafe\";", &[]);
    // Pure rooms.
    check("src/http/mod.rs", "use std::net::TcpStream;", &[1]);
    check("src/http/mod.rs", "use std::net::{SocketAddr, TcpListener};", &[1]);
    check("src/http/mod.rs", "use std::net::*;", &[1, 1]); // TCP and UDP
    check("src/http/mod.rs", "use std::net::SocketAddr;", &[]);
    check("src/http/mod.rs", "use std::{io, fs};\nuse std::thread;", &[1, 2]);
    check("src/http/mod.rs", "use ::std::env::var;", &[1]);
    check("src/http/mod.rs", "fn f() { std::time::Instant::now(); }", &[1]);
    check("src/http/mod.rs", "fn f() { Instant::now(); SystemTime::now() }", &[1, 1]);
    check("src/http/mod.rs", "#[cfg(test)]\nmod tests {\n use std::fs;\n}\nuse std::fs;", &[5]);
    check("src/http/parse_tests.rs", "use std::fs; #[test] fn f() {}", &[]);
    check("src/shard/mod.rs", "use std::thread; use std::net::TcpStream;", &[]);
    check("src/config/load.rs", "use std::{env, fs};\nuse std::thread;", &[2]);
    // Wire bytes.
    check("src/http/mod.rs", "fn f() { s.trim(); s.parse::<u64>(); }", &[1, 1]);
    check("src/llm/mod.rs", "fn f() { u64::from_str_radix(s, 16) }", &[1]);
    check("src/http/mod.rs", "fn f() { parser.parse(bytes); trim(bytes) }", &[]);
    check("src/config/mod.rs", "fn f() { s.trim() }", &[]);
    // Discarded results.
    check("src/shard/mod.rs", "fn f() {\n let _ = g();\n}", &[2]);
    check("src/shard/mod.rs", "fn f() {\n let _: T = g();\n}", &[2]);
    check("src/shard/mod.rs", "fn f() {\n let _ = g(); // The peer is gone.\n}", &[]);
    check("src/shard/mod.rs", "fn f() {\n // The peer is gone.\n let _ = g();\n}", &[]);
    check("src/shard/mod.rs", "fn f() {\n // ----\n let _ = g();\n}", &[3]);
    check("src/shard/mod.rs", "fn f() {\n let _guard = g();\n}", &[]);
    // Tests that cannot fail.
    check("src/shard/tests.rs", "", &[1]);
    check("src/shard/turn_tests.rs", "fn check() {}", &[1]);
    check("src/shard/turn_tests.rs", "#[test]\nfn turns() {}", &[]);
    check("src/shard/tests.rs", "mod turn;", &[]);
    // Names.
    check("src/shard/utils.rs", "", &[1]);
    check("tests/common/mod.rs", "", &[1]);
    check("src/shard/mod.rs", "\nmod helper;", &[2]);
    check("src/shard/mod.rs", "mod commons;", &[]);
}

#[test]
fn literals_and_comments_are_no_code() {
    fn check(code: &str, wanted: &str) {
        let source = Source::new("src/shard/mod.rs", code);
        let code: Vec<&str> = source.lines.iter().map(|line| line.code.as_str()).collect();
        assert_eq!(code.join("|"), wanted, "{code:?}");
    }
    check("a // b", "a ");
    check("a /* b /* c */ d */ e", "a  e");
    check("a /* b\nc */ d", "a | d");
    check(r#"f("a // b", c)"#, r#"f("", c)"#);
    check(r#"f("a\"b")"#, r#"f("")"#);
    check("f(\"a\\\n  b\") c", "f(\"|\") c");
    check("f(r#\"a\"b\"#) c", "f(r\") c");
    check("f(br\"a\\\") c", "f(br\") c");
    check(r"f('a', '\'', '\n', '{') c", "f(', ', ', ') c");
    check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
    check("for x in r#loop", "for x in r#loop");
}

#[test]
fn only_what_tests_compile_is_test_code() {
    fn check(code: &str, wanted: &str) {
        let source = Source::new("src/shard/mod.rs", code);
        let tests = source.tokens.iter().filter(|token| token.in_test && token.is_word());
        let words: Vec<&str> = tests.map(|token| token.text.as_str()).collect();
        assert_eq!(words.join(" "), wanted, "{code}");
    }
    check("fn a() {} #[cfg(test)] mod t { fn b() {} } fn c() {}", "mod t fn b");
    check("#[cfg(test)] mod t; fn c() {}", "mod t");
    check("#[cfg(test)] use a::{b, c}; fn d() {}", "use a b c");
    check("#[cfg(test)] fn a(b: [u8; 2]) { c(); } fn d() {}", "fn a b u8 2 c");
    check("#[cfg(not(test))] fn a() {}", "");
}

#[test]
fn a_test_module_in_its_own_file_is_test_code() {
    let files = [
        ("src/shard/mod.rs", "#[cfg(test)]\nmod world;\nmod turn;"),
        ("src/shard/turn.rs", ""),
        ("src/shard/world.rs", ""),
        ("src/shard/world/clients.rs", ""),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let marked: Vec<bool> = super::sources(&files).iter().map(|source| source.is_test).collect();
    assert_eq!(marked, [false, false, true, true]);
}

#[test]
fn sizes_are_bounded_and_exceptions_shrink() {
    fn check(name: &str, text: &str, exception: Option<usize>, faults: usize) {
        let exceptions: Vec<sizes::Exception> = exception
            .map(|lines_max| sizes::Exception { name: "src/a/mod.rs::f", lines_max, reason: "" })
            .into_iter()
            .collect();
        let found = sizes::faults_but_for(&exceptions, &[Source::new(name, text)]);
        let lines = text.lines().count();
        assert_eq!(found.len(), faults, "{name} with {lines} lines, exception {exception:?}");
    }
    let function = |lines: usize| format!("fn f() {{{}}}\n", "\n".repeat(lines - 1));
    check("src/a/mod.rs", &"\n".repeat(400), None, 0);
    check("src/a/mod.rs", &"\n".repeat(401), None, 1);
    check("src/a/tests.rs", &"\n".repeat(800), None, 0);
    check("src/a/tests.rs", &"\n".repeat(801), None, 1);
    check("src/a/mod.rs", &function(70), None, 0);
    check("src/a/mod.rs", &function(71), None, 1);
    check("src/a/mod.rs", "trait T { fn f(&self) -> [u8; 2]; }", None, 0);
    check("src/a/mod.rs", &format!("#[cfg(test)]\n{}", function(71)), None, 0);
    check("src/a/mod.rs", &function(90), Some(90), 0);
    check("src/a/mod.rs", &function(91), Some(90), 1);
    check("src/a/mod.rs", &function(80), Some(101), 1);
    check("src/a/mod.rs", &function(70), Some(90), 1);
    check("src/a/mod.rs", "", Some(90), 1);
}

#[test]
fn words_are_banned_in_every_file() {
    fn check(halves: [&str; 2], after: &str, faults: usize) {
        let line = format!("fine\nsee {}{after} here\n", halves.concat());
        assert_eq!(words::faults("README.md", &line).len(), faults, "{line}");
    }
    check(["/wo", "rk/"], "x", 1);
    check(["/ro", "ot/"], ".bashrc", 1);
    check(["perf/tm", "p/"], "x", 0);
    check(["mv x /tm", "p/"], "x", 1);
    check(["https://pypi", ".org"], "/simple", 1);
    check(["TO", "DO"], ": later", 1);
    check(["(FIX", "ME"], ")", 1);
    check(["TO", "DO"], "S", 0);
    check(["METO", "DO"], "", 0);
}
