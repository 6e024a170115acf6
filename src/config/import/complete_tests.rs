//! Each value of a LiteLLM configuration is told of, whatever it is, and nothing
//! panics.

use super::{
    tests::MODEL,
    yaml::{Node, Value},
    *,
};
use proptest::prelude::*;

/// Paths of everything that holds a value, and of what holds nothing.
fn leaves(path: &str, node: &Node, into: &mut Vec<String>) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, node) in entries {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(&format!("{path}{dot}{}", finding::shown(key)), node, into);
            }
        }
        Value::List(nodes) if !nodes.is_empty() => {
            for (index, node) in nodes.iter().enumerate() {
                leaves(&format!("{path}[{index}]"), node, into);
            }
        }
        _ => into.push(path.to_owned()),
    }
}

/// Each value of the input is told, itself or a part that it belongs to; and
/// the file can be read as TOML.
fn check_complete(yaml: &str) {
    let Ok(Imported { file, findings }) = litellm("c.yaml", yaml) else { return };
    let mut all = Vec::new();
    leaves("", &yaml::read(yaml).unwrap(), &mut all);
    for leaf in &all {
        let is_above = |path: &str| {
            let rest = leaf.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let told = findings.iter().any(|finding| is_above(&finding.path));
        assert!(told, "{leaf} is not told: {findings:#?}\n{yaml}");
    }
    let (_, errors) = toml::de::DeTable::parse_recoverable(&file);
    assert!(errors.is_empty(), "{errors:?}\n{file}");
}

const REALISTIC: &str = include_str!("../../../tests/import/litellm.yaml");

#[test]
fn nothing_is_passed_over_in_silence() {
    check_complete(REALISTIC);
    check_complete(MODEL);
}

/// Words that lead deep into the reading.
const WORDS: &[&str] = &[
    "model_list",
    "model_name",
    "litellm_params",
    "model",
    "api_base",
    "api_key",
    "weight",
    "rpm",
    "order",
    "max_parallel_requests",
    "router_settings",
    "fallbacks",
    "default_fallbacks",
    "*",
    "model_group_alias",
    "hidden",
    "timeout",
    "num_retries",
    "os.environ/A",
    "openai/x",
    "gpt-4",
    "http://a/v1",
    "azure/x",
    "anthropic/*",
    "a\"b",
    "é",
    "7",
    "0.5",
    "-1",
    "1e999",
    "true",
    "null",
];

fn tree() -> impl Strategy<Value = String> {
    let word = prop::sample::select(WORDS).prop_map(|word| match word {
        "null" | "true" | "7" | "0.5" | "-1" | "1e999" => word.to_owned(),
        word => format!("'{word}'"),
    });
    let key = prop::sample::select(WORDS);
    word.prop_recursive(5, 60, 6, move |inner| {
        let entry = (key.clone(), inner.clone()).prop_map(|(key, node)| format!("'{key}': {node}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|list| format!("[{}]", list.join(", "))),
            prop::collection::vec(entry, 0..6).prop_map(|map| format!("{{{}}}", map.join(", "))),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = litellm("c.yaml", &text);
    }

    #[test]
    fn no_part_of_a_configuration_panics(from in 0..REALISTIC.len(), to in 0..REALISTIC.len()) {
        let cut = REALISTIC.as_bytes();
        let rest: Vec<u8> = [&cut[..from.min(to)], &cut[from.max(to)..]].concat();
        if let Ok(text) = String::from_utf8(rest) {
            check_complete(&text);
        }
    }

    #[test]
    fn no_tree_of_words_panics_and_each_value_is_told(list in tree(), router in tree()) {
        check_complete(&format!("model_list: {list}\nrouter_settings: {router}\n"));
        check_complete(&format!(
            "model_list: [{{model_name: m, litellm_params: {list}}}, {list}]\n\
             litellm_settings: {router}\n"
        ));
    }
}
