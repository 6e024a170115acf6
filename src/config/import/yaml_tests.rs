//! What is taken as YAML, what is refused, and on which line.

use super::*;

fn at(line: u64, value: Value) -> Node {
    Node { line, value }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn every_kind_of_value_keeps_its_line() {
    let entries = [
        ("a", at(1, Value::Whole(-1))),
        ("b", at(2, Value::Fraction(0.5))),
        ("c", at(3, Value::Bool(true))),
        ("d", at(4, Value::Null)),
        ("e", at(5, text("os.environ/KEY"))),
        ("f", at(6, Value::List(vec![at(6, text("x")), at(6, Value::Whole(2))]))),
        ("g", at(7, Value::Map(vec![("h".to_owned(), at(8, text("123")))]))),
    ];
    let entries = entries.map(|(key, node)| (key.to_owned(), node)).to_vec();
    let read = read(
        "a: -1\nb: 0.5\nc: true\nd:\ne: os.environ/KEY # a comment\nf: [x, 2]\ng:\n  h: \"123\"\n",
    );
    assert_eq!(read, Ok(at(1, Value::Map(entries))));
}

#[test]
fn an_anchor_stands_for_what_it_names() {
    let read = read("base: &base {a: 1}\none:\n  <<: *base\n  b: 2\ntwo: *base\n").unwrap();
    let Value::Map(entries) = read.value else { panic!("{read:?}") };
    let keys = |node: &Node| match &node.value {
        Value::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
        other => panic!("{other:?}"),
    };
    let keys: Vec<Vec<String>> = entries.iter().map(|(_, node)| keys(node)).collect();
    assert_eq!(keys[0], ["a"]);
    assert_eq!((keys[1].len(), &keys[2]), (2, &keys[0]));
}

/// Refused, with words in the reason, on this line.
#[track_caller]
fn check_refused(yaml: &str, line: Option<u64>) {
    let refused = read(yaml).expect_err(yaml.get(..80).unwrap_or(yaml));
    assert_eq!(refused.line, line, "{}", refused.reason);
    assert!(!refused.reason.is_empty());
}

#[test]
fn what_is_no_yaml_is_refused_by_its_line() {
    check_refused("a: 1\nb: [1\n", Some(2));
    check_refused("a: 1\na: 2\n", Some(2));
    check_refused("a: *nobody\n", Some(1));
    check_refused("a: 1\n---\nb: 2\n", Some(2));
}

#[test]
fn what_is_beyond_the_bounds_is_refused() {
    check_refused(&format!("a: {}\n", "x".repeat(BYTES_MAX)), None);
    check_refused(&format!("a: {}\n", "x".repeat(TEXT_BYTES_MAX + 1)), Some(1));
    assert!(read(&format!("a: {}\n", "x".repeat(TEXT_BYTES_MAX))).is_ok());
    check_refused(&"[".repeat(10_000), Some(1));
    let deep: String = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(read(&deep).is_err());
    assert!(read(&format!("a: [{}]\n", "1,".repeat(NODES_MAX))).is_err());
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(read(&bomb).is_err());
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(TEXT_BYTES_MAX), "*a,".repeat(300));
    assert!(read(&long).is_err());
}

#[test]
fn what_is_refused_is_not_quoted() {
    for yaml in ["key: \"sk-secret\n", "key: sk-secret\nkey: sk-secret\n", "sk-secret: [\n"] {
        let refused = read(yaml).expect_err(yaml);
        assert!(!refused.reason.contains("sk-secret"), "{}", refused.reason);
    }
}
