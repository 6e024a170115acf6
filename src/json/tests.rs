//! Rows for the grammar, and agreement with serde_json.

use std::collections::HashSet;

use serde_json::Value as Tree;

use super::mutate::each_mutation;
use super::*;
use crate::base::Span;

#[track_caller]
fn check_valid(text: &str) {
    assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
}

#[track_caller]
fn check_fault(text: &str, offset: usize, kind: FaultKind) {
    assert_eq!(check(text.as_bytes()), Err(JsonFault { offset, kind }), "{text}");
}

fn members_of(text: &[u8]) -> Result<Vec<Member<'_>>, JsonFault> {
    let mut skimmer = Skimmer::document(text)?;
    let mut members = Vec::new();
    while let Some(member) = skimmer.next_member()? {
        members.push(member);
    }
    Ok(members)
}

/// What the skimmer reads, written as `key=value` with a blank between.
#[track_caller]
fn check_members(text: &str, expected: &str) {
    let members = members_of(text.as_bytes()).expect(text);
    let read = |member: &Member<'_>| {
        let value = member.value.span.of(text.as_bytes());
        format!("{}={}", String::from_utf8_lossy(member.key), String::from_utf8_lossy(value))
    };
    assert_eq!(members.iter().map(read).collect::<Vec<_>>().join(" "), expected, "{text}");
}

#[track_caller]
fn check_document_fault(text: &[u8], offset: usize, kind: FaultKind) {
    let fault = members_of(text).map(|members| members.len());
    assert_eq!(fault, Err(JsonFault { offset, kind }), "{}", String::from_utf8_lossy(text));
}

#[test]
fn any_value_is_a_document() {
    for text in [
        "{}",
        "[]",
        "0",
        "-0",
        "10",
        "1.5",
        "1e9",
        "-1.25E-7",
        "\"\"",
        "\"a\"",
        "true",
        "false",
        "null",
        " \t\r\n{ } \n",
        "[1,[2,{\"a\":[]}],{}]",
        "\"\\u00e9\\n\\\\\\\"\"",
        "\"\\ud800\"",
    ] {
        check_valid(text);
    }
}

#[test]
fn refuses_what_the_grammar_does_not_know() {
    check_fault("", 0, FaultKind::ExpectedValue);
    check_fault("  ", 2, FaultKind::ExpectedValue);
    check_fault("\u{feff}{}", 0, FaultKind::ExpectedValue);
    check_fault("{}{}", 2, FaultKind::BytesAfterEnd);
    check_fault("{} x", 3, FaultKind::BytesAfterEnd);
    check_fault("{'a':1}", 1, FaultKind::ExpectedKey);
    check_fault("{a:1}", 1, FaultKind::ExpectedKey);
    check_fault("{\"a\":1,}", 7, FaultKind::ExpectedKey);
    check_fault("{\"a\"}", 4, FaultKind::ExpectedColon);
    check_fault("{\"a\" 1}", 5, FaultKind::ExpectedColon);
    check_fault("{\"a\":}", 5, FaultKind::ExpectedValue);
    check_fault("{\"a\":1 \"b\":2}", 7, FaultKind::ExpectedCommaOrBrace);
    check_fault("{\"a\":1]", 6, FaultKind::ExpectedCommaOrBrace);
    check_fault("[1,]", 3, FaultKind::ExpectedValue);
    check_fault("[,1]", 1, FaultKind::ExpectedValue);
    check_fault("[1 2]", 3, FaultKind::ExpectedCommaOrBracket);
    check_fault("[1}", 2, FaultKind::ExpectedCommaOrBracket);
    check_fault("[[1]", 4, FaultKind::ExpectedCommaOrBracket);
    check_fault("{\"a\":/**/1}", 5, FaultKind::ExpectedValue);
    check_fault("\"a", 0, FaultKind::StringWithoutEnd);
    check_fault("\"a\\\"", 0, FaultKind::StringWithoutEnd);
    check_fault("\"\\x\"", 1, FaultKind::InvalidEscape);
    check_fault("\"\\u12g4\"", 1, FaultKind::InvalidEscape);
    check_fault("\"\\", 1, FaultKind::InvalidEscape);
}

#[test]
fn refuses_numbers_and_literals_of_other_languages() {
    check_fault("01", 1, FaultKind::BytesAfterEnd);
    check_fault("+1", 0, FaultKind::ExpectedValue);
    check_fault(".5", 0, FaultKind::ExpectedValue);
    check_fault("1.", 2, FaultKind::InvalidNumber);
    check_fault("-", 1, FaultKind::InvalidNumber);
    check_fault("1e", 2, FaultKind::InvalidNumber);
    check_fault("1e+", 3, FaultKind::InvalidNumber);
    check_fault("0x10", 1, FaultKind::BytesAfterEnd);
    check_fault("NaN", 0, FaultKind::ExpectedValue);
    check_fault("nul", 0, FaultKind::InvalidLiteral);
    check_fault("True", 0, FaultKind::ExpectedValue);
    check_fault("truex", 4, FaultKind::BytesAfterEnd);
}

#[test]
fn nesting_ends_at_its_maximum() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let limit = DEPTH_MAX as usize;
    check_valid(&nested(limit));
    check_fault(&nested(limit + 1), limit, FaultKind::TooDeep);
    check_fault(&"[".repeat(1 << 20), limit, FaultKind::TooDeep);
    let member = |depth: usize| format!("{{\"a\":{}}}", nested(depth));
    assert!(members_of(member(limit - 1).as_bytes()).is_ok());
    check_document_fault(member(limit).as_bytes(), 5 + limit - 1, FaultKind::TooDeep);
}

#[test]
fn brackets_close_in_the_order_they_opened() {
    for (text, valid) in [("[{}]", true), ("[{]}", false), ("{\"a\":[{\"b\":[]}]}", true)] {
        assert_eq!(check(text.as_bytes()).is_ok(), valid, "{text}");
    }
}

#[test]
fn gives_members_in_order() {
    check_members("{}", "");
    check_members(" { } ", "");
    check_members(r#"{"a":1}"#, "a=1");
    check_members(r#" { "a" : 1 , "b" : "x" } "#, r#"a=1 b="x""#);
    check_members(r#"{"a":{"a":[1,"}"]},"b":[{"c":"]"}]}"#, r#"a={"a":[1,"}"]} b=[{"c":"]"}]"#);
    check_members(r#"{"a":"\\","b":"\"","c":"\\\""}"#, r#"a="\\" b="\"" c="\\\"""#);
    check_members(r#"{"":1,"":2}"#, "=1 =2");
}

#[test]
fn the_inside_of_a_value_is_skipped_over() {
    check_members(r#"{"a":[1 2,,],"b":{:"x"},"c":1}"#, r#"a=[1 2,,] b={:"x"} c=1"#);
    check_members(r#"{"a":[tru-e1],"b":"]"}"#, r#"a=[tru-e1] b="]""#);
}

#[test]
fn a_value_ends_where_its_brackets_close() {
    for (text, offset, kind) in [
        ("{\"a\":[}", 6, FaultKind::ExpectedCommaOrBracket),
        ("{\"a\":[", 6, FaultKind::ExpectedCommaOrBracket),
        ("{\"a\":{]", 6, FaultKind::ExpectedCommaOrBrace),
        ("{\"a\":[{}", 8, FaultKind::ExpectedCommaOrBracket),
        ("{\"a\":[\"]}", 6, FaultKind::StringWithoutEnd),
        ("{\"a\":[\"\\x\"]}", 7, FaultKind::InvalidEscape),
        ("{\"a\":[]]}", 7, FaultKind::ExpectedCommaOrBrace),
        ("{\"a\":[1] 2}", 9, FaultKind::ExpectedCommaOrBrace),
        ("{\"a\":[1,],}", 10, FaultKind::ExpectedKey),
    ] {
        check_document_fault(text.as_bytes(), offset, kind);
    }
}

/// Some readers know comments, single quotes or bare words, and would find
/// other strings and brackets than we do.
#[test]
fn no_other_languages_bytes_stand_outside_strings() {
    for byte in 0..=255_u8 {
        let text = [b"{\"a\":[", &[byte][..], b"]}"].concat();
        let known = b" \t\n\r,:0123456789+-.eEtrufalsn".contains(&byte);
        assert_eq!(members_of(&text).is_ok(), known, "{}", byte.escape_ascii());
    }
    check_document_fault(b"{\"a\":[/*\"*/]}", 6, FaultKind::ExpectedValue);
    check_document_fault(b"{\"a\":['\"']}", 6, FaultKind::ExpectedValue);
}

#[test]
fn a_document_is_one_object() {
    check_document_fault(b"", 0, FaultKind::ExpectedObject);
    check_document_fault(b"[]", 0, FaultKind::ExpectedObject);
    check_document_fault(b"\xef\xbb\xbf{}", 0, FaultKind::ExpectedObject);
    check_document_fault(b"{\0\"\0a\0", 1, FaultKind::ExpectedKey); // UTF-16
    check_document_fault(b"{", 1, FaultKind::ExpectedKey);
    check_document_fault(b"{\"a\":1", 6, FaultKind::ExpectedCommaOrBrace);
    check_document_fault(b"{} {}", 3, FaultKind::BytesAfterEnd);
    check_document_fault(b"{\"a\nb\":1}", 2, FaultKind::InvalidKey);
    check_document_fault(b"{\"mod\xffel\":1}", 2, FaultKind::InvalidKey);
}

#[test]
fn tells_kinds_and_escapes_apart() {
    let text = br#"{"k\u0065y":"a","b":"\n","c":-1,"d":{},"e":[],"f":true,"g":false,"h":null}"#;
    let members = members_of(text).unwrap();
    assert!(members[0].key_escaped && !members[1].key_escaped);
    let kinds: Vec<Kind> = members.iter().map(|member| member.value.kind).collect();
    let strings = [Kind::String { escaped: false }, Kind::String { escaped: true }];
    let others = [Kind::Number, Kind::Object, Kind::Array, Kind::True, Kind::False, Kind::Null];
    assert_eq!(kinds, [&strings[..], &others[..]].concat());
    assert_eq!(members[0].value.plain_text().unwrap().of(text), b"a");
    assert_eq!(members[1].value.plain_text(), None);
}

#[test]
fn every_prefix_of_an_object_is_refused() {
    let text = br#"{"a":[1,{"b":"x\n\u0041"}],"c":-1.5e3,"d":null}"#;
    for end in 0..text.len() {
        assert!(members_of(&text[..end]).is_err(), "cut at {end}");
        assert!(check(&text[..end]).is_err(), "cut at {end}");
    }
    assert!(members_of(text).is_ok());
}

#[test]
fn a_written_string_reads_back() {
    for text in ["", "plain", "q\"b\\s/", "\n\r\t\0\u{1f}\u{7f}", "é 漢 🦀", "</script>\u{2028}"]
    {
        let mut out = Vec::new();
        write_string(&mut out, text);
        assert_eq!(check(&out), Ok(()), "{text:?}");
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}

const SEEDS: [&[u8]; 8] = [
    br#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi \"you\"\n"}],"stream":true}"#,
    br#"{"a":{"b":[1,2.5e-3,[],{}]},"c":"\u00e9\\","d":null,"e":false}"#,
    br#" { "model" : "m" , "n" : -0.0 , "t" : [ ] } "#,
    br#"[[[[{"a":[{"b":{}}]}]]],"x",1e5,true]"#,
    br#"{"x":{"model":"inner"},"model":"outer","model":"again"}"#,
    br#""just \u0041 string""#,
    "{\"clé\":\"漢字\",\"k\":\"🦀\"}".as_bytes(),
    br#"{"usage":{"prompt_tokens":1},"k\ney":[{"a":"]"},{"b":"}"}]}"#,
];

/// Faults that serde_json finds inside strings and in the size of numbers,
/// where we do not look.
fn is_beyond_our_rule(fault: &serde_json::Error) -> bool {
    let text = fault.to_string();
    ["control character", "unicode code point", "surrogate", "hex escape", "out of range"]
        .iter()
        .any(|part| text.contains(part))
        || text.contains("recursion limit")
}

#[test]
fn agrees_with_serde_json_on_what_is_a_document() {
    let (mut taken, mut refused) = (0, 0);
    each_mutation(&SEEDS, 40_000, |bytes| {
        let ours = check(bytes);
        match serde_json::from_slice::<Tree>(bytes) {
            Ok(_) => assert_eq!(ours, Ok(()), "{}", String::from_utf8_lossy(bytes)),
            Err(fault) if ours.is_ok() => {
                assert!(is_beyond_our_rule(&fault), "{fault}: {}", String::from_utf8_lossy(bytes));
            }
            Err(_) => {}
        }
        if ours.is_ok() { taken += 1 } else { refused += 1 }
    });
    assert!(taken > 2_000 && refused > 2_000, "{taken} taken, {refused} refused");
}

#[test]
fn agrees_with_serde_json_on_members() {
    let mut compared = 0;
    each_mutation(&SEEDS, 40_000, |bytes| {
        let Ok(Tree::Object(tree)) = serde_json::from_slice::<Tree>(bytes) else { return };
        let members = match members_of(bytes) {
            Ok(members) => members,
            Err(fault) => panic!("{fault:?}: {}", String::from_utf8_lossy(bytes)),
        };
        let mut keys = HashSet::new();
        for member in members.iter().rev() {
            let quoted = [b"\"", member.key, b"\""].concat();
            let key: String = serde_json::from_slice(&quoted).unwrap();
            assert_eq!(member.key_escaped, key.as_bytes() != member.key);
            if keys.insert(key.clone()) {
                // The last of equal keys is the one that serde_json keeps.
                let value: Tree = serde_json::from_slice(member.value.span.of(bytes)).unwrap();
                assert_eq!(tree.get(&key), Some(&value));
            }
        }
        assert_eq!(keys.len(), tree.len());
        compared += 1;
    });
    assert!(compared > 2_000, "{compared} compared");
}

/// The elements of an array, up to the first fault.
fn elements_of(text: &str) -> Result<Vec<&str>, JsonFault> {
    let array = Span::new(0, text.len());
    let mut elements = Elements::nested(text.as_bytes(), array)?;
    let mut found = Vec::new();
    while let Some(value) = elements.next_element()? {
        found.push(&text[value.span.start as usize..value.span.end as usize]);
    }
    Ok(found)
}

#[test]
fn gives_elements_in_order() {
    for (text, expected) in [
        ("[]", &[][..]),
        ("[ ]", &[]),
        ("[1, \"a\" ,{\"b\":[2]}]", &["1", "\"a\"", "{\"b\":[2]}"]),
        ("[[],[1]]", &["[]", "[1]"]),
    ] {
        assert_eq!(elements_of(text).unwrap(), expected, "{text}");
    }
    for (text, offset) in [("[1 2]", 3), ("[,]", 1), ("[1,]", 3), ("{}", 0), ("[1", 2), ("[", 1)] {
        assert_eq!(elements_of(text).unwrap_err().offset, offset, "{text}");
    }
}
