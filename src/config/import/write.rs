//! The file: our TOML, in a stable order, with comments that say where each
//! part came from.

use std::fmt::Write;

use super::finding::shown;
use super::models::{Backend, Candidate, Fleet, Model};
use super::settings::{Line, REASONS};
use crate::llm::Dialect;

/// The whole file. `source` is the name of what it was made of.
pub(super) fn write(source: &str, lines: &[Line], fleet: &Fleet) -> String {
    let mut file = format!("# Made of {} by 'tokenring import litellm'.\n", shown(source));
    let mut tables: Vec<&str> = lines.iter().map(|line| line.table).collect();
    tables.sort_unstable();
    tables.dedup();
    for table in tables {
        put(&mut file, format_args!("\n[{table}]\n"));
        for line in lines.iter().filter(|line| line.table == table) {
            put(&mut file, format_args!("{} = {} # {}\n", line.key, line.value, line.path));
        }
    }
    for backend in &fleet.backends {
        write_backend(&mut file, backend);
    }
    for model in &fleet.models {
        write_model(&mut file, model, &fleet.models);
    }
    file
}

fn write_backend(file: &mut String, Backend { name, place, paths }: &Backend) {
    put(file, format_args!("\n# {}\n[[backend]]\n", paths.join(", ")));
    put(file, format_args!("url = {}\nname = {}\n", quoted(&place.url), quoted(name)));
    if let Some(capacity) = place.capacity {
        put(file, format_args!("capacity = {capacity}\n"));
    }
    let dialect = match place.dialect {
        Dialect::OpenAi => "openai",
        Dialect::Anthropic => "anthropic",
    };
    put(file, format_args!("dialect = \"{dialect}\"\n"));
    if let Some(key) = &place.key {
        put(file, format_args!("key = {}\n", quoted(key)));
    }
}

fn write_model(file: &mut String, model: &Model, models: &[Model]) {
    put(file, format_args!("\n# {}\n[[model]]\n", model.paths.join(", ")));
    put(file, format_args!("name = {}\n", quoted(&model.name)));
    if !model.aliases.is_empty() {
        put(file, format_args!("aliases = {}\n", list(&model.aliases)));
    }
    file.push_str("candidates = [\n");
    for candidate in &model.candidates {
        write_candidate(file, candidate);
    }
    file.push_str("]\n");
    for (key, fallbacks) in REASONS.iter().zip(&model.fallbacks) {
        if !fallbacks.is_empty() {
            let names: Vec<&str> = fallbacks.iter().map(|at| models[*at].name.as_str()).collect();
            put(file, format_args!("{key} = {}\n", list(&names)));
        }
    }
}

fn write_candidate(file: &mut String, candidate: &Candidate) {
    file.push_str("  { ");
    if let Some(model) = &candidate.model {
        put(file, format_args!("model = {}, ", quoted(model)));
    }
    put(file, format_args!("backends = {}", list(&candidate.backends)));
    if candidate.weight != 1 {
        put(file, format_args!(", weight = {}", candidate.weight));
    }
    if candidate.order != 0 {
        put(file, format_args!(", order = {}", candidate.order));
    }
    file.push_str(" },\n");
}

fn list(words: &[impl AsRef<str>]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word.as_ref())).collect();
    format!("[{}]", words.join(", "))
}

/// A basic string (TOML 1.0, "String").
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => put(&mut quoted, format_args!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn put(text: &mut String, words: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = text.write_fmt(words);
}
