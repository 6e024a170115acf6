//! The reference: every setting in one page, which is itself a file that can be
//! given to `serve`.

use std::fmt::Write;

use super::settings::{Form, LISTS, List, Setting, settings};

const HEAD: &str = "\
# Every setting of `tokenring serve`, as a configuration file.
#
# Each stands with one line on what it does, its flag, its unit and the default
# that holds when nothing is written; its value here is an example. A change of
# the file is taken while the process runs, but for what needs a restart.
#
#   tokenring check FILE             tells every error of a file at once
#   tokenring serve --config FILE    runs by it; flags that are typed win
#
# TIME is like \"250ms\", \"10s\" or \"1h30m\", SIZE like \"16KiB\", \"32MiB\" or \"16kB\",
# COUNT a whole number. FILE is a path, as seen from where the process is started.
# Where several values may stand, one stands alone or all in brackets.
";

/// The page.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut tables: Vec<&str> = Vec::new();
    for setting in settings() {
        let table = setting.table_and_name().0;
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    // What stands in no table comes before all tables, and lists come last, as
    // the operator will want more than one of each.
    let list_at = |table: &str| {
        let is_in = |list: &List| table == list.key || table.starts_with(&format!("{}.", list.key));
        LISTS.iter().rposition(is_in).map(|at| at + 1)
    };
    tables.sort_by_key(|table| (!table.is_empty(), list_at(table)));
    for table in tables {
        let heading = match table {
            "" => String::new(),
            table if LISTS.iter().any(|list| list.key == table) => {
                format!("\n[[{table}]] # one such table for each\n")
            }
            table => format!("\n[{table}]\n"),
        };
        page.push_str(&heading);
        for setting in settings().filter(|setting| setting.table_and_name().0 == table) {
            page.push_str(&entry(setting));
        }
    }
    page
}

/// A setting's lines.
fn entry(setting: &Setting) -> String {
    let (_, name) = setting.table_and_name();
    let flag = match (setting.form(), setting.flag, setting.unit()) {
        (Form::Switch { flag_says }, Some(flag), _) => {
            format!("{flag} sets {flag_says}; true or false")
        }
        (Form::Switch { .. }, None, _) => "true or false".to_owned(),
        (_, Some(flag), unit) => format!("{flag} {unit}"),
        (_, None, unit) => unit.to_owned(),
    };
    let words = match setting.form() {
        Form::OneOf(words) => format!(", one of {}", words.join(", ")),
        _ => String::new(),
    };
    let default = match setting.default() {
        default if default.is_empty() => "none".to_owned(),
        default => default,
    };
    let restart = if setting.needs_restart { "; needs a restart" } else { "" };
    let mut lines = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        lines,
        "\n# {}.\n# {flag}{words}; default {default}{restart}\n{name} = {}",
        setting.doc,
        setting.example_in_toml(),
    );
    lines
}

impl Setting {
    /// The example as it stands behind `=`.
    #[must_use]
    pub fn example_in_toml(&self) -> String {
        let is_number = self.example.bytes().all(|byte| byte.is_ascii_digit());
        match self.form() {
            Form::Number | Form::Decimal | Form::Named | Form::Switch { .. } => {
                self.example.to_owned()
            }
            Form::NumberOrWord if is_number => self.example.to_owned(),
            Form::Words if self.example.contains(' ') => {
                let words: Vec<_> = self.examples().map(|word| format!("\"{word}\"")).collect();
                format!("[{}]", words.join(", "))
            }
            _ => format!("\"{}\"", self.example),
        }
    }

    /// The example's words.
    pub fn examples(&self) -> impl Iterator<Item = &'static str> {
        self.example.split(' ')
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
